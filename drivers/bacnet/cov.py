"""Change of value: which points report by themselves, until when, and what they said.

The library's own renewal ends for ever, silently, with the first that fails. Here the polls of the caller carry it:
each read that succeeds looks whether subscriptions are due, at half their lifetime, after a silence, or because the
read found a value that was not reported. Nothing here waits or keeps time by itself.

Invariants: a notification counts only from the address, the device and the object that were subscribed to; what is
reported is never worth more than a read; a point whose subscription is refused is still polled.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from drivers.bacnet import reports
from drivers.bacnet.encoding import Malformed
from drivers.bacnet.items import key_of
from drivers.bacnet.refusals import Refusal, UnknownService
from drivers.bacnet.settings import BacnetAddress, BacnetPoint
from drivers.errors import NoAnswer, Unreachable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Sequence

    from bacpypes3.pdu import Address

    from config.model import Device
    from drivers.bacnet.asking import Met
    from drivers.bacnet.codec import Key
    from drivers.bacnet.plan import Plan
    from drivers.bacnet.reports import CovNotification
    from drivers.bacnet.stack import Stack
    from drivers.bacnet.waiting import Waiting
    from drivers.contract import Clock, Poll, Reading, Value

LIFETIME_S_MIN = 120.0
LIFETIME_POLLS = 4
"""A subscription lasts so many polls: it is renewed by the first poll after half of it, with one to spare."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One point that reports by itself. `since_mono` is when it was asked for last, `None` where that is due.

    `increment` is in the unit of the device, `step` the same in that of the point; `None` where only the device knows.
    """

    process: int
    poll: Poll
    at: int
    key: Key
    increment: float | None
    step: float | None
    instance: int
    met: Met | None = None
    plan: Plan | None = None
    since_mono: float | None = None
    known: Value = None

    @property
    def lifetime_s(self) -> float:
        return max(LIFETIME_S_MIN, LIFETIME_POLLS * self.poll.interval_s)

    def is_due(self, mono: float) -> bool:
        return self.since_mono is None or mono - self.since_mono >= self.lifetime_s / 2

    def found(self, value: Value) -> None:
        """What a read found; where the device should have reported it and did not, the subscription is due."""
        before, self.known = self.known, value
        if self.since_mono is not None and _differs(before, value, self.step):
            self.since_mono = None


class Cov:
    """The subscriptions of one line; what is reported goes to `waiting`."""

    def __init__(self, polls: Iterable[Poll], clock: Clock, counts: Counter[str], waiting: Waiting) -> None:
        self._counts = counts
        self._clock = clock
        self._waiting = waiting
        self._renewals: dict[Device, asyncio.Task[None]] = {}
        numbers = count(int(clock.wall()) % 0x4000_0000)  # so that those of an earlier run are told apart
        self._by_poll = {poll: list(_subscriptions(poll, numbers)) for poll in polls}
        self._by_process = {one.process: one for subscribed in self._by_poll.values() for one in subscribed}

    def take(self, notification: CovNotification, source: Address) -> bool:
        """A device reports; gives whether it was asked to."""
        one = self._by_process.get(notification.process)
        if one is None or one.met is None or one.plan is None or not one.met.certain or source != one.met.peer.address:
            return False
        if (notification.instance, notification.target) != (one.instance, one.key[0]):
            return False
        told = one.plan.notice(one.at, notification.values)
        if told is not None:
            self._counts["notifications"] += 1
            one.known = told[0][one.at]
            self._waiting.put(one.poll, one.plan, told)
        return True

    def after_read(self, stack: Stack, met: Met, plan: Plan, reading: Reading) -> None:
        """A read succeeded: the device is there to be asked for what is due."""
        subscribed = self._by_poll.get(reading.poll, [])
        for one in subscribed:
            if one.met is not met or one.plan is not plan:
                one.met, one.plan, one.since_mono = met, plan, None
            one.found(reading.values[one.at])
        due = [one for one in subscribed if one.is_due(self._clock.mono())]
        if due and reading.poll.device not in self._renewals:
            task = asyncio.create_task(self._renew(stack, met, due), name=f"subscribe[{reading.poll.device.id}]")
            task.add_done_callback(lambda _: self._ended(reading.poll.device))
            self._renewals[reading.poll.device] = task

    def forget(self, device: Device) -> None:
        """The device fell silent: whatever it was asked for may be gone."""
        for poll, subscribed in self._by_poll.items():
            for one in subscribed if poll.device is device else ():
                one.since_mono = None

    async def close(self) -> None:
        """Ends renewals that are on their way."""
        tasks = list(self._renewals.values())
        self._renewals.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self, stack: Stack, met: Met, due: Sequence[Subscription]) -> None:
        for one in due:
            one.since_mono = self._clock.mono()
            try:
                await _subscribe(stack, met, one)
            except (Refusal, Malformed):
                self._counts["subscriptions refused"] += 1
            except (NoAnswer, Unreachable):
                one.since_mono = None
                return

    def _ended(self, device: Device) -> None:
        """What goes wrong in a renewal, beyond what a device may do, is a fault of ours."""
        task = self._renewals.pop(device, None)
        if task is not None and not task.cancelled():
            self._waiting.fail(task.exception())


async def _subscribe(stack: Stack, met: Met, one: Subscription) -> None:
    """With our increment where the device can, else with its own. Raises as `Stack.subscribe`."""
    lifetime_s = int(one.lifetime_s)
    if one.increment is not None and reports.SUBSCRIBE_COV_PROPERTY not in met.lacks:
        request = reports.subscribe_cov_property(one.process, one.key, one.increment, lifetime_s)
        try:
            await stack.subscribe(met.peer, reports.SUBSCRIBE_COV_PROPERTY, request)
        except UnknownService:
            met.lacks.add(reports.SUBSCRIBE_COV_PROPERTY)
        else:
            return
    await stack.subscribe(met.peer, reports.SUBSCRIBE_COV, reports.subscribe_cov(one.process, one.key[0], lifetime_s))


def _subscriptions(poll: Poll, numbers: Iterator[int]) -> Iterator[Subscription]:
    assert isinstance(poll.device.address, BacnetAddress)
    instance = poll.device.address.instance
    for at, point in enumerate(poll.points):
        spec = point.spec
        assert isinstance(spec, BacnetPoint)
        if spec.cov is False:
            continue
        increment = None if spec.cov is True else spec.cov
        step = None if increment is None else increment * abs(point.scale)
        yield Subscription(next(numbers), poll, at, key_of(point, instance), increment, step, instance)


def _differs(before: Value, now: Value, step: float | None) -> bool:
    """Whether a device must have reported this. Of a number whose increment only the device knows nobody can tell."""
    if before is None or now is None or before == now:
        return False
    if isinstance(before, float) and isinstance(now, float):
        return step is not None and abs(now - before) >= step
    return True
