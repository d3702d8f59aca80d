"""Values whose scale stands in another register of the same device, and counters that begin again at zero.

Both need more than their own bytes: the factor is asked for with the poll, as one register more, and the turns of a
counter are remembered. Pure; keeping the turns over a restart is `counters`' business.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple, cast

from drivers.contract import Grade, Quality
from drivers.modbus.settings import FactorSpec, ModbusPoint

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from config.model import Point
    from drivers.contract import Value
    from drivers.modbus.settings import Table

_NO_EXPONENT = -0x8000
_EXPONENT_MAX = 10
_NEAR = 0.25
"""A counter rolled over when it was in the last quarter of its range and is in the first one now."""


class Scaled(NamedTuple):
    """Where a value is, where its factor is, and what the result may be."""

    at: int
    factor_at: int
    kind: str
    low: float
    high: float


class Turns(NamedTuple):
    """How often a counter has begun again, its last value, and the offset that both are counted from."""

    done: int = 0
    last: float | None = None
    offset: float = 0.0


class Afterwards:
    """What is done to the values of a poll once all its blocks are decoded. `points` are those that have to be read."""

    def __init__(self, points: Sequence[Point], turns: MutableMapping[str, Turns]) -> None:
        self._count = len(points)
        self._turns = turns
        read = [_without_range(point) for point in points]
        places: dict[tuple[Table, int, str], int] = {}
        self._scaled = []
        for index, point in enumerate(points):
            spec = cast("ModbusPoint", point.spec)
            if spec.factor is not None:
                key = (spec.table, spec.factor.start, spec.factor.type)
                if key not in places:
                    places[key] = len(read)
                    read.append(_register(point, spec.factor))
                low, high = -inf if point.low is None else point.low, inf if point.high is None else point.high
                self._scaled.append(Scaled(index, places[key], spec.factor.kind, low, high))
        self.points = tuple(read)
        self._counters = [
            (index, f"{point.device}/{point.id}", rollover, point.offset)
            for index, point in enumerate(points)
            if (rollover := cast("ModbusPoint", point.spec).rollover) is not None
        ]

    @property
    def is_needed(self) -> bool:
        return bool(self._scaled or self._counters)

    def apply(
        self, values: Sequence[Value], flaws: Mapping[int, Quality]
    ) -> tuple[Sequence[Value], Mapping[int, Quality]]:
        """The values of the poll, and their flaws."""
        found = list(values[: self._count])
        known = {index: flaw for index, flaw in flaws.items() if index < self._count}
        for one in self._scaled:
            found[one.at] = _scale(one, values, flaws, known)
        for index, name, rollover, offset in self._counters:
            value = found[index]
            if isinstance(value, (int, float)):
                found[index] = self._go_on(name, value, rollover, offset, index, known)
        return found, known

    def _go_on(
        self, name: str, value: float, rollover: float, offset: float, index: int, known: dict[int, Quality]
    ) -> float:
        turns = self._turns.get(name, Turns(offset=offset))
        if turns.offset != offset:
            turns = Turns(offset=offset)  # another meter
        raw, last = value - offset, turns.last
        if last is not None and raw < last:
            if raw >= _NEAR * rollover or last < (1 - _NEAR) * rollover:
                # It stays in doubt until it is past where it was, or a person has corrected the offset.
                known.setdefault(index, Quality(Grade.UNCERTAIN, "range_suspect", f"counter went back from {last:g}"))
                return value + turns.done * rollover
            turns = turns._replace(done=turns.done + 1)
        self._turns[name] = turns._replace(last=raw)
        return value + turns.done * rollover


def _scale(one: Scaled, values: Sequence[Value], flaws: Mapping[int, Quality], known: dict[int, Quality]) -> Value:
    value, factor = values[one.at], values[one.factor_at]
    if not isinstance(value, (int, float)):
        return value
    if not isinstance(factor, int) or not _is_factor(one.kind, factor):
        known[one.at] = flaws.get(one.factor_at) or Quality(Grade.BAD, "not_available", f"factor {factor}")
        return None
    if one.factor_at in flaws:
        known.setdefault(one.at, flaws[one.factor_at])
    result = _product(one.kind, value, factor)
    if not one.low <= result <= one.high:
        known.setdefault(one.at, Quality(Grade.UNCERTAIN, "range_suspect", f"{value:g}"))
    return result


def _is_factor(kind: str, factor: int) -> bool:
    if kind == "power_of_ten":
        return factor != _NO_EXPONENT and abs(factor) <= _EXPONENT_MAX
    return factor != 0 or kind == "times"


def _product(kind: str, value: float, factor: int) -> float:
    """A negative power divides, because 2301 / 10 is 230.1 and 2301 * 0.1 is not."""
    if kind == "times":
        return value * factor
    if kind == "divided":
        return value / factor
    return value * 10.0**factor if factor >= 0 else value / 10.0**-factor


def _without_range(point: Point) -> Point:
    """A value that is scaled later is judged later."""
    return point if cast("ModbusPoint", point.spec).factor is None else replace(point, low=None, high=None)


def _register(point: Point, factor: FactorSpec) -> Point:
    """The factor itself, as a point that nobody sees."""
    table = cast("ModbusPoint", point.spec).table
    spec = ModbusPoint.model_validate(
        {"register": factor.start, "table": table, "type": factor.type, "value": "integer"}
    )
    name = f"factor of {point.id}"
    return replace(point, id=name, type="integer", spec=spec, scale=1.0, offset=0.0, states={}, low=None, high=None)
