"""A BACnet driver that reads one device of `bacnet_peer`, for tests of what is asked and answered."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bacnet_peer import RawDevice, inputs, make_device, make_line, real, serving

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Poll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from config.model import Line
    from drivers.contract import Reading


@asynccontextmanager
async def connected(line: Line) -> AsyncIterator[BacnetDriver]:
    driver = BacnetDriver(line, ManualClock())
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def reading(
    device: RawDevice, count: int, *, timeout_s: float = 1.0, **address: int
) -> AsyncIterator[tuple[BacnetDriver, Poll]]:
    """A driver on a line with one device, whose first analog inputs are read."""
    async with serving(device):
        made = make_device(device.at, inputs(count), **address)
        async with connected(make_line(made, timeout_s=timeout_s)) as driver:
            yield driver, Poll(made, made.points, 1.0)


def with_inputs(count: int) -> RawDevice:
    device = RawDevice()
    for number in range(1, count + 1):
        device.put(number, real(number + 0.5))
    return device


def raws(given: Reading) -> dict[int, tuple[str, str]]:
    return {at: (flaw.reason, flaw.raw) for at, flaw in given.flaws.items()}


async def until(device: RawDevice, requests: int) -> None:
    """Wait until the device has seen so many requests."""
    while len(device.requests) < requests:
        device.arrived.clear()
        await device.arrived.wait()
