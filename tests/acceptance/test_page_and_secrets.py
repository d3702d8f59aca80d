"""The real daemon with its page open and secrets everywhere: what a person does there is on record, and no secret is
anywhere that it must not be.
"""

from __future__ import annotations

import io
import json
import ssl
import subprocess
import sys
import zipfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, CookieJar
from certificates import Authority
from mqtt_peer import free_port, password_line, until
from notice_rig import web_server
from page_rig import PASSWORD, TOKEN, proof
from plant import HOST, ROOT, Gateway, broker, configure_load, folder, load, uplink, write

from config.proofs import of_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BROKER, WEBHOOK, MAIL, OPCUA = "brk-pw-7f3a9c", "hook-tk-91bd22", "mail-pw-5e0c41", "opc-pw-c3d8a7"
WRONG = "a wrong password"
RED = {"colour": "red", "text": {"zh": "过高", "en": "Too high"}}
ALARM = "energy/m1/r0#early"


@dataclass
class Visit:
    """A browser at the page of a running gateway."""

    browser: ClientSession
    base: str
    tls: ssl.SSLContext

    async def ask(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.browser.request(
            method, f"{self.base}{path}", json=body, headers=headers, ssl=self.tls
        ) as answer:
            return answer.status, await answer.text()

    async def log_in(self, password: str) -> int:
        return (await self.ask("POST", "/v1/login", {"account": "anna", "password": password}))[0]

    def cookie(self) -> str:
        return next(cookie.value for cookie in self.browser.cookie_jar)


def secret_files(here: Path) -> None:
    for name, secret in (("mqtt", BROKER), ("mail", MAIL), ("opc", OPCUA)):
        (here / f"{name}.secret").write_text(f"{secret}\n")


def with_secrets(here: Path, port: int, authority: Authority, web: str) -> None:
    """Add the page, people to tell and a line with a user to the configuration, none of which can get through."""
    issued = authority.issue(HOST)
    gateway = json.loads((here / "gateway.yaml").read_text())
    write(
        here / "gateway.yaml",
        {
            **gateway,
            "notify": {
                "hook": {"webhook": {"url": web, "token": {"env": "HOOK"}}, "after": "1s"},
                "mail": {
                    "smtp": {
                        "host": HOST,
                        "port": free_port(),
                        "security": "none",
                        "sender": "a@h.example",
                        "to": ["b@h.example"],
                        "user": "gw",
                        "password": {"file": "mail.secret"},
                    },
                    "after": "1s",
                },
            },
            "http": {
                "listen": f"{HOST}:{port}",
                "tls": {"cert": str(issued.cert), "key": {"file": str(issued.key)}},
                "accounts": {
                    "anna": {"role": "acknowledge", "hash": proof().written},
                    "prometheus": {"role": "view", "hash": of_token(TOKEN).written},
                },
            },
        },
    )
    lines = json.loads((here / "lines.yaml").read_text())
    url = f"opc.tcp://{HOST}:{free_port()}"
    lines["lines"]["theatre"] = {"protocol": "opcua", "url": url, "user": "gw", "password": {"file": "opc.secret"}}
    write(here / "lines.yaml", lines)
    points = {"t": {"node": "ns=2;s=T"}}
    write(
        here / "devices" / "theatre.yaml", {"devices": {"or-1": {"line": "theatre", "system": "or", "points": points}}}
    )


@asynccontextmanager
async def visited(here: Path, port: int, authority: Authority) -> AsyncIterator[Visit]:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        yield Visit(browser, f"https://{HOST}:{port}", ssl.create_default_context(cafile=authority.ca))


def said(here: Path, *words: str) -> str:
    """What a verb prints, on both of its ways."""
    command = [sys.executable, "-m", "agent", *words, "--config", str(here)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, cwd=ROOT)
    return f"{words}: {done.stdout}{done.stderr}"


def kept(here: Path) -> Iterator[str]:
    """Everything that the daemon wrote: log, journal, state, and the configurations that it keeps."""
    for file in here.rglob("*"):
        if not file.is_file() or file.suffix in (".secret", ".key", ".pem", ".crt"):
            continue
        data = file.read_bytes()
        yield f"{file}: {data.decode('utf-8', 'replace')}"
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from (f"{file}: {archive.read(name).decode('utf-8', 'replace')}" for name in archive.namelist())


def audit(here: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "agent", "journal", "export", "--stream", "audit", "--config", str(here)]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True, cwd=ROOT).stdout
    events = [json.loads(line) for line in lines.splitlines()]
    return [event["data"] for event in events if event["type"] == "wardgate.audit.v1"]


