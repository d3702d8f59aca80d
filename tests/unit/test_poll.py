"""The caller's half of the driver contract, with a scripted driver and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
import structlog

from agent.clock import ManualClock
from agent.events import DeviceState, Event
from agent.health import Health
from agent.log.limit import BURST, Limiter
from agent.pace import PaceWatch
from agent.poll import PROBE_S_MAX, PROBE_URGENT_S_MAX, RECONNECT_S_MAX, LineWorker
from config.files import AddressSpec, LineSpec, PointSpec
from config.judgement import State
from config.model import Alarm, Device, Line, Place, Point, Text
from drivers.contract import Grade, Identity, Quality, Reading
from drivers.errors import NoAnswer, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from drivers.contract import Poll

NAME = Text("设备", "Device")
BEYOND_RANGE = Quality(Grade.UNCERTAIN, "over_range", "0xFFFE")


def device(name: str, *intervals_s: float, life_safety: bool = False, system: str = "pwr.lv") -> Device:
    points = tuple(
        Point(f"p{index}", name, system, NAME, "number", "V", interval_s, PointSpec())
        for index, interval_s in enumerate(intervals_s)
    )
    alarm = Alarm(
        f"{system}/{name}/p0#a", "a", name, system, "p0", State((True,), "red"), NAME, NAME, life_safety=life_safety
    )
    return Device(name, NAME, system, "line", AddressSpec(), Place(), points, (alarm,))


class ScriptedDriver:
    """Answers 1.0, 2.0, … unless told that a device is silent, the line is gone, or there is a fault."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.silent: set[str] = set()
        self.line_error: Exception | None = None
        self.hang: set[str] = set()
        self.leaving = asyncio.Event()
        self.reads: Counter[str] = Counter()
        self.times: list[tuple[str, float, float]] = []
        self.tries: list[float] = []
        self.open = 0
        self.inside: Counter[str] = Counter()
        self.value = 0.0
        self.lose_next = 0
        self.beyond_range = False

    async def connect(self) -> None:
        self.tries.append(self.clock.mono())
        if self.line_error is not None:
            raise self.line_error
        self.open += 1

    async def read(self, poll: Poll) -> Reading:
        name = poll.device.id
        self.inside[name] += 1
        assert self.inside[name] == 1, "two calls at once for one device"
        try:
            await asyncio.sleep(0)
            self.reads[name] += 1
            self.times.append((name, poll.interval_s, self.clock.mono()))
            if self.line_error is not None:
                raise self.line_error
            if name in self.silent or self.lose_next:
                self.lose_next = max(0, self.lose_next - 1)
                raise NoAnswer(name, "no answer")
            if name in self.hang:
                await self._hang()
            self.value += 1.0
            count = len(poll.points)
            if self.beyond_range:
                flaws = dict.fromkeys(range(count), BEYOND_RANGE)
                return Reading(poll, self.clock.wall(), self.clock.mono(), (None,) * count, flaws, ((0, count),))
            return Reading(poll, self.clock.wall(), self.clock.mono(), (self.value,) * count, {}, ())
        finally:
            self.inside[name] -= 1

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            self.leaving.set()
            await asyncio.sleep(0)  # a driver may need a turn of the loop to clean up

    async def identify(self, device: Device) -> Identity:
        return Identity()

    async def close(self) -> None:
        return


