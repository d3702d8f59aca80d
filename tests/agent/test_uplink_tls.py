"""TLS against a real broker: what is proved, and what a person is told when the proof fails.

Never is anything sent in plaintext instead.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from certificates import HOUR, Authority
from mqtt_peer import HOST, ScriptedBroker

from agent.uplink.certificates import Validity, fingerprint_of, load, validity
from agent.uplink.problems import Problem, Refused
from agent.uplink.session import Login, Session
from config.outward import Broker, Tls
from config.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from certificates import Issued
    from mqtt_peer import StartMosquitto

    from agent.uplink.client import MqttVersion

WANTS_ONE = ("require_certificate true", "use_identity_as_username true")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


def listener(authority: Authority, issued: Issued, *lines: str) -> tuple[str, ...]:
    """What mosquitto needs to speak TLS with this certificate."""
    return (f"cafile {authority.ca}", f"certfile {issued.cert}", f"keyfile {issued.key}", *lines)


def trusting(authority: Authority, client: Issued | None = None, server_name: str | None = None) -> Tls:
    if client is None:
        return Tls(authority.ca, server_name=server_name)
    return Tls(authority.ca, client.cert, Secret("file", str(client.key)), server_name)


def a_session(port: int, tls: Tls, version: MqttVersion = "5", host: str = HOST) -> Session:
    return Session(Broker(host, port, tls=True), Login("gw-a1", None, None, version, 10, tls), None, asyncio.Event())


async def refusal(session: Session) -> str:
    """Why it does not open, and the next step."""
    try:
        with pytest.raises(Problem) as caught:
            await session.open()
    finally:
        session.close()
    assert isinstance(caught.value, Refused), caught.value
    return str(caught.value)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_both_sides_prove_who_they_are(
    authority: Authority, start_mosquitto: StartMosquitto, version: MqttVersion
) -> None:
    """Chain, name and client certificate fit: the session opens and knows until when each certificate holds."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST), *WANTS_ONE))
    session = a_session(mosquitto.port, trusting(authority, authority.issue("gw-a1", end=2 * HOUR)), version)
    await session.open()
    assert session.credentials is not None
    assert session.credentials.ours is not None
    assert session.broker_validity is not None
    assert 3595 <= session.credentials.ours.end - session.broker_validity.end <= 3605
    session.close(politely=True)


async def test_the_name_in_the_certificate_may_be_another_than_the_address(
    authority: Authority, start_mosquitto: StartMosquitto
) -> None:
    """Only where it is written: then exactly that name is asked for."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue("broker.example")))
    session = a_session(mosquitto.port, trusting(authority, server_name="broker.example"))
    await session.open()
    session.close(politely=True)
    said = await refusal(a_session(mosquitto.port, trusting(authority, server_name="other.example")))
    assert said == (
        f"the certificate of {HOST} is that of another name; "
        "write the broker as it is named in its certificate, or that name as tls.server_name"
    )


async def test_a_broker_of_another_authority(
    authority: Authority, stranger: Authority, start_mosquitto: StartMosquitto
) -> None:
    """The wrong CA, and the authorities of the system where none is configured."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST)))
    for tls in (trusting(stranger), Tls()):
        said = await refusal(a_session(mosquitto.port, tls))
        assert f"the certificate of {HOST} comes from an authority that we do not trust" in said
        assert "tls.ca" in said


@pytest.mark.parametrize(
    ("begin", "end", "what", "todo"),
    [
        (-2 * HOUR, -HOUR, "has expired", "renewed, and compare this gateway's clock"),
        (HOUR, 2 * HOUR, "is not valid yet", "compare this gateway's clock"),
    ],
)
async def test_a_broker_outside_the_dates_of_its_certificate(
    authority: Authority, start_mosquitto: StartMosquitto, begin: timedelta, end: timedelta, what: str, todo: str
) -> None:
    """Told with the clock as a suspect: a small box that lost its battery is years behind."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST, begin=begin, end=end)))
    said = await refusal(a_session(mosquitto.port, trusting(authority)))
    assert f"the certificate of {HOST} {what}" in said
    assert todo in said


async def test_a_broker_at_another_address_than_in_its_certificate(
    authority: Authority, start_mosquitto: StartMosquitto
) -> None:
    """An address is a name like any other."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue("127.0.0.9")))
    assert "is that of another address" in await refusal(a_session(mosquitto.port, trusting(authority)))


