"""What browsers and other machines get over the network: the page, the metrics and the control API.

    GET  /              the local page, and the files that belong to it
    GET  /v1/me         MeView: who is logged in
    POST /v1/login      {account, password} -> MeView, and a cookie
    POST /v1/logout     MeView, without an account

and everything of `agent.control.api` but what names files of this machine. Whoever is not a browser sends a token as
`Authorization: Bearer`. A foreign page gains nothing here: no CORS, only names that are ours (a foreign name that was
made to lead here is refused), changes only from our own page, and the cookie is sent to nobody else.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from agent.control.accounts import SESSION_S, Guest, Member, NotProved, source_of
from agent.control.api import REQUEST_BYTES_MAX, Routes, answer, explain
from agent.control.desk import Refusal
from agent.control.requests import LoginRequest
from agent.language.sentences import CHINESE
from agent.status import MeView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.control.accounts import Accounts
    from agent.control.desk import Desk
    from agent.control.roles import Caller
    from config.outward import Http

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Server": "wardgate",
}
"""No Strict-Transport-Security: nothing listens without TLS, and a browser must not forbid another service its port."""

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
SAFE = {"GET", "HEAD"}


class Foreign(Refusal):
    """The request was made by a page, or under a name, that is not ours."""

    status = 403


class Slow(Refusal):
    """The body did not come in time."""

    status = 408


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    kind: str
    tag: str


def application(desk: Desk, accounts: Accounts, settings: Http, body_s: float) -> web.Application:
    """Ready to be served; opens nothing. A body has to come within `body_s`."""
    door = _Door(accounts, settings, body_s)
    app = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[explain, door.examine])
    app.on_response_prepare.append(_harden)
    Routes(desk, door.identify, remote=True).add_to(app)
    app.router.add_get("/v1/me", door.me, allow_head=False)
    app.router.add_post("/v1/login", door.log_in)
    app.router.add_post("/v1/logout", door.log_out)
    for name, file in _files().items():
        app.router.add_get(f"/{name}", _serving(file), allow_head=False)
        if name == "index.html":
            app.router.add_get("/", _serving(file), allow_head=False)
    return app


class _Door:
    """Looks at every request before anything else does, and knows who makes it."""

    def __init__(self, accounts: Accounts, settings: Http, body_s: float) -> None:
        self._accounts = accounts
        self._body_s = body_s
        self._names = frozenset({"localhost", *settings.names})
        self._is_secure = settings.cert is not None
        # With the prefix, a browser takes the cookie over TLS and from this host only.
        self._cookie = "__Host-wardgate" if self._is_secure else "wardgate"

    @web.middleware
    async def examine(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is not ours, and read the body in time: a handler then finds all of it."""
        self._check_name(request)
        if request.method not in SAFE:
            _check_origin(request)
            try:
                async with asyncio.timeout(self._body_s):
                    await request.read()
            except TimeoutError:
                raise Slow("the body did not come in time", f"send it within {self._body_s:.0f} s") from None
        return await handler(request)

    def identify(self, request: web.Request) -> Caller:
        """By token or by session. Raises `NotProved` and `TooManyTries`."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._accounts.by_token(token.strip(), _source(request))
        found = self._member(request)
        if found is None:
            raise NotProved("nobody is logged in", "log in on the page, or send a token as Authorization: Bearer")
        return found

    async def me(self, request: web.Request) -> web.Response:
        return answer(self._view(self._member(request)))

    async def log_in(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=LoginRequest)
        shown = await self._accounts.log_in(asked.account, asked.password, _source(request))
        response = answer(self._view(self._accounts.by_session(shown)))
        response.set_cookie(
            self._cookie,
            shown,
            path="/",
            max_age=round(SESSION_S),
            secure=self._is_secure,
            httponly=True,
            samesite="Strict",
        )
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        self._accounts.log_out(request.cookies.get(self._cookie, ""))
        response = answer(self._view(None))
        response.del_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="Strict")
        return response

    def _member(self, request: web.Request) -> Member | Guest | None:
        if self._accounts.are_none:
            return Guest()
        return self._accounts.by_session(request.cookies.get(self._cookie, ""))

    def _view(self, member: Member | Guest | None) -> MeView:
        account = member.id if isinstance(member, Member) else None
        return MeView(account=account, role=member.role if member else None, accounts=not self._accounts.are_none)

    def _check_name(self, request: web.Request) -> None:
        """An address is never a name that somebody else made lead here."""
        try:
            host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
        except ValueError:
            host = ""
        if host.rstrip(".") not in self._names and not _is_address(host):
            raise Foreign("the gateway is not called that", "use its address, or write the name into http.names")


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site != "same-origin" or (origin is not None and urlsplit(origin).netloc != request.headers.get("Host")):
        raise Foreign("another page asks for this", "use the gateway's own page")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status == NotProved.status:
        response.headers["WWW-Authenticate"] = "Bearer"


def _files() -> dict[str, _File]:
    """The page's files by name, read once: they are part of the release. With them goes what the gateway says in
    Chinese, so that the page can say it too.
    """
    sentences = msgspec.json.encode(CHINESE)
    found = {"sentences.json": _File(sentences, "application/json", _tag(sentences))}
    for path in resources.files("agent.page").iterdir():
        kind = TYPES.get(path.name.rpartition(".")[2])
        if kind is not None:
            body = path.read_bytes()
            found[path.name] = _File(body, kind, _tag(body))
    return found


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def _serving(file: _File) -> Handler:
    headers = {"Cache-Control": "no-cache", "ETag": file.tag}

    async def serve(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.kind, charset="utf-8", headers=headers)

    return serve


def _source(request: web.Request) -> str:
    return source_of(request.remote or "0.0.0.0")  # noqa: S104 (stands for a peer that has gone already)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
