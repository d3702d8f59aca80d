"""From what a node holds to the value of a point: scaled, in its unit, with a flaw where it cannot be trusted. Pure.

A converter is made once per point and called with the OPC UA type number and the decoded scalar. What does not fit the
type of the point is never bent into shape: it is bad, and says which type came.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING
from uuid import UUID

from drivers.contract import Grade, Quality, Value
from drivers.opcua import decode, library, parts, walk
from drivers.opcua.faults import GARBLED
from drivers.opcua.kinds import (
    BOOLEAN,
    DATE_TIME,
    GUID,
    INTEGERS,
    LOCALIZED_TEXT,
    NULL,
    NUMBERS,
    QUALIFIED_NAME,
    STRING,
    XML,
    type_name,
)
from drivers.opcua.quality import of_status

if TYPE_CHECKING:
    from config.model import Point
    from drivers.opcua.learn import Known

_TEXTS = {STRING, XML, QUALIFIED_NAME, LOCALIZED_TEXT}
Decoded = tuple[Value, Quality | None]
Converter = Callable[[int, object], Decoded]

TEXT_MAX_CHARACTERS = 1024

TICKS_PER_S = 10_000_000
TICKS_TO_1970 = 116_444_736_000_000_000
"""A time before this one is that of a clock that was never set."""
_TICKS_MAX = 2_650_467_743_990_000_000
"""31 December 9999: from here on a DateTime means "no time"."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def converter(point: Point, known: Known | None = None) -> Converter:
    """How `point` reads what its node holds, with what was learnt from the server for it."""
    plain = _named(known.names, _text) if known and known.names else _plain(point)
    part = getattr(point.spec, "part", None)
    return _of_part(parts.parse(part), known.types if known else parts.Types(), plain) if part else plain


def unpacked(convert: Converter, kind: int, value: object) -> Decoded:
    """What came within a value of a rare type, with the status that it has there."""
    if not isinstance(value, bytes):
        return convert(kind, value)
    try:
        inner, found, status = library.scalar(kind, value)
    except GARBLED as error:
        return None, Quality(Grade.BAD, "decode_error", f"{type_name(kind)}: {error}")
    flaw = of_status(status)
    if flaw is not None and flaw.grade is Grade.BAD:
        return None, flaw
    decoded, worse = convert(inner, found)
    return decoded, worst(flaw, worse)


def worst(one: Quality | None, other: Quality | None) -> Quality | None:
    """The worse of two flaws; the first where they are equally bad."""
    if one is None or other is None:
        return one or other
    return other if other.grade > one.grade else one


def _plain(point: Point) -> Converter:
    if point.type == "number":
        return _ranged(_number(point), point)
    if point.type == "integer":
        return _ranged(_integer(point), point)
    if point.type == "bool":
        return _bool
    if point.type == "enum":
        return _enum(dict(point.states))
    return _text


def _of_part(steps: tuple[parts.Step, ...], types: parts.Types, inner: Converter) -> Converter:
    """One element of an array, one field of a structure."""

    def convert(kind: int, value: object) -> Decoded:
        if not isinstance(value, bytes):
            return _misfit(kind)
        try:
            found, pos = parts.find(types, kind, value, steps)
            part, _ = decode.scalar(found, value, pos)
        except parts.Missing as missing:
            return None, Quality(Grade.BAD, missing.reason, missing.raw)
        except (walk.Undecodable, struct.error) as error:
            return None, Quality(Grade.BAD, "decode_error", str(error))
        return inner(found, part)

    return convert


def _named(names: Mapping[int, str], otherwise: Converter) -> Converter:
    """The name that the server has for a number; a number without a name is none of ours to invent."""

    def convert(kind: int, value: object) -> Decoded:
        if kind not in INTEGERS or not isinstance(value, int):
            return otherwise(kind, value)
        name = names.get(value)
        return (name, None) if name is not None else (None, Quality(Grade.BAD, "decode_error", str(value)))

    return convert


