"""Devices on an RTU line that do exactly what a test says: behind a pseudo-terminal, or behind a TCP converter.

Written without any Modbus library, check sum included, so that they can say what no library would.
"""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modbus_peer import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

REQUEST_BYTES = 8


def check_sum(data: bytes) -> bytes:
    """CRC-16/MODBUS bit by bit, low byte first."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


class RtuRequest(Request):
    """One request as it came over the line; its replies are RTU frames."""

    def frame(self, pdu: bytes, *, unit: int | None = None, transaction: int | None = None) -> bytes:
        body = bytes((self.unit if unit is None else unit,)) + pdu
        return body + check_sum(body)

    @property
    def raw(self) -> bytes:
        return self.frame(self.pdu)


@dataclass
class Wire:
    """The devices' end of the line. `script` may be exchanged at any time."""

    script: Callable[[RtuRequest, Wire], None]
    send: Callable[[bytes], None]
    requests: list[RtuRequest] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    _rest: bytes = b""

    def write(self, data: bytes) -> None:
        self.send(data)

    def later(self, delay_s: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.send, data)

    def hear(self, data: bytes) -> None:
        """Bytes came; what is no request with a right check sum is kept for the test to see."""
        self._rest += data
        while len(self._rest) >= REQUEST_BYTES:
            frame, self._rest = self._rest[:REQUEST_BYTES], self._rest[REQUEST_BYTES:]
            if check_sum(frame[:-2]) != frame[-2:]:
                self.errors.append(frame)
                continue
            request = RtuRequest(0, frame[0], frame[1:-2])
            self.requests.append(request)
            self.times.append(asyncio.get_running_loop().time())
            self.script(request, self)


def honest(request: RtuRequest, wire: Wire) -> None:
    """Devices in which every register holds its own address."""
    wire.write(request.addresses())


def silent(request: RtuRequest, wire: Wire) -> None:
    """Nobody answers."""


class Adapter:
    """A serial adapter that can be pulled and plugged: `path` is its stable name."""

    def __init__(self, path: Path, script: Callable[[RtuRequest, Wire], None]) -> None:
        self.path = path
        self.wire = Wire(script, self._send)
        self._ends: tuple[int, int] | None = None

    def plug(self) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._ends = (master, slave)
        self.path.symlink_to(os.ttyname(slave))
        asyncio.get_running_loop().add_reader(master, self._ready, master)

    def pull(self) -> None:
        """The name is gone, and whoever has the port open finds it dead."""
        if self._ends is None:
            return
        master, slave = self._ends
        self._ends = None
        self.path.unlink()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)

    @property
    def slave(self) -> int:
        """The descriptor of the gateway's end, to look at its parameters."""
        assert self._ends is not None
        return self._ends[1]

    def _ready(self, master: int) -> None:
        self.wire.hear(os.read(master, 1024))

    def _send(self, data: bytes) -> None:
        if self._ends is not None:
            os.write(self._ends[0], data)


@asynccontextmanager
async def adapter(folder: Path, script: Callable[[RtuRequest, Wire], None] = honest) -> AsyncIterator[Adapter]:
    """A plugged adapter with devices behind it."""
    plugged = Adapter(folder / "usb-RS485", script)
    plugged.plug()
    try:
        yield plugged
    finally:
        plugged.pull()


@asynccontextmanager
async def converter(script: Callable[[RtuRequest, Wire], None] = honest) -> AsyncIterator[tuple[int, Wire]]:
    """A TCP converter that only passes bytes on; gives its port."""
    writers: list[asyncio.StreamWriter] = []

    def send(data: bytes) -> None:
        writers[-1].write(data)

    wire = Wire(script, send)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while data := await reader.read(1024):
            wire.hear(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], wire
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
