"""Reading in; rules; telemetry thinning; records; append. The stage between the lines and the journal, on one screen.

Invariants: rules see every reading, in order, before any thinning; an alarm's events and its state are one
transaction; an alarm is shown (and, because the uplink reads the journal, sent) only when that transaction is on disk,
or, while the disk is away, in the journal's memory, and then it says so (`durable`); telemetry is never held longer
than its window. The inbox is bounded, so a slow disk slows the pollers instead of filling memory.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from agent.envelope import draft, volatile
from agent.events import AlarmTransition, DeviceState, Event
from agent.evidence import Evidence
from agent.garbage import paused
from agent.histogram import Histogram
from agent.rules import AlarmCommand, DeviceChange, MaintenanceCommand, NewConfiguration, Refused, Tick, step
from agent.telemetry import Telemetry
from drivers.contract import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent.clock import Clock, Now
    from agent.events import ClockState
    from agent.rules import Rules, Step
    from agent.rules.maintenance import Change
    from agent.rules.steps import Item as StepItem
    from buffer.journal import Journal
    from buffer.record import Draft

INBOX_MAX = 2_000
"""Readings that may wait: at 100 devices a second, twenty seconds of a disk that does not answer."""


ALARM_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""The classes into which alarms are counted, by how long they took to be stored."""


class End:
    """The lines are closed: nothing more will come."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command and the one who waits for its outcome, once that is on disk."""

    command: AlarmCommand | MaintenanceCommand
    done: asyncio.Future[Step]


@dataclass(frozen=True, slots=True)
class Renewal:
    """Another configuration, between two readings, and the one who waits until the rules have it."""

    configuration: NewConfiguration
    done: asyncio.Future[Step]


Item = Reading | Event | Order | Renewal | Tick | End