class Site:
    """One line under test, and everything that it said."""

    site = "h01"

    def __init__(
        self, *devices: Device, timeout_s: float = 1.0, concurrency: int = 4, random: Random | None = None
    ) -> None:
        self.clock = ManualClock()
        self.health = Health()
        self.random = random or Random(1)
        self.said: list[Reading | Event] = []
        line = Line("line", NAME, "test", LineSpec(protocol="test"), devices, timeout_s, concurrency)
        self.driver = ScriptedDriver(self.clock)
        self.worker = LineWorker(line, self.driver, self)

    async def emit(self, item: Reading | Event) -> None:
        self.said.append(item)

    def states(self) -> list[tuple[str, str]]:
        return [
            (item.body.device, item.body.state)
            for item in self.said
            if isinstance(item, Event) and isinstance(item.body, DeviceState)
        ]

    def readings(self, name: str) -> list[Reading]:
        return [item for item in self.said if isinstance(item, Reading) and item.poll.device.id == name]

    def codes(self) -> list[tuple[str, str]]:
        return [(view.code, view.target) for view in self.health.views()]

    async def run(self, seconds: float, step_s: float = 0.1) -> None:
        """Let time pass; everybody who is due acts."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            await settle()


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Site]:
    task = asyncio.create_task(site.worker.run())
    await settle()
    try:
        yield site
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_poll_of_a_device_keeps_its_own_interval() -> None:
    """A point at 1 s and one at 5 s are asked about 20 and 4 times in 20 s, the slow one at once too."""
    async with running(Site(device("m1", 1.0, 5.0))) as site:
        await site.run(1.2)
        assert {interval for _, interval, _ in site.driver.times} == {1.0, 5.0}
        await site.run(18.8)
    seen = Counter(interval for _, interval, _ in site.driver.times)
    assert 19 <= seen[1.0] <= 21
    assert seen[5.0] == 4


async def test_first_reading_counts_as_changed_in_full() -> None:
    """Even where the driver says that nothing changed, the first reading of a poll is new to everybody."""
    async with running(Site(device("m1", 1.0))) as site:
        await site.run(3)
    first, *others = site.readings("m1")
    assert first.changed == ((0, 1),)
    assert all(reading.changed == () for reading in others)
    assert site.states() == [("m1", "online")]


async def test_a_silent_device_goes_last_known_then_lost_and_its_neighbour_keeps_its_rate() -> None:
    """Uncertain at once, bad and null after the age limit, offline once; the neighbour loses no poll."""
    async with running(Site(device("m1", 1.0), device("m2", 1.0))) as site:
        await site.run(5)
        site.driver.silent.add("m1")
        before = site.driver.reads["m2"]
        await site.run(30)
        assert site.driver.reads["m2"] - before >= 29
        flawed = [reading for reading in site.readings("m1") if reading.flaws]
        assert [(r.flaws[0].grade, r.flaws[0].reason, r.values[0] is None) for r in flawed] == [
            (Grade.UNCERTAIN, "last_known", False),
            (Grade.BAD, "comm_lost", True),
        ]
        assert site.states() == [("m1", "online"), ("m2", "online"), ("m1", "offline")] or site.states() == [
            ("m2", "online"),
            ("m1", "online"),
            ("m1", "offline"),
        ]
        assert site.codes() == [("device_offline", "m1")]


async def test_6_a_device_that_flaps_does_not_flood_the_log() -> None:
    """Each change is an event; in the log there are some of the first ones, then one a minute each way."""
    logged = structlog.testing.LogCapture()
    config = structlog.get_config()
    limiter = Limiter(lambda: site.clock.mono(), lambda: site.clock.wall())  # noqa: PLW0108  # there is no site yet
    structlog.configure(processors=[limiter, logged], cache_logger_on_first_use=False)
    try:
        site = Site(device("m1", 1.0))
        async with running(site):
            for _ in range(4 * BURST):
                await site.run(10, 1.0)
                site.driver.silent ^= {"m1"}
                await site.run(30, 1.0)
                site.driver.silent ^= {"m1"}
    finally:
        structlog.configure(**config)
    minutes = 4 * BURST * 40 / 60
    assert sum(state == "offline" for _, state in site.states()) >= 2 * BURST
    assert BURST <= sum(line["event"] == "device offline" for line in logged.entries) <= BURST + minutes


async def test_a_device_that_never_answered_is_bad_at_once_and_offline_after_ten_seconds() -> None:
    """A start in the morning of a switch room: not connected is said at once, offline only when it is sure."""
    site = Site(device("m1", 1.0))
    site.driver.silent.add("m1")
    async with running(site):
        await site.run(9)
        assert [reading.flaws[0].reason for reading in site.readings("m1")] == ["not_connected"]
        assert site.states() == []
        await site.run(12)
        assert site.states() == [("m1", "offline")]


@pytest.mark.parametrize(("life_safety", "limit_s"), [(False, PROBE_S_MAX), (True, PROBE_URGENT_S_MAX)])
async def test_1_breaker_a_device_that_returns_is_found_by_a_probe_within_its_limit(
    life_safety: bool, limit_s: float
) -> None:
    """After an hour of silence it takes at most the probe interval; then every poll is asked at once."""
    async with running(Site(device("m1", 1.0, 60.0, life_safety=life_safety), device("m2", 1.0))) as site:
        site.driver.silent.add("m1")
        await site.run(3600, step_s=1.0)
        assert site.driver.reads["m1"] < 3600 / limit_s * 1.5
        assert limit_s < BACK_S_MAX
        site.driver.silent.clear()
        site.said.clear()
        await site.run(limit_s + 0.2)
        assert site.states() == [("m1", "online")]
        assert {reading.poll.interval_s for reading in site.readings("m1")} == {1.0, 60.0}
        assert all(reading.changed == ((0, 1),) for reading in site.readings("m1")[:2])
        assert site.codes() == []


@pytest.mark.parametrize("interval_s", [1.0, 5.0])
async def test_6_a_fire_panel_that_is_lost_is_offline_within_thirty_seconds(interval_s: float) -> None:
    """And it is probed every 5 s at least, so that its return is seen soon."""
    async with running(Site(device("panel", interval_s, system="fire"))) as site:
        await site.run(60)
        site.driver.silent.add("panel")
        await site.run(30)
        assert site.states()[-1] == ("panel", "offline")
        await site.run(600, step_s=0.5)
        before = site.driver.reads["panel"]
        await site.run(60)
        assert site.driver.reads["panel"] - before >= 12


@pytest.mark.parametrize("error", [Refused("panel", "port in use"), Unreachable("panel", "no route")])
async def test_6_a_fire_panel_on_a_lost_line_is_offline_within_thirty_seconds(error: Exception) -> None:
    """However rarely the line itself is tried: one that refuses us is tried every half minute."""
    async with running(Site(device("panel", 1.0, system="fire"))) as site:
        await site.run(60)
        site.driver.line_error = error
        await site.run(30)
        assert site.states()[-1] == ("panel", "offline")


async def test_1_a_device_that_hangs_is_cut_off_by_its_deadline() -> None:
    """The read of a hanging device ends with its deadline, and the neighbour goes on meanwhile."""
    async with running(Site(device("m1", 1.0), device("m2", 1.0), timeout_s=0.005)) as site:
        site.driver.hang.add("m1")
        await site.run(2)
        before = site.driver.reads["m2"]
        async with asyncio.timeout(60):
            while not any(reading.flaws for reading in site.readings("m1")):
                await asyncio.sleep(0.005)
                site.clock.advance(0.1)
        await site.run(3)
        assert site.driver.reads["m2"] - before >= 3


async def test_a_lost_line_stamps_all_its_devices_and_returns_by_itself() -> None:
    """One health condition, every device offline after ten seconds, back within the reconnect limit."""
    async with running(Site(device("m1", 1.0), device("m2", 1.0))) as site:
        await site.run(3)
        site.driver.line_error = Unreachable("10.0.0.1:502", "connection reset", "check the cable")
        await site.run(15)
        assert ("line_down", "line") in site.codes()
        assert sorted(site.states()[2:]) == [("m1", "offline"), ("m2", "offline")]
        assert site.worker.view().state == "down"
        site.driver.line_error = None
        await site.run(RECONNECT_S_MAX + 1.2)
        assert site.worker.view().state == "up"
        assert sorted(site.states()[4:]) == [("m1", "online"), ("m2", "online")]
        assert site.codes() == []


MANY = 30
BACK_S_MAX = 10.0
"""So soon after its return a line or a device is asked again, however long it was away."""


async def test_2_lines_that_fail_together_are_tried_for_ever_and_do_not_come_back_in_step() -> None:
    """The gateway is up before its switch: after ten minutes each line is still tried in time, at a time of its own."""
    dice, step_s = Random(1), 0.25
    sites = [Site(device("m1", 1.0), random=dice) for _ in range(MANY)]

    async def run(seconds: float) -> None:
        for _ in range(round(seconds / step_s)):
            for site in sites:
                site.clock.advance(step_s)
            await settle()

    async with AsyncExitStack() as stack:
        for site in sites:
            site.driver.line_error = Unreachable("10.0.0.1:502", "no route")
            await stack.enter_async_context(running(site))
        await run(600)
        for site in sites:
            site.driver.line_error = None
        returned = sites[0].clock.mono()
        await run(BACK_S_MAX)
        assert all(site.worker.view().state == "up" for site in sites)
    for site in sites:
        assert max(after - before for before, after in pairwise(site.driver.tries)) <= BACK_S_MAX
    back = Counter(next(at for at in site.driver.tries if at > returned) for site in sites)
    assert max(back.values()) <= MANY / 2


async def test_2_devices_that_fail_together_are_not_probed_in_step() -> None:
    """The power of a floor is out: after ten minutes no second has half of the questions to its devices."""
    floor = {f"m{number}" for number in range(MANY)}
    async with running(Site(device("elsewhere", 1.0), *(device(name, 1.0) for name in sorted(floor)))) as site:
        await site.run(3)
        site.driver.silent |= floor
        await site.run(600)
        since = site.clock.mono() - PROBE_S_MAX
    asked = [at for name, _, at in site.driver.times if name in floor and at > since]
    assert len(asked) >= MANY
    assert max(sum(at <= other < at + 1.0 for other in asked) for at in asked) <= MANY / 2


async def test_a_refusal_is_retried_slowly_and_says_what_to_do() -> None:
    """Wrong credentials are not hammered."""
    site = Site(device("m1", 1.0))
    site.driver.line_error = Refused("opc.tcp://x", "wrong password", "set user and password of the line")
    async with running(site):
        await site.run(20)
        view = site.worker.view()
        assert (view.state, view.todo) == ("refused", "set user and password of the line")
        assert site.codes()[0] == ("line_refused", "line")


async def test_a_fault_inside_the_driver_is_contained_at_its_line() -> None:
    """Our bug is traced and the line starts again with backoff; the task goes on."""
    site = Site(device("m1", 1.0))
    with structlog.testing.capture_logs() as logged:  # laid out for people, a trace takes seconds
        async with running(site):
            await site.run(2)
            site.driver.line_error = ZeroDivisionError("oops")
            await site.run(2)
            assert site.worker.view().state == "fault"
            assert site.worker.view().error == "ZeroDivisionError: oops"
            site.driver.line_error = None
            await site.run(5)
            assert site.worker.view().state == "up"
    assert any(line["event"] == "fault inside the driver" and line["exc_info"] for line in logged)


async def test_a_line_on_which_nobody_answers_is_opened_anew() -> None:
    """A half-open connection looks open for ever; after half a minute of silence it is replaced."""
    async with running(Site(device("m1", 1.0))) as site:
        await site.run(2)
        site.driver.silent.add("m1")
        await site.run(60)
        assert site.driver.open >= 2
        assert site.worker.view().state == "up"


async def test_read_now_waits_its_turn_and_asks_only_what_is_wanted() -> None:
    """A technician's read goes through the line, never beside the schedule."""
    async with running(Site(device("m1", 1.0, 5.0))) as site:
        await site.run(2)
        found = site.worker.devices["m1"].device
        reading = await site.worker.read_now(found, ["p1"])
        assert [point.id for point in reading.poll.points] == ["p1"]


