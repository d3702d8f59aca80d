"""A line as the daemon polls it, with the real clock: everything that its devices said, for tests of faults in time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

from agent.clock import SystemClock
from agent.health import Health
from agent.poll import LineWorker
from drivers.contract import Reading
from drivers.modbus.driver import ModbusDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from config.model import Device, Line
    from drivers.contract import Clock, Driver


class PolledLine:
    """What a line shares with the rest of the daemon; readings are kept."""

    site = "h01"

    def __init__(self, line: Line, make: Callable[[Line, Clock], Driver]) -> None:
        self.clock = SystemClock()
        self.health = Health()
        self.random = Random(1)
        self.readings: list[Reading] = []
        self.worker = LineWorker(line, make(line, self.clock), self)

    async def emit(self, item: object) -> None:
        if isinstance(item, Reading):
            self.readings.append(item)

    async def until(self, holds: Callable[[Reading], bool], *, within_s: float = 30.0) -> float:
        """Seconds until a reading that comes from now on fulfils the condition."""
        began, seen = self.clock.mono(), len(self.readings)
        async with asyncio.timeout(within_s):
            while not any(holds(reading) for reading in self.readings[seen:]):
                await asyncio.sleep(0.005)
        return self.clock.mono() - began


@asynccontextmanager
async def polled(line: Line, make: Callable[[Line, Clock], Driver] = ModbusDriver) -> AsyncIterator[PolledLine]:
    """The line is served while the block lasts."""
    served = PolledLine(line, make)
    task = asyncio.create_task(served.worker.run())
    try:
        yield served
    finally:
        task.cancel()
        await asyncio.wait([task])


def every(interval_s: float, device: Device) -> Device:
    """The device with all its points polled so often."""
    for point in device.points:
        object.__setattr__(point, "poll_s", interval_s)  # a point is frozen once it is loaded
    return device


def is_good(reading: Reading) -> bool:
    return not reading.flaws