async def test_what_is_done_on_the_page_is_on_record_and_no_secret_is_anywhere() -> None:
    """A wrong login, a right one and an acknowledgement are three entries of the audit trail. Passwords, tokens and the
    session are in no log, status, answer, event, kept configuration or file, though broker, web server, mail server and
    field device all refuse us.
    """
    with folder() as here, load(here, devices=1) as (running, net), Gateway(here, {"HOOK": WEBHOOK}) as gateway:
        authority, port = Authority(here), free_port()
        secret_files(here)
        (here / "passwords").write_text(password_line("gw", "another one"))
        lines = ("allow_anonymous false", f"password_file {here / 'passwords'}")
        async with web_server() as web, broker(here, *lines) as server, visited(here, port, authority) as visit:
            web.status = 401
            way = uplink(server.port, user="gw", password={"file": "mqtt.secret"})
            configure_load(here, running, net, way, {"m1": {"early": {"point": "r0", "limit": {"H": 0}, **RED}}})
            with_secrets(here, port, authority, web.url)
            await gateway.ready()
            await until(lambda: gateway.said("page is up"))
            outputs = [str(await visit.ask("GET", "/v1/status"))]
            assert await visit.log_in(WRONG) == 401
            assert await visit.log_in(PASSWORD) == 200
            await until(lambda: [alarm.alarm_id for alarm in gateway.status().alarms] == [ALARM])
            code, after = await visit.ask("POST", "/v1/alarms/order", {"verb": "ack", "alarm_id": ALARM})
            assert (code, json.loads(after)["ack_by"]) == (200, "anna")
            refused = {"uplink_refused", "notice_failed", "line_down"}
            await until(lambda: refused <= {view.code for view in gateway.status().health})
            for path in ("/v1/status", "/v1/points", "/v1/config", "/v1/me", "/metrics", "/healthz"):
                outputs += [str(await visit.ask("GET", path)), str(await visit.ask("GET", path, token=TOKEN))]
            outputs += [said(here, *verb) for verb in (("status", "--json"), ("check", "--json"), ("check", "--diff"))]
            outputs.append(said(here, "bundle", str(here / "bundle.zip")))
            assert (await gateway.stop())[0] == 0
            session = visit.cookie()
        outputs += [said(here, "journal", "export"), said(here, "config", "history"), *kept(here)]
        entries = [(entry["actor"]["id"], entry["verb"], entry["result"]) for entry in audit(here)]
        assert [entry for entry in entries if entry[0] == "anna"] == [
            ("anna", "access", "refused"),
            ("anna", "login", "done"),
            ("anna", "ack", "done"),
        ]
    found = {
        name: [output[:300] for output in outputs if secret in output]
        for name, secret in {
            "broker": BROKER,
            "webhook": WEBHOOK,
            "mail": MAIL,
            "opcua": OPCUA,
            "password": PASSWORD,
            "wrong password": WRONG,
            "token": TOKEN,
            "session": session,
        }.items()
    }
    assert found == {name: [] for name in found}
    assert sum(ALARM in output for output in outputs) > 5, "what is no secret is found"


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    """`check` says where it stands and what to write instead, and not what it is."""
    with folder() as here:
        secret = "s3cr3t-in-the-open"
        places = {
            "site": "h01",
            "gateway": "gw-1",
            "uplinks": {"main": {"brokers": [f"mqtt://gw:{secret}@{HOST}"], "password": secret, "passwort": secret}},
            "notify": {"n": {"webhook": {"url": f"https://gw:{secret}@{HOST}/", "token": secret}}},
            "http": {"listen": f"{HOST}:8080", "accounts": {"a": {"role": "view", "hash": secret, "password": secret}}},
        }
        write(here / "gateway.yaml", places)
        write(here / "lines.yaml", {"lines": {}})
        told = said(here, "check") + said(here, "check", "--json")
    assert told.count("plain text") >= 2
    assert "wardgate password" in told
    assert secret not in told
