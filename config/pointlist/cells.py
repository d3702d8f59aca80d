"""One row of a list, and what its cells say: numbers, factors, ranges. What is not certain is `Refused`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from config.pointlist.sheet import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

EXCEL_ERRORS = ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "####")

T = TypeVar("T")

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,(\d{1,2}|\d{4,})")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+")
_TIMES = re.compile(r"[x\u00d7*]\s*(.+)", re.IGNORECASE)
_DIVIDED = re.compile(r"(?:[/÷]|除以?)\s*(.+)")
_FRACTION = re.compile(r"1\s*/\s*(.+)")
_POWER = re.compile(r"(\d+)\s*\^\s*(-?\d{1,2})")
_ENLARGED = re.compile(r"(?:放大|扩大|乘以?)\s*(\d+)\s*倍?")
_RANGE = re.compile(r"(.+?)\s*(?:~|至|到|\.\.\.?|to|(?<=\d)\s*-)\s*(.+)", re.IGNORECASE)


class Refused(Exception):
    """What cannot be taken, and what to write instead. `field` is the one that it is about, where it is one.

    `also` is what else is wrong with the same row.
    """

    def __init__(self, what: str, hint: str = "", field: str = "") -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what = what
        self.hint = hint
        self.field = field
        self.also: tuple[Refused, ...] = ()

    @property
    def all(self) -> tuple[Refused, ...]:
        return (self, *self.also)


def attempt(read: Callable[[], T], refused: list[Refused]) -> T | None:
    """What is read; or None, and what is wrong goes to `refused`, unless it is there already."""
    try:
        return read()
    except Refused as one:
        known = {(each.what, each.field) for each in refused}
        refused += [each for each in one.all if (each.what, each.field) not in known]
        return None


def together(*parts: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """All parts as one. Raises `Refused` for the first that is wrong, with those of the others in `also`."""
    found: dict[str, Any] = {}
    refused: list[Refused] = []
    for part in parts:
        found |= attempt(part, refused) or {}
    raise_all(refused)
    return found


def raise_all(refused: Iterable[Refused]) -> None:
    """As one; nothing, where there is none."""
    found = list(refused)
    if found:
        found[0].also = tuple(found[1:])
        raise found[0]


@dataclass(frozen=True, slots=True)
class Cells:
    """A row, by field; `filled` is how many of its cells have anything in them."""

    row: int
    texts: Mapping[str, str]
    filled: int

    def has(self, field: str) -> bool:
        return bool(self.texts.get(field))

    def raw(self, field: str) -> str:
        """As it is written; empty where it is not. Raises `Refused` for what Excel could not compute."""
        text = self.texts.get(field, "")
        if text.startswith("#") and text.upper().startswith(EXCEL_ERRORS):
            raise Refused(f"found {text}, an error of Excel", "write the value", field)
        return text

    def get(self, field: str) -> str:
        """The same in plain signs."""
        return plain(self.raw(field))

    def number(self, field: str) -> float | None:
        """None where it says nothing."""
        text = self.get(field) if self.has(field) else ""
        return number(text, field) if text and text not in {"-", "/", "—"} else None


def number(text: str, field: str) -> float:
    """With a point or, where nothing else can be meant, a comma. Raises `Refused`."""
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return tidy(float(text))
    if _DECIMAL_COMMA.fullmatch(text):
        return tidy(float(text.replace(",", ".")))
    if _THOUSANDS.fullmatch(text):
        raise Refused(f"found {text}: thousands, or a decimal comma?", "write it without a comma", field)
    raise Refused(f"found {text!r}, no number", "write a number such as 0.1", field)


def tidy(value: float) -> float:
    """A whole number as one, so that it is written without a point."""
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def factor(text: str, unit: str, field: str) -> float:
    """What a value is multiplied by: 0.1, *0.1, /10, 1/10, 10^-1, 0.1V, 放大10倍. Raises `Refused`."""
    told = text.removesuffix(unit).strip() if unit else text
    power, divided = _POWER.fullmatch(told), _FRACTION.fullmatch(told) or _DIVIDED.fullmatch(told)
    enlarged, times = _ENLARGED.fullmatch(told), _TIMES.fullmatch(told)
    if power:
        found = float(power[1]) ** int(power[2])
    elif enlarged or divided:
        by = number((enlarged or divided or [""])[1], field)
        found = _inverse(by, field)
    else:
        found = number(times[1] if times else told, field)
    if found == 0:
        raise Refused("a factor of 0 makes every value 0", "write another factor", field)
    return tidy(found)


def scale(cells: Cells, unit: str) -> float:
    """Of three columns that may say it, at most one. Raises `Refused`."""
    said = [
        field for field in ("scale", "divisor", "decimals") if cells.has(field) and cells.get(field) not in {"-", "/"}
    ]
    if len(said) > 1:
        raise Refused(f"{' and '.join(said)}: which of them holds?", "leave one empty", said[1])
    if not said:
        return 1
    (field,) = said
    if field == "scale":
        return factor(cells.get(field), unit, field)
    value = number(cells.get(field), field)
    if field == "divisor":
        return _inverse(value, field)
    if value not in range(10):
        raise Refused(f"found {value:g} decimals", "write 0 to 9", field)
    return tidy(float(f"1e-{value:.0f}"))


def limits(cells: Cells) -> dict[str, float]:
    """The range in which a value can be, from one column or two. Raises `Refused`."""
    found = {field: value for field in ("low", "high") if (value := cells.number(field)) is not None}
    text = cells.get("range")
    if text and text not in {"-", "/"}:
        both = _RANGE.fullmatch(text)
        if both is None:
            raise Refused(f"found {text!r}, no range", "write 0~100", "range")
        found = {"low": number(both[1].strip(), "range"), "high": number(both[2].strip(), "range"), **found}
    if len(found) == len(("low", "high")) and found["low"] >= found["high"]:
        what = f"{found['low']:g} is not below {found['high']:g}"
        raise Refused(what, "write low before high", "range" if text else "low")
    return found


def _inverse(value: float, field: str) -> float:
    if value == 0:
        raise Refused("a division by 0", "write another factor", field)
    return tidy(float(f"{1 / value:.15g}"))
