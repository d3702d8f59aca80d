"""Alarms whose condition is more than the present value of their point, and what each of them listens to.

A judge belongs to one alarm. It is asked after each reading that changed one of its cells, and when time alone may have
changed its answer; what it says goes into the lanes of its alarm like a value that was read.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from agent.rules.cells import Cell, Evaluator, Key
from agent.rules.gauges import GOOD, LOOK_S_MIN, TOO_LITTLE, UNKNOWN, usable
from agent.rules.sources import Gate, Measured, Present, Source, Told, gauge_of
from config.judgement import Computed, Deviation, Faulty, Limit, LineDown, Offline

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from agent.clock import Now
    from agent.events import DeviceCondition
    from agent.rules.occurrence import Run
    from config.judgement import Formula
    from config.model import Alarm, PointType
    from drivers.contract import Quality, Reading, Value

STATE_PREFIX = "judge/"
"""Keys of the state that the journal keeps for judges: this and the alarm's id."""

STORE_S = 60.0
"""What a judge has counted is stored so often while it counts: more than this is never lost in a crash."""


OFFLINE = ""
FAULT = "#fault"
LINE = ""
"""Keys of the cells that say how a device or a line is; no point and no device can be called that."""


class Judge:
    """One alarm, what it is judged on, what it is shut by, and what of that was last stored.

    `own` is the cell of the alarm's point, if it has one; where no limit is judged, people see its value.
    """

    __slots__ = ("due", "gate", "own", "raw", "run", "source", "stored_at")

    def __init__(self, run: Run, source: Source, gate: Gate | None, own: Cell | None, raw: bytes | None) -> None:
        self.run = run
        self.source = source
        self.gate = gate
        self.own = own
        self.raw = raw
        self.due: float | None = None
        self.stored_at = float("-inf")

    def judge(self, now: Now) -> bool:
        """Ask the source and put its answer into the alarm's lanes; true when one of them turned."""
        value, quality = self.source.look(now.mono)
        run, gate = self.run, self.gate
        if gate is not None and gate.is_shut:
            turned = run.release(value, quality, now)
        else:
            worth = quality if gate is None else gate.worth(quality)
            turned = run.observe(value, worth, now, self._known_until())
            run.quality = quality
            if quality is TOO_LITTLE and all(usable(cell.value, cell.quality) for cell in self.source.cells):
                run.bad.stop()  # its source is well; there is only not enough of it yet
        if self.own is not None:
            run.source_time = self.own.source_time
            if not isinstance(run.alarm.condition, Limit):
                run.value, run.quality = self.own.value, self.own.quality
        return turned

    def _known_until(self) -> float:
        return min(
            cell.confirmed if usable(cell.value, cell.quality) else cell.known_until for cell in self.source.cells
        )

    def wake(self, now: Now) -> None:
        """Go on with what was stored before the restart. State of another form is that of another condition."""
        raw, self.raw = self.raw, None
        if raw is None or not isinstance(self.source, Measured):
            return
        stored = msgspec.msgpack.decode(raw, type=_Stored)
        if stored.condition == repr(self.run.alarm.condition):
            self.source.gauge.restore(stored.kept, max(0.0, now.wall - stored.wall), now.mono)

    def go_on(self, before: Judge) -> None:
        """Take over what another one measures with, if it measures the same and has been woken."""
        same = self.run.alarm.condition == before.run.alarm.condition and before.raw is None
        if same and isinstance(self.source, Measured) and isinstance(before.source, Measured):
            self.source.gauge, self.raw, self.stored_at = before.source.gauge, None, before.stored_at

    def present(self, now: Now) -> bytes | None:
        """As `store`; before it was woken that is what it will wake with."""
        return self.store(now) if self.raw is None else self.raw

    def store(self, now: Now) -> bytes | None:
        """What a restart must find again; nothing where the source keeps nothing."""
        if not isinstance(self.source, Measured):
            return None
        self.stored_at = now.mono
        return msgspec.msgpack.encode(
            _Stored(now.wall, repr(self.run.alarm.condition), self.source.gauge.store(now.mono))
        )


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    wall: float
    condition: str
    kept: list[float | str | bool | None]


