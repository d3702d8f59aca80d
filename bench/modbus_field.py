"""What a field of Modbus devices costs up to the reading: the real lines of the daemon, without what comes behind them.

A hundred devices of a hundred registers, all new and all the same, and a thousand lines at once. CPU is this process's;
the responder is another one. Lateness is how far a poll is behind the beat of its device. What a point costs is
measured at 100,000 points a second; at 1 s the process sleeps nearly always, and waking up is most of what it uses.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import sys
import time
from collections import defaultdict
from dataclasses import replace
from random import Random
from statistics import quantiles

import structlog
import uvloop
from figures import Figure, show
from modbus_decode import NAME, POINTS, point, responder

from agent.clock import SystemClock
from agent.garbage import set_aside
from agent.health import Health
from agent.poll import LineWorker
from config.model import Device, Line, Place
from drivers.contract import Reading
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine
from drivers.modbus.settings import ModbusAddress

SETTLE_S = 3.0
"""Connecting, first polls, and the spread of both."""

DEVICES, LINES = 100, 1000
FAST_S, SLOW_S = 0.1, 1.0
FEW = 10
"""Registers of each device where it is the lines that count."""


class Field:
    """What the lines share with the daemon; readings are only counted."""

    site = "bench"

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.health = Health()
        self.random = Random(1)
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.points = 0

    async def emit(self, item: object) -> None:
        if isinstance(item, Reading):
            self.points += len(item.poll.points)
            self.times[item.poll.device.id].append(item.mono)


def lines(port: int, count: int, registers: int, poll_s: float) -> list[Line]:
    spec = ModbusLine(protocol="modbus", host="127.0.0.1", port=port)
    found = []
    for number in range(count):
        points = tuple(replace(point(str(at), at), poll_s=poll_s) for at in range(registers))
        device = Device(f"d{number}", NAME, "s", f"l{number}", ModbusAddress(), Place(), points, ())
        found.append(Line(f"l{number}", NAME, "modbus", spec, (device,), 2.0, 1))
    return found


async def run(port: int, count: int, registers: int, seconds: float, poll_s: float = SLOW_S) -> tuple[float, Field]:
    """CPU seconds of this process while it polled, and what it saw."""
    field = Field()
    found = lines(port, count, registers, poll_s)
    workers = [LineWorker(line, ModbusDriver(line, field.clock), field) for line in found]
    aside = asyncio.create_task(set_aside(field.clock, SETTLE_S / 2))
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await asyncio.sleep(SETTLE_S)
    await aside
    field.points = 0
    field.times.clear()
    began = time.process_time()
    await asyncio.sleep(seconds)
    cpu_s = time.process_time() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gc.unfreeze()  # else a library that is measured next in this process would look cheaper than it is
    return cpu_s, field


def lateness_ms(field: Field) -> float:
    """The 99th percentile over all polls, each against the earliest that its device's beat allows."""
    late = []
    for times in field.times.values():
        behind = [at - beat for beat, at in enumerate(times)]
        late += [1000 * (one - min(behind)) for one in behind]
    return quantiles(late, n=100)[98]


def figures(*, quick: bool = False) -> list[Figure]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    seconds = 5.0 if quick else 10.0
    found = []
    for kind, poll_s, limit in (
        ("all changing", FAST_S, 2.0),
        ("unchanged", FAST_S, 0.5),
        ("all changing", SLOW_S, 2.0),
        ("unchanged", SLOW_S, None),
    ):
        with responder(kind) as port:
            cpu_s, field = uvloop.run(run(port, DEVICES, POINTS, seconds, poll_s))
        name = f"{DEVICES} devices x {POINTS} registers at {poll_s:g} s, {kind}"
        found.append(Figure(name, 1e6 * cpu_s / field.points, "us a point", limit))
    with responder("all changing") as port:
        cpu_s, field = uvloop.run(run(port, LINES, FEW, seconds))
    found.append(Figure(f"{LINES} lines at 1 s, share of a core", 100 * cpu_s / seconds, "%", 15.0))
    found.append(Figure(f"{LINES} lines at 1 s, polls late, p99", lateness_ms(field), "ms", 20.0))
    return found


if __name__ == "__main__":
    sys.exit(show(figures(quick="--quick" in sys.argv)))
