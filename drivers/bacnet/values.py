"""From what a device sent to a value and its quality (`domain.md` 5.2). Pure; the worst of all findings wins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from drivers.bacnet import names, structures
from drivers.bacnet.encoding import AccessError, Bits, Malformed, ObjectId, Opaque, Raw, Several, Unreadable
from drivers.bacnet.settings import BacnetPoint
from drivers.contract import Grade, Quality, Reason, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from config.model import Point, PointType

Judged = tuple[Value, Quality | None]
"""A value, and its flaw where it is not plainly good."""

OUT_OF_SERVICE = Quality(Grade.BAD, "out_of_service", "status-flags out-of-service")
OVERRIDDEN = Quality(Grade.GOOD, "local_override", "status-flags overridden")
NULL = Quality(Grade.BAD, "not_available", "null")
LOST = Quality(Grade.BAD, "decode_error", "not in the answer")

_SECURITY, _COMMUNICATION = 4, 7
_ERROR_REASONS: Mapping[int, Reason] = {
    3: "busy",
    27: "denied",
    29: "denied",
    31: "config_error",
    32: "config_error",
    42: "config_error",
    47: "config_error",
    50: "config_error",
    82: "busy",
    85: "denied",
}
"""By error code: device-busy, read-access-denied, service-request-denied, unknown-object, unknown-property,
invalid-array-index, datatype-not-supported, property-is-not-an-array, busy, access-denied."""

_RELIABILITY: Mapping[int, tuple[Grade, Reason]] = {
    1: (Grade.BAD, "sensor_fault"),
    2: (Grade.UNCERTAIN, "range_suspect"),
    3: (Grade.UNCERTAIN, "range_suspect"),
    4: (Grade.BAD, "sensor_fault"),
    5: (Grade.BAD, "sensor_fault"),
    6: (Grade.BAD, "not_connected"),
    10: (Grade.BAD, "config_error"),
    12: (Grade.BAD, "comm_lost"),
    13: (Grade.UNCERTAIN, "subnormal"),
}
"""Every other reliability, and a fault that nobody explains, is a device fault."""


def judge(point: Point, raw: Raw, flags: Raw = None, reliability: Raw = None) -> Judged:
    """The value of a point, scaled, and its flaw. `flags` and `reliability` are `None` or an error where unknown."""
    if isinstance(raw, AccessError):
        return None, error_flaw(raw)
    value, flaw = _value(point, raw)
    if isinstance(flags, Bits) and "1" in flags.text[1:4]:
        flaw = _worse(flaw, _flags_flaw(flags.text, reliability))
    if flaw is not None and flaw.grade is Grade.BAD:
        return None, flaw
    return value, flaw


def faulty(flags: Raw) -> bool:
    """Whether status flags say that the reliability is worth asking for."""
    return isinstance(flags, Bits) and flags.text[1:2] == "1"


def error_flaw(error: AccessError) -> Quality:
    """What an error of the device means for the point."""
    reason: Reason = "device_fault"
    if error.error_class == _SECURITY:
        reason = "denied"
    elif error.error_class == _COMMUNICATION:
        reason = "comm_lost"
    return Quality(Grade.BAD, _ERROR_REASONS.get(error.code, reason), names.error_name(error.error_class, error.code))


def _flags_flaw(text: str, reliability: Raw) -> Quality | None:
    """In alarm is no flaw: the value is right, and the alarm is another matter."""
    fault, overridden, out_of_service = (bit == "1" for bit in text[1:4].ljust(3, "0"))
    if out_of_service:
        return OUT_OF_SERVICE
    if fault:
        return _fault(reliability)
    return OVERRIDDEN if overridden else None


def _fault(reliability: Raw) -> Quality:
    if type(reliability) is not int or reliability == 0:
        return Quality(Grade.BAD, "device_fault", "status-flags fault")
    grade, reason = _RELIABILITY.get(reliability, (Grade.BAD, "device_fault"))
    return Quality(grade, reason, f"reliability {names.reliability_name(reliability)}")


def _worse(one: Quality | None, other: Quality | None) -> Quality | None:
    if one is None or other is None:
        return one or other
    return one if one.grade >= other.grade else other


def _value(point: Point, raw: Raw) -> Judged:
    if raw is None:
        return None, NULL
    if isinstance(raw, Unreadable):
        return None, Quality(Grade.BAD, "decode_error", raw.why)
    try:
        if isinstance(raw, (Several, Opaque)):
            return _constructed(point, raw)
        return _TYPES[point.type](point, raw)
    except TypeError:
        return None, Quality(Grade.BAD, "decode_error", f"{point.type} expected, {_describe(raw)} sent")


def _number(point: Point, raw: Raw) -> Judged:
    number = _numeric(raw)
    if not math.isfinite(number):
        return None, Quality(Grade.BAD, "not_available", str(number))
    value = number * point.scale + point.offset
    return value, _range_flaw(point, value)


def _integer(point: Point, raw: Raw) -> Judged:
    number = _numeric(raw)
    if not math.isfinite(number):
        return None, Quality(Grade.BAD, "not_available", str(number))
    if number != int(number):
        raise TypeError
    value = int(number) if (point.scale, point.offset) == (1.0, 0.0) else round(number * point.scale + point.offset)
    return value, _range_flaw(point, value)


def _bool(point: Point, raw: Raw) -> Judged:
    if (wanted := _spec(point).held) is not None:
        return _held(wanted, raw), None
    number = _numeric(raw)
    if number not in (0, 1):
        raise TypeError
    return bool(number), None


def _held(wanted: Literal["any"] | int, raw: Raw) -> bool:
    """Whether a list of numbers has this one, or any. A list of one is sent as its element. Raises `TypeError`."""
    several = raw.items if isinstance(raw, Several) else (raw,)
    if not all(type(one) is int for one in several):
        raise TypeError
    return bool(several) if wanted == "any" else wanted in several


def _enum(point: Point, raw: Raw) -> Judged:
    number = _numeric(raw)
    if number not in point.states:
        return None, Quality(Grade.BAD, "decode_error", f"state {number:g} has no name")
    return point.states[int(number)], None


def _string(_: Point, raw: Raw) -> Judged:
    return _spelled(raw), None


def _constructed(point: Point, raw: Several | Opaque) -> Judged:
    """What is not one primitive value: the library knows of which type it is. Raises `TypeError`."""
    spec = _spec(point)
    if spec.held is not None:
        return _bool(point, raw)
    kind, number = names.parse_object(spec.object_name) >> names.INSTANCE_BITS, names.parse_property(spec.property_name)
    datatype = structures.datatype(kind, number, spec.index)
    if structures.is_list(datatype) and isinstance(raw, Several):
        if point.type != "string":
            raise TypeError
        return ", ".join(map(_spelled, raw.items)), None
    if structures.is_primitive(datatype):
        raise TypeError
    try:
        if point.type == "string":
            return structures.as_text(datatype, raw.data), None
        return _TYPES[point.type](point, structures.as_number(datatype, raw.data))
    except Malformed as malformed:
        return None, Quality(Grade.BAD, "decode_error", str(malformed))


def _spec(point: Point) -> BacnetPoint:
    assert isinstance(point.spec, BacnetPoint)
    return point.spec


def _spelled(raw: Raw) -> str:
    """One primitive value as text. Raises `TypeError`."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, ObjectId):
        return names.object_name(raw.number)
    if isinstance(raw, Bits):
        return raw.text
    if isinstance(raw, bytes):
        return raw.hex()
    return str(_numeric(raw))


_TYPES: Mapping[PointType, Callable[[Point, Raw], Judged]] = {
    "number": _number,
    "integer": _integer,
    "bool": _bool,
    "enum": _enum,
    "string": _string,
}


def _numeric(raw: Raw) -> float | int:
    """A number or truth value as it is. Raises `TypeError`."""
    if isinstance(raw, (int, float)):
        return raw
    raise TypeError


def _range_flaw(point: Point, value: float) -> Quality | None:
    if (point.low is not None and value < point.low) or (point.high is not None and value > point.high):
        return Quality(Grade.UNCERTAIN, "range_suspect", f"{value:g}")
    return None


def _describe(raw: Raw) -> str:
    """What was sent instead, short enough for a quality."""
    if isinstance(raw, Several):
        return f"list of {len(raw.items)}"
    if isinstance(raw, Opaque):
        return raw.what
    if isinstance(raw, (int, float)):
        return f"{raw:g}"
    return {str: "text", bytes: "octets", Bits: "bit string"}.get(type(raw), "object")
