"""All alarms together: one step takes a reading, a command or a tick, and gives events.

A reading costs per alarm on a changed point only; a value inside the quiet band of an alarm that is at rest costs two
comparisons.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal

from agent.rules.occurrence import GOOD, Context, Run
from drivers.contract import Poll, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.clock import Now
    from agent.events import Event
    from config.model import Config

STATE_PREFIX = "alarm/"
"""Keys of the state that the journal keeps for alarms: this and the alarm's id."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class AlarmCommand:
    """What an operator, or the platform in his name, wants of an alarm."""

    verb: Literal["ack", "reset"]
    alarm_id: str
    actor: str
    comment: str = ""


class Refused(Exception):
    """A command that means nothing now; the message says why, for the person who gave it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step gave. `states` must be stored in the same transaction as `events`."""

    events: list[Event]
    states: dict[str, bytes]
    next_due: float | None


@dataclass(slots=True)
class _Watch:
    """The alarms on the points of one poll, by ascending index into it, and when it was last heard of."""

    indexes: list[int]
    runs: list[Run]
    heard: float


@dataclass(slots=True)
class Rules:
    """The state that `step` is given: every configured alarm, and the delays that run."""

    site: str
    gateway: str
    cfg_ver: str
    runs: dict[str, Run]
    by_point: dict[tuple[str, str], list[Run]]
    watches: dict[Poll, _Watch] = field(default_factory=dict)
    dues: list[tuple[float, int, Run]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)
    dirty: dict[str, Run] = field(default_factory=dict)

    @classmethod
    def build(cls, config: Config, stored: Mapping[str, bytes]) -> Rules:
        """Every alarm of the configuration, each in the state in which the journal keeps it."""
        runs: dict[str, Run] = {}
        by_point: dict[tuple[str, str], list[Run]] = {}
        for device in config.devices:
            points = {point.id: point for point in device.points}
            for alarm in device.alarms:
                run = runs[alarm.id] = Run(alarm, points[alarm.point], config.site)
                by_point.setdefault((device.id, alarm.point), []).append(run)
                raw = stored.get(STATE_PREFIX + alarm.id)
                if raw is not None:
                    run.restore(raw)
        return cls(config.site, config.gateway, config.version, runs, by_point)

    def standing(self) -> Iterable[Run]:
        """Every alarm that is not NORM."""
        return (run for run in self.runs.values() if run.state != "NORM")

    def take_delays(self) -> dict[str, bytes]:
        """State of alarms whose delays moved without an event since the last call; stored with the next telemetry."""
        states = {STATE_PREFIX + alarm_id: run.store() for alarm_id, run in self.dirty.items()}
        self.dirty.clear()
        return states

    def watch(self, poll: Poll) -> _Watch:
        """Compiled once for each poll."""
        watch = self.watches.get(poll)
        if watch is None:
            pairs = [
                (index, run)
                for index, point in enumerate(poll.points)
                for run in self.by_point.get((point.device, point.id), ())
            ]
            watch = self.watches[poll] = _Watch([index for index, _ in pairs], [run for _, run in pairs], float("-inf"))
        return watch


def step(rules: Rules, item: Reading | AlarmCommand | Tick, now: Now) -> Step:
    """Take one item at one moment. Raises `Refused` for a command that means nothing; nothing else raises."""
    work = _Work(rules, now)
    if isinstance(item, Reading):
        work.read(item)
    elif isinstance(item, AlarmCommand):
        work.command(item)
    else:
        work.tick()
    return work.done()


class _Work:
    """One step in progress."""

    __slots__ = ("events", "now", "rules", "touched")

    def __init__(self, rules: Rules, now: Now) -> None:
        self.rules = rules
        self.now = now
        self.events: list[Event] = []
        self.touched: list[Run] = []

    def done(self) -> Step:
        rules = self.rules
        for run in self.touched:
            rules.dirty.pop(run.alarm.id, None)
        states = {STATE_PREFIX + run.alarm.id: run.store() for run in self.touched}
        return Step(self.events, states, rules.dues[0][0] if rules.dues else None)

    def read(self, reading: Reading) -> None:
        watch = self.rules.watch(reading.poll)
        if watch.runs:
            for start, stop in reading.changed:
                first, last = bisect_left(watch.indexes, start), bisect_left(watch.indexes, stop)
                self._observe(reading, watch, first, last)
        watch.heard = reading.mono

    def _observe(self, reading: Reading, watch: _Watch, first: int, last: int) -> None:
        values, flaws = reading.values, reading.flaws
        context = self._context(reading.time)
        for at in range(first, last):
            index, run = watch.indexes[at], watch.runs[at]
            value = values[index]
            if run.at_rest and run.band and not flaws and run.band[0] < value < run.band[1]:  # type: ignore[operator]  # without a flaw the value of a limit is a number
                run.value, run.quality = value, GOOD
                continue
            was_at_rest = run.at_rest
            run.source_time = reading.source_times.get(index)
            turned = run.observe(value, flaws.get(index, GOOD), self.now, watch.heard)
            if turned or not (was_at_rest and run.at_rest):
                self._follow_up(run, context, turned=turned)

    def tick(self) -> None:
        dues, mono = self.rules.dues, self.now.mono
        context = self._context(self.now.wall)
        while dues and dues[0][0] <= mono:
            _, _, run = heapq.heappop(dues)
            due = run.next_due()
            if due is not None and due <= mono:  # else the delay moved, and has an entry of its own
                self._follow_up(run, context, turned=run.tick(mono))

    def command(self, command: AlarmCommand) -> None:
        run = self.rules.runs.get(command.alarm_id)
        if run is None:
            raise Refused(f"there is no alarm {command.alarm_id}; see wardgate alarms")
        context = self._context(self.now.wall)
        if command.verb == "ack":
            event = run.acknowledge(command.actor, command.comment, self.now, context)
            why = "there is nothing to acknowledge"
        else:
            event = run.reset(self.now, context)
            why = "it can be reset once it is latched and acknowledged"
        if event is None:
            raise Refused(f"{command.alarm_id} is {run.state}: {why}")
        self.events.append(event)
        self.touched.append(run)

    def _follow_up(self, run: Run, context: Context, *, turned: bool) -> None:
        """Announce what turned; note what must be stored and when the next delay is served."""
        event = run.announce(self.now, context) if turned else None
        if event is not None:
            self.events.append(event)
            self.touched.append(run)
        else:
            self.rules.dirty[run.alarm.id] = run
        due = run.next_due()
        if due is not None:
            heapq.heappush(self.rules.dues, (due, next(self.rules.order), run))

    def _context(self, read_at: float) -> Context:
        return Context(self.rules.gateway, self.rules.cfg_ver, read_at)
