"""What an OPC UA notification costs: the driver up to its readings, beside the library's own handler.

The server is a process of its own, so that the client is what is measured: 1,000 values that all change ten times a
second. Prints CPU per notification, the median of turns that alternate: `.venv/bin/python bench/opcua.py`, half a
minute.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import statistics
import subprocess
import sys
import time
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import uvloop
from asyncua import ua
from asyncua.client.client import Client
from asyncua.server.server import Server
from figures import Figure, show

from agent.clock import SystemClock
from config.model import Device, Line, Place, Point, Text
from drivers.contract import Poll
from drivers.opcua.driver import SubscribingOpcuaDriver
from drivers.opcua.settings import OpcuaAddress, OpcuaLine, OpcuaPoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOST = "127.61.9.1"
NAME = Text("压测", "bench")
NODES = 1000
FOLDER_SIZE = 100
CHANGE_S = 0.1
TURN_S = 2.0
TURNS = 5
RATIO_MIN = 8.0


async def serve(port: int) -> None:
    """1,000 doubles that all change every 100 ms, for ever."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{HOST}:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    nodes: list[ua.NodeId] = []
    for number in range(NODES):
        if number % FOLDER_SIZE == 0:
            folder = await server.nodes.objects.add_folder(2, f"folder{number}")
        nodes.append(ua.NodeId(cast("Any", f"n{number}"), cast("Any", 2)))
        await folder.add_variable(nodes[-1], f"n{number}", 0.0)
    async with server:
        print("listening", flush=True)
        for value in count():
            begun = time.monotonic()
            for node in nodes:
                await server.write_attribute_value(node, ua.DataValue(ua.Variant(float(value))))
            await asyncio.sleep(max(0.0, begun + CHANGE_S - time.monotonic()))


async def by_driver(url: str) -> float:
    """CPU microseconds per notification up to the readings."""
    spec = OpcuaLine.model_validate({"url": url, "publishing": CHANGE_S, "security": "none"})
    points = tuple(
        Point(f"n{n}", "d", "s", NAME, "number", "1", 1.0, OpcuaPoint(node=f"ns=2;s=n{n}")) for n in range(NODES)
    )
    device = Device("d", NAME, "s", "line", OpcuaAddress(), Place(), points, ())
    driver = SubscribingOpcuaDriver(Line("line", NAME, "opcua", spec, (device,), 5.0, 1), SystemClock())
    await driver.connect()
    try:
        async with aclosing(driver.changes([Poll(device, points, 1.0)])) as readings:
            await anext(readings)

            async def take() -> int:
                reading = await anext(readings)
                return sum(stop - start for start, stop in reading.changed)

            return await measured(take)
    finally:
        await driver.close()


async def by_library(url: str) -> float:
    """The same of the library: a handler that counts."""

    class Handler:
        count = 0

        def datachange_notification(self, *_: object) -> None:
            self.count += 1

    handler = Handler()
    async with Client(url, timeout=10) as client:
        subscription = await client.create_subscription(CHANGE_S * 1000, handler)
        nodes = [client.get_node(f"ns=2;s=n{n}") for n in range(NODES)]
        await subscription.subscribe_data_change(nodes)

        async def take() -> int:
            before = handler.count
            await asyncio.sleep(CHANGE_S)
            return handler.count - before

        return await measured(take)


async def measured(take: Callable[[], Awaitable[int]]) -> float:
    """CPU microseconds for each of what `take` counts, for one turn."""
    for _ in range(3):
        await take()
    taken, cpu_s, end = 0, time.process_time(), time.monotonic() + TURN_S
    while time.monotonic() < end:
        taken += await take()
    return (time.process_time() - cpu_s) / max(1, taken) * 1e6


async def _turns(url: str, turns: int) -> list[Figure]:
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(await by_driver(url))
        theirs.append(await by_library(url))
    ratio = statistics.median(theirs) / statistics.median(ours)
    return [
        Figure("driver, CPU per notification", statistics.median(ours), "µs"),
        Figure("asyncua's handler, CPU per notification", statistics.median(theirs), "µs"),
        Figure("notifications per CPU second, ratio", ratio, "times", RATIO_MIN, at_least=True),
    ]


def figures(*, quick: bool) -> list[Figure]:
    """The figures of the speed table."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            assert server.stdout.readline().strip() == "listening"
            return uvloop.run(_turns(f"opc.tcp://{HOST}:{port}/", 1 if quick else TURNS))
        finally:
            server.kill()


if __name__ == "__main__":
    if "--serve" in sys.argv:
        uvloop.run(serve(int(sys.argv[-1])))
    else:
        sys.exit(show(figures(quick="--quick" in sys.argv)))
