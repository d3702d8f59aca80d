"""What is judged where it is not the value itself: the mean over a window, and the change over one.

A gauge follows one value through time and says what follows from it at a moment. A value holds until the next one, as
long as somebody confirms it; what nobody confirmed is not counted. Time comes in, and never goes back. The size of a
gauge is fixed by its window, so what is stored of it is bounded too.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Protocol

from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.contract import Reason, Value

SLOTS = 60
"""A window is kept in so many parts: a mean is right to a sixtieth of its window."""

COVERAGE_MIN = 0.75
"""The part of a window that must be known good, `domain.md` 4.3."""

LOOK_S_MAX = 60.0
LOOK_S_MIN = 1.0
"""What moves with time alone is looked at once for each slot, but not less and not more often than this."""

GOOD = Quality(Grade.GOOD, "ok")
UNKNOWN = Quality(Grade.BAD, "not_connected")
TOO_LITTLE = Quality(Grade.UNCERTAIN, "insufficient_data")
_EPSILON = 1e-9


class Gauge(Protocol):
    """`mono` is monotonic seconds throughout."""

    def take(self, value: Value, quality: Quality, mono: float, known_until: float, /) -> None:
        """A value that arrived at `mono`; the one before it was confirmed until `known_until`."""

    def look(self, mono: float, confirmed: float, /) -> tuple[Value, Quality]:
        """What follows at `mono`; the present value is confirmed until `confirmed`."""

    def next_due(self) -> float | None:
        """When the answer may change though no value does."""

    def store(self, mono: float, /) -> list[Value]:
        """What a restart must find again; times are relative to `mono`."""

    def restore(self, stored: Sequence[Value], gap_s: float, mono: float, /) -> None:
        """Go on at `mono`, `gap_s` after `store`; of the time between nothing is known."""


def usable(value: Value, quality: Quality) -> bool:
    """May this value be judged? The last known value of a silent or busy device is shown, not judged."""
    if value is None or quality.grade is Grade.BAD:
        return False
    return quality.reason not in ("last_known", "busy", "initial", "insufficient_data")


BEYOND: dict[Reason, float] = {"over_range": inf, "under_range": -inf}
"""What levels are held against where the sensor says only on which side of its range the value is. Never shown."""


def is_beyond(value: Value, quality: Quality) -> bool:
    """There is no number, but it is known to be above, or below, everything that the sensor can say."""
    return value is None and quality.reason in BEYOND


def number(value: Value, quality: Quality) -> float | None:
    """The value as a number, where it is one that is known good."""
    if quality.grade is not Grade.GOOD or value is None or isinstance(value, str):
        return None
    return float(value)


class RollingMean:
    """Time-weighted mean over the last `window_s`, in slots: the part under way, and as many full ones as fill it.

    The oldest slot counts with the part that is still inside the window.
    """

    __slots__ = ("_covered", "_full", "_full_covered", "_full_sum", "_mark", "_slot_end", "_slot_s", "_sum", "_value")

    def __init__(self, window_s: float) -> None:
        self._slot_s = window_s / SLOTS
        self._value: float | None = None
        self._mark: float | None = None
        self._clear(0.0)

    def _clear(self, mono: float) -> None:
        self._full: deque[tuple[float, float]] = deque([(0.0, 0.0)] * SLOTS, SLOTS)
        self._full_sum = self._full_covered = self._sum = self._covered = 0.0
        self._slot_end = mono + self._slot_s

    def take(self, value: Value, quality: Quality, mono: float, known_until: float) -> None:
        found = number(value, quality)
        if self._value is not None:
            # Between two good values the first one held; before a loss it held for as long as it was confirmed.
            self._advance(mono if found is not None else min(known_until, mono))
            self._value = None
        self._advance(mono)
        self._value = found

    def look(self, mono: float, confirmed: float) -> tuple[Value, Quality]:
        now = self._advance(mono if self._value is None else confirmed)
        outside = 1 - (self._slot_end - now) / self._slot_s
        oldest_sum, oldest_covered = self._full[0]
        covered = self._covered + self._full_covered - outside * oldest_covered
        if covered < COVERAGE_MIN * SLOTS * self._slot_s - _EPSILON:
            return None, TOO_LITTLE
        return (self._sum + self._full_sum - outside * oldest_sum) / covered, GOOD

    def next_due(self) -> float | None:
        return None if self._mark is None else self._mark + _pace(self._slot_s)

    def _advance(self, mono: float) -> float:
        """Count the present value, or the lack of one, up to `mono`; gives until when it is counted."""
        if self._mark is None or (self._value is None and mono - self._mark > (SLOTS + 1) * self._slot_s):
            self._clear(mono)
            self._mark = mono
        while mono > self._mark:
            until = min(mono, self._slot_end)
            if self._value is not None:
                self._sum += self._value * (until - self._mark)
                self._covered += until - self._mark
            self._mark = until
            if until >= self._slot_end:
                self._turn_slot()
        return self._mark

    def _turn_slot(self) -> None:
        self._full.append((self._sum, self._covered))
        self._full_sum = sum(total for total, _ in self._full)
        self._full_covered = sum(covered for _, covered in self._full)
        self._sum = self._covered = 0.0
        self._slot_end += self._slot_s

    def store(self, mono: float) -> list[Value]:
        now = mono if self._mark is None else self._mark
        return [self._slot_end - now, self._sum, self._covered, *(part for slot in self._full for part in slot)]

    def restore(self, stored: Sequence[Value], gap_s: float, mono: float) -> None:
        left_s, self._sum, self._covered, *parts = (float(part or 0.0) for part in stored)
        self._full = deque(zip(parts[::2], parts[1::2], strict=True), SLOTS)
        self._full_sum, self._full_covered = sum(parts[::2]), sum(parts[1::2])
        self._value = None
        self._mark = mono - gap_s
        self._slot_end = self._mark + left_s
        self._advance(mono)


class RateOfChange:
    """How much the value changed over the last `window_s`, told per `per_s`.

    It is measured from the earliest moment inside the window at which the value was known; where that is less than
    three quarters of the window ago, nothing is told. Of each slot its first and its last value are kept.
    """

    __slots__ = ("_mark", "_per_s", "_quality", "_samples", "_slot_s", "_value", "_window_s")

    def __init__(self, per_s: float, window_s: float) -> None:
        self._per_s = per_s
        self._window_s = window_s
        self._slot_s = window_s / SLOTS
        self._samples: deque[tuple[float, float | None]] = deque(maxlen=2 * SLOTS + 4)
        self._value: float | None = None
        self._quality = UNKNOWN
        self._mark = 0.0

    def take(self, value: Value, quality: Quality, mono: float, known_until: float) -> None:
        found = number(value, quality)
        last = self._samples[-1] if self._samples else None
        if found is not None:
            self._note(mono, found)
        elif last is not None and last[1] is not None:
            self._note(max(last[0], min(known_until, mono)), None)
        self._value = None if value is None or isinstance(value, str) else float(value)
        self._quality = quality

    def _note(self, mono: float, value: float | None) -> None:
        samples = self._samples
        if samples and samples[-1][1] == value:
            return
        if len(samples) > 1 and mono - samples[-2][0] < self._slot_s:
            samples.pop()
        samples.append((mono, value))

    def look(self, _mono: float, confirmed: float) -> tuple[Value, Quality]:
        self._mark = max(confirmed, self._mark)
        if self._value is None:
            return None, self._quality
        since, value = self._earliest(self._mark - self._window_s)
        span_s = self._mark - since
        if value is None or span_s < COVERAGE_MIN * self._window_s - _EPSILON:
            return None, TOO_LITTLE
        return (self._value - value) / span_s * self._per_s, self._quality

    def _earliest(self, start: float) -> tuple[float, float | None]:
        """The first moment from `start` on at which the value was known, and the value; older samples are dropped."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= start:
            samples.popleft()
        return next(((max(since, start), value) for since, value in samples if value is not None), (start, None))

    def next_due(self) -> float | None:
        samples = self._samples
        if self._value is None or not samples:
            return None
        rests = len(samples) == 1 and samples[0][0] <= self._mark - self._window_s
        return None if rests else self._mark + _pace(self._slot_s)

    def store(self, mono: float) -> list[Value]:
        return [part for since, value in self._samples for part in (mono - since, value)]

    def restore(self, stored: Sequence[Value], gap_s: float, mono: float) -> None:
        stopped = mono - gap_s
        for age_s, value in zip(stored[::2], stored[1::2], strict=True):
            self._samples.append((stopped - float(age_s or 0.0), None if value is None else float(value)))
        if self._samples and self._samples[-1][1] is not None:
            self._samples.append((stopped, None))
        self._mark = mono


def _pace(slot_s: float) -> float:
    return min(max(slot_s, LOOK_S_MIN), LOOK_S_MAX)
