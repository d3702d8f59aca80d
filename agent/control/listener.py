"""The TCP listener in front of `agent.control.network`: open where it is configured, never worth the daemon's life.

A port that is taken or a certificate that cannot be read is a health condition and is tried again; alarms go on. A
renewed certificate is taken up while it runs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from agent.control.acceptor import BACKLOG, Acceptor
from agent.control.accounts import Accounts, source_of
from agent.control.gate import Limits
from agent.control.network import application
from agent.uplink.certificates import fingerprint_of, validity
from config.outward import Tls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock
    from agent.control.desk import Desk
    from agent.health import Code, Health
    from config.outward import Http

TARGET = "http"
CODES: tuple[Code, ...] = ("page_down", "certificate_unusable", "certificate_expires")
"""What can be wrong with it."""

RETRY_S = 15.0
RENEW_S = 60.0
"""How often the certificate's files are looked at."""


class NotOpen(Exception):
    """Why nothing can be served."""


class Listener:
    """`run` for ever; `port` is the one that is listened on, while there is one.

    `prepare` it where it must be able to serve before it runs; where it will not run after all, `leave`.
    """

    def __init__(self, settings: Http, desk: Desk, health: Health, clock: Clock, limits: Limits | None = None) -> None:
        self.port: int | None = None
        self.socket: socket.socket | None = None
        self.address = settings.listen
        self._settings = settings
        self._desk = desk
        self._health = health
        self._clock = clock
        self._accounts = Accounts(settings.accounts, desk, clock.mono)
        self._limits = limits or Limits()
        self._acceptor = Acceptor(self._limits, lambda _, address: source_of(address[0]), lambda: self._tls)
        self._tls: ssl.SSLContext | None = None
        self._seen = ""
        self._is_down = False
        self._log = structlog.get_logger(listen=str(settings.listen))

    async def prepare(self, before: Listener | None) -> None:
        """Listen already; who comes is served by `run`. Raises `NotOpen`, and then nothing has changed.

        `before` is the one that this one takes the place of: its address, or one that overlaps with it, is not taken.
        """
        await self._load()
        listening = before.socket if before is not None else None
        if listening is not None and before is not None and before.address == self.address:
            self.socket = listening.dup()
        else:
            self.socket = self._bound(beside=listening)

    def leave(self) -> None:
        if self.socket is not None:
            self.socket.close()

    async def run(self) -> None:
        """Serve; where that is not possible, say so and try again."""
        try:
            while True:
                try:
                    await self._open()
                except NotOpen as error:
                    self._note_down(str(error))
                await self._clock.sleep_until(self._clock.mono() + RETRY_S)
        finally:
            self.leave()

    def _note_down(self, why: str) -> None:
        if not self._is_down:
            self._log.warning("page is down", why=why)
        self._is_down = True
        self._hold("page_down", why)

    async def _open(self) -> None:
        """Serve until cancelled. Raises `NotOpen`."""
        await self._load()
        self.socket = self.socket or self._bound()
        with closing(self.socket) as listener:
            self.port = listener.getsockname()[1]
            self._is_down = False
            self._health.release(TARGET, "page_down")
            self._log.info("page is up", port=self.port, tls=self._tls is not None)
            app = application(self._desk, self._accounts, self._settings, self._limits.body_s)
            try:
                async with self._acceptor.serving(app, listener):
                    await self._renew()
            finally:
                self.port = self.socket = None

    async def _load(self) -> None:
        if self._settings.cert is not None:
            # In this order: what is replaced while it is being read differs from what was seen, and is read again.
            self._seen = await asyncio.to_thread(fingerprint_of, self._files())
            self._tls = await asyncio.to_thread(_context, self._settings)

    def _bound(self, beside: socket.socket | None = None) -> socket.socket:
        """Listens, also where an address `beside` it overlaps, such as one of this machine with all of them."""
        address = self.address
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with _sharing(listener, beside):
                listener.bind((address.host, address.port))
                listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise NotOpen(f"cannot listen on {address}: {_reason(error)}") from error
        return listener

    async def _renew(self) -> None:
        """For ever: take up files that were replaced; what cannot be used, or ends soon, is a condition."""
        if self._settings.cert is None:
            await asyncio.Event().wait()
        while True:
            found = await asyncio.to_thread(fingerprint_of, self._files())
            if found != self._seen:
                self._seen = found
                await self._take_up()
            await self._note_end()
            await self._clock.sleep_until(self._clock.mono() + RENEW_S)

    def _files(self) -> Tls:
        return Tls(cert=self._settings.cert, key=self._settings.key)

    async def _take_up(self) -> None:
        try:
            self._tls = await asyncio.to_thread(_context, self._settings)
        except NotOpen as error:
            self._hold("certificate_unusable", str(error))
        else:
            self._health.release(TARGET, "certificate_unusable")
            self._log.info("page has a renewed certificate")

    async def _note_end(self) -> None:
        assert self._settings.cert is not None
        with suppress(OSError):
            found = validity(await asyncio.to_thread(self._settings.cert.read_bytes))
            if found is not None and found.ends_soon(self._clock.wall()):
                self._hold("certificate_expires", f"{self._settings.cert}")
            else:
                self._health.release(TARGET, "certificate_expires")

    def _hold(self, code: Code, detail: str) -> None:
        self._health.hold(code, TARGET, self._clock.wall(), detail)


@contextmanager
def _sharing(*listeners: socket.socket | None) -> Iterator[None]:
    """Both may listen on overlapping addresses if both say so while the second one begins. Nobody else may, later."""
    both = [each for each in listeners if each is not None]
    sharing = both if len(both) > 1 else []
    for each in sharing:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for each in sharing:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


def _context(settings: Http) -> ssl.SSLContext:
    """Made anew for each renewal: one in use must not change under a negotiation. Raises `NotOpen`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    assert settings.cert is not None, "that is asked before"
    assert settings.key is not None, "the configuration takes both or none"
    try:
        # With a passphrase asked for after all, OpenSSL would read it from the terminal and wait for ever.
        context.load_cert_chain(settings.cert, settings.key.path(), password=lambda: "")
    except (OSError, LookupError) as error:
        raise NotOpen(f"certificate {settings.cert} or its key cannot be used: {_reason(error)}") from error
    return context


def _reason(error: Exception) -> str:
    reason: str | None = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return (reason or str(error)).replace("_", " ").lower()
