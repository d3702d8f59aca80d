"""One task per line: connect, ask each device when its time has come, and go on for ever.

The caller's half of the driver contract lives here: schedule with jitter, deadlines, backoff, the breaker per device,
and the one broad except of the product. Nothing that happens to one device may starve its neighbours; nothing that
happens on one line may disturb another.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

from agent.asked import asked
from agent.deadlines import Deadlines
from agent.events import Event, Names, rfc3339
from agent.histogram import Histogram
from agent.presence import Presence
from agent.status import LineView
from drivers.contract import Certified, Counting, Notifying, Poll, Reading, Subscribing
from drivers.errors import NoAnswer, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping
    from random import Random

    from agent.clock import Clock
    from agent.health import Code, Health
    from config.model import Device, Line
    from drivers.contract import Driver, Validity

RECONNECT_S_MIN = 0.5
RECONNECT_S_MAX = 5.0
"""A line or device that returns is asked again within this and its jitter, always."""

PROBE_S_MAX = 8.0
PROBE_URGENT_S_MAX = 4.0
"""For what protects life and for fire panels, the loss of which has to be an alarm within 30 s."""

REFUSED_S = 30.0
"""A person must act first; asking more often only fills the other side's log."""

FAULT_S_MAX = 60.0
SPREAD_S_MAX = 1.0
"""First polls are spread over this, so that a start does not ask everything at once."""

BEAT_S = 0.1
"""Polls begin on this beat, on all lines: what falls due together wakes the process once, not once each."""

DEADLINE_FACTOR = 6
"""A whole read may take this many request timeouts: several blocks, one retry, never for ever."""

SILENCE_S_MAX = 30.0
"""A connection on which nobody has answered for so long is opened anew: it may be half-open."""