class Judges:
    """All of them, the cells that they listen to, and when one of them has to be asked without a reading."""

    def __init__(self, stored: Mapping[str, bytes] | None = None, types: Mapping[Key, PointType] | None = None) -> None:
        self._stored = stored or {}
        self._types = types or {}
        self._dues: list[tuple[float, int, Judge]] = []
        self._order = count()
        self._dirty: dict[str, bytes] = {}
        self.cells: dict[Key, Cell] = {}
        self.by_alarm: dict[str, Judge] = {}

    def add(self, run: Run) -> bool:
        """Appoint a judge if the alarm needs one; false where the present value of its point says it all."""
        alarm = run.alarm
        source = self._source(alarm)
        if source is None and alarm.when is None:
            return False
        source = source or Present((self._cell(alarm.device, alarm.point),))
        gate = Gate(self._evaluator(alarm.when)) if alarm.when is not None else None
        own = self._cell(alarm.device, alarm.point) if alarm.point else None
        judge = Judge(run, source, gate, own, self._stored.get(STATE_PREFIX + alarm.id))
        self.by_alarm[alarm.id] = judge
        for cell in dict.fromkeys((*source.cells, *(gate.cells if gate else ()), *((own,) if own else ()))):
            cell.judges.append(judge)
        return True

    def _evaluator(self, formula: Formula) -> Evaluator:
        return Evaluator(formula, self._cell, self._types)

    def _source(self, alarm: Alarm) -> Source | None:
        condition, cell = alarm.condition, self._cell
        match condition:
            case Limit(measure=Deviation(device, point, value)):
                others = (cell(device, point),) if value is None else ()
                return Present((cell(alarm.device, alarm.point), *others), value or 0.0)
            case Offline():
                return Present((cell(alarm.device, OFFLINE),))
            case Faulty():
                return Present((cell(alarm.device, FAULT),))
            case LineDown(line):
                return Present((cell(LINE, line),))
            case Computed(formula):
                return Told(self._evaluator(formula))
        gauge = gauge_of(condition)
        return None if gauge is None else Measured(cell(alarm.device, alarm.point), gauge)

    def _cell(self, device: str, point: str) -> Cell:
        return self.cells.setdefault((device, point), Cell())

    # --- what is to be judged -------------------------------------------------------------------------------------

    def hear(self, reading: Reading, indexes: list[int], cells: list[Cell], known_until: float) -> Iterable[Judge]:
        """Put what a reading changed into `cells`, which are at `indexes`; gives whoever has to judge anew."""
        touched: dict[Judge, None] = {}
        values, flaws = reading.values, reading.flaws
        for start, stop in reading.changed:
            for at in range(bisect_left(indexes, start), bisect_left(indexes, stop)):
                index, cell = indexes[at], cells[at]
                cell.put(values[index], flaws.get(index, GOOD), reading.mono, known_until)
                cell.source_time = reading.source_times.get(index)
                touched.update(dict.fromkeys(cell.judges))
        return touched

    def note_device(self, device: str, state: DeviceCondition, mono: float) -> Iterator[Judge]:
        """A device came, went or got worse; whether it has a fault is not known of one that is not there."""
        is_offline = state == "offline"
        yield from self._note((device, OFFLINE), is_offline, GOOD, mono)
        if is_offline:
            yield from self._note((device, FAULT), None, UNKNOWN, mono)
        else:
            yield from self._note((device, FAULT), state == "degraded", GOOD, mono)

    def note_line(self, line: str, *, is_down: bool, mono: float) -> Iterator[Judge]:
        yield from self._note((LINE, line), is_down, GOOD, mono)

    def _note(self, key: Key, value: Value, quality: Quality, mono: float) -> Iterator[Judge]:
        cell = self.cells.get(key)
        if cell is not None and (cell.value, cell.quality) != (value, quality):
            cell.put(value, quality, mono, mono)
            yield from cell.judges

    def due(self, mono: float) -> Iterator[Judge]:
        """Whoever has to judge now, though nothing was read."""
        while self._dues and self._dues[0][0] <= mono:
            due, _, judge = heapq.heappop(self._dues)
            if due == judge.due:
                judge.due = None
                yield judge

    @property
    def next_due(self) -> float | None:
        return self._dues[0][0] if self._dues else None

    def ask(self, judge: Judge, now: Now, *, heard: bool) -> bool:
        """Let it judge, after a reading or because time passed; true when a lane of its alarm turned."""
        if judge.raw is not None:
            judge.wake(now)
        if heard:
            judge.source.take()
            if judge.gate is not None:
                judge.gate.take()
        turned = judge.judge(now)
        self._schedule(judge, now.mono)
        if now.mono - judge.stored_at >= STORE_S:
            self._keep(judge, now)
        return turned

    def _schedule(self, judge: Judge, mono: float) -> None:
        due = judge.source.next_due()
        if due is not None:
            due = min(due, mono + STORE_S) if due > mono else mono + LOOK_S_MIN
            if judge.due is None or due < judge.due:
                judge.due = due
                heapq.heappush(self._dues, (due, next(self._order), judge))

    def _keep(self, judge: Judge, now: Now) -> None:
        stored = judge.store(now)
        if stored is not None:
            self._dirty[STATE_PREFIX + judge.run.alarm.id] = stored

    def present(self, now: Now) -> dict[str, bytes]:
        """What all of them have counted."""
        found = {STATE_PREFIX + name: judge.present(now) for name, judge in self.by_alarm.items()}
        return {key: raw for key, raw in found.items() if raw is not None}

    def go_on(self, before: Judges, devices: Container[str]) -> None:
        """Count on where those of another configuration were, for alarms of `devices` on the same condition."""
        for name, judge in self.by_alarm.items():
            other = before.by_alarm.get(name)
            if other is not None and judge.run.alarm.device in devices:
                judge.go_on(other)

    def store_with(self, alarm_id: str, now: Now) -> dict[str, bytes]:
        """What the judge of an alarm has counted, to be stored with a transition of it."""
        judge = self.by_alarm.get(alarm_id)
        if judge is not None:
            self._keep(judge, now)
        key = STATE_PREFIX + alarm_id
        return {key: self._dirty.pop(key)} if key in self._dirty else {}

    @property
    def is_dirty(self) -> bool:
        return bool(self._dirty)

    def take_states(self) -> dict[str, bytes]:
        """What was counted since it was stored last; stored with the next telemetry."""
        states, self._dirty = self._dirty, {}
        return states