async def test_a_late_poll_is_counted_and_the_schedule_does_not_bunch() -> None:
    """When the machine stands still for ten intervals, one poll is late, and no ten follow at once."""
    async with running(Site(device("m1", 1.0))) as site:
        await site.run(3)
        before = site.driver.reads["m1"]
        site.clock.advance(10)
        await settle()
        assert site.worker.devices["m1"].view().late_polls >= 1
        assert site.driver.reads["m1"] - before <= 2


async def test_a_line_without_points_is_opened_once_and_held() -> None:
    """Nothing to ask is no reason to connect again and again."""
    async with running(Site(device("m1"))) as site:
        await site.run(60, step_s=1.0)
        assert site.driver.open == 1
        assert site.worker.view().state == "up"


async def test_a_stop_while_the_line_is_being_lost_is_a_stop() -> None:
    """A cancellation that meets a failing line must not be swallowed by it: the daemon would never end."""
    site = Site(device("m1", 1.0), device("m2", 1.0), timeout_s=100.0)
    site.driver.hang.add("m2")
    task = asyncio.create_task(site.worker.run())
    await settle()
    await site.run(3)
    site.driver.line_error = Unreachable("10.0.0.1:502", "connection reset")
    site.clock.advance(1)
    await site.driver.leaving.wait()
    task.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait([task])
    assert task.cancelled()


