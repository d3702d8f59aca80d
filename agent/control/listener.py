"""The TCP listener in front of `agent.control.network`: open where it is configured, never worth the daemon's life.

A port that is taken or a certificate that cannot be read is a health condition and is tried again; alarms go on. A
renewed certificate is taken up while it runs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import structlog

from agent.control.acceptor import BACKLOG, Acceptor
from agent.control.accounts import Accounts, source_of
from agent.control.gate import Limits
from agent.control.network import application
from agent.uplink.certificates import fingerprint_of, validity
from config.model import Tls

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.control.desk import Desk
    from agent.health import Code, Health
    from config.model import Http

TARGET = "http"
RETRY_S = 15.0
RENEW_S = 60.0
"""How often the certificate's files are looked at."""


class NotOpen(Exception):
    """Why nothing can be served."""


class Listener:
    """`run` for ever; `port` is the one that is listened on, while there is one."""

    def __init__(self, settings: Http, desk: Desk, health: Health, clock: Clock, limits: Limits | None = None) -> None:
        self.port: int | None = None
        self._settings = settings
        self._desk = desk
        self._health = health
        self._clock = clock
        self._accounts = Accounts(settings.accounts, desk, clock.mono)
        self._limits = limits or Limits()
        self._acceptor = Acceptor(self._limits, lambda _, address: source_of(address[0]), lambda: self._tls)
        self._tls: ssl.SSLContext | None = None
        self._is_down = False
        self._log = structlog.get_logger(listen=str(settings.listen))

    async def run(self) -> None:
        """Serve; where that is not possible, say so and try again."""
        while True:
            try:
                await self._open()
            except NotOpen as error:
                if not self._is_down:
                    self._log.warning("page is down", why=str(error))
                self._is_down = True
                self._hold("page_down", str(error))
            await self._clock.sleep_until(self._clock.mono() + RETRY_S)

    async def _open(self) -> None:
        """Serve until cancelled. Raises `NotOpen`."""
        if self._settings.cert is not None:
            self._tls = await asyncio.to_thread(_context, self._settings)
        with closing(self._bound()) as listener:
            self.port = listener.getsockname()[1]
            self._is_down = False
            self._health.release(TARGET, "page_down")
            self._log.info("page is up", port=self.port, tls=self._tls is not None)
            app = application(self._desk, self._accounts, self._settings, self._limits.body_s)
            try:
                async with self._acceptor.serving(app, listener):
                    await self._renew()
            finally:
                self.port = None

    def _bound(self) -> socket.socket:
        address = self._settings.listen
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address.host, address.port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise NotOpen(f"cannot listen on {address}: {_reason(error)}") from error
        return listener

    async def _renew(self) -> None:
        """For ever: take up files that were replaced; what cannot be used, or ends soon, is a condition."""
        settings = self._settings
        if settings.cert is None:
            await asyncio.Event().wait()
        files = Tls(cert=settings.cert, key=settings.key)
        seen = await asyncio.to_thread(fingerprint_of, files)
        while True:
            found = await asyncio.to_thread(fingerprint_of, files)
            if found != seen:
                seen = found
                await self._take_up()
            await self._note_end()
            await self._clock.sleep_until(self._clock.mono() + RENEW_S)

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
