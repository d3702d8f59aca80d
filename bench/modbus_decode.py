"""What the Modbus driver costs: CPU per block and point to decode, and per request on a real socket.

Prints medians of this run, with the bare library beside them; the responder is a process of its own, so that the client
is what is measured. Run it on an idle machine: `.venv/bin/python bench/modbus_decode.py`, ten seconds.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvloop
from figures import Figure, show
from pymodbus.client import AsyncModbusTcpClient

from agent.clock import SystemClock
from config.model import Device, Line, Place, Point, Text
from drivers.contract import Poll
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine
from drivers.modbus.plan import plan
from drivers.modbus.settings import ModbusAddress, ModbusPoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

NAME = Text("压测", "bench")
POINTS = 100
WINDOWS = 7
REQUESTS = 1500


def point(name: str, register: int, **written: Any) -> Point:
    """A point as the configuration would make it."""
    spec = ModbusPoint.model_validate({"register": register, **written})
    scaling = {"scale": spec.scale, "offset": spec.offset, "low": spec.low, "high": spec.high}
    return Point(name, "d", "s", NAME, spec.value, spec.unit, 1.0, spec, **scaling)  # type: ignore[arg-type] # mixed


def maps() -> dict[str, list[Point]]:
    """The maps that are measured: from the plainest to one where every point has everything."""
    full = {"scale": 0.1, "low": -1e6, "high": 1e6, "sentinels": {0xFFFF: "not_available", 0x8000: "sensor_fault"}}
    return {
        "u16": [point(str(at), at) for at in range(POINTS)],
        "u16 scaled": [point(str(at), at, scale=0.1) for at in range(POINTS)],
        "u16 scale, range, sentinels": [point(str(at), at, **full) for at in range(POINTS)],
        "f32 (50 points)": [point(str(at), 2 * at, type="f32") for at in range(POINTS // 2)],
        "f32 CDAB (50 points)": [point(str(at), 2 * at, type="f32", order="CDAB") for at in range(POINTS // 2)],
        "bits of registers": [point(str(at), at // 16, type="bit", bit=at % 16) for at in range(POINTS)],
        "coils": [point(str(at), at, table="coil") for at in range(POINTS)],
        "mixed": [point(str(at), at, **(full if at % 3 else {"type": "bit", "bit": 1})) for at in range(POINTS)],
    }


def decode_us(points: list[Point]) -> float:
    """CPU microseconds for one block, all of it new."""
    (block,) = plan(points, ModbusAddress())
    decoder = BlockDecoder(block, points)
    payloads = [bytes((at * 7 + turn) % 63 for at in range(block.size_bytes)) for turn in range(50)]
    times = []
    for _ in range(WINDOWS):
        began = time.process_time()
        for _ in range(20):
            for payload in payloads:
                decoder.decode(payload)
        times.append((time.process_time() - began) / (20 * len(payloads)) * 1e6)
    return statistics.median(times)


class Responder(asyncio.Protocol):
    """Answers every read with as many registers, different in every reply if asked to."""

    turn = 0

    def __init__(self, changing: bool) -> None:
        self.changing = changing
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        replies = []
        while len(data) >= 12:
            count = 2 * int.from_bytes(data[10:12], "big")
            self.turn = (self.turn + self.changing) % 50
            payload = bytes((self.turn,)) * count
            length = (count + 3).to_bytes(2, "big")
            replies.append(data[:4] + length + data[6:8] + bytes((count,)) + payload)
            data = data[12:]
        self.rest = data
        self.write(b"".join(replies))


async def respond(changing: bool) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Responder(changing), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def cpu_us(step: Callable[[], Awaitable[object]], requests: int) -> float:
    """Median CPU microseconds of one step."""
    cpu = []
    for _ in range(WINDOWS):
        began = time.process_time()
        for _ in range(requests):
            await step()
        cpu.append((time.process_time() - began) / requests * 1e6)
    return statistics.median(cpu)


async def through_the_driver(port: int, label: str, points: list[Point]) -> Figure:
    """Polls of one device, one after the other."""
    device = Device("d", NAME, "s", "l", ModbusAddress(), Place(), tuple(points), ())
    spec = ModbusLine(protocol="modbus", host="127.0.0.1", port=port)
    driver = ModbusDriver(Line("l", NAME, "modbus", spec, (device,), 2.0, 1), SystemClock())
    asked = Poll(device, device.points, 1.0)
    await driver.connect()
    found = await cpu_us(lambda: driver.read(asked), REQUESTS)
    await driver.close()
    return Figure(label, found, "us a request")


async def through_the_library(port: int, label: str) -> Figure:
    """The same registers through pymodbus's own client and converter."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()

    async def step() -> None:
        reply = await client.read_holding_registers(0, count=POINTS, device_id=1)
        client.convert_from_registers(reply.registers, client.DATATYPE.UINT16)

    found = await cpu_us(step, REQUESTS // 5)
    client.close()
    return Figure(label, found, "us a request")


async def measure(port: int, kind: str) -> list[Figure]:
    return [
        *[
            await through_the_driver(port, f"driver, {name}, {kind}", maps()[name])
            for name in ("u16", "u16 scale, range, sentinels")
        ],
        await through_the_library(port, f"pymodbus client and converter, u16, {kind}"),
    ]


@contextmanager
def responder(kind: str) -> Iterator[int]:
    """The port of a responder in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "respond", kind], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def figures() -> list[Figure]:
    found = [Figure(f"decode {name}", decode_us(points), "us a block") for name, points in maps().items()]
    for kind in ("all changing", "unchanged"):
        with responder(kind) as port:
            found += uvloop.run(measure(port, kind))
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["respond"]:
        uvloop.run(respond(changing=sys.argv[2] == "all changing"))
    else:
        sys.exit(show(figures()))
