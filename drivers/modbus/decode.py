"""From the payload of a block to values in units and their flaws: the block's whole meaning, compiled once.

Pure, and without a function call for each plain number: a block of 100 changing registers costs about as much as one
system call. A raw number that is a sentinel, NaN, infinite or out of its state table gives None and a flaw, never a
value; an implausible one keeps its value and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, isnan, lcm
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self, cast

from drivers.contract import Grade, Quality
from drivers.modbus.layout import bit_reader, register_reader
from drivers.modbus.settings import BIT_TABLES
from drivers.modbus.times import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from config.model import Point
    from drivers.contract import Reason, Value
    from drivers.modbus.layout import Fields
    from drivers.modbus.plan import Block
    from drivers.modbus.settings import ModbusPoint

Flaws = dict[int, Quality]

_UNCERTAIN: frozenset[Reason] = frozenset(
    (
        "last_known",
        "substituted",
        "initial",
        "sensor_uncalibrated",
        "over_range",
        "under_range",
        "subnormal",
        "insufficient_data",
    ),
)
DECIMALS = frozenset(("bcd16", "bcd32", "bcd64"))
_EXACT_MAX = 1 << 53
"""Above this an integer is not exact as a float; a scale that needs such a fraction is used as the float it is."""


class BlockDecoder:
    """What one block means.

    The points are dealt into four groups (plain numbers, scaled numbers, truth values, the rest), each decoded by one
    comprehension, and come out in the order of `block.indexes`.
    """

    def __init__(self, block: Block, points: Sequence[Point]) -> None:
        groups: tuple[list[int], ...] = ([], [], [], [])
        for index in block.indexes:
            groups[_group(points[index])].append(index)
        plain, scaled, truths, rest = groups
        self._indexes = [*plain, *scaled, *truths, *rest]
        self._numbers = _Numbers.of([points[index] for index in plain], [points[index] for index in scaled])
        self._truths = slice(len(plain) + len(scaled), len(plain) + len(scaled) + len(truths))
        self._masks = [_mask(points[index]) for index in truths]
        self._meanings = [(_meaning(points[index]), *_range(points[index])) for index in rest]
        specs = [_spec(points[index]) for index in self._indexes]
        self._read = (
            bit_reader(block.start, specs)
            if specs[0].table in BIT_TABLES
            else register_reader(block.start, block.count, specs)
        )
        marked = [(place, spec, _sentinels(spec)) for place, spec in enumerate(specs) if spec.sentinels]
        # Of a field of bits, a number that fits into it is the field's; a greater one is that of the whole register.
        self._sentinels = [
            (place, {raw: why for raw, why in known.items() if spec.bit is None or raw > _field(spec)})
            for place, spec, known in marked
        ]
        self._bit_sentinels = [
            (place, spec.bit, _field(spec), {raw: why for raw, why in known.items() if raw <= _field(spec)})
            for place, spec, known in marked
            if spec.bit is not None
        ]
        self._arrange = _arranger(self._indexes, block.indexes)

    def decode(self, raw: bytes) -> tuple[Sequence[Value], Flaws]:
        """Values in the order of `block.indexes`, and flaws by index into the poll.

        `raw` must have exactly `block.size_bytes`; the transaction layer refuses every other reply.
        """
        fields = self._read(raw)
        flaws: Flaws = {}
        values = self._numbers.decode(fields, flaws)
        if self._masks:
            values += [field & mask != 0 for field, mask in zip(fields[self._truths], self._masks, strict=True)]
        if self._meanings:
            self._decode_rest(fields, values, flaws)
        for place, quality in [(at, known[fields[at]]) for at, known in self._sentinels if fields[at] in known]:
            values[place], flaws[place] = None, quality
        for place, bit, mask, known in self._bit_sentinels:
            found = known.get(fields[place] >> bit & mask)
            if found is not None:
                values[place], flaws[place] = None, found
        if flaws:
            flaws = {self._indexes[place]: quality for place, quality in flaws.items()}
        return (values if self._arrange is None else self._arrange(values)), flaws

    def _decode_rest(self, fields: Fields, values: list[Value], flaws: Flaws) -> None:
        for place, (meaning, low, high) in enumerate(self._meanings, self._truths.stop):
            value = meaning(fields[place])
            if value is None:
                flaws[place] = Quality(Grade.BAD, "decode_error", _shown(fields[place]))
            elif not isinstance(value, str) and not low <= value <= high:
                flaws[place] = Quality(Grade.UNCERTAIN, "range_suspect", _shown(fields[place]))
            values.append(value)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The plain numbers of a block and, after them, the scaled ones as `(raw * factor + summand) / divisor`.

    All three are integers wherever possible, so 2301 at scale 0.1 is 230.1 and not 230.10000000000002.
    """

    plain: int
    end: int
    simple: bool
    factors: list[float]
    summands: list[float]
    divisors: list[float]
    floats: bool
    whole: list[int]
    ranges: list[tuple[int, float, float]]

    @classmethod
    def of(cls, plain: Sequence[Point], scaled: Sequence[Point]) -> Self:
        points = [*plain, *scaled]
        fractions = [_fraction(point.scale, point.offset) for point in scaled]
        return cls(
            plain=len(plain),
            end=len(points),
            simple=all(factor == 1 and summand == 0 for factor, summand, _ in fractions),
            factors=[factor for factor, _, _ in fractions],
            summands=[summand for _, summand, _ in fractions],
            divisors=[divisor for _, _, divisor in fractions],
            floats=any(_spec(point).type in ("f32", "f64") for point in points),
            whole=[at for at, point in enumerate(points) if point.type == "integer" and _is_fractional(point)],
            ranges=[
                (at, *_range(point))
                for at, point in enumerate(points)
                if point.low is not None or point.high is not None
            ],
        )

    def decode(self, fields: Fields, flaws: Flaws) -> list[Value]:
        """The values; adds what is wrong with them to `flaws`, by place."""
        values: list[Any] = list(fields[: self.plain])
        if self.plain < self.end:
            values += self._scaled(fields[self.plain : self.end])
        for at in [at for at, low, high in self.ranges if not low <= values[at] <= high]:
            flaws[at] = Quality(Grade.UNCERTAIN, "range_suspect", _shown(fields[at]))
        if self.floats and not isfinite(sum(values)):
            _blank_out(values, flaws)
        for at in self.whole:
            values[at] = None if values[at] is None else round(values[at])
        return values

    def _scaled(self, raws: Fields) -> list[float]:
        if self.simple:
            return [raw / divisor for raw, divisor in zip(raws, self.divisors, strict=True)]
        terms = zip(raws, self.factors, self.summands, self.divisors, strict=True)
        return [(raw * factor + summand) / divisor for raw, factor, summand, divisor in terms]


