"""All alarms together: one step takes a reading, a command or a tick, and gives events.

A reading costs per alarm on a changed point only; a value inside the quiet band of an alarm that is at rest costs two
comparisons.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal, TypeVar

from agent.rules.judges import Judges
from agent.rules.occurrence import GOOD, Context, Run
from drivers.contract import Poll, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.clock import Now
    from agent.events import DeviceCondition, Event
    from agent.rules.judges import Cell, Judge
    from config.model import Config

T = TypeVar("T")

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


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """A device came, went or got worse."""

    device: str
    state: DeviceCondition


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
    """The alarms on the points of one poll, and the cells, by ascending index into it; when it was last heard of."""

    indexes: list[int]
    runs: list[Run]
    cell_indexes: list[int]
    cells: list[Cell]
    heard: float = float("-inf")


@dataclass(slots=True)
class Rules:
    """The state that `step` is given: every configured alarm, and the delays that run."""

    site: str
    gateway: str
    cfg_ver: str
    runs: dict[str, Run]
    by_point: dict[tuple[str, str], list[Run]]
    judges: Judges = field(default_factory=Judges)
    watches: dict[Poll, _Watch] = field(default_factory=dict)
    dues: list[tuple[float, int, Run]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)
    dirty: dict[str, Run] = field(default_factory=dict)

    @classmethod
    def build(cls, config: Config, stored: Mapping[str, bytes]) -> Rules:
        """Every alarm of the configuration, each in the state in which the journal keeps it."""
        runs: dict[str, Run] = {}
        by_point: dict[tuple[str, str], list[Run]] = {}
        judges = Judges(stored)
        for device in config.devices:
            for alarm in device.alarms:
                run = runs[alarm.id] = Run(alarm, config.site)
                if not judges.add(run):
                    by_point.setdefault((device.id, alarm.point), []).append(run)
                raw = stored.get(STATE_PREFIX + alarm.id)
                if raw is not None:
                    run.restore(raw)
        return cls(config.site, config.gateway, config.version, runs, by_point, judges)

    def standing(self) -> Iterable[Run]:
        """Every alarm that is not NORM."""
        return (run for run in self.runs.values() if run.state != "NORM")

    def take_delays(self) -> dict[str, bytes]:
        """State of alarms whose delays moved without an event since the last call; stored with the next telemetry."""
        states = {STATE_PREFIX + alarm_id: run.store() for alarm_id, run in self.dirty.items()}
        self.dirty.clear()
        return states | self.judges.take_states()

    def watch(self, poll: Poll) -> _Watch:
        """Compiled once for each poll."""
        watch = self.watches.get(poll)
        if watch is None:
            pairs = [
                (index, run)
                for index, point in enumerate(poll.points)
                for run in self.by_point.get((point.device, point.id), ())
            ]
            found = [
                (index, self.judges.cells.get((point.device, point.id))) for index, point in enumerate(poll.points)
            ]
            cells = [(index, cell) for index, cell in found if cell is not None]
            watch = self.watches[poll] = _Watch(*_columns(pairs), *_columns(cells))
            for cell in watch.cells:
                cell.heard = watch
        return watch


def step(rules: Rules, item: Reading | AlarmCommand | DeviceChange | Tick, now: Now) -> Step:
    """Take one item at one moment. Raises `Refused` for a command that means nothing; nothing else raises."""
    work = _Work(rules, now)
    if isinstance(item, Reading):
        work.read(item)
    elif isinstance(item, AlarmCommand):
        work.command(item)
    elif isinstance(item, DeviceChange):
        work.device(item)
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
        dues = [rules.dues[0][0] if rules.dues else None, rules.judges.next_due]
        return Step(self.events, states, min((due for due in dues if due is not None), default=None))

    def read(self, reading: Reading) -> None:
        watch = self.rules.watch(reading.poll)
        if watch.runs:
            for start, stop in reading.changed:
                first, last = bisect_left(watch.indexes, start), bisect_left(watch.indexes, stop)
                self._observe(reading, watch, first, last)
        if watch.cells and reading.changed:
            judges = self.rules.judges
            touched = judges.hear(reading, watch.cell_indexes, watch.cells, watch.heard)
            self._judge(touched, self._context(reading.time), heard=True)
        watch.heard = reading.mono

    def device(self, change: DeviceChange) -> None:
        judges = self.rules.judges.note_device(change.device, change.state, self.now.mono)
        self._judge(judges, self._context(self.now.wall), heard=True)

    def _judge(self, judges: Iterable[Judge], context: Context, *, heard: bool) -> None:
        for judge in judges:
            run = judge.run
            was_at_rest = run.at_rest
            turned = self.rules.judges.ask(judge, self.now, heard=heard)
            if turned or not (was_at_rest and run.at_rest):
                self._follow_up(run, context, turned=turned)

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
        self._judge(self.rules.judges.due(mono), context, heard=False)

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


def _columns(pairs: list[tuple[int, T]]) -> tuple[list[int], list[T]]:
    return [index for index, _ in pairs], [found for _, found in pairs]
