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
from aiohttp import web

from agent.control.accounts import Accounts, source_of
from agent.control.gate import Gate, Guarded, Limits
from agent.control.network import application
from agent.uplink.certificates import fingerprint_of, validity
from config.model import Tls

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agent.clock import Clock
    from agent.control.desk import Desk
    from agent.health import Code, Health
    from config.model import Http

TARGET = "http"
RETRY_S = 15.0
RENEW_S = 60.0
"""How often the certificate's files are looked at."""

HEADER_BYTES_MAX = 8190
HEADERS_MAX = 64
BACKLOG = 64
SHUTDOWN_S = 1.0


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
        self._gate = Gate(self._limits)
        self._tls: ssl.SSLContext | None = None
        self._is_down = False
        self._tasks: set[asyncio.Task[None]] = set()
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
            try:
                await self._serve(listener)
            finally:
                self.port = None

    def _bound(self) -> socket.socket:
        address = self._settings.listen
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address.host, address.port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise NotOpen(f"cannot listen on {address}: {_reason(error)}") from error
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        runner = web.AppRunner(
            application(self._desk, self._accounts, self._settings, self._limits.body_s),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=self._limits.idle_s,
            lingering_time=self._limits.body_s,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )
        await runner.setup()
        assert runner.server is not None
        if self._tls is not None:
            self._start(self._renew(), "page-certificate")
        try:
            while True:
                await self._accept(listener, runner.server)
        finally:
            for task in self._tasks:
                task.cancel()
            await runner.cleanup()

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        """What fails in there is our bug, and must not end the daemon: whoever is outside could have it do so."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("page failed at a connection", task=task.get_name(), exc_info=error)

    async def _accept(self, listener: socket.socket, server: web.Server) -> None:
        try:
            peer, address = await asyncio.get_running_loop().sock_accept(listener)
        except OSError:  # no descriptors left, or the peer went before it was accepted
            await asyncio.sleep(1.0)
            return
        source = source_of(address[0])
        if self._gate.enter(source):
            self._start(self._welcome(peer, source, server), "page-welcome")
        else:
            peer.close()

    async def _welcome(self, peer: socket.socket, source: str, server: web.Server) -> None:
        """Negotiate, then hand over; whoever does not get that far leaves here."""
        protocol = Guarded(server(), self._limits.write_s, lambda: self._gate.leave(source))
        timeout_s = self._limits.handshake_s if self._tls is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, peer, ssl=self._tls, ssl_handshake_timeout=timeout_s
            )
        except OSError:
            peer.close()
        finally:
            protocol.settle()

    async def _renew(self) -> None:
        """Take up files that were replaced; what cannot be used, or ends soon, is a condition."""
        settings = self._settings
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
