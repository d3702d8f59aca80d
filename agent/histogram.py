"""How often something took how long: a few counters, so that what happens a thousand times a second may be counted."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate


class Histogram:
    """Lengths of time in seconds. `bounds` are the ends of its classes, each included, the shortest first."""

    __slots__ = ("_counts", "bounds", "sum_s")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum_s = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, length_s: float) -> None:
        self._counts[bisect_left(self.bounds, length_s)] += 1
        self.sum_s += length_s

    def cumulative(self) -> list[int]:
        """How many were at most so long, for each bound, and how many there were at all."""
        return list(accumulate(self._counts))
