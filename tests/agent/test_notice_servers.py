"""A message to real servers: a web server and a mail server, well and unwell."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from certificates import Authority
from notice_rig import HOST, WebServer, body_of, happened, mail_server, web_server

from agent.notice import mail, webhook
from agent.notice.failure import NoticeFailed
from agent.notice.message import compose
from config.outward import Mail, Webhook
from config.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = compose("h01", "gw-1", [body_of(happened())])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_context(authority: Authority) -> ssl.SSLContext:
    issued = authority.issue(HOST)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.cert, issued.key)
    return context


def secret(folder: Path, text: str) -> Secret:
    file = folder / "secret"
    file.write_text(text + "\n")
    return Secret("file", str(file))


def letter(port: int, **settings: object) -> Mail:
    given: dict[str, object] = {"security": "none", "sender": "gw-1@h01.example", "to": ("duty@h01.example",)}
    return Mail(host=HOST, port=port, **{**given, **settings})  # type: ignore[arg-type] # as the test says


async def test_a_web_server_gets_the_alarm_and_the_token(tmp_path: Path) -> None:
    """As JSON, with the secret that the configuration only names."""
    async with web_server() as server:
        await webhook.send(Webhook(server.url, secret(tmp_path, "s3cret")), MESSAGE)
    assert server.tokens == ["Bearer s3cret"]
    assert server.posted[0]["alarms"][0]["text"] == {"zh": "氧气压力低", "en": "Oxygen pressure low"}


async def test_a_web_server_must_prove_itself(authority: Authority) -> None:
    """With a certificate of the authority that is configured, and of no other."""
    async with web_server(server_context(authority)) as server:
        await webhook.send(Webhook(server.url, ca=authority.ca), MESSAGE)
        with pytest.raises(NoticeFailed, match=r"certificate is not accepted .*; set ca"):
            await webhook.send(Webhook(server.url), MESSAGE)
    assert len(server.posted) == 1


@pytest.mark.parametrize("status", [302, 401, 500])
async def test_a_web_server_that_does_not_take_it_is_a_failure(status: int) -> None:
    """Nor is it followed to somewhere else."""
    async with web_server() as server:
        server.status = status
        with pytest.raises(NoticeFailed, match=f"answers {status}; check url and token"):
            await webhook.send(Webhook(server.url), MESSAGE)


async def test_a_web_server_that_is_not_there_is_a_failure() -> None:
    """In words, with the next step."""
    async with web_server() as gone:
        pass
    with pytest.raises(NoticeFailed, match=r"cannot be reached .*; check url and network"):
        await webhook.send(Webhook(gone.url), MESSAGE)


async def test_a_secret_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    """It says where it was looked for."""
    with pytest.raises(NoticeFailed, match=r"no token: cannot read .*/nothing.*; provide that secret"):
        await webhook.send(Webhook("http://127.0.0.1:9", Secret("file", str(tmp_path / "nothing"))), MESSAGE)
    way = letter(9, user="gw-1", password=Secret("env", "WARDGATE_NOTHING"))
    with pytest.raises(NoticeFailed, match="no password: environment variable WARDGATE_NOTHING is not set"):
        await mail.send(way, MESSAGE)


async def test_a_mail_server_gets_the_alarm() -> None:
    """In both languages, with a subject, from us, to everybody."""
    async with mail_server() as server:
        await mail.send(letter(server.port, to=("duty@h01.example", "gas@h01.example")), MESSAGE)
    (got,) = server.mails
    assert (got["From"], got["To"]) == ("gw-1@h01.example", "duty@h01.example, gas@h01.example")
    assert got["Subject"] == MESSAGE.subject
    assert got.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert got["Auto-Submitted"] == "auto-generated"


async def test_a_mail_server_must_prove_itself_before_it_hears_the_password(
    tmp_path: Path, authority: Authority
) -> None:
    """STARTTLS with a certificate of the configured authority, then user and password."""
    async with mail_server(starttls=server_context(authority)) as server:
        given = {"security": "starttls", "user": "gw-1", "password": secret(tmp_path, "secret")}
        await mail.send(letter(server.port, ca=authority.ca, **given), MESSAGE)
        assert (len(server.mails), server.users) == (1, ["gw-1"])
        with pytest.raises(NoticeFailed, match=r"cannot be reached \(.*certificate.*\); check host, port, security"):
            await mail.send(letter(server.port, **given), MESSAGE)
        wrong = {**given, "password": secret(tmp_path, "guess")}
        with pytest.raises(NoticeFailed, match=r"refuses user gw-1 \(.*\); check the password"):
            await mail.send(letter(server.port, ca=authority.ca, **wrong), MESSAGE)
    assert len(server.mails) == 1


async def test_a_mail_server_may_speak_tls_from_the_beginning(authority: Authority) -> None:
    """As on port 465."""
    async with mail_server(tls=server_context(authority)) as server:
        await mail.send(letter(server.port, security="tls", ca=authority.ca), MESSAGE)
    assert len(server.mails) == 1


async def test_tls_that_a_mail_server_does_not_offer_is_not_done_without() -> None:
    """Nothing is sent readable where that was not allowed."""
    async with mail_server() as server:
        with pytest.raises(NoticeFailed, match=r"check host, port, security and ca"):
            await mail.send(letter(server.port, security="starttls"), MESSAGE)
    assert server.mails == []


async def test_a_recipient_that_is_refused_is_a_failure() -> None:
    """Whether it is one of them or all."""
    async with mail_server(unknown=frozenset({"nobody@h01.example"})) as server:
        with pytest.raises(NoticeFailed, match=r"takes no mail for nobody@h01.example; check to"):
            await mail.send(letter(server.port, to=("duty@h01.example", "nobody@h01.example")), MESSAGE)
        with pytest.raises(NoticeFailed, match=r"no such user here.*; check"):
            await mail.send(letter(server.port, to=("nobody@h01.example",)), MESSAGE)


async def test_a_mail_server_that_is_not_there_is_a_failure() -> None:
    """In words, with the next step."""
    async with web_server() as gone:
        port = port_of(gone)
    with pytest.raises(NoticeFailed, match=r"mail server cannot be reached .*; check host, port"):
        await mail.send(letter(port), MESSAGE)


def port_of(server: WebServer) -> int:
    return int(server.url.rpartition(":")[2].partition("/")[0])
