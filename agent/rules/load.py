"""How many alarms people are called for: what EEMUA 191 and ISA-18.2 measure, and whether there is a flood.

What is counted calls for people anew (`ANNOUNCING`), is shown to them and is no test. Nothing is held back because of
what is counted here. It is kept for a day, also over a restart: what was counted in the last ten seconds before a
kill is all that may be missing.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from agent.rules.machine import ANNOUNCING
from config.model import Colour

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.clock import Now
    from agent.events import AlarmTransition

T = TypeVar("T")

FLOOD_S = 600.0
FLOOD_ABOVE = 10
CALM_BELOW = 5
"""A flood begins with more than 10 alarms in 10 minutes and lasts until they are fewer than 5, `domain.md` 4.5."""

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
WORST = 10

STATE_KEY = "load"
"""Key of the state that the journal keeps for the counts."""

STORE_S = 10.0
KEPT_PER_HOUR = 20
"""Counts are stored at most so often, and of each hour those of so many alarms, the ones that called most."""


class Figures(NamedTuple):
    """Alarms in the time just past, and the most there ever were within such a time of the last day."""

    last: int
    peak: int


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """Every time is a wall time: since when is counted, of the last calls, of the beginning of each stretch."""

    since: float
    floods: bool
    recent: list[float]
    minutes: list[tuple[float, dict[Colour, int]]]
    hours: list[tuple[float, dict[str, int]]]


class AlarmLoad:
    """Times are monotonic seconds, and do not go back. `since` is the wall time from which on is counted."""

    def __init__(self, stored: bytes | None = None) -> None:
        self.since: float | None = None
        self.is_dirty = False
        self._raw = stored
        self._stored_at = float("-inf")
        self._recent: deque[float] = deque(maxlen=FLOOD_ABOVE + 1)
        self._by_minute: _Buckets[Colour] = _Buckets(MINUTE_S)
        self._by_hour: _Buckets[str] = _Buckets(HOUR_S)
        self._floods = False

    def resume(self, now: Now) -> None:
        """The first moment after a start: what was counted before it goes on to age."""
        if self.since is not None:  # another configuration is no start
            return
        raw, self._raw, self.since = self._raw, None, now.wall
        if raw is None:
            return
        stored = msgspec.msgpack.decode(raw, type=_Stored)
        ahead_s = now.wall - now.mono
        self.since = min(stored.since, now.wall)
        self._floods = self._floods or stored.floods
        recent = (min(at - ahead_s, now.mono) for at in stored.recent)
        self._recent = deque(sorted((*recent, *self._recent)), FLOOD_ABOVE + 1)
        self._by_minute.put_before(((at - ahead_s, counts) for at, counts in stored.minutes), now.mono)
        self._by_hour.put_before(((at - ahead_s, counts) for at, counts in stored.hours), now.mono)

    def take_state(self, now: Now, *, at_once: bool = False) -> dict[str, bytes]:
        """What is to be stored, if anything: the end of an orderly stop waits for nothing."""
        if not self.is_dirty or (now.mono < self._stored_at + STORE_S and not at_once):
            return {}
        self.is_dirty, self._stored_at = False, now.mono
        ahead_s = now.wall - now.mono
        stored = _Stored(
            now.wall if self.since is None else self.since,
            self._floods,
            [at + ahead_s for at in self._recent],
            [(at + ahead_s, dict(counts)) for at, counts in self._by_minute.begun(now.mono)],
            [(at + ahead_s, dict(counts.most_common(KEPT_PER_HOUR))) for at, counts in self._by_hour.begun(now.mono)],
        )
        return {STATE_KEY: msgspec.msgpack.encode(stored)}

    def take(self, body: AlarmTransition, mono: float) -> bool:
        """One event of an alarm; true while there is a flood."""
        floods = self.floods(mono)  # it may have ended since the last one
        if body.action not in ANNOUNCING or body.hidden or body.test:
            return floods
        self.is_dirty = True
        self._recent.append(mono)
        self._by_minute.add(body.colour, mono)
        self._by_hour.add(body.alarm_id, mono)
        return self.floods(mono)

    def floods(self, mono: float) -> bool:
        """Whether too many alarms come at once."""
        within = sum(mono - at < FLOOD_S for at in self._recent)
        self._floods = within > FLOOD_ABOVE or (self._floods and within >= CALM_BELOW)
        return self._floods

    def per(self, span_s: int, mono: float) -> Figures:
        """Alarms of the last `span_s` seconds, to the minute, and the peak of that within a day."""
        counts = [(minute, found.total()) for minute, found in self._by_minute.recent(mono)]
        width, newest = span_s // MINUTE_S, int(mono // MINUTE_S)
        last = sum(count for minute, count in counts if minute > newest - width)
        return Figures(last, _peak(counts, width))

    def colours(self, mono: float) -> Counter[Colour]:
        """How many of the last day had which colour."""
        return self._by_minute.total(mono)

    def worst(self, mono: float) -> list[tuple[str, int]]:
        """The alarms that called most often within the last day, to the hour, each with how often."""
        return sorted(self._by_hour.total(mono).items(), key=lambda item: (-item[1], item[0]))[:WORST]


def _peak(counts: list[tuple[int, int]], width: int) -> int:
    """The most within so many minutes; `counts` are by ascending minute."""
    window: deque[tuple[int, int]] = deque()
    total = peak = 0
    for minute, count in counts:
        window.append((minute, count))
        total += count
        while window[0][0] <= minute - width:
            total -= window.popleft()[1]
        peak = max(peak, total)
    return peak


class _Buckets(Generic[T]):
    """Counts for each stretch of `span_s` in which there were any, for a day."""

    def __init__(self, span_s: int) -> None:
        self._span_s = span_s
        self._kept: deque[tuple[int, Counter[T]]] = deque()

    def add(self, what: T, mono: float) -> None:
        number = int(mono // self._span_s)
        kept = self.recent(mono)
        if not kept or kept[-1][0] != number:
            kept.append((number, Counter()))
        kept[-1][1][what] += 1

    def recent(self, mono: float) -> deque[tuple[int, Counter[T]]]:
        """What is not older than a day, each with the number of its stretch."""
        oldest = int((mono - DAY_S) // self._span_s)
        while self._kept and self._kept[0][0] <= oldest:
            self._kept.popleft()
        return self._kept

    def begun(self, mono: float) -> Iterable[tuple[float, Counter[T]]]:
        """The same, each with the time at which its stretch began."""
        return ((float(number * self._span_s), counts) for number, counts in self.recent(mono))

    def put_before(self, begun: Iterable[tuple[float, dict[T, int]]], mono: float) -> None:
        """What was counted before a restart; nothing of it lies in the future."""
        merged: dict[int, Counter[T]] = {}
        for at, counts in begun:
            merged.setdefault(int(min(at, mono) // self._span_s), Counter()).update(counts)
        for number, present in self._kept:
            merged.setdefault(number, Counter()).update(present)
        self._kept = deque(sorted(merged.items(), key=lambda item: item[0]))
        self.recent(mono)

    def total(self, mono: float) -> Counter[T]:
        found: Counter[T] = Counter()
        for _, counts in self.recent(mono):
            found.update(counts)
        return found