@pytest.fixture(params=["TLS 1.3", "TLS 1.2"])
def tls_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both say no in their own way: 1.2 in the handshake, 1.3 at the first answer after it."""
    if request.param == "TLS 1.2":
        default = ssl.SSLContext.wrap_socket

        def wrap(context: ssl.SSLContext, *arguments: object, **options: object) -> ssl.SSLSocket:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            return default(context, *arguments, **options)  # type: ignore[arg-type]  # what it was called with

        monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap)
    return str(request.param)


async def test_a_client_certificate_that_is_missing(
    authority: Authority, start_mosquitto: StartMosquitto, tls_version: str
) -> None:
    """The keys to write are named."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST), *WANTS_ONE))
    said = await refusal(a_session(mosquitto.port, trusting(authority)))
    assert said == (
        f"{HOST}:{mosquitto.port} wants a client certificate, and we have none; set the uplink's tls.cert and tls.key"
    )


async def test_a_client_certificate_that_has_expired(
    authority: Authority, start_mosquitto: StartMosquitto, tls_version: str
) -> None:
    """It says that a renewed one needs no restart."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST), *WANTS_ONE))
    client = authority.issue("gw-a1", begin=-2 * HOUR, end=-HOUR)
    said = await refusal(a_session(mosquitto.port, trusting(authority, client)))
    assert "says that our client certificate has expired" in said
    assert "without a restart" in said


async def test_a_client_certificate_that_is_not_valid_yet(
    authority: Authority, start_mosquitto: StartMosquitto, tls_version: str
) -> None:
    """OpenSSL says no more than that it is bad: the dates are the first thing to look at."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST), *WANTS_ONE))
    client = authority.issue("gw-a1", begin=HOUR, end=2 * HOUR)
    said = await refusal(a_session(mosquitto.port, trusting(authority, client)))
    assert "does not accept our client certificate" in said
    assert "dates" in said


async def test_a_client_certificate_of_another_authority(
    authority: Authority, stranger: Authority, start_mosquitto: StartMosquitto, tls_version: str
) -> None:
    """Whom to ask is said."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST), *WANTS_ONE))
    said = await refusal(a_session(mosquitto.port, trusting(authority, stranger.issue("gw-a1"))))
    assert "does not know the authority of our client certificate" in said


async def test_a_port_without_tls(authority: Authority, start_mosquitto: StartMosquitto) -> None:
    """A plain mosquitto hangs up: nothing of ours is sent to it in plaintext."""
    mosquitto = await start_mosquitto()
    said = await refusal(a_session(mosquitto.port, trusting(authority)))
    assert "does not take part in the TLS handshake" in said
    assert "TLS port" in said


async def test_a_web_server_in_the_place_of_a_broker(authority: Authority) -> None:
    """It answers, and what it says is not TLS."""
    async with ScriptedBroker(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        said = await refusal(a_session(server.port, trusting(authority)))
    assert f"{HOST}:{server.port} answers, but not with TLS" in said


async def test_plaintext_to_a_port_with_tls(authority: Authority, start_mosquitto: StartMosquitto) -> None:
    """The other way round: `mqtt://` where `mqtts://` is spoken."""
    mosquitto = await start_mosquitto(*listener(authority, authority.issue(HOST)))
    plain = Session(
        Broker(HOST, mosquitto.port, tls=False), Login("gw-a1", None, None, "5", 10, Tls()), None, asyncio.Event()
    )
    with pytest.raises(Problem, match=r"host and port|broker's log"):
        await plain.open()
    plain.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_a_broker_that_speaks_only_old_tls(authority: Authority) -> None:
    """TLS 1.1 is refused by us, whatever the broker offers."""
    issued = authority.issue(HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_server((HOST, 0)) as server:
        handshake = asyncio.create_task(asyncio.to_thread(shake_hands, server, context))
        said = await refusal(a_session(server.getsockname()[1], trusting(authority)))
        assert "unsupported protocol" in await handshake
    assert "speaks no TLS 1.2 or newer" in said


def shake_hands(server: socket.socket, context: ssl.SSLContext) -> str:
    """As a server that tells the other side why not, which asyncio's does not."""
    sock, _ = server.accept()
    with sock, pytest.raises(ssl.SSLError) as caught:
        context.wrap_socket(sock, server_side=True)
    return str(caught.value)