class Pipeline:
    """Give it items with `put`; it ends after `End`."""

    def __init__(
        self,
        rules: Rules,
        journal: Journal,
        clock: Clock,
        window_s: float,
        meta_ver: str,
    ) -> None:
        self._rules = rules
        self._journal = journal
        self._clock = clock
        self._window_s = window_s
        self._telemetry = Telemetry(meta_ver)
        self._evidence = Evidence((run.alarm for run in rules.runs.values()), window_s)
        self._inbox: asyncio.Queue[Item] = asyncio.Queue(INBOX_MAX)
        self._flush_due: float | None = None
        self._window_began = 0.0
        self._was_unsynced = clock.state() == "unsynced"
        self._unsynced_at = -math.inf
        self._alarm_due: float | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._ticker_due: float | None = None
        self._stored: set[asyncio.Future[bool]] = set()
        self._failure: BaseException | None = None
        self.listeners: list[Callable[[Iterable[Event]], None]] = []
        self.by_clock: list[Callable[[Change], None]] = []
        self.readings = 0
        self.values_changed = 0
        self.alarm_times = Histogram(ALARM_BOUNDS_S)

    async def put(self, item: Item) -> None:
        """Hand over one item; waits while the inbox is full."""
        await self._inbox.put(item)

    @property
    def waiting(self) -> int:
        """Items that are not looked at yet."""
        return self._inbox.qsize()

    async def run(self) -> None:
        """Until `End`; then everything gathered is appended and on disk. Raises what the journal could not do."""
        for run in self._rules.runs.values():
            self._evidence.resume(run.alarm.id, run.changed, self._clock.now())
        self._act(self._step(Tick(), self._clock.now()), self._clock.mono())
        self._set_ticker()
        while not isinstance(item := await self._inbox.get(), End):
            if self._failure is not None:
                raise self._failure
            self._take(item)
            await self._journal.room()
            self._set_ticker()
        self._flush(at_end=True)
        if self._ticker is not None:
            self._ticker.cancel()
        await asyncio.gather(*self._stored)

    # --- items ----------------------------------------------------------------------------------------------------

    def _take(self, item: Item) -> None:
        if isinstance(item, Reading):
            self._take_reading(item)
        elif isinstance(item, Event):
            self._take_event(item)
        elif isinstance(item, Order):
            self._take_order(item)
        elif isinstance(item, Renewal):
            self._take_renewal(item)
        now = self._clock.now()
        if self._alarm_due is not None and now.mono >= self._alarm_due:
            self._act(self._step(Tick(), now), self._alarm_due)
        if self._flush_due is not None and now.mono >= self._flush_due:
            self._flush()

    def _take_reading(self, reading: Reading) -> None:
        self.readings += 1
        for start, stop in reading.changed:
            self.values_changed += stop - start
        outcome = self._step(reading, self._clock.now())
        self._act(outcome, reading.mono)
        for each in (reading, *outcome.derived):
            self._evidence.take(each, self._telemetry.take(each))
        if self._flush_due is None and self._has_more():
            self._flush_due = reading.mono + self._window_s
            self._window_began = reading.mono
            self._clock_state_since(reading.mono)

    def _has_more(self) -> bool:
        """Whether there will be something to flush."""
        return self._telemetry.is_pending or self._evidence.is_open or self._rules.has_news

    def _take_event(self, event: Event) -> None:
        """What happened to a device, and what follows from it, are one transaction."""
        body = event.body
        if not isinstance(body, DeviceState):
            self._append([event], {}, self._clock.mono())
            return
        now = self._clock.now()
        outcome = self._step(DeviceChange(body.device, body.state), now)
        self._alarm_due = outcome.next_due
        self._append([event, *self._referring(outcome.events)], outcome.states, now.mono)

    def _take_order(self, order: Order) -> None:
        now = self._clock.now()
        try:
            outcome = self._step(order.command, now)
        except Refused as refused:
            order.done.set_exception(refused)
            return
        self._act_and_answer(outcome, now.mono, order.done)

    def _take_renewal(self, renewal: Renewal) -> None:
        """What was gathered under the old configuration goes out under it."""
        self._flush()
        new, now = renewal.configuration, self._clock.now()
        with paused():
            outcome = self._step(new, now)
        alarms = [run.alarm for run in self._rules.runs.values()]
        self._window_s = new.config.journal.telemetry_window_s
        rest = self._evidence.renew(alarms, new.kept, now.mono, self._window_s)
        self._store(self._drafts(chain(*(self._telemetry.batches(*batch) for batch in rest))), {}, ())
        self._telemetry.renew(new.config.version, new.kept)
        self._act(outcome, now.mono)
        _answer(renewal.done, outcome)

    def _step(self, item: StepItem, now: Now) -> Step:
        """The rules' answer; whoever keeps account of maintenance hears first of what began or ended by itself."""
        outcome = step(self._rules, item, now)
        for change in outcome.by_clock:
            for listener in self.by_clock:
                listener(change)
        return outcome

    def _act_and_answer(self, outcome: Step, since: float, done: asyncio.Future[Step]) -> None:
        """Whoever waits hears of it once it is stored."""
        stored = self._act(outcome, since)
        if stored is None:
            _answer(done, outcome)
        else:
            stored.add_done_callback(lambda _: _answer(done, outcome))

    def _act(self, outcome: Step, since: float) -> asyncio.Future[bool] | None:
        """`since` is when it could have been known at the earliest, monotonic seconds."""
        self._alarm_due = outcome.next_due
        if not outcome.events and not outcome.states:
            return None
        return self._append(self._referring(outcome.events), outcome.states, since)

    def _referring(self, events: Iterable[Event]) -> list[Event]:
        """With what the beginning or the end of an alarm says of the samples around it."""
        return [
            self._refer(event, event.body) if isinstance(event.body, AlarmTransition) else event for event in events
        ]

    def _refer(self, event: Event, body: AlarmTransition) -> Event:
        reference = self._evidence.turned(body, self._clock.mono())
        return replace(event, body=msgspec.structs.replace(body, evidence=reference)) if reference else event

    # --- the journal ----------------------------------------------------------------------------------------------

    def _append(self, events: list[Event], states: Mapping[str, bytes], since: float) -> asyncio.Future[bool]:
        stored = self._store(self._drafts(events), states, events)
        alarms = sum(isinstance(event.body, AlarmTransition) for event in events)
        if alarms:
            stored.add_done_callback(lambda _: self._count(alarms, since))
        return stored

    def _count(self, alarms: int, since: float) -> None:
        for _ in range(alarms):
            self.alarm_times.observe(self._clock.mono() - since)

    def _store(self, drafts: list[Draft], states: Mapping[str, bytes], events: Iterable[Event]) -> asyncio.Future[bool]:
        """One transaction; when it is stored the listeners hear of `events`."""
        stored = self._journal.append(drafts, states)
        self._stored.add(stored)
        stored.add_done_callback(lambda done: self._on_stored(done, events))
        return stored

    def _drafts(self, events: Iterable[Event], since: float = math.inf) -> list[Draft]:
        """`since` is when the oldest thing in them was read, where that is not now."""
        clock_state = self._clock_state_since(since)
        return [draft(event, clock_state) for event in events]

    def _clock_state_since(self, mono: float) -> ClockState:
        """What the clock is worth; unsynced as well where it may have been so at that moment or later."""
        state = self._clock.state()
        is_unsynced = state == "unsynced"
        if is_unsynced or self._was_unsynced:  # what was read before a server was heard may still wait in the inbox
            self._unsynced_at = self._clock.mono()
        self._was_unsynced = is_unsynced
        return "unsynced" if self._unsynced_at >= mono else state

    def _on_stored(self, stored: asyncio.Future[bool], events: Iterable[Event]) -> None:
        self._stored.discard(stored)
        if stored.cancelled():
            return
        self._failure = self._failure or stored.exception()
        if stored.exception() is None:
            if not stored.result():
                events = [volatile(event) for event in events]
            for listener in self.listeners:
                listener(events)

    def _flush(self, *, at_end: bool = False) -> None:
        """All gathered telemetry, and the delays that moved, as one append."""
        self._flush_due = None
        now = self._clock.now()
        drafts = self._drafts(self._telemetry.flush(), self._window_began)
        remembered = (self._telemetry.batches(*batch) for batch in self._evidence.due(now.mono))
        drafts += self._drafts(chain.from_iterable(remembered), now.mono - self._evidence.back_s)
        states = self._rules.take_delays(now, at_end=at_end)
        if drafts or states:
            self._store(drafts, states, ())

    # --- time -----------------------------------------------------------------------------------------------------

    def _set_ticker(self) -> None:
        """Keep one sleeping task for the next moment at which something is due without an item."""
        dues = [due for due in (self._alarm_due, self._flush_due) if due is not None]
        due = min(dues, default=None)
        if due is None or (self._ticker_due is not None and self._ticker_due <= due):
            return
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker_due = due
        self._ticker = asyncio.get_running_loop().create_task(self._tick_at(due), name="pipeline-tick")

    async def _tick_at(self, due: float) -> None:
        await self._clock.sleep_until(due)
        self._ticker_due = None
        with suppress(asyncio.QueueFull):  # a full inbox looks at the time by itself
            self._inbox.put_nowait(Tick())


def _answer(done: asyncio.Future[Step], outcome: Step) -> None:
    """Whoever gave the order may have stopped waiting."""
    if not done.done():
        done.set_result(outcome)
