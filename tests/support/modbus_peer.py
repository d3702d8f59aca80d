"""A Modbus TCP device on loopback that does exactly what a test says, and the configuration to talk to it.

Written without any Modbus library, so that it can say what no library would. Well-behaved devices are `hardware_mocks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any

from config.model import Device, Home, Line, Place, Point, Text
from drivers.contract import Poll
from drivers.modbus.line import ModbusLine
from drivers.modbus.settings import ModbusAddress, ModbusPoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from ssl import SSLContext

_HEADER = Struct(">HHHB")
NAME = Text("试", "test")
NOWHERE = Path("/dev/null")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire."""

    transaction: int
    unit: int
    pdu: bytes

    @property
    def function(self) -> int:
        return self.pdu[0]

    @property
    def start(self) -> int:
        return int.from_bytes(self.pdu[1:3], "big")

    @property
    def count(self) -> int:
        return int.from_bytes(self.pdu[3:5], "big")

    def frame(self, pdu: bytes, *, unit: int | None = None, transaction: int | None = None) -> bytes:
        """Any reply in a correct frame, to this request unless told otherwise."""
        tid = self.transaction if transaction is None else transaction
        return _HEADER.pack(tid, 0, len(pdu) + 1, self.unit if unit is None else unit) + pdu

    def data(self, payload: bytes) -> bytes:
        """The right kind of reply with any payload."""
        return self.frame(bytes((self.function, len(payload))) + payload)

    def addresses(self) -> bytes:
        """The right reply of a device in which every register holds its own address."""
        return self.data(b"".join(at.to_bytes(2, "big") for at in range(self.start, self.start + self.count)))

    def exception(self, code: int) -> bytes:
        return self.frame(bytes((self.function | 0x80, code)))


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None] | None]


@dataclass
class Peer:
    """What the device is and what it has seen. `script` may be exchanged at any time."""

    script: Script
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                transaction, _, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                request = Request(transaction, unit, await reader.readexactly(length - 1))
                self.requests.append(request)
                step = self.script(request, writer)
                if step is not None:
                    await step
        writer.close()


@asynccontextmanager
async def peer(
    script: Script, port: int = 0, tls: SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Peer]:
    """Serve until the block ends; then every connection is cut."""
    served = Peer(script)
    server = await asyncio.start_server(served.serve, host, port, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for writer in served.writers:
            writer.close()
        await server.wait_closed()
        for writer in served.writers:
            with suppress(ConnectionError):
                await writer.wait_closed()


def honest(request: Request, writer: asyncio.StreamWriter) -> None:
    """A device in which every register holds its own address."""
    writer.write(request.addresses())


def silent(request: Request, writer: asyncio.StreamWriter) -> None:
    """A device that takes every request and answers none."""


def point(name: str, register: int, **written: Any) -> Point:
    """A point as the configuration would make it; `written` are the keys of its mapping."""
    spec = ModbusPoint.model_validate({"register": register, **written})
    return Point(
        id=name,
        device="d",
        system="s",
        name=NAME,
        type=spec.value,
        unit=spec.unit,
        poll_s=1.0,
        spec=spec,
        scale=spec.scale,
        offset=spec.offset,
        states=spec.states,
        low=spec.low,
        high=spec.high,
    )


def device(*points: Point, name: str = "d", **address: Any) -> Device:
    """A device with these points; `address` are the keys of its address."""
    return Device(name, NAME, "s", "l", ModbusAddress.model_validate(address), Place(), points, ())


def line(
    port: int,
    *devices: Device,
    host: str = "127.0.0.1",
    timeout_s: float = 0.2,
    concurrency: int = 1,
    state: Path = NOWHERE,
) -> Line:
    """A line; what its driver would keep for its next start goes nowhere, unless `state` is a folder."""
    spec = ModbusLine(protocol="modbus", host=host, port=port)
    return Line("l", NAME, "modbus", spec, devices, timeout_s, concurrency, Home(state=state))


def poll(of: Device) -> Poll:
    """All points of a device, once a second."""
    return Poll(of, of.points, 1.0)