async def test_1_retry_budget_a_device_that_answers_gets_one_second_try() -> None:
    """No value is lost, nothing is stamped; the credit is earned by answers, so a dead device has none."""
    site = Site(device("meter", 1.0))
    async with running(site):
        await site.run(12.0)
        site.driver.lose_next = 1
        answers = len(site.readings("meter"))
        reads = site.driver.reads["meter"]
        await site.run(1.0)
        assert site.driver.reads["meter"] == reads + 2
        assert len(site.readings("meter")) == answers + 1
        assert all(not reading.flaws for reading in site.readings("meter"))
        site.driver.silent.add("meter")
        await site.run(1.0)
        assert site.driver.reads["meter"] == reads + 3


async def test_a_sensor_beyond_its_range_that_gives_no_value_makes_its_device_degraded() -> None:
    """No limit can be judged on it, so that it must be seen that nobody watches; it is well again with a value."""
    async with running(Site(device("a", 1.0))) as site:
        await site.run(1.5)
        site.driver.beyond_range = True
        await site.run(1.5)
        site.driver.beyond_range = False
        await site.run(1.5)
        assert site.states() == [("a", "online"), ("a", "degraded"), ("a", "online")]


class NotifyingDriver(ScriptedDriver):
    """Its devices also report by themselves, once they were read."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.reported: asyncio.Queue[float] = asyncio.Queue()

    async def notices(self, polls: Sequence[Poll]) -> AsyncGenerator[Reading, None]:
        while True:
            value = await self.reported.get()
            (poll,) = polls
            yield Reading(poll, self.clock.wall(), self.clock.mono(), (value,), {}, ((0, 1),))


async def test_what_a_polled_device_reports_by_itself_is_passed_on_at_once() -> None:
    """Between two polls a minute apart, without asking; the polls go on as they were."""
    site = Site(device("m1", 60.0))
    driver = NotifyingDriver(site.clock)
    site.worker = LineWorker(site.worker.line, driver, site)
    async with running(site):
        await site.run(5)
        before = driver.reads["m1"]
        driver.reported.put_nowait(99.0)
        await settle()
        told = site.readings("m1")[-1]
        asked = driver.reads["m1"]
        await site.run(60)
    assert (told.values, told.changed) == ((99.0,), ((0, 1),))
    assert before == asked == 1
    assert driver.reads["m1"] == 2


async def test_a_line_that_is_opened_anew_listens_anew() -> None:
    """Reports end with the connection, and begin with the next one."""
    site = Site(device("m1", 1.0))
    driver = NotifyingDriver(site.clock)
    site.worker = LineWorker(site.worker.line, driver, site)
    async with running(site):
        await site.run(3)
        driver.line_error = Unreachable("line", "gone")
        await site.run(3)
        driver.line_error = None
        await site.run(10)
        driver.reported.put_nowait(77.0)
        await settle()
        told = [reading.values[0] for reading in site.readings("m1")]
    assert driver.open == 2
    assert told[-1] == 77.0


@pytest.mark.parametrize(("polls", "late", "codes"), [(600, 61, ["line_late"]), (600, 60, []), (9, 9, [])])
async def test_6_a_line_that_cannot_keep_its_pace_is_a_condition(polls: int, late: int, codes: list[str]) -> None:
    """While more than a tenth of a minute's polls come late; some are on any bus, and a few polls say nothing."""
    site = Site(device("m1", 1.0))
    presence = site.worker.devices["m1"]
    presence.read_count, presence.late_count = 1_000, 900  # of the minutes before
    pace = PaceWatch([site.worker], site.health, site.clock)
    presence.read_count += polls
    presence.late_count += late
    pace.look()
    assert site.codes() == []
    site.clock.advance(60.0)
    pace.look()
    assert [code for code, _ in site.codes()] == codes
    presence.read_count += 600
    site.clock.advance(60.0)
    pace.look()
    assert site.codes() == []
