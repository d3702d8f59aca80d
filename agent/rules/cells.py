"""The present values that more than one thing listens to, and formulas over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.rules.gauges import GOOD, UNKNOWN, usable
from config.cel import compiled
from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.rules.judges import Judge
    from config.cel import CelValue, Program
    from config.judgement import Formula
    from config.model import PointType
    from drivers.contract import Value

NO_RESULT = Quality(Grade.BAD, "not_available")
"""All points are known, and the formula gives nothing: a division by zero, say."""

Key = tuple[str, str]
"""Device and point; an empty point is the device itself: whether it is there."""


class Heard(Protocol):
    """When the poll that a point belongs to was last heard of."""

    heard: float


class Cell:
    """The present value of a point, for everything that listens to more than its own point."""

    __slots__ = ("heard", "judges", "known_until", "mono", "quality", "source_time", "value")

    def __init__(self) -> None:
        self.value: Value = None
        self.quality = UNKNOWN
        self.mono = 0.0
        self.known_until = float("-inf")
        self.source_time: float | None = None
        self.heard: Heard | None = None
        self.judges: list[Judge] = []

    def put(self, value: Value, quality: Quality, mono: float, known_until: float) -> None:
        """A value that arrived at `mono`; the one before it was confirmed until `known_until`."""
        self.value, self.quality, self.mono, self.known_until = value, quality, mono, known_until

    @property
    def confirmed(self) -> float:
        return max(self.mono, self.heard.heard) if self.heard is not None else self.mono


class Evaluator:
    """A formula over cells.

    What is not usable is left out, and CEL decides whether it can do without: `a || b` is true where `a` is, whatever
    is known of `b`. Where the good values alone decide, the result is good; with uncertain ones it is uncertain.
    """

    __slots__ = ("_inputs", "_program", "cells")

    def __init__(
        self,
        formula: Formula,
        cell: Callable[[str, str], Cell],
        types: Mapping[Key, PointType],
    ) -> None:
        self._inputs = [(each.name, cell(each.device, each.point)) for each in formula.inputs]
        self.cells = tuple(cell for _, cell in self._inputs)
        is_point = len(formula.inputs) == 1 and formula.cel.strip() == formula.inputs[0].name
        self._program: Program | None = None
        if not is_point:  # a name alone needs no engine
            kinds = tuple((each.name, types[each.device, each.point]) for each in formula.inputs)
            self._program = compiled(formula.cel, kinds)

    def look(self) -> tuple[Value, Quality]:
        """The result now; `None` and the worst quality of the cells where it is not known."""
        if self._program is None:
            (cell,) = self.cells
            return (cell.value, cell.quality) if usable(cell.value, cell.quality) else (None, cell.quality)
        good: dict[str, CelValue] = {}
        uncertain: dict[str, CelValue] = {}
        worst = GOOD
        for name, cell in self._inputs:
            value, quality = cell.value, cell.quality
            if quality.grade > worst.grade:
                worst = quality
            if value is not None and usable(value, quality):
                (good if quality.grade is Grade.GOOD else uncertain)[name] = value
        result = self._program.value(good)
        if result is not None:
            return result, GOOD
        if uncertain:
            result = self._program.value(good | uncertain)
        if result is not None:
            return result, next(cell.quality for name, cell in self._inputs if name in uncertain)
        return None, NO_RESULT if worst is GOOD else worst
