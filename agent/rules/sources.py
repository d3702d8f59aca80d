"""What alarms are judged on that look at more than the present value of their point, and what keeps them from counting.

A source is told when one of its cells changed, and is asked with the time: for a value, and what that is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.rules.gauges import BEYOND, UNKNOWN, Gauge, RateOfChange, RollingMean, usable
from agent.rules.standstill import CounterCheck, Silence, Standstill
from config.judgement import Counter, Limit, Mean, NoUpdate, Rate, Stuck
from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from agent.rules.cells import Cell, Evaluator
    from config.judgement import Condition
    from drivers.contract import Value

GATE_UNKNOWN = Quality(Grade.UNCERTAIN, "subnormal")
"""What a good value is worth while nobody knows whether it counts: it may raise, and not clear."""


NO_SIDE = Quality(Grade.UNCERTAIN, "subnormal")
"""Of a difference of which neither the size nor the side is known."""


class Source(Protocol):
    """What a judge's alarm is judged on."""

    @property
    def cells(self) -> tuple[Cell, ...]: ...

    def take(self) -> None:
        """One of the cells changed."""

    def look(self, mono: float, /) -> tuple[Value, Quality]:
        """What is to be judged at this moment."""

    def next_due(self) -> float | None:
        """When that may change by itself."""


class Measured:
    """A gauge on one point."""

    def __init__(self, cell: Cell, gauge: Gauge) -> None:
        self.cells = (cell,)
        self.gauge = gauge

    def take(self) -> None:
        (cell,) = self.cells
        self.gauge.take(cell.value, cell.quality, cell.mono, cell.known_until)

    def look(self, mono: float) -> tuple[Value, Quality]:
        return self.gauge.look(mono, min(mono, self.cells[0].confirmed))

    def next_due(self) -> float | None:
        return self.gauge.next_due()


class Present:
    """The value of the first cell, or how far it is from the second, or from a number. The worse quality holds."""

    def __init__(self, cells: tuple[Cell, ...], offset: float = 0.0) -> None:
        self.cells = cells
        self._offset = offset

    def take(self) -> None:
        """Nothing is kept of what was before."""

    def look(self, _mono: float) -> tuple[Value, Quality]:
        first, *others = self.cells
        quality = max((cell.quality for cell in self.cells), key=lambda one: one.grade)
        if not others and not self._offset:
            return first.value, quality
        if not all(usable(cell.value, cell.quality) for cell in self.cells):
            # On which side the difference lies is known only where nothing but the own point is beyond its range.
            is_own = quality is first.quality and all(usable(cell.value, cell.quality) for cell in others)
            return None, quality if is_own or quality.reason not in BEYOND else NO_SIDE
        return _as_number(first.value) - self._offset - sum(_as_number(cell.value) for cell in others), quality

    def next_due(self) -> None:
        return None


class Told:
    """What a formula gives."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.cells = evaluator.cells
        self._evaluator = evaluator
        self._answer: tuple[Value, Quality] = (None, UNKNOWN)

    def take(self) -> None:
        self._answer = self._evaluator.look()

    def look(self, _mono: float) -> tuple[Value, Quality]:
        return self._answer

    def next_due(self) -> None:
        return None


class Gate:
    """Without which a condition does not count.

    It is open, too, where nobody knows: rather an alarm too many than one that is missing. But before all of its points
    were asked for the first time, nothing is judged.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.cells = evaluator.cells
        self._evaluator = evaluator
        self.is_heard = False
        self.is_shut = False
        self.is_known = False

    def take(self) -> None:
        value, quality = self._evaluator.look()
        self.is_heard = all(cell.heard is not None for cell in self.cells)
        self.is_known = value is not None and quality.grade is Grade.GOOD
        self.is_shut = value is False and self.is_known

    def worth(self, quality: Quality) -> Quality:
        """What a value of this quality is worth while the gate is not shut."""
        if not self.is_heard:
            return UNKNOWN
        return quality if self.is_known or quality.grade is not Grade.GOOD else GATE_UNKNOWN


def gauge_of(condition: Condition) -> Gauge | None:
    """What a condition that has to do with time is measured with."""
    gauge: Gauge | None = None
    match condition:
        case Limit(measure=Mean(window_s)):
            gauge = RollingMean(window_s)
        case Limit(measure=Rate(per_s, window_s)):
            gauge = RateOfChange(per_s, window_s)
        case Stuck(after_s, band=band):
            gauge = Standstill(after_s, band)
        case NoUpdate(after_s):
            gauge = Silence(after_s)
        case Counter():
            gauge = CounterCheck(condition)
    return gauge


def _as_number(value: Value) -> float:
    return 0.0 if value is None or isinstance(value, str) else float(value)
