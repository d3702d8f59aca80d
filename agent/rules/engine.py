"""All alarms together: one step takes a reading, a command or a tick, and gives events.

A reading costs per alarm on a changed point only; a value inside the quiet band of an alarm that is at rest costs two
comparisons.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from agent.clock import Now
from agent.events import AlarmTransition
from agent.rules.commands import AlarmCommand, MaintenanceCommand, Refused
from agent.rules.losses import STATE_KEY as LOSSES_KEY
from agent.rules.maintenance import STATE_KEY as MAINTENANCE_KEY
from agent.rules.observed import GOOD
from agent.rules.occurrence import Context
from agent.rules.orders import end_shelving, obey
from agent.rules.state import NOT_HEARD, STATE_PREFIX
from agent.rules.steps import DeviceChange, Step
from agent.rules.succession import NewConfiguration, latest, successor
from agent.rules.windows import NEVER
from drivers.contract import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Event
    from agent.rules.judges import Judge
    from agent.rules.maintenance import Change, Entry
    from agent.rules.occurrence import Run
    from agent.rules.state import Rules, Watch
    from agent.rules.steps import Item

EARLY_S = 1e-3
"""A tick that comes so much too early, because two clocks are added up in between, is in time."""

CLOCK_STEP_S = 1.0
"""A wall clock that moves by more against the monotonic one was set."""


def step(rules: Rules, item: Item, now: Now) -> Step:
    """Take one item at one moment. Raises `Refused` for a command that means nothing; nothing else raises."""
    work = _Work(rules, now)
    if not isinstance(item, AlarmCommand | MaintenanceCommand):  # a refusal must not take with it what was due
        work.look_at_the_clock()
    if isinstance(item, Reading):
        work.read(item)
    elif isinstance(item, AlarmCommand):
        work.command(item)
    elif isinstance(item, MaintenanceCommand):
        work.maintenance(item)
    elif isinstance(item, DeviceChange):
        work.device(item)
    elif isinstance(item, NewConfiguration):
        work.renew(item)
    else:
        work.tick()
    return work.done()


class _Work:
    """One step in progress."""

    __slots__ = ("by_clock", "derived", "entry", "events", "now", "rules", "states", "touched")

    def __init__(self, rules: Rules, now: Now) -> None:
        self.rules = rules
        self.now = now
        self.events: list[Event] = []
        self.derived: list[Reading] = []
        self.touched: list[Run] = []
        self.states: dict[str, bytes] = {}
        self.entry: Entry | None = None
        self.by_clock: list[Change] = []

    def done(self) -> Step:
        rules = self.rules
        for run in self.touched:
            rules.dirty.pop(run.alarm.id, None)
        states = {STATE_PREFIX + run.alarm.id: run.store(self.now.mono) for run in self.touched}
        for run in self.touched:
            states |= rules.judges.store_with(run.alarm.id, self.now)
        return Step(self.events, states | self.states, self._next_due(), self.derived, self.entry, self.by_clock)

    def _next_due(self) -> float | None:
        rules = self.rules
        by_wall = None if rules.wall_due == NEVER else rules.wall_due - self.now.wall + self.now.mono
        dues = (by_wall, rules.dues[0][0] if rules.dues else None, rules.judges.next_due)
        return min((due for due in dues if due is not None), default=None)

    def look_at_the_clock(self) -> None:
        """Serve what ends by the clock on the wall; heed that the clock was set, or that this is a start."""
        rules, now = self.rules, self.now
        offset = now.wall - now.mono
        if rules.offset is None:
            self._resume()
        elif abs(offset - rules.offset) > CLOCK_STEP_S:
            rules.heed_clock(now.wall)
            rules.set_wall_due(now.wall)
        rules.offset = offset
        if now.wall >= rules.wall_due - EARLY_S:
            self._end_shelvings()
            served = rules.maintenance.serve(now.wall + EARLY_S)
            self._maintain(served)
            self.by_clock += served
            rules.set_wall_due(now.wall)

    def _resume(self) -> None:
        """The first step after a start."""
        while self.rules.gone:
            self._remove(self.rules.gone.pop())
        self.rules.load.resume(self.now)
        for run in self.rules.runs.values():
            if run.stands or run.has_timers or run.told_in_test or run.told_overlay:
                self._tell(run, run.resume(self.now, self._context(run)))

    def _end_shelvings(self) -> None:
        rules = self.rules
        over = [run for run in rules.shelved.values() if run.shelving and run.shelving.until <= self.now.wall + EARLY_S]
        for run in over:
            del rules.shelved[run.alarm.id]
            self._tell(run, end_shelving(run, self.now, self._context(run)))

    def _maintain(self, changes: Iterable[Change]) -> None:
        """Have the alarms that are meant know of it, and keep it."""
        for entry, begins in changes:
            for run in self.rules.meant(entry):
                if begins:
                    entry.cover(run)
                else:
                    entry.uncover(run)
                event = run.overlay_changed(self.now, self._context(run))
                if event is not None:
                    self._tell(run, event)
                else:
                    self._schedule(run)
            self.states[MAINTENANCE_KEY] = self.rules.maintenance.store()

    def maintenance(self, command: MaintenanceCommand) -> None:
        rules, wall = self.rules, self.now.wall
        change = rules.maintenance.obey(command, wall, rules.runs.values())
        self.entry = change.entry
        self._maintain([change])
        rules.set_wall_due(wall)

    def read(self, reading: Reading) -> None:
        """The reading with all that is computed from it: nothing is judged on half of what it changed."""
        self.derived = self.rules.derived.take(reading)
        judges: dict[Judge, None] = {}
        for each in (reading, *self.derived):
            judges |= dict.fromkeys(self._hear(each))
        if judges:
            self._judge(judges, reading, heard=True)

    def _hear(self, reading: Reading) -> Iterable[Judge]:
        """Whatever is judged by itself, and whoever has to judge."""
        watch = self.rules.watch(reading.poll)
        if watch.runs:
            for start, stop in reading.changed:
                first, last = bisect_left(watch.indexes, start), bisect_left(watch.indexes, stop)
                self._observe(reading, watch, first, last)
        known_until, watch.heard = watch.heard, reading.mono
        if not reading.changed:
            return ()
        watch.latest = reading
        if not watch.cells:
            return ()
        return self.rules.judges.hear(reading, watch.cell_indexes, watch.cells, known_until)

    def device(self, change: DeviceChange) -> None:
        rules, now = self.rules, self.now
        rules.conditions[change.device] = change.state
        hidden = rules.losses.note(change.device, change.state, now.wall)
        judges = list(rules.judges.note_device(change.device, change.state, now.mono))
        line = rules.losses.line_state(change.device)
        if line is not None:
            judges += rules.judges.note_line(line[0], is_down=line[1], mono=now.mono)
        self._judge(judges, None, heard=True)
        self._hide(hidden)
        if hidden:
            self.states[LOSSES_KEY] = rules.losses.store()

    def _hide(self, changed: Iterable[Run]) -> None:
        """Tell of those that stand, or that were told to be hidden; of what is at rest nobody needs to know."""
        for run in changed:
            if run.state != "NORM" or run.told_overlay:
                self._tell(run, run.overlay_changed(self.now, self._context(run)))
            else:
                self._schedule(run)

    def _judge(self, judges: Iterable[Judge], reading: Reading | None, *, heard: bool) -> None:
        """Because of a reading, or of something else: a device that came or went, time that passed."""
        seen = self.now if reading is None else Now(reading.time, self.now.mono)
        for judge in judges:
            run = judge.run
            was_settled = run.settled
            turned = self.rules.judges.ask(judge, seen, heard=heard)
            if turned or not (was_settled and run.settled):
                self._follow_up(run, self._context(run, reading), turned=turned)

    def _observe(self, reading: Reading, watch: Watch, first: int, last: int) -> None:
        values, flaws = reading.values, reading.flaws
        # What asks for an alarm asks since it was read, however long the reading waited to be judged.
        seen = Now(reading.time, self.now.mono)
        for at in range(first, last):
            index, run = watch.indexes[at], watch.runs[at]
            value = values[index]
            if run.at_rest and run.band and not flaws and run.band[0] < value < run.band[1]:  # type: ignore[operator]  # without a flaw the value of a limit is a number
                run.value, run.quality = value, GOOD
                continue
            was_settled = run.settled
            run.source_time = reading.source_times.get(index)
            turned = run.observe(value, flaws.get(index, GOOD), seen, watch.heard)
            if turned or not (was_settled and run.settled):
                self._follow_up(run, self._context(run, reading), turned=turned)

    def renew(self, item: NewConfiguration) -> None:
        """As a start finds everything again, but for what goes on: that is known as well as it was."""
        rules, now = self.rules, self.now
        self.states |= rules.take_delays(now)
        heard, conditions = latest(rules, item), rules.conditions
        before = rules.runs
        rules.become(successor(rules, item, now))
        for name in before.keys() - rules.runs.keys():
            self._remove(before[name])
        self._resume()
        self.look_at_the_clock()
        for device, state in conditions.items():
            if device in item.kept_devices:
                self.device(DeviceChange(device, state))
        for reading in heard:
            self.read(reading)
        self.derived = []  # known before, and told

    def _remove(self, run: Run) -> None:
        event = run.remove(self.now, self._context(run))
        self.events += [self._counted(run, event)] if event is not None else []
        self.states[STATE_PREFIX + run.alarm.id] = run.store(self.now.mono)

    def tick(self) -> None:
        dues, mono = self.rules.dues, self.now.mono
        while dues and dues[0][0] <= mono:
            at, _, run = heapq.heappop(dues)
            if at != run.scheduled:
                continue  # it moved, and has an entry of its own
            run.scheduled = None
            due = run.next_due()
            if due is not None and due <= mono:
                self._tell(run, *run.serve(self.now, self._context(run)))
            else:
                self._schedule(run)
        self._judge(self.rules.judges.due(mono), None, heard=False)

    def command(self, command: AlarmCommand) -> None:
        rules = self.rules
        run = rules.runs.get(command.alarm_id)
        if run is None:
            raise Refused(f"there is no alarm {command.alarm_id}; see wardgate alarms", "unknown")
        event = obey(run, command, self.now, self._context(run))
        _keep(rules.shelved, run, run.shelving)
        _keep(rules.out_of_service, run, run.out_of_service)
        rules.set_wall_due(self.now.wall)
        self._tell(run, event)

    def _follow_up(self, run: Run, context: Context, *, turned: bool) -> None:
        """Announce what turned; note what must be stored and when the next delay is served."""
        self._tell(run, run.announce(self.now, context) if turned else None)

    def _tell(self, run: Run, *events: Event | None) -> None:
        """What was announced of an alarm, if anything; note what must be stored and when something is due."""
        rules = self.rules
        told = [self._counted(run, event) for event in events if event is not None]
        if told:
            self.events += told
            self.touched.append(run)
        else:
            rules.dirty[run.alarm.id] = run
        self._schedule(run)

    def _counted(self, run: Run, event: Event) -> Event:
        """Count it for the alarm load; in a flood it says so."""
        body = event.body
        assert isinstance(body, AlarmTransition), "a run tells of its transitions only"
        run.flood = self.rules.load.take(body, self.now.mono)
        return event if run.flood == body.flood else replace(event, body=msgspec.structs.replace(body, flood=run.flood))

    def _schedule(self, run: Run) -> None:
        """One entry for each alarm counts, that of `scheduled`; it moves on if nothing is due when its time comes."""
        rules, due = self.rules, run.next_due()
        if due is None:
            rules.running.pop(run.alarm.id, None)
            return
        rules.running[run.alarm.id] = run
        if run.scheduled is None or due < run.scheduled:
            run.scheduled = due
            heapq.heappush(rules.dues, (due, next(rules.order), run))

    def _context(self, run: Run, reading: Reading | None = None) -> Context:
        """By the reading that caused it, else by the last one that confirmed what the alarm looks at."""
        if reading is not None:
            return Context(self.rules.gateway, self.rules.cfg_ver, reading.time)
        found = (self.rules.watch_of.get(point) for point in run.alarm.points)
        heard = max((watch.heard for watch in found if watch is not None), default=NOT_HEARD)
        age_s = 0.0 if heard == NOT_HEARD else self.now.mono - heard
        return Context(self.rules.gateway, self.rules.cfg_ver, self.now.wall - age_s)


def _keep(among: dict[str, Run], run: Run, why: object) -> None:
    """Have it there while there is a reason for it."""
    if why is None:
        among.pop(run.alarm.id, None)
    else:
        among[run.alarm.id] = run
