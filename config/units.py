"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> float:
    """`"500ms"`, `"10s"`, `"5min"`, `"1h"`, `"7d"` or a number of seconds, as seconds. Raises `ValueError`."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a duration; write a number with ms, s, min, h or d, such as 500ms, 10s or 5min")
    return float(match[1]) * _SECONDS[match[2]]
