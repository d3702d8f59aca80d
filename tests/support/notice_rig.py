"""For the tests of local notice: uplinks of which the test says how they are, alarms, and real servers that listen."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from uplink_rig import transition

from agent.events import ALARM_TRANSITION, AlarmTransition, Event, Names, PlaceRef
from agent.status import UplinkView

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from email.message import EmailMessage

HOST = "127.61.12.1"


def happened(occurrence: int = 1, n: int = 1, stream: Any = "critical", **changes: Any) -> Event:
    """A stored transition of an alarm of the medical gas."""
    texts = {"advice": Names(zh="更换气瓶", en="Change the cylinder"), "place": PlaceRef(site="h01", space="icu-3")}
    body = msgspec.structs.replace(transition(n), occurrence_id=f"o/{occurrence}", **{**texts, **changes})
    return Event(ALARM_TRANSITION, stream, 0.0, body.alarm_id, body)


def body_of(event: Event) -> AlarmTransition:
    assert isinstance(event.body, AlarmTransition)
    return event.body


@dataclass
class Platform:
    """An uplink as local notice sees it."""

    id: str = "main"
    state: Literal["connected", "connecting", "waiting", "refused"] = "connected"
    waiting: int = 1
    wanted: bool = True

    def wants(self, _: Event) -> bool:
        return self.wanted

    def view(self) -> UplinkView:
        return UplinkView(
            id=self.id,
            state=self.state,
            broker="b",
            since="",
            error=None,
            todo=None,
            in_flight=0,
            acknowledged=0,
            rejected=0,
            waiting={"critical": self.waiting},
        )


@dataclass
class WebServer:
    """Takes what is posted to `/alarms`, and answers with `status`."""

    url: str = ""
    status: int = 204
    posted: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        if self.status < 300:
            self.posted.append(await request.json())
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def web_server(context: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """A real one."""
    server = WebServer()
    app = web.Application()
    app.router.add_post("/alarms", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=context)
    await site.start()
    server.url = f"{'https' if context else 'http'}://{HOST}:{runner.addresses[0][1]}/alarms"
    try:
        yield server
    finally:
        await runner.cleanup()


@dataclass
class MailServer:
    """A mail server that refuses recipients in `unknown`."""

    port: int = 0
    unknown: frozenset[str] = frozenset()
    mails: list[EmailMessage] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def handle_RCPT(self, *arguments: Any) -> str:  # noqa: N802 - aiosmtpd's name
        _, _, envelope, address, _ = arguments
        if address in self.unknown:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, *arguments: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(arguments[2].content, policy=policy.default)
        self.mails.append(mail)
        return "250 OK"

    def authenticate(self, *arguments: Any) -> AuthResult:
        given = arguments[4]
        assert isinstance(given, LoginPassword)
        self.users.append(given.login.decode())
        return AuthResult(success=given == LoginPassword(b"gw-1", b"secret"), handled=False)


@asynccontextmanager
async def mail_server(
    starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[MailServer]:
    """A real one, in a thread of its own; with TLS nobody may mail without a password."""
    server = MailServer(**settings)
    secured: dict[str, Any] = {"authenticator": server.authenticate, "auth_required": True}
    controller = Controller(
        server,
        hostname=HOST,
        port=_free_port(),
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        **(secured if starttls else {}),
    )
    await asyncio.to_thread(controller.start)
    server.port = controller.port
    try:
        yield server
    finally:
        await asyncio.to_thread(controller.stop)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
