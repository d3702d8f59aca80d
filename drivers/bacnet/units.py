"""Engineering units of BACnet as UCUM codes, as far as hospitals use them. Pure.

Numbers are those of ASHRAE 135, codes those of the configuration (`domain.md` 1). What is not in the table agrees with
anything: it is not known to be wrong.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from bacpypes3.basetypes import EngineeringUnits

if TYPE_CHECKING:
    from collections.abc import Mapping

UCUM: Mapping[int, str] = {
    2: "mA",
    3: "A",
    4: "Ohm",
    5: "V",
    6: "kV",
    7: "MV",
    8: "V.A",
    9: "kV.A",
    10: "MV.A",
    11: "V.A{r}",
    12: "kV.A{r}",
    13: "MV.A{r}",
    14: "deg",
    16: "J",
    17: "kJ",
    18: "W.h",
    19: "kW.h",
    27: "Hz",
    29: "%",
    30: "mm",
    31: "m",
    37: "lx",
    39: "kg",
    42: "kg/s",
    44: "kg/h",
    47: "W",
    48: "kW",
    49: "MW",
    53: "Pa",
    54: "kPa",
    55: "bar",
    56: "[psi]",
    57: "cm[H2O]",
    58: "[in_i'H2O]",
    59: "mm[Hg]",
    62: "Cel",
    63: "K",
    64: "[degF]",
    70: "d",
    71: "h",
    72: "min",
    73: "s",
    74: "m/s",
    75: "km/h",
    80: "m3",
    82: "L",
    84: "[ft_i]3/min",
    85: "m3/s",
    87: "L/s",
    88: "L/min",
    90: "deg",
    96: "[ppm]",
    97: "[ppb]",
    98: "%",
    104: "{rev}/min",
    115: "[in_i]2",
    118: "cm",
    121: "K",
    122: "kOhm",
    123: "MOhm",
    124: "mV",
    126: "MJ",
    129: "kHz",
    130: "MHz",
    131: "/h",
    132: "mW",
    133: "hPa",
    134: "mbar",
    135: "m3/h",
    136: "L/h",
    145: "mOhm",
    146: "MW.h",
    159: "ms",
    161: "mm/s",
    165: "m3/min",
    195: "g",
    199: "dB",
    203: "V.A{r}.h",
    204: "kV.A{r}.h",
    205: "MV.A{r}.h",
    206: "mm[H2O]",
    217: "g/m3",
    218: "mg/m3",
    219: "ug/m3",
    239: "V.A.h",
    240: "kV.A.h",
}
"""By number of BACnetEngineeringUnits. `no-units` (95) and `power-factor` (15) say nothing that could disagree."""

_SPELLINGS: Mapping[str, str] = {
    "l": "L",
    "l/s": "L/s",
    "l/min": "L/min",
    "l/h": "L/h",
    "/min": "{rev}/min",
    "var": "V.A{r}",
    "kvar": "kV.A{r}",
    "kvar.h": "kV.A{r}.h",
    "%{LEL}": "%",
    "%{vol}": "%",
}
"""Other codes of what the standard has one unit for."""

_KNOWN = frozenset(UCUM.values()) | frozenset(_SPELLINGS) | {"MPa"}
"""Megapascals have no number, so that a device that says any other unit disagrees with them."""

_NAMES: Mapping[int, str] = EngineeringUnits._asn1_map  # noqa: SLF001 - the only table of all of them
_NUMBERS = {text: number for number, text in _NAMES.items()}


def is_known(code: str) -> bool:
    """Whether a device could disagree with this UCUM code."""
    return code in _KNOWN


def agrees(number: int, code: str, expected: str) -> bool:
    """Whether the unit that a device says is this UCUM code, or the name that was `expected` of it."""
    if expected:
        return number == parse(expected)
    return UCUM.get(number, code) in {code, _SPELLINGS.get(code)}


def name(number: int) -> str:
    """`degrees-fahrenheit`, or the number where the standard has no name for it."""
    return _NAMES.get(number, f"unit {number}")


def parse(text: str) -> int:
    """The number of `degrees-fahrenheit`. Raises `ValueError`."""
    if text not in _NUMBERS:
        near = get_close_matches(text.lower(), _NUMBERS, n=1)
        raise ValueError(f"unknown unit {text!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return _NUMBERS[text]
