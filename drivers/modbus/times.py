"""Dates and times as devices keep them, to ISO 8601. Pure.

What is no date gives None. Only seconds since 1970 are of a known time zone and end in `Z`; a calendar is in whatever
zone the device was set to.
"""

from __future__ import annotations

from datetime import UTC, datetime
from struct import Struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drivers.modbus.settings import Coding

_SIX = Struct(">6H")
_FOUR = Struct(">4H")
_CENTURY = 2000
_MILLISECONDS = 1000
_ALL_ONES = 0xFFFFFFFF


def _unix(raw: int) -> str | None:
    """Seconds since 1970, UTC; zero and all ones are a clock that was never set."""
    return None if raw in (0, _ALL_ONES) else datetime.fromtimestamp(raw, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _six(raw: bytes) -> str | None:
    """Year, month, day, hour, minute, second in a register each; a year of two digits is of this century."""
    year, *rest = _SIX.unpack(raw)
    return _iso(year if year >= _CENTURY else year + _CENTURY, *rest)


def _three(raw: bytes) -> str | None:
    """The same six in a byte each, the year without its century."""
    year, *rest = raw
    return _iso(year + _CENTURY, *rest)


def _cp56(raw: bytes) -> str | None:
    """Four registers by IEC 60870-5-4: year; month and day; hour and minute; milliseconds of the minute."""
    year, day, clock, milliseconds = _FOUR.unpack(raw)
    date = (_CENTURY + (year & 0x7F), day >> 8 & 0x0F, day & 0x1F)
    return _iso(*date, clock >> 8 & 0x1F, clock & 0x3F, milliseconds // _MILLISECONDS)


def _iso(*parts: int) -> str | None:
    try:
        return datetime(*parts).isoformat()  # type: ignore[arg-type] # noqa: DTZ001 - six numbers, of the device's zone
    except ValueError:
        return None


TIMES: Mapping[Coding, Callable[[Any], str | None]] = {
    "time_unix": _unix,
    "time_6": _six,
    "time_3": _three,
    "time_cp56": _cp56,
}
"""By coding: from what `layout` unpacks to a text."""
