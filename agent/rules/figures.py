"""One derived point: what its formula gives, or what adds up of that over time.

What adds up counts only time for which the result was known good and confirmed; the rest is its gap, in seconds, which
a point of its own can tell. While there is a gap the sum stands, and says that it lacks something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.rules.gauges import GOOD, number, usable
from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from agent.clock import Now
    from agent.rules.cells import Cell, Evaluator
    from config.model import Point
    from drivers.contract import Value

IN_GAP = Quality(Grade.UNCERTAIN, "insufficient_data", "gap")
OUT_OF_RANGE = Quality(Grade.UNCERTAIN, "range_suspect")
HOUR_S = 3600.0
DIGITS = 6
"""After the point: what adds up is told no finer than this."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What of a sum survives a restart: the wall time until which it counts, the sum, its gap, the last known state."""

    wall: float
    total: float
    gap_s: float
    last: float | None


class Figure(Protocol):
    """What a derived point is at a moment. `adds_up`: time alone changes it, while its points do not."""

    adds_up: bool

    @property
    def cells(self) -> tuple[Cell, ...]: ...

    def look(self, now: Now) -> tuple[Value, Quality]:
        """After something that it depends on was heard of."""


class Result:
    """What the formula gives; outside the plausible range of its point it is uncertain."""

    adds_up = False

    def __init__(self, point: Point, evaluator: Evaluator) -> None:
        self._point = point
        self._evaluator = evaluator
        self.cells = evaluator.cells

    def look(self, _now: Now) -> tuple[Value, Quality]:
        value, quality = self._evaluator.look()
        if self._point.type == "integer" and isinstance(value, float):
            value = round(value)
        if isinstance(value, (int, float)) and quality.grade is Grade.GOOD and self._is_outside(value):
            return value, OUT_OF_RANGE
        return value, quality

    def _is_outside(self, value: float) -> bool:
        low, high = self._point.low, self._point.high
        return (low is not None and value < low) or (high is not None and value > high)


class Sum:
    """The integral of the formula over hours: hours for which it was true, or energy from power."""

    adds_up = True

    def __init__(self, evaluator: Evaluator, kept: Kept | None) -> None:
        self._evaluator = evaluator
        self._kept = kept
        self._total = kept.total if kept else 0.0
        self._value: float | None = None
        self._mark: float | None = None
        self.cells = evaluator.cells
        self.gap_s = kept.gap_s if kept else 0.0

    def look(self, now: Now) -> tuple[Value, Quality]:
        value = number(*self._evaluator.look())
        self._count(now, value)
        self._value = value
        return round(self._total, DIGITS), IN_GAP if value is None else GOOD

    def _count(self, now: Now, value: float | None) -> None:
        """What was known until now adds up as far as it was confirmed; what nobody knew is gap."""
        if self._mark is None:
            self.gap_s += max(0.0, now.wall - self._kept.wall) if self._kept else 0.0
            self._mark = now.mono
            return
        if self._value is not None:
            until = max(self._mark, min(self._confirmed(), now.mono))
            self._total += self._value * (until - self._mark) / HOUR_S
            self._mark = until
        if self._value is None or value is None:
            self.gap_s += max(0.0, now.mono - self._mark)
            self._mark = max(now.mono, self._mark)

    def _confirmed(self) -> float:
        return min(cell.confirmed if usable(cell.value, cell.quality) else cell.known_until for cell in self.cells)

    def keep(self, now: Now) -> Kept:
        behind_s = 0.0 if self._mark is None else now.mono - self._mark
        return Kept(now.wall - behind_s, self._total, self.gap_s, None)


class Starts:
    """How often the formula became true, as far as anybody saw. Over a gap, once at most."""

    adds_up = False

    def __init__(self, evaluator: Evaluator, kept: Kept | None) -> None:
        self._evaluator = evaluator
        self._total = kept.total if kept else 0.0
        self._last = kept.last if kept else None
        self.cells = evaluator.cells

    def look(self, _now: Now) -> tuple[Value, Quality]:
        value = number(*self._evaluator.look())
        if value is None:
            return int(self._total), IN_GAP
        if value and self._last == 0:
            self._total += 1
        self._last = value
        return int(self._total), GOOD

    def keep(self, now: Now) -> Kept:
        return Kept(now.wall, self._total, 0.0, self._last)


class Gap:
    """How many seconds a sum does not know of."""

    adds_up = True
    cells: tuple[Cell, ...] = ()

    def __init__(self, whole: Sum) -> None:
        self._whole = whole

    def look(self, _now: Now) -> tuple[Value, Quality]:
        return round(self._whole.gap_s, DIGITS), GOOD
