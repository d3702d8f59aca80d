"""Promises in seconds, on a machine that may be ten times slower than the one on which they were made.

Who is in time is not asked any further. Who is not may have been kept waiting by others: then the promise is stretched
by how much longer a known piece of work takes here and now, and by how many have wanted each processor lately.
"""

from __future__ import annotations

import os
import time

WORK = 1_000_000
WORK_S = 0.02
"""What it takes on an idle machine of no special speed."""


def in_time(took_s: float, limit_s: float) -> bool:
    """Whether something was done within a limit that it keeps wherever it gets a processor."""
    return took_s < limit_s or took_s < limit_s * slowness()


def slowness() -> float:
    """How many times longer than promised things may take now, at least 1."""
    begin = time.monotonic()
    sum(number & 1 for number in range(WORK))
    took_s = time.monotonic() - begin
    return max(1.0, took_s / WORK_S, os.getloadavg()[0] / (os.cpu_count() or 1))