def _blank_out(values: list[Any], flaws: Flaws) -> None:
    """Make every NaN and infinity None; a sum that overflows brings us here for nothing, which is harmless."""
    for at, value in enumerate(values):
        if not isfinite(value):
            values[at] = None
            flaws[at] = Quality(Grade.BAD, "not_available", "NaN" if isnan(value) else "Inf")


def _range(point: Point) -> tuple[float, float]:
    return -inf if point.low is None else point.low, inf if point.high is None else point.high


def _spec(point: Point) -> ModbusPoint:
    return cast("ModbusPoint", point.spec)


def _group(point: Point) -> int:
    """0 plain number, 1 scaled number, 2 truth value, 3 anything else."""
    if _spec(point).type in DECIMALS or _spec(point).type in TIMES:
        return 3
    if point.type in ("number", "integer"):
        return 0 if point.scale == 1.0 and point.offset == 0.0 else 1
    return 2 if point.type == "bool" and _spec(point).type not in ("f32", "f64") else 3


def _is_fractional(point: Point) -> bool:
    return _group(point) == 1 or _spec(point).type in ("f32", "f64")


def _fraction(scale: float, offset: float) -> tuple[float, float, float]:
    """Factor, summand and divisor that scale exactly, as the decimals were written."""
    by, plus = Fraction(repr(scale)), Fraction(repr(offset))
    divisor = lcm(by.denominator, plus.denominator)
    factor, summand = int(by * divisor), int(plus * divisor)
    if max(abs(factor), abs(summand), divisor) > _EXACT_MAX:
        return scale, offset, 1
    return factor, summand, divisor


def _mask(point: Point) -> int:
    """The bits of which any makes a truth value true: its own, or all of a whole number."""
    spec = _spec(point)
    if spec.table in BIT_TABLES:
        return 1
    return -1 if spec.bit is None else _field(spec) << spec.bit


def _field(spec: ModbusPoint) -> int:
    return (1 << spec.bits) - 1


def _meaning(point: Point) -> Callable[[Any], Value]:
    """What a raw field means; None where it has no meaning."""
    spec = _spec(point)
    if spec.type in DECIMALS:
        return _decimals(point)
    if spec.type in TIMES:
        return TIMES[spec.type]
    if point.type == "string":
        return _text
    if point.type == "bool":
        return _truth
    if spec.bit is None:
        return point.states.get
    bit, field = spec.bit, _field(spec)
    return lambda raw: point.states.get(raw >> bit & field)


def _decimals(point: Point) -> Callable[[int], Value]:
    """Four bits a digit; a digit above 9 has no meaning."""
    factor, summand, divisor = _fraction(point.scale, point.offset)

    def meaning(raw: int) -> Value:
        digits = f"{raw:x}"
        if not digits.isdecimal():
            return None
        if point.type == "enum":
            return point.states.get(int(digits))
        if point.type == "bool":
            return int(digits) != 0
        value = (int(digits) * factor + summand) / divisor
        return round(value) if point.type == "integer" else value

    return meaning


def _text(raw: bytes) -> str | None:
    """Up to the first NUL, without the blanks that fill it up; None where it is no text."""
    try:
        return raw.partition(b"\0")[0].decode().strip()
    except UnicodeDecodeError:
        return None


def _truth(raw: float) -> bool | None:
    return None if isnan(raw) else raw != 0


def _sentinels(spec: ModbusPoint) -> Mapping[float, Quality]:
    """Quality by raw number, as the field is unpacked: written signed or unsigned, it means the same bits."""
    bits = 16 * spec.width
    found: dict[float, Quality] = {}
    for written, reason in spec.sentinels.items():
        quality = Quality(Grade.UNCERTAIN if reason in _UNCERTAIN else Grade.BAD, reason, _shown(written))
        if spec.type in ("f32", "f64"):
            found[float(written)] = quality
        elif spec.type.startswith("i"):
            found[(written + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)] = quality
        else:
            found[written % (1 << bits)] = quality
    return found


def _shown(raw: object) -> str:
    return raw.hex() if isinstance(raw, bytes) else str(raw)


def _arranger(indexes: Sequence[int], wanted: Sequence[int]) -> Callable[[list[Value]], Sequence[Value]] | None:
    """Brings values from the order of `indexes` into that of `wanted`; None where it is the same."""
    if list(indexes) == list(wanted):
        return None
    place = {index: at for at, index in enumerate(indexes)}
    return itemgetter(*(place[index] for index in wanted))
