"""A TCP road between a client and a server, with what happens to roads: cut, torn, closed, silent.

While it is silent nothing passes in either direction and neither side is told; what was under way arrives when it ends,
as it does after a fault in the network: late, and all at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from mqtt_peer import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

CHUNK_BYTES = 65536


class Road:
    """Use as a context; `port` is where it begins."""

    def __init__(self, broker_port: int, broker_host: str = HOST) -> None:
        self.port = 0
        self._target = broker_host, broker_port
        self._is_open = True
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.tear()
        self._flows.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection in order, after what was sent."""
        self._end(lambda writer: writer.close())

    def tear(self) -> None:
        """End every connection at once; what was under way is lost."""
        self._end(lambda writer: writer.transport.abort())

    def close(self) -> None:
        """Torn, and nobody gets through until `open`."""
        self._is_open = False
        self.tear()

    def open(self) -> None:
        self._is_open = True

    def silence(self) -> None:
        """Until `flow`."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def _end(self, how: Callable[[asyncio.StreamWriter], None]) -> None:
        for writer in self._writers:
            how(writer)
        self._writers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_open:
            self._begin(self._carry(reader, writer))
        else:
            writer.transport.abort()

    def _begin(self, carrying: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(carrying)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._flows.wait()
        try:
            answers, onward = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(onward)
        self._begin(self._pass(answers, writer))
        await self._pass(reader, onward)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one side ends; then the other one hears of it, as it would at the far end of a cable."""
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await self._flows.wait()
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        await self._flows.wait()
        writer.close()
        self._writers.discard(writer)
