"""Durations, sizes and poll classes as people write them. Measurement units are not here: they are texts."""

from __future__ import annotations

import math
import re
from typing import Literal, get_args

PollClass = Literal["L", "C", "N", "S", "E"]
"""Life safety, critical, normal, slow, energy."""

POLL_CLASSES: tuple[PollClass, ...] = get_args(PollClass)

POLL_S_MIN = 0.05
"""No device is asked more often."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(k|M|G|T)(i?)B")
_EXPONENTS = {"k": 1, "M": 2, "G": 3, "T": 4}


def seconds(text: object) -> float:
    """`"500ms"`, `"10s"`, `"5min"`, `"1h"`, `"7d"` or a number of seconds, as seconds. Raises `ValueError`."""
    if isinstance(text, (int, float)) and not isinstance(text, bool) and math.isfinite(text):
        return float(text)
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a duration; write a number with ms, s, min, h or d, such as 500ms, 10s or 5min")
    return float(match[1]) * _SECONDS[match[2]]


def size_bytes(text: object) -> int:
    """`"500MB"`, `"2GB"`, `"1GiB"` or a number of bytes, as bytes. Raises `ValueError`."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a size; write a number with kB, MB, GB or TB, such as 500MB or 2GB")
    return round(float(match[1]) * float(1024 if match[3] else 1000) ** _EXPONENTS[match[2]])


def pace(text: object) -> PollClass | float:
    """A poll class letter, or a duration as seconds. Raises `ValueError`."""
    for letter in POLL_CLASSES:
        if text == letter:
            return letter
    try:
        interval_s = seconds(text)
    except ValueError:
        raise ValueError(
            f"not a poll class or a duration; write one of {', '.join(POLL_CLASSES)}, or a duration such as 5s"
        ) from None
    if interval_s < POLL_S_MIN:
        raise ValueError(f"too fast; write {POLL_S_MIN * 1000:g}ms or more")
    return interval_s