def said_of(tls: Tls) -> str:
    with pytest.raises(Refused) as caught:
        load(tls)
    return str(caught.value)


def test_files_that_cannot_be_used_are_named(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    """Each with what is wrong with it; OpenSSL never asks for a passphrase at the terminal."""
    one, other = authority.issue("one"), authority.issue("other")
    closed = authority.issue("closed", passphrase=b"a secret")
    (tmp_path / "folder").mkdir()
    ca = authority.ca
    assert f"{tmp_path}/nowhere.pem (No such file or directory)" in said_of(Tls(tmp_path / "nowhere.pem"))
    assert "Is a directory" in said_of(Tls(tmp_path / "folder"))
    assert f"{one.key} holds no certificate of the authority in PEM form" in said_of(Tls(one.key))
    assert "holds no client certificate" in said_of(Tls(ca, one.key, Secret("file", str(one.key))))
    assert "holds no private key" in said_of(Tls(ca, one.cert, Secret("file", str(one.cert))))
    assert "does not fit the client certificate" in said_of(Tls(ca, one.cert, Secret("file", str(other.key))))
    assert "has a passphrase" in said_of(Tls(ca, closed.cert, Secret("file", str(closed.key))))
    assert "no systemd credentials" in said_of(Tls(ca, one.cert, Secret("credential", "gw-key")))


def test_a_damaged_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    """Half of a file, as a copy that was interrupted leaves it, and any bytes between the right lines."""
    one = authority.issue("one")
    whole = one.cert.read_text()
    for damaged in (whole[: len(whole) // 2], whole.replace("M", "A"), whole[:60] + whole[-26:]):
        one.cert.write_text(damaged)
        assert "one.crt" in said_of(trusting(authority, one))
        assert validity(damaged.encode()) is None or "END" in damaged
    authority.ca.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "cannot use the certificate of the authority" in said_of(trusting(authority))


def test_the_fingerprint_follows_the_content_of_every_file(authority: Authority) -> None:
    """Not their dates: a file that was only touched is the same; one that is gone is not."""
    one = authority.issue("one")
    tls = trusting(authority, one)
    seen = {fingerprint_of(tls)}
    one.cert.touch()
    assert fingerprint_of(tls) in seen
    for path in (one.cert, one.key, authority.ca):
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(fingerprint_of(tls))
    one.key.unlink()
    seen.add(fingerprint_of(tls))
    assert len(seen) == 5


def test_the_dates_of_a_certificate_are_read(authority: Authority) -> None:
    """Also those after 2049, which are written in another form."""
    for days in (3, 365 * 60):
        issued = authority.issue("gw-a1", end=timedelta(days=days))
        found = validity(issued.cert.read_bytes())
        assert found is not None
        assert round((found.end - found.begin) / 3600) == days * 24 + 1


def test_an_end_is_near_in_the_last_quarter_of_a_life() -> None:
    """At most thirty days ahead: neither a daily certificate nor one for ten years cries without need."""
    day = 86_400.0
    short, long = Validity(0, day), Validity(0, 3650 * day)
    assert [short.ends_soon(wall) for wall in (0, 0.7 * day, 0.8 * day, 2 * day)] == [False, False, True, True]
    assert [long.ends_soon(wall) for wall in (3600 * day, 3621 * day)] == [False, True]
