"""Source alarms: event information and event notifications of a device become the points that follow them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    ANALOG_INPUT,
    DEVICE,
    UNRECOGNIZED_SERVICE,
    RawDevice,
    enumerated,
    frame,
    identifier,
    make_device,
    make_line,
    make_point,
    real,
    serving,
)
from polled_line import every, is_good, polled

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bacnet_peer import Reply, Request

    from config.model import Point

GET_EVENT_INFORMATION, CONFIRMED_EVENT, UNCONFIRMED_EVENT = 29, 2, 3
EVENT_STATE, ACKED_TRANSITIONS = 36, 0
NORMAL, FAULT, OFFNORMAL, HIGH_LIMIT, LIFE_SAFETY_ALARM = 0, 1, 2, 3, 5
LIFE_SAFETY_POINT, LIFT, ESCALATOR = 21, 59, 58
STATES = {0: "normal", 1: "fault", 2: "offnormal", 3: "high-limit", 4: "low-limit", 5: "life-safety-alarm"}
CONFIRMED = bytes([0x20, 0x55, CONFIRMED_EVENT])
DENIED = bytes([0x50, 0x55, CONFIRMED_EVENT, 0x91, 5, 0x91, 29])


@dataclass
class Alarming(RawDevice):
    """A device that says which of its objects are not normal, `per_page` of them at once."""

    standing: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    per_page: int = 50

    def _honest(self, request: Request) -> list[bytes]:
        if request.service != GET_EVENT_INFORMATION:
            return super()._honest(request)
        rows = sorted(self.standing.items())
        start = 0 if not request.data else [target for target, _ in rows].index(request.data[1:5]) + 1
        shown = rows[start : start + self.per_page]
        more = start + self.per_page < len(rows)
        return [request.ack(b"\x0e" + b"".join(map(summary, shown)) + b"\x0f\x19" + bytes([more]))]

    def report(
        self,
        target: bytes,
        state: int,
        *,
        number: int = 1,
        notify: int = 0,
        confirmed: bool = True,
        ack_required: bool = True,
        instance: int | None = None,
        time: bytes = b"",
    ) -> None:
        """An event notification to whoever asked last; `number` is what it has instead of a `time`."""
        mine = self.instance if instance is None else instance
        data = b"\x09\x01\x1c" + identifier(DEVICE, mine) + b"\x2c" + target
        data += b"\x3e" + (time or bytes([0x19, number])) + b"\x3f\x49\x03\x59\x64\x69\x05\x89" + bytes([notify])
        data += b"\x99" + bytes([ack_required]) + b"\xa9\x00\xb9" + bytes([state])
        head = bytes([0x00, 0x05, 0x55, CONFIRMED_EVENT]) if confirmed else bytes([0x10, UNCONFIRMED_EVENT])
        self.transport.sendto(frame(head + data), self.requests[-1].source)


def summary(row: tuple[bytes, tuple[int, str]]) -> bytes:
    target, (state, acked) = row
    bits = bytes([0x2A, 0x05, int(acked, 2) << 5])
    times = b"\x3e" + b"\x19\x01" * 3 + b"\x3f"
    return (
        b"\x0c" + target + bytes([0x19, state]) + bits + times + b"\x49\x00\x5a\x05\xe0\x6e" + b"\x21\x64" * 3 + b"\x6f"
    )


def ai(number: int) -> bytes:
    return identifier(ANALOG_INPUT, number)


def following(target: str, facet: str) -> Point:
    if facet == "state":
        return make_point(target, "enum", event=facet, states=STATES)
    return make_point(target, "bool", event=facet)


@dataclass
class Rig:
    """A driver and what comes from it between two polls."""

    device: Alarming
    driver: BacnetDriver
    polls: list[Poll]
    noticed: asyncio.Queue[Reading] = field(default_factory=asyncio.Queue)

    async def take(self) -> None:
        """As the daemon does, from before the first read."""
        async with aclosing(self.driver.notices(self.polls)) as notices:
            async for reading in notices:
                self.noticed.put_nowait(reading)

    async def read(self) -> Reading:
        return await self.driver.read(self.polls[0])

    async def notice(self) -> Reading:
        async with asyncio.timeout(10.0):
            return await self.noticed.get()

    async def answered(self, times: int = 1) -> list[bytes]:
        """Wait until so many confirmed notifications were answered."""
        async with asyncio.timeout(10.0):
            while len(self.device.others) < times:
                self.device.arrived.clear()
                await self.device.arrived.wait()
        return self.device.others


@asynccontextmanager
async def watching(*points: Point, device: Alarming | None = None) -> AsyncIterator[Rig]:
    device = device or Alarming()
    device.put(1, real(1.5))
    device.put(2, real(2.5))
    async with serving(device):
        made = make_device(device.at, points)
        driver = BacnetDriver(make_line(made), ManualClock())
        await driver.connect()
        rig = Rig(device, driver, [Poll(made, made.points, 60.0)])
        taking = asyncio.create_task(rig.take())
        await asyncio.sleep(0)
        try:
            yield rig
        finally:
            taking.cancel()
            with suppress(asyncio.CancelledError):
                await taking
            await driver.close()


def facets(target: str) -> Sequence[Point]:
    return [following(target, facet) for facet in ("active", "acked", "state")]


async def test_6_event_information_becomes_source_alarms_of_the_device() -> None:
    """Between values of the same poll, with one request for all: active, acknowledged and state, and of the whole."""
    points = [make_point("analog-input,1"), *facets("analog-input,1"), make_point("analog-input,2")]
    points += [
        following("device", "active"),
        following("device", "acked"),
        following("analog-input,2", "active"),
    ]
    async with watching(*points) as rig:
        rig.device.standing[ai(1)] = HIGH_LIMIT, "011"
        given = await rig.read()
        asked = [one.service for one in rig.device.requests].count(GET_EVENT_INFORMATION)
    assert list(given.values) == [1.5, True, False, "high-limit", 2.5, True, False, False]
    assert not given.flaws
    assert asked == 1


@pytest.mark.parametrize("kind", [LIFE_SAFETY_POINT, LIFT, ESCALATOR])
async def test_6_alarms_of_lift_escalator_and_life_safety_objects_are_source_alarms(kind: int) -> None:
    """Whatever the type of the object, once polled and then reported."""
    name = {LIFE_SAFETY_POINT: "life-safety-point,4", LIFT: "lift,4", ESCALATOR: "escalator,4"}[kind]
    state = LIFE_SAFETY_ALARM if kind == LIFE_SAFETY_POINT else OFFNORMAL
    async with watching(*facets(name)) as rig:
        before = list((await rig.read()).values)
        rig.device.report(identifier(kind, 4), state)
        given = list((await rig.notice()).values)
    assert before == [False, True, "normal"]
    assert given == [True, False, STATES[state]]


async def test_what_is_not_mentioned_is_normal_again() -> None:
    """A standing alarm ends when the device no longer lists it, and is acknowledged when it says so."""
    async with watching(*facets("analog-input,1")) as rig:
        said = []
        for standing in ({ai(1): (OFFNORMAL, "011")}, {ai(1): (OFFNORMAL, "111")}, {ai(1): (NORMAL, "110")}, {}):
            rig.device.standing = standing
            said.append(list((await rig.read()).values))
    assert said == [
        [True, False, "offnormal"],
        [True, True, "offnormal"],
        [False, False, "normal"],
        [False, True, "normal"],
    ]


async def test_an_object_in_fault_cannot_tell_whether_its_alarm_is_active() -> None:
    """Neither a false alarm nor a false all-clear: no value, while the state says why."""
    async with watching(*facets("analog-input,1"), following("device", "active")) as rig:
        rig.device.standing = {ai(1): (FAULT, "111")}
        given = await rig.read()
        rig.device.standing[ai(2)] = OFFNORMAL, "111"
        other = await rig.read()
    assert list(given.values) == [None, True, "fault", None]
    assert given.flaws[0] == Quality(Grade.BAD, "device_fault", "event-state fault")
    assert other.values[3] is True, "another object can tell"


async def test_event_information_of_several_pages_is_one_answer() -> None:
    """An alarm that moves to the only page that is left is as new as any other."""
    points = [following(f"analog-input,{number}", "active") for number in range(1, 6)]
    async with watching(*points, device=Alarming(per_page=2)) as rig:
        rig.device.standing = {ai(number): (OFFNORMAL, "111") for number in (1, 2, 3, 5)}
        first = list((await rig.read()).values)
        rig.device.standing = {ai(number): (OFFNORMAL, "111") for number in (3, 5)}
        second = list((await rig.read()).values)
    assert first == [True, True, True, False, True]
    assert second == [False, False, True, False, True]


async def test_pages_without_end_are_no_answer() -> None:
    """A device that gives the same page again and again costs its alarm points, and two requests."""
    row = summary((ai(1), (OFFNORMAL, "111")))
    device = Alarming(answer=lambda one: [one.ack(b"\x0e" + row + b"\x0f\x19\x01")] if one.service == 29 else None)
    async with watching(make_point("analog-input,1"), following("analog-input,1", "active"), device=device) as rig:
        given = await rig.read()
    assert list(given.values) == [1.5, None]
    assert given.flaws[1].reason == "decode_error"


@pytest.mark.parametrize("confirmed", [True, False])
async def test_6_a_received_event_notification_becomes_a_source_alarm_at_once(*, confirmed: bool) -> None:
    """Between two polls, with all other values as they were; a confirmed one is acknowledged, as a frame."""
    points = [make_point("analog-input,1"), *facets("analog-input,1"), following("device", "active")]
    async with watching(*points) as rig:
        await rig.read()
        rig.device.report(ai(1), HIGH_LIMIT, confirmed=confirmed)
        given = await rig.notice()
        others = await rig.answered() if confirmed else rig.device.others
    assert list(given.values) == [1.5, True, False, "high-limit", True]
    assert {at for start, end in given.changed for at in range(start, end)} == {1, 2, 3, 4}
    assert others == ([CONFIRMED] if confirmed else [])


async def test_a_notification_that_comes_twice_counts_once() -> None:
    """A repetition that was on its way for long does not bring an alarm back that is over; it is acknowledged."""
    async with watching(*facets("analog-input,1")) as rig:
        await rig.read()
        rig.device.report(ai(1), HIGH_LIMIT, number=1)
        rig.device.report(ai(1), NORMAL, number=2)
        rig.device.report(ai(1), HIGH_LIMIT, number=1)
        said = [(await rig.notice()).values[0] for _ in range(2)]
        assert await rig.answered(3) == [CONFIRMED] * 3
        assert rig.noticed.empty()
    assert said == [True, False]


async def test_a_device_without_a_clock_may_say_the_same_again() -> None:
    """Its notifications have no time by which a repetition could be known: each counts."""
    async with watching(*facets("analog-input,1")) as rig:
        await rig.read()
        said = []
        for state in (HIGH_LIMIT, NORMAL, HIGH_LIMIT):
            rig.device.report(ai(1), state, time=b"\x0c\xff\xff\xff\xff")
            said.append((await rig.notice()).values[0])
    assert said == [True, False, True]


async def test_a_poll_puts_right_what_notifications_left_wrong() -> None:
    """An all-clear that was lost is found, though the device says the same as before the alarm."""
    async with watching(*facets("analog-input,1")) as rig:
        await rig.read()
        rig.device.report(ai(1), OFFNORMAL)
        await rig.notice()
        given = await rig.read()
    assert list(given.values) == [False, True, "normal"]
    assert given.changed


@pytest.mark.parametrize("first", [True, False])
async def test_a_notification_overtakes_the_answer_that_is_on_its_way(*, first: bool) -> None:
    """What the device listed before the event does not end the alarm; the next answer is taken as if it were new."""

    def answer(request: Request) -> Reply:
        if request.service == GET_EVENT_INFORMATION and rig.device.requests.count(request) and overtaking:
            rig.device.report(ai(1), OFFNORMAL, confirmed=False)
            return [request.ack(bytes.fromhex("0e 0f 19 00"))]
        return None

    overtaking = False
    async with watching(*facets("analog-input,1"), device=Alarming(answer=answer)) as rig:
        if not first:
            await rig.read()
        overtaking = True
        during = await rig.read()
        overtaking = False
        after = await rig.read()
    assert list(during.values) == [True, False, "offnormal"]
    assert list(after.values) == [False, True, "normal"]


async def test_a_stranger_s_notification_is_refused() -> None:
    """Another device number from there, and anything before the device was met, change nothing."""
    async with watching(*facets("analog-input,1")) as rig:
        await rig.read()
        rig.device.report(ai(1), OFFNORMAL, instance=1002)
        assert await rig.answered() == [DENIED]
        given = await rig.read()
    assert given.values[0] is False
    assert rig.noticed.empty()


async def test_a_device_without_event_information_is_asked_for_each_object() -> None:
    """State and acknowledgements as properties, remembered; what all objects do together nobody can say then."""
    device = Alarming(answer=lambda one: [one.reject(UNRECOGNIZED_SERVICE)] if one.service == 29 else None)
    device.put(1, real(1.5))
    device.objects[ai(1)].update({EVENT_STATE: enumerated(HIGH_LIMIT), ACKED_TRANSITIONS: b"\x82\x05\x60"})
    points = [*facets("analog-input,1"), following("device", "active"), following("analog-input,9", "active")]
    async with watching(*points, device=device) as rig:
        given = await rig.read()
        await rig.read()
        asked = [one.service for one in rig.device.requests].count(GET_EVENT_INFORMATION)
        rig.device.report(ai(1), NORMAL, number=9)
        told = await rig.notice()
    assert list(given.values) == [True, False, "high-limit", None, None]
    assert {at: flaw.reason for at, flaw in given.flaws.items()} == {3: "config_error", 4: "config_error"}
    assert asked == 1
    assert list(told.values)[::2][:2] == [False, "normal"]


async def test_a_reported_alarm_passes_the_line_at_once() -> None:
    """By the worker of the daemon, an hour before the next poll; silence about it is not a lost device."""
    async with serving(Alarming()) as device:
        assert isinstance(device, Alarming)
        made = every(3600.0, make_device(device.at, facets("life-safety-point,4")))
        async with polled(make_line(made), BacnetDriver) as line:
            await line.until(is_good)
            device.report(identifier(LIFE_SAFETY_POINT, 4), LIFE_SAFETY_ALARM)
            await line.until(lambda reading: list(reading.values) == [True, False, "life-safety-alarm"])
