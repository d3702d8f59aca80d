"""Who has failed too often has to wait, longer each time. Pure: the time comes in.

Always true: at most `ENTRIES_MAX` are remembered, the one whose last failure is oldest is forgotten first; who has not
failed for `FORGET_S` begins anew.
"""

from __future__ import annotations

from collections import OrderedDict

FREE = 4
"""Failures that cost no waiting: people mistype."""

FIRST_S = 2.0
FORGET_S = 3600.0
ENTRIES_MAX = 1024


class Lockout:
    """`wait_s_max` is the longest that anybody is made to wait. Times are monotonic seconds."""

    def __init__(self, wait_s_max: float) -> None:
        self._wait_s_max = wait_s_max
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, key: str, mono: float) -> float:
        """How long `key` has still to wait, 0 if it need not."""
        count, last = self._failures.get(key, (0, 0.0))
        if count <= FREE or mono - last >= FORGET_S:
            return 0.0
        wait_s: float = min(FIRST_S * 2.0 ** (count - FREE - 1), self._wait_s_max)
        return max(0.0, last + wait_s - mono)

    def failed(self, key: str, mono: float) -> None:
        count, last = self._failures.pop(key, (0, mono))
        self._failures[key] = (1 if mono - last >= FORGET_S else count + 1, mono)
        if len(self._failures) > ENTRIES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
