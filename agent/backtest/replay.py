"""Recorded input through the rules of one configuration, on virtual time.

A value stands until the next one, and meanwhile its device answers at the configured intervals, as it did on its line;
a journal's value stands no longer than until its next heartbeat should have come. After that nobody knows.
"""

from __future__ import annotations

import heapq
from functools import cache
from itertools import count
from math import ceil
from typing import TYPE_CHECKING

from agent.backtest.spells import Spells
from agent.clock import Now
from agent.events import AlarmTransition
from agent.history import hold_s
from agent.poll import polls_of
from agent.rules import DeviceChange, Rules, Tick, step
from drivers.contract import Grade, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.backtest.recorded import Item, Told
    from config.model import Config
    from drivers.contract import Poll, Span, Value

UNKNOWN = Quality(Grade.BAD, "not_connected")
GRADES = {"uncertain": Grade.UNCERTAIN, "bad": Grade.BAD}
INSTANT = 1e-6
LATE = 1.5
"""A poll that was not heard of for so many of its intervals was confirmed meanwhile."""


class _Poll:
    """What the points of one poll are now, when one of them was last told, and when the poll was last heard of."""

    __slots__ = ("flaws", "heard", "hold_s", "is_lost", "poll", "told", "values")

    def __init__(self, poll: Poll, *, stands: bool) -> None:
        size = len(poll.points)
        self.poll = poll
        self.values: list[Value] = [None] * size
        self.flaws: dict[int, Quality] = dict.fromkeys(range(size), UNKNOWN)
        self.hold_s = float("inf") if stands else max(hold_s(point) for point in poll.points)
        self.told = self.heard = float("-inf")
        self.is_lost = True

    def put(self, index: int, told: Told) -> None:
        self.values[index] = told.v
        if told.q != "good":
            self.flaws[index] = _quality(told.q, told.qr)
        elif self.flaws:
            self.flaws.pop(index, None)

    def before(self, mono: float) -> float:
        """When it was asked last before a moment, at which it may have said something else."""
        return self.heard + (ceil((mono - self.heard) / self.poll.interval_s - INSTANT) - 1) * self.poll.interval_s

    def lose(self) -> None:
        self.values = [None] * len(self.values)
        self.flaws = dict.fromkeys(range(len(self.values)), UNKNOWN)
        self.is_lost = True


class Replay:
    """One configuration. `began` is epoch seconds; with `stands` a value stands for ever, until the next one."""

    def __init__(self, config: Config, began: float, *, stands: bool) -> None:
        self.spells = Spells()
        self._rules = Rules.build(config, {})
        self._began = began
        self._mono = 0.0
        self._due: float | None = None
        self._places: dict[str, dict[str, tuple[_Poll, int]]] = {}
        self._polls: list[_Poll] = []
        self._losses: list[tuple[float, int, _Poll]] = []
        self._order = count()
        for device in config.devices:
            places = self._places[device.id] = {}
            for poll in polls_of(device):
                made = _Poll(poll, stands=stands)
                self._polls.append(made)
                places.update({point.id: (made, index) for index, point in enumerate(poll.points)})

    def take(self, item: Item) -> None:
        """One item; they come in the order of time."""
        time_s, _, device, said = item
        mono = time_s - self._began
        self.until(mono)
        if isinstance(said, str):
            self._step(DeviceChange(device, said), mono)
            return
        places = self._places.get(device)
        if places is None:
            return
        touched: dict[_Poll, list[int]] = {}
        for told in said:
            place = places.get(told.p)
            if place is not None:
                poll, index = place
                poll.put(index, told)
                touched.setdefault(poll, []).append(index)
        for poll, indexes in touched.items():
            self._told(poll, indexes, mono)

    def end(self, time_s: float) -> None:
        """What would have happened by itself until this moment."""
        self.until(time_s - self._began)

    def until(self, mono: float) -> None:
        """Delays that are served, and values that are no longer known, up to a moment."""
        while True:
            due = float("inf") if self._due is None else self._due
            loss = self._losses[0][0] if self._losses else float("inf")
            if min(due, loss) > mono:
                return
            if loss <= due:
                self._lose(heapq.heappop(self._losses)[2], loss)
            else:
                self._tick(max(due, self._mono))

    def _tick(self, mono: float) -> None:
        for poll in self._polls:
            if not poll.is_lost and mono - poll.heard > poll.poll.interval_s:
                self._confirm(poll, poll.before(mono))
        before = self._due
        self._step(Tick(), mono)
        if self._due == before:  # Nothing has come of it, and nothing will.
            self._due = None

    def _told(self, poll: _Poll, indexes: list[int], mono: float) -> None:
        if not poll.is_lost and mono - poll.heard > LATE * poll.poll.interval_s:
            self._confirm(poll, poll.before(mono))
        if poll.is_lost:
            poll.is_lost = False
            if poll.hold_s != float("inf"):
                heapq.heappush(self._losses, (mono + poll.hold_s, next(self._order), poll))
        poll.told = poll.heard = mono
        self._hear(poll, _spans(indexes, len(poll.values)), mono)

    def _confirm(self, poll: _Poll, mono: float) -> None:
        poll.heard = mono
        self._hear(poll, (), mono)

    def _lose(self, poll: _Poll, mono: float) -> None:
        """Nothing was told of it for so long, unless something was since this was noted."""
        if poll.told + poll.hold_s > mono:
            heapq.heappush(self._losses, (poll.told + poll.hold_s, next(self._order), poll))
            return
        poll.lose()
        self._hear(poll, ((0, len(poll.values)),), mono)

    def _hear(self, poll: _Poll, changed: Sequence[Span], mono: float) -> None:
        reading = Reading(poll.poll, self._began + mono, mono, poll.values, poll.flaws, changed)
        self._step(reading, max(mono, self._mono))

    def _step(self, item: Reading | DeviceChange | Tick, mono: float) -> None:
        self._mono = mono
        outcome = step(self._rules, item, Now(self._began + mono, mono))
        self._due = outcome.next_due
        for event in outcome.events:
            if isinstance(event.body, AlarmTransition):
                self.spells.note(event.body, self._began + mono)


@cache
def _quality(name: str, reason: str) -> Quality:
    return Quality(GRADES[name], reason)  # type: ignore[arg-type]  # what was recorded is one of ours


def _spans(indexes: list[int], size: int) -> Sequence[Span]:
    """Half-open ranges that cover the indexes."""
    if len(indexes) >= size:
        return ((0, size),)
    indexes.sort()
    spans: list[Span] = []
    for index in indexes:
        if spans and index <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(index + 1, spans[-1][1])
        else:
            spans.append((index, index + 1))
    return spans
