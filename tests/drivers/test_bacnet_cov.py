"""Change of value: what devices report between two polls, and how the subscriptions are kept alive."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    SUBSCRIBE_COV,
    SUBSCRIBE_COV_PROPERTY,
    UNRECOGNIZED_SERVICE,
    RawDevice,
    make_device,
    make_line,
    make_point,
    real,
    serving,
)

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Poll, Reading
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bacnet_peer import Reply, Request

    from config.model import Point

INTERVAL_S = 60.0
ACKNOWLEDGED = bytes([0x20, 0x77, 1])
UNKNOWN_SUBSCRIPTION = bytes([0x50, 0x77, 1, 0x91, 5, 0x91, 79])


@dataclass
class Rig:
    """A driver that has read its device once, and what comes from it between two polls."""

    device: RawDevice
    driver: BacnetDriver
    clock: ManualClock
    poll: Poll
    noticed: asyncio.Queue[Reading] = field(default_factory=asyncio.Queue)

    async def take(self) -> None:
        """As the daemon does, from before the first read."""
        async with aclosing(self.driver.notices([self.poll])) as notices:
            async for reading in notices:
                self.noticed.put_nowait(reading)

    async def read(self) -> Reading:
        return await self.driver.read(self.poll)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the device has seen enough."""
        async with asyncio.timeout(5.0):
            while not holds():
                self.device.arrived.clear()
                await self.device.arrived.wait()

    async def subscribed(self, times: int) -> int:
        """Wait for so many subscriptions in all; gives the number of the first."""
        await self.until(lambda: len(self.device.subscriptions()) >= times)
        while self.driver._cov is not None and not all(task.done() for task in self.driver._cov._renewals.values()):
            await asyncio.sleep(0)
        return self.device.subscriptions()[0][1]

    async def notice(self) -> Reading:
        async with asyncio.timeout(5.0):
            return await self.noticed.get()


@asynccontextmanager
async def subscribing(*points: Point, answer: Callable[[Request], Reply] = lambda _: None) -> AsyncIterator[Rig]:
    """The device has inputs 1 and 2; it has been read once."""
    device = RawDevice(answer=answer)
    device.put(1, real(1.5))
    device.put(2, real(2.5))
    clock = ManualClock()
    async with serving(device):
        made = make_device(device.at, points)
        driver = BacnetDriver(make_line(made, timeout_s=0.5), clock)
        await driver.connect()
        poll = Poll(made, made.points, INTERVAL_S)
        try:
            rig = Rig(device, driver, clock, poll)
            taking = asyncio.create_task(rig.take())
            await asyncio.sleep(0)
            await rig.read()
            yield rig
            taking.cancel()
            with suppress(asyncio.CancelledError):
                await taking
        finally:
            await driver.close()


def covered(number: int, cov: object = True) -> Point:
    return make_point(f"analog-input,{number}", cov=cov)


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_change_is_told_between_two_polls(*, confirmed: bool) -> None:
    """The reading has every point of its poll, names the one that changed, and is acknowledged to the device."""
    async with subscribing(covered(1), make_point("analog-input,2")) as rig:
        process = await rig.subscribed(1)
        rig.device.notify(process, 1, real(9.5), confirmed=confirmed)
        given = await rig.notice()
        if confirmed:
            await rig.until(lambda: bool(rig.device.others))
    assert list(given.values) == [9.5, 2.5]
    assert given.changed == ((0, 1),)
    assert rig.device.others == ([ACKNOWLEDGED] if confirmed else [])


async def test_flags_of_a_notification_are_its_quality() -> None:
    """Out of service and fault take the value away at once, not with the next poll."""
    async with subscribing(covered(1)) as rig:
        process = await rig.subscribed(1)
        rig.device.notify(process, 1, real(9.5), "0001")
        first = await rig.notice()
        rig.device.notify(process, 1, real(9.5), "0100")
        second = await rig.notice()
    assert (list(first.values), first.flaws[0].reason) == ([None], "out_of_service")
    assert (list(second.values), second.flaws[0].reason) == ([None], "device_fault")


async def test_the_next_poll_is_believed_even_if_it_says_what_the_last_one_said() -> None:
    """A value that rose, was reported, and fell again without a report is not left standing."""
    async with subscribing(covered(1)) as rig:
        process = await rig.subscribed(1)
        rig.device.notify(process, 1, real(9.5))
        await rig.notice()
        given = await rig.read()
    assert list(given.values) == [1.5]
    assert given.changed == ((0, 1),)


