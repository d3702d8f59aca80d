"""A byte relay in front of a TCP server: the faults that a server's library cannot be asked for. Knows no protocol."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from hardware_mocks.faults import SLOW_S, Fault

if TYPE_CHECKING:
    import random

CHUNK = 65_536
CHUNKS_UNDERWAY = 1_000


class Relay:
    """Listens on `address` and connects each client to `target`.

    A silent server takes nothing in and gives nothing out; what was held goes on when it is over, late, as it would
    with a server that had hung. A slow one delays each answer without holding up those behind it.
    """

    def __init__(self, address: tuple[str, int], draw: random.Random) -> None:
        self.target = address
        self._address = address
        self._random = draw
        self._fault: Fault = "none"
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def listen(self) -> None:
        host, port = self._address
        self._server = await asyncio.start_server(self._accept, host, port, reuse_address=True)

    async def vanish(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        await self._cut()

    async def switch(self, fault: Fault) -> None:
        """Behave so from now on; what noise has spoilt is cut."""
        was = self._fault
        self._fault = fault
        if fault == "silent":
            self._flowing.clear()
        else:
            self._flowing.set()
        if was == "garbage":
            await self._cut()

    async def _cut(self) -> None:
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer), name="relay")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner: asyncio.StreamWriter | None = None
        try:
            inner_reader, inner = await asyncio.open_connection(*self.target)
            await self._exchange(reader, writer, inner_reader, inner)
        except ConnectionError:
            pass  # either side went; the other follows below
        finally:
            for end in (writer, inner):
                if end is not None:
                    end.transport.abort()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inner_reader: asyncio.StreamReader,
        inner: asyncio.StreamWriter,
    ) -> None:
        """Both directions, until one of them ends."""
        underway: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDERWAY)
        tasks = [
            asyncio.create_task(self._ask(reader, inner, writer), name="relay requests"),
            asyncio.create_task(self._take(inner_reader, underway), name="relay answers"),
            asyncio.create_task(self._give(underway, writer), name="relay delivery"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self, reader: asyncio.StreamReader, inner: asyncio.StreamWriter, writer: asyncio.StreamWriter
    ) -> None:
        """Requests go up; in place of an answer to them comes noise, if that is the fault."""
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            if self._fault == "garbage":
                writer.write(self._random.randbytes(self._random.randint(8, 64)))
            else:
                inner.write(data)
                await inner.drain()

    async def _take(self, reader: asyncio.StreamReader, underway: asyncio.Queue[tuple[float, bytes]]) -> None:
        now = asyncio.get_running_loop().time
        while data := await reader.read(CHUNK):
            delay = SLOW_S if self._fault == "slow" else 0.0
            noise = self._fault == "garbage"
            await underway.put((now() + delay, self._random.randbytes(len(data)) if noise else data))

    async def _give(self, underway: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time
        with contextlib.suppress(ConnectionError):
            while True:
                due, data = await underway.get()
                await asyncio.sleep(max(0.0, due - now()))
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