POLL_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The classes into which polls that were answered are counted, by how long that took."""

State = Literal["up", "connecting", "down", "refused", "fault"]


class _Silent(Exception):
    """Nobody on the line answers, though it is open."""


def polls_of(device: Device) -> tuple[Poll, ...]:
    """The points of a device, gathered by interval, the fastest first."""
    by_interval = defaultdict(list)
    for point in device.points:
        by_interval[point.poll_s].append(point)
    return tuple(Poll(device, tuple(points), interval_s) for interval_s, points in sorted(by_interval.items()))


class Watcher(Protocol):
    """What a line shares with the rest of the daemon."""

    @property
    def site(self) -> str: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def health(self) -> Health: ...

    @property
    def random(self) -> Random: ...

    async def emit(self, item: Reading | Event) -> None:
        """Hand one item to the pipeline; waits while that is full."""


class LineWorker:
    """One line: its driver, its devices, its state."""

    def __init__(self, line: Line, driver: Driver, daemon: Watcher) -> None:
        self.line = line
        self._driver = driver
        self._clock = daemon.clock
        self._health = daemon.health
        self._random = daemon.random
        self._emit = daemon.emit
        self._log = structlog.get_logger().bind(line=line.id)
        self._deadline_s = line.timeout_s * DEADLINE_FACTOR
        self._deadlines = Deadlines(self._deadline_s)
        self._slots = asyncio.Semaphore(line.concurrency)
        self._locks = {device.id: asyncio.Lock() for device in line.devices}
        self.devices = {
            device.id: Presence(daemon.site, line, device, polls_of(device), since=daemon.clock.wall())
            for device in line.devices
        }
        self.state: State = "connecting"
        self._since = daemon.clock.wall()
        self._error: str | None = None
        self._todo: str | None = None
        self._attempts = 0
        self._heard_mono = daemon.clock.mono()
        self.poll_times = Histogram(POLL_BOUNDS_S)

    def renew(self, line: Line) -> None:
        """The same line of another configuration, which differs in alarms and computed points only: it goes on."""
        for device in line.devices:
            self.devices[device.id].device = device

    # --- the life of the line -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. A fault inside the driver is contained here: traced, counted, and the line starts again."""
        while True:
            try:
                wait_s = await self._live()
            except Exception as error:  # noqa: BLE001  # the line boundary: our bug here must not stop other lines
                self._log.exception("fault inside the driver")
                wait_s = self._lost("fault", "line_fault", f"{type(error).__name__}: {error}", "")
            finally:
                await self._driver.close()
            await self._wait_lost(wait_s)

    async def _live(self) -> float:
        """Connect and serve until the line is lost; gives how long to wait before the next try."""
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._driver.connect()
            self._found()
            await self._serve()
        except _Silent:
            self._log.info("nobody answers, connection opened anew")
            return 0.0
        except Refused as error:
            return self._lost("refused", "line_refused", f"{error.endpoint}: {error.what}", error.hint)
        except Unreachable as error:
            return self._lost("down", "line_down", f"{error.endpoint}: {error.what}", error.hint)
        except TimeoutError:
            return self._lost("down", "line_down", "no connection in time", "check the address and the network")
        return 0.0

    def _found(self) -> None:
        if self.state != "up":
            self._log.info("line up", after_s=round(self._clock.wall() - self._since, 1), failures=self._attempts)
            self._health.release(self.line.id, "line_down", "line_refused", "line_fault")
            self.state, self._since, self._error, self._todo = "up", self._clock.wall(), None, None
        self._heard_mono = self._clock.mono()

    def _lost(self, state: State, code: Code, error: str, todo: str) -> float:
        """Note the edge once; gives the jittered wait before the next try."""
        if self.state == "up":
            self._attempts = 0
        self._attempts += 1
        if self.state != state:
            self._log.warning("line lost", state=state, error=error, todo=todo)
            self.state, self._since = state, self._clock.wall()
            self._health.release(self.line.id, "line_down", "line_refused", "line_fault")
        self._error, self._todo = error, todo
        self._health.hold(code, self.line.id, self._clock.wall(), error)
        ceiling = {"refused": REFUSED_S, "fault": FAULT_S_MAX}.get(state, RECONNECT_S_MAX)
        wait_s = REFUSED_S if state == "refused" else min(ceiling, RECONNECT_S_MIN * 2.0 ** min(self._attempts - 1, 10))
        return wait_s * self._random.uniform(0.75, 1.0)

    async def _wait_lost(self, wait_s: float) -> None:
        """Wait for the next try; meanwhile what is known of the devices grows old."""
        until = self._clock.mono() + wait_s
        if self.state != "up":
            for presence in self.devices.values():
                await self._pass_on(presence.missed(None, self._error or self.state, self._clock.now()), presence)
        while (now := self._clock.now()).mono < until:
            await self._clock.sleep_until(min(until, now.mono + 1.0))
            for presence in self.devices.values():
                await self._pass_on(presence.age(self._error or self.state, self._clock.now()), presence)

    # --- asking ---------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Until the line is lost. Raises `Unreachable`, `Refused`, `_Silent`, or what a fault in the driver raised."""
        # Not a task group: before Python 3.13 one that is cancelled while it fails forgets that it was cancelled.
        tasks = [asyncio.create_task(work, name=name) for name, work in self._work()]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        raise next(end for end in ends if isinstance(end, Exception))

    def _work(self) -> Iterator[tuple[str, Coroutine[Any, Any, Any]]]:
        """What a line does while it is open, each with a name."""
        if isinstance(self._driver, Subscribing):
            yield f"subscription[{self.line.id}]", self._subscribe(self._driver)
        else:
            for presence in self.devices.values():
                yield f"device[{presence.device.id}]", self._ask_for_ever(presence)
            if isinstance(self._driver, Notifying):
                yield f"notices[{self.line.id}]", self._take_notices(self._driver)
        # A line on which there is nothing to ask is held open all the same.
        yield f"open[{self.line.id}]", asyncio.Event().wait()

    async def _subscribe(self, driver: Subscribing) -> None:
        polls = [poll for presence in self.devices.values() for poll in presence.polls]
        quiet_s_max = 3 * max([5.0, *(poll.interval_s for poll in polls)])
        async with aclosing(driver.changes(polls)) as readings:
            while True:
                reading = await self._next_change(readings, quiet_s_max)
                await self._heard(self.devices[reading.poll.device.id], reading, None)

    async def _take_notices(self, driver: Notifying) -> None:
        """What devices say between two polls."""
        polls = [poll for presence in self.devices.values() for poll in presence.polls]
        async with aclosing(driver.notices(polls)) as readings:
            async for reading in readings:
                await self._heard(self.devices[reading.poll.device.id], reading, None)

    async def _next_change(self, readings: AsyncGenerator[Reading, None], quiet_s_max: float) -> Reading:
        try:
            async with asyncio.timeout(quiet_s_max):
                return await anext(readings)
        except TimeoutError:
            raise Unreachable(self.line.id, f"no sign of life for {quiet_s_max:.0f} s") from None
        except StopAsyncIteration:
            raise Unreachable(self.line.id, "the subscription ended") from None

    async def _ask_for_ever(self, presence: Presence) -> None:
        dues = {poll: self._first_due(poll) for poll in presence.polls}
        while dues:
            poll = min(dues, key=dues.__getitem__)
            await self._clock.sleep_until(dues[poll])
            was_offline = presence.state == "offline"
            answered = await self._ask(presence, poll)
            now = self._clock.mono()
            if not answered:
                self._check_silence(now)
                dues = self._postpone(presence, dues, poll, now)
            elif was_offline:
                dues = dict.fromkeys(dues, now) | {poll: now + poll.interval_s}
            else:
                dues[poll] = self._next_due(presence, dues[poll], poll, now)

    def _first_due(self, poll: Poll) -> float:
        """Some random beat from now on."""
        due = self._clock.mono() + self._random.uniform(0, min(SPREAD_S_MAX, poll.interval_s))
        return ceil(due / BEAT_S) * BEAT_S

    def _postpone(self, presence: Presence, dues: dict[Poll, float], missed: Poll, now: float) -> dict[Poll, float]:
        """The breaker: the longer a device is silent, the rarer it is asked, whatever it is asked for."""
        device = presence.device
        is_urgent = device.system == "fire" or any(alarm.life_safety for alarm in device.alarms)
        ceiling_s = PROBE_URGENT_S_MAX if is_urgent else PROBE_S_MAX
        fastest_s = min(poll.interval_s for poll in presence.polls)
        wait_s = min(ceiling_s, fastest_s * 2.0 ** min(presence.misses - 1, 10)) * self._random.uniform(0.75, 1.0)
        # A poll that fails while others of the device answer keeps to its own interval.
        own_s = max(wait_s, min(missed.interval_s, ceiling_s))
        return {poll: max(due, now + wait_s) for poll, due in dues.items()} | {missed: now + own_s}

    def _next_due(self, presence: Presence, due: float, poll: Poll, now: float) -> float:
        """One interval on; where that has passed already, polls are late: said, and slower, but never bunched."""
        due += poll.interval_s
        if due >= now:
            return due
        presence.late_count += 1
        return now

    def _check_silence(self, mono: float) -> None:
        if mono - self._heard_mono > SILENCE_S_MAX:
            raise _Silent

    async def _ask(self, presence: Presence, poll: Poll) -> bool:
        # Never two calls at once for one device, and no more on the line than it bears: a second try queues up again.
        async with self._locks[poll.device.id]:
            while True:
                try:
                    async with self._slots:
                        started = self._clock.mono()
                        reading = await self._read(poll)
                    break
                except NoAnswer as error:
                    if not presence.takes_retry():
                        await self._pass_on(presence.missed(poll, error.what, self._clock.now()), presence)
                        return False
            took_s = self._clock.mono() - started
            self.poll_times.observe(took_s)
            await self._heard(presence, reading, took_s)
            return True

    async def _read(self, poll: Poll) -> Reading:
        try:
            return await self._deadlines.run(self._driver.read(poll))
        except TimeoutError:
            raise NoAnswer(poll.device.id, f"no answer within {self._deadline_s:g} s") from None

    async def read_now(self, device: Device, points: Iterable[str], *, orders: bool = False) -> Reading:
        """Ask a device outside its schedule, for a person who waits. Raises `DriverError`."""
        # The driver knows devices by what it was made with, which may be older than the configuration that counts now.
        device = next(each for each in self.line.devices if each.id == device.id)
        chosen = asked(device.points, set(points), orders=orders)
        if self.state != "up":
            raise Unreachable(self.line.id, self._error or "the line is not open yet", self._todo or "")
        async with self._locks[device.id], self._slots:
            return await self._read(Poll(device, chosen, 0.0))

    # --- telling --------------------------------------------------------------------------------------------------

    async def _heard(self, presence: Presence, reading: Reading, rtt_s: float | None) -> None:
        self._heard_mono = reading.mono
        await self._pass_on(presence.heard(reading, rtt_s), presence)

    async def _pass_on(self, items: Iterable[Reading | Event], presence: Presence) -> None:
        for item in items:
            if isinstance(item, Event):
                self._note_state(presence)
            await self._emit(item)

    def _note_state(self, presence: Presence) -> None:
        """One log line and one health condition each way."""
        log = self._log.bind(device=presence.device.id)
        if presence.state == "offline":
            log.warning("device offline", reason=presence.reason)
            self._health.hold("device_offline", presence.device.id, presence.since, presence.reason)
        else:
            log.info("device answers", state=presence.state, reason=presence.reason)
            self._health.release(presence.device.id, "device_offline")

    def view(self) -> LineView:
        return LineView(
            id=self.line.id,
            name=Names(zh=self.line.name.zh, en=self.line.name.en),
            protocol=self.line.protocol,
            endpoint=self.line.spec.endpoint,
            state=self.state,
            since=rfc3339(self._since),
            error=self._error,
            todo=self._todo,
            devices=list(self.devices),
            counts=dict(self._driver.counts()) if isinstance(self._driver, Counting) else {},
        )

    def validities(self) -> Mapping[str, Validity]:
        """Of the certificates that the line needs; of most there are none."""
        return self._driver.validities() if isinstance(self._driver, Certified) else {}

    async def close(self) -> None:
        await self._driver.close()
