"""Each fault of a device, and how soon it must be over once the device is well again: 10 s at most, whatever it was."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from bacnet_peer import RawDevice, inputs, make_device, make_line, real, serving
from network_spaces import networks
from polled_line import every, is_good, polled

from drivers.bacnet.driver import BacnetDriver

if TYPE_CHECKING:
    from bacnet_peer import Reply, Request

    from config.model import Line
    from drivers.contract import Reading

BACK_S_MAX = 10.0
INTERVAL_S = 0.1
TRUTH = [1.5, 2.5]


def two_inputs() -> RawDevice:
    device = RawDevice()
    for number, value in enumerate(TRUTH, 1):
        device.put(number, real(value))
    return device


def line(at: str, *, timeout_s: float = 0.5, bind: str = "") -> Line:
    return make_line(every(INTERVAL_S, make_device(at, inputs(2))), timeout_s=timeout_s, bind=bind)


def is_lost(reading: Reading) -> bool:
    return bool(reading.flaws)


async def test_restart_is_over_within_10_s() -> None:
    """Its port is closed, and later it listens again: nobody told either."""
    async with serving(two_inputs()) as device:
        host, port = device.at.split(":")
        running = polled(line(device.at), BacnetDriver)
        there = await running.__aenter__()
        await there.until(is_good)
    await there.until(is_lost)
    async with serving(two_inputs(), host, int(port)):
        assert await there.until(is_good) < BACK_S_MAX
        await running.__aexit__(None, None, None)


async def test_black_hole_is_found_and_over_within_10_s() -> None:
    """It hears and says nothing: no value is shown as good, and the first answer counts again."""
    async with serving(two_inputs()) as device, polled(line(device.at), BacnetDriver) as there:
        await there.until(is_good)
        device.answer = lambda _: []
        await there.until(is_lost)
        device.answer = lambda _: None
        assert await there.until(is_good) < BACK_S_MAX


async def test_delay_costs_no_value() -> None:
    """Each answer takes ten times as long as usual: no value is lost."""
    device = two_inputs()

    def later(request: Request) -> Reply:
        for frame in device._honest(request):
            asyncio.get_running_loop().call_later(0.1, device.transport.sendto, frame, request.source)
        return []

    device.answer = later
    async with serving(device), polled(line(device.at, timeout_s=5.0), BacnetDriver) as there:
        for _ in range(3):
            await there.until(is_good)
    assert all(list(reading.values) == TRUTH for reading in there.readings)


async def test_loss_gives_right_values_or_none_and_goes_on() -> None:
    """Three datagrams in ten are lost, and a tenth comes twice: a good value or none, never a wrong one."""
    device, dice = two_inputs(), random.Random(7)

    def lossy(request: Request) -> Reply:
        fate = dice.random()
        return [] if fate < 0.3 else device._honest(request) * (2 if fate < 0.4 else 1)

    device.answer = lossy
    async with serving(device), polled(line(device.at, timeout_s=0.3), BacnetDriver) as there:
        for _ in range(6):
            assert await there.until(is_good) < BACK_S_MAX
    for reading in there.readings:
        assert all(
            value == truth or at in reading.flaws
            for at, (value, truth) in enumerate(zip(reading.values, TRUTH, strict=True))
        )


async def test_partition_is_over_within_10_s_when_the_cable_is_back() -> None:
    """Between two machines: the link goes and comes, and nothing has to be told to anybody."""
    with networks() as nets:
        for name in ("gateway", "field"):
            nets.add(name)
        nets.join(("gateway", "e0", "10.77.1.1/24"), ("field", "e0", "10.77.1.2/24"))
        with nets.inside("field"):
            serving_there = serving(two_inputs(), "10.77.1.2", 47808)
            device = await serving_there.__aenter__()
        with nets.inside("gateway"):
            running = polled(line(device.at, bind="10.77.1.1/24"), BacnetDriver)
            there = await running.__aenter__()
            await there.until(is_good)
        nets.ip("field", "link", "set", "e0", "down")
        await there.until(is_lost)
        nets.ip("field", "link", "set", "e0", "up")
        assert await there.until(is_good) < BACK_S_MAX
        await running.__aexit__(None, None, None)
        await serving_there.__aexit__(None, None, None)
