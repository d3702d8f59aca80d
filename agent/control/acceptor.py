"""Takes connections at a socket and hands them to an application, within the bounds of a gate.

What fails while one connection is served is our bug, is logged, and ends that connection only: whoever is outside must
not be able to end the daemon.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from agent.control.gate import Gate, Guarded

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import Any

    from agent.control.gate import Limits

HEADER_BYTES_MAX = 8190
HEADERS_MAX = 64
BACKLOG = 64
SHUTDOWN_S = 1.0
NO_ROOM_S = 1.0
"""How long nobody is accepted where the process has no descriptor left."""


class Acceptor:
    """`source` says whom a connection counts for, by its socket and address; `tls` what to negotiate with, if any."""

    def __init__(
        self,
        limits: Limits,
        source: Callable[[socket.socket, Any], str],
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self.gate = Gate(limits)
        self._limits = limits
        self._source = source
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    @asynccontextmanager
    async def serving(self, app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
        """Accept at `listener`, which listens already, until the block is left; then close it, let those have their
        answer who wait for one, and end who is still there.
        """
        runner = web.AppRunner(
            app,
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
        listener.setblocking(False)
        self._start(self._accept(listener, runner.server), "accept")
        try:
            yield
        finally:
            ending = tuple(self._tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            listener.close()
            await runner.cleanup()

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("a connection failed", task=task.get_name(), exc_info=error)

    async def _accept(self, listener: socket.socket, server: web.Server) -> None:
        while True:
            try:
                peer, address = await asyncio.get_running_loop().sock_accept(listener)
                source = self._source(peer, address)
            except OSError:  # no descriptors left, or the peer went before it was accepted
                await asyncio.sleep(NO_ROOM_S)
                continue
            if self.gate.enter(source):
                self._start(self._welcome(peer, source, server), "welcome")
            else:
                peer.close()

    async def _welcome(self, peer: socket.socket, source: str, server: web.Server) -> None:
        """Negotiate, then hand over; whoever does not get that far leaves here."""
        protocol = Guarded(server(), self._limits.write_s, lambda: self.gate.leave(source))
        tls = self._tls()
        timeout_s = self._limits.handshake_s if tls is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, peer, ssl=tls, ssl_handshake_timeout=timeout_s
            )
        except OSError:
            peer.close()
        finally:
            protocol.settle()
