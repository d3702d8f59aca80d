"""What a BACnet property costs: the driver up to its readings, beside the library's `read_property_multiple`.

The device is a process of its own that answers from the bytes of the request, so that the client is what is measured:
present value and status flags of 100 objects, 20 in a request, all values changing. Prints CPU per property, the
median of turns that alternate: `.venv/bin/python bench/bacnet.py`, a quarter of a minute.
"""

from __future__ import annotations

import logging
import socket
import statistics
import struct
import subprocess
import sys
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import uvloop
from bacpypes3.app import Application
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import ObjectIdentifier
from figures import Figure, show

from agent.clock import SystemClock
from config.model import Device, Line, Place, Point, Text
from drivers.bacnet.driver import BacnetDriver
from drivers.bacnet.settings import BacnetAddress, BacnetLine, BacnetPoint
from drivers.contract import Poll

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOST = "127.61.10.1"
CLIENT = "127.61.10.2"
NAME = Text("压测", "bench")
INSTANCE = 1001
OBJECTS = 100
BATCH = 20
PROPERTIES = "present-value", "status-flags"
TURN_S = 1.0
TURNS = 5
RATIO_MIN = 8.0

_READ_PROPERTY = 12
_LINK_BYTES, _HEAD_BYTES = 6, 4
_OBJECT_BYTES = 11
"""Of one object with two properties in a request: identifier (5), list, two references (2 each), end of the list."""


def serve(sock: socket.socket) -> None:
    """Answer for ever; each value is another than the last."""
    for number in count():
        frame, client = sock.recvfrom(2000)
        apdu = frame[_LINK_BYTES:]
        invoke_id, service, asked = apdu[2], apdu[3], apdu[_HEAD_BYTES:]
        value = struct.pack(">f", float(number % 100_000))
        if service == _READ_PROPERTY:
            answer = asked + bytes.fromhex("3e 22 05 c4 3f")  # every property of the device is 1476
        else:
            objects = (asked[at : at + 6] for at in range(0, len(asked), _OBJECT_BYTES))
            one = b"\x29\x55\x4e\x44" + value + b"\x4f" + bytes.fromhex("29 6f 4e 82 04 00 4f 1f")
            answer = b"".join(head + one for head in objects)
        body = bytes([0x30, invoke_id, service]) + answer
        sock.sendto(b"\x81\x0a" + struct.pack(">H", len(body) + _LINK_BYTES) + b"\x01\x00" + body, client)


async def by_driver(port: int) -> float:
    """CPU microseconds per property up to the readings."""
    spec = BacnetLine(protocol="bacnet", bind=f"{CLIENT}:{_free_port(CLIENT)}")
    points = tuple(
        Point(f"p{n}", "d", "s", NAME, "number", "1", 1.0, BacnetPoint.model_validate({"object": f"analog-input,{n}"}))
        for n in range(OBJECTS)
    )
    address = BacnetAddress(instance=INSTANCE, at=f"{HOST}:{port}", batch=BATCH)
    device = Device("d", NAME, "s", "line", address, Place(), points, ())
    driver = BacnetDriver(Line("line", NAME, "bacnet", spec, (device,), 5.0, 1), SystemClock())
    await driver.connect()
    try:
        poll = Poll(device, points, 1.0)

        async def take() -> int:
            reading = await driver.read(poll)
            assert not reading.flaws
            assert reading.changed
            return len(reading.values) * len(PROPERTIES)

        return await measured(take)
    finally:
        await driver.close()


async def by_library(port: int) -> float:
    """The same of the library: the same objects and properties in as many requests."""
    app = Application.from_object_list(
        [
            DeviceObject(objectIdentifier=("device", 9), objectName="bench", vendorIdentifier=999),
            NetworkPortObject(
                f"{CLIENT}/32:{_free_port(CLIENT)}", objectIdentifier=("network-port", 1), objectName="port"
            ),
        ]
    )
    for link in app.link_layers.values():
        await link.server._local_transport_ready.wait()  # noqa: SLF001 - the library has no other way to know
    address = Address(f"{HOST}:{port}")
    requests: list[Any] = []  # of lists, which the library takes and its annotation does not name
    for start in range(0, OBJECTS, BATCH):
        objects = [ObjectIdentifier(("analog-input", n)) for n in range(start, start + BATCH)]
        requests.append([part for one in objects for part in (one, list(PROPERTIES))])

    async def take() -> int:
        found = 0
        for wanted in requests:
            found += len(await app.read_property_multiple(address, wanted))
        assert found == OBJECTS * len(PROPERTIES)
        return found

    try:
        return await measured(take)
    finally:
        app.close()


async def measured(take: Callable[[], Awaitable[int]]) -> float:
    """CPU microseconds for each of what `take` counts, for one turn."""
    await take()
    taken, cpu_s, end = 0, time.process_time(), time.monotonic() + TURN_S
    while time.monotonic() < end:
        taken += await take()
    return (time.process_time() - cpu_s) / taken * 1e6


async def _turns(port: int, turns: int) -> list[Figure]:
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(await by_driver(port))
        theirs.append(await by_library(port))
    ratio = statistics.median(theirs) / statistics.median(ours)
    return [
        Figure("driver, CPU per property", statistics.median(ours), "µs"),
        Figure("bacpypes3's client, CPU per property", statistics.median(theirs), "µs"),
        Figure("properties per CPU second, ratio", ratio, "times", RATIO_MIN, at_least=True),
    ]


def figures(*, quick: bool) -> list[Figure]:
    """The figures of the speed table."""
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
    port = _free_port(HOST)
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", str(port)], stdout=subprocess.PIPE, text=True
    ) as device:
        try:
            assert device.stdout
            assert device.stdout.readline().strip() == "listening"
            return uvloop.run(_turns(port, 1 if quick else TURNS))
        finally:
            device.kill()


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    if "--serve" in sys.argv:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind((HOST, int(sys.argv[-1])))
            print("listening", flush=True)
            serve(listening)
    else:
        sys.exit(show(figures(quick="--quick" in sys.argv)))