def _misfit(kind: int, value: object = None) -> Decoded:
    """A good status with a value that is not of the point's type, or no value at all."""
    if kind == NULL or (value is None and kind in {STRING, LOCALIZED_TEXT}):
        return None, Quality(Grade.BAD, "not_available", "Null")
    return None, Quality(Grade.BAD, "decode_error", type_name(kind))


def _not_finite(value: float) -> Decoded:
    return None, Quality(Grade.BAD, "not_available", str(value))


def _number(point: Point) -> Converter:
    plain = point.scale == 1.0 and point.offset == 0.0
    # As a fraction, so that 2301 at a scale of 0.1 is 230.1 and not 230.10000000000002.
    factor, divisor = Decimal(repr(point.scale)).as_integer_ratio()
    offset = point.offset

    def convert(kind: int, value: object) -> Decoded:
        if kind not in NUMBERS or not isinstance(value, int | float):
            return _misfit(kind, value)
        scaled = value * factor / divisor + offset
        return (scaled, None) if isfinite(scaled) else _not_finite(scaled)

    def take(kind: int, value: object) -> Decoded:
        # By type, not by instance: a bool is no number, and this is the hot path.
        if kind in NUMBERS and (type(value) is float or type(value) is int):
            return (value, None) if isfinite(value) else _not_finite(value)
        return _misfit(kind, value)

    return take if plain else convert


def _integer(point: Point) -> Converter:
    """A whole number; what has a fraction is not rounded away unless the point scales."""
    scales = point.scale != 1.0 or point.offset != 0.0
    number = _number(point)

    def convert(kind: int, value: object) -> Decoded:
        scaled, flaw = number(kind, value)
        if flaw is not None or not isinstance(scaled, int | float):
            return None, flaw
        whole = round(scaled)
        return (whole, None) if scales or whole == scaled else _misfit(kind)

    return convert


def _ranged(inner: Converter, point: Point) -> Converter:
    """Values outside the plausible range are kept and called suspect."""
    if point.low is None and point.high is None:
        return inner
    low = float("-inf") if point.low is None else point.low
    high = float("inf") if point.high is None else point.high

    def convert(kind: int, value: object) -> Decoded:
        decoded = inner(kind, value)
        number = decoded[0]
        if not isinstance(number, int | float) or low <= number <= high:
            return decoded
        return number, Quality(Grade.UNCERTAIN, "range_suspect")

    return convert


def _bool(kind: int, value: object) -> Decoded:
    if kind == BOOLEAN and isinstance(value, bool):
        return value, None
    if kind in INTEGERS and isinstance(value, int) and value in {0, 1}:
        return value == 1, None
    return _misfit(kind, value)


def _enum(states: dict[int, str]) -> Converter:
    def convert(kind: int, value: object) -> Decoded:
        if not isinstance(value, int) or (kind != BOOLEAN and kind not in INTEGERS):
            return _misfit(kind, value)
        name = states.get(value)
        return (name, None) if name is not None else (None, Quality(Grade.BAD, "decode_error", str(int(value))))

    return convert


def _text(kind: int, value: object) -> Decoded:
    if kind in _TEXTS and isinstance(value, str) and len(value) <= TEXT_MAX_CHARACTERS:
        return value, None
    if kind == DATE_TIME and isinstance(value, int):
        return _moment(value)
    if kind == GUID and isinstance(value, UUID):
        return str(value), None
    return _misfit(kind, value)


def _moment(ticks: int) -> Decoded:
    """ISO 8601 in UTC with milliseconds; the two ends of the scale mean that there is no time."""
    if not 0 < ticks < _TICKS_MAX:
        return None, Quality(Grade.BAD, "not_available", "Null")
    moment = _EPOCH + timedelta(microseconds=(ticks - TICKS_TO_1970) // 10)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"), None