async def test_6_cov_with_increment_for_the_points_that_ask_for_it() -> None:
    """A number is our own increment, which another service takes; true is the increment of the device."""
    async with subscribing(covered(1, 0.5), covered(2)) as rig:
        await rig.subscribed(2)
    assert [service for service, _ in rig.device.subscriptions()] == [SUBSCRIBE_COV_PROPERTY, SUBSCRIBE_COV]


async def test_a_device_that_takes_no_increment_is_subscribed_with_its_own() -> None:
    """The refusal is remembered for the device."""

    def answer(ask: Request) -> Reply:
        return [ask.reject(UNRECOGNIZED_SERVICE)] if ask.service == SUBSCRIBE_COV_PROPERTY else None

    async with subscribing(covered(1, 0.5), covered(2, 0.5), answer=answer) as rig:
        await rig.subscribed(3)
    services = [service for service, _ in rig.device.subscriptions()]
    assert services == [SUBSCRIBE_COV_PROPERTY, SUBSCRIBE_COV, SUBSCRIBE_COV]


async def test_6_cov_is_renewed_at_half_its_lifetime() -> None:
    """With the same number, by the first poll after it, and not by those before."""
    async with subscribing(covered(1)) as rig:
        await rig.subscribed(1)
        rig.clock.advance(INTERVAL_S)
        await rig.read()
        await rig.subscribed(1)
        before = len(rig.device.subscriptions())
        rig.clock.advance(INTERVAL_S)
        await rig.read()
        await rig.subscribed(2)
    assert before == 1
    assert len(set(rig.device.subscriptions())) == 1


async def test_6_cov_is_subscribed_again_after_a_loss() -> None:
    """The outage at a renewal, which ends it for ever in the library, costs nothing but the outage."""
    async with subscribing(covered(1)) as rig:
        await rig.subscribed(1)
        rig.device.answer = lambda _: []
        with pytest.raises(NoAnswer):
            await rig.read()
        rig.device.answer = lambda _: None
        await rig.read()
        process = await rig.subscribed(2)
        rig.device.notify(process, 1, real(7.5))
        given = await rig.notice()
    assert list(given.values) == [7.5]


async def test_6_the_safety_poll_finds_a_cov_subscription_that_is_gone() -> None:
    """A device that restarted quickly has forgotten it: the safety poll shows it, and asks again at once."""
    async with subscribing(covered(1, 0.5)) as rig:
        await rig.subscribed(1)
        rig.device.put(1, real(1.75))
        await rig.read()
        await rig.subscribed(1)
        before = len(rig.device.subscriptions())
        rig.device.put(1, real(3.0))
        await rig.read()
        await rig.subscribed(2)
    assert before == 1, "less than the increment need not be reported"


@pytest.mark.parametrize("foreign", ["number", "object", "device"])
async def test_a_report_that_was_not_asked_for_is_no_value(foreign: str) -> None:
    """It is refused, so that a subscription of an earlier run ends; what was asked for still counts."""
    async with subscribing(covered(1), make_point("analog-input,2")) as rig:
        process = await rig.subscribed(1)
        rig.device.instance += foreign == "device"
        rig.device.notify(process + (foreign == "number"), 1 + (foreign == "object"), real(66.0))
        await rig.until(lambda: bool(rig.device.others))
        rig.device.instance = 1001
        rig.device.notify(process, 1, real(9.5))
        given = await rig.notice()
    assert list(given.values) == [9.5, 2.5]
    assert rig.device.others[0] == UNKNOWN_SUBSCRIPTION


async def test_12_a_report_from_another_address_is_no_value() -> None:
    """Whoever knows number, device and object of a subscription does not speak for the device."""
    async with subscribing(covered(1)) as rig, serving(RawDevice()) as stranger:
        process = await rig.subscribed(1)
        stranger.requests = rig.device.requests
        stranger.notify(process, 1, real(66.0))
        async with asyncio.timeout(5.0):
            while not stranger.others:
                stranger.arrived.clear()
                await stranger.arrived.wait()
        rig.device.notify(process, 1, real(9.5))
        given = await rig.notice()
    assert list(given.values) == [9.5]
    assert stranger.others == [UNKNOWN_SUBSCRIPTION]


async def test_a_refused_subscription_is_counted_and_the_point_polled() -> None:
    """A device without change of value is a device like any other; the count shows it."""

    def answer(ask: Request) -> Reply:
        return [ask.error(5, 45)] if ask.service == SUBSCRIBE_COV else None

    async with subscribing(covered(1), answer=answer) as rig:
        await rig.subscribed(1)
        rig.device.put(1, real(4.5))
        given = await rig.read()
        counts = dict(rig.driver.counts())
    assert list(given.values) == [4.5]
    assert counts["subscriptions refused"] == 1
