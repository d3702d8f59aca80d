"""What devices reported between two polls and the caller has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from drivers.contract import Reading

if TYPE_CHECKING:
    from collections import Counter

    from drivers.bacnet.plan import Plan, Told
    from drivers.contract import Clock, Poll

WAITING_MAX = 1000
"""Readings that nobody has taken yet; what is beyond is found by the next poll, and counted."""


class Waiting:
    """A bounded queue of readings of one line."""

    def __init__(self, clock: Clock, counts: Counter[str]) -> None:
        self._clock = clock
        self._counts = counts
        self._readings: deque[Reading] = deque()
        self._arrived = asyncio.Event()
        self._failure: BaseException | None = None

    def put(self, poll: Poll, plan: Plan, told: Told) -> None:
        """What a notification made of a poll."""
        if len(self._readings) < WAITING_MAX:
            self._readings.append(Reading(poll, self._clock.wall(), self._clock.mono(), *told))
            self._arrived.set()
        else:
            plan.doubt()
            self._counts["notifications lost"] += 1

    def fail(self, failure: BaseException | None) -> None:
        """Something went wrong that the caller has to know."""
        self._failure = self._failure or failure
        self._arrived.set()

    async def next(self) -> Reading:
        """The oldest that was not taken yet. Raises what went wrong."""
        while not self._readings:
            self._arrived.clear()
            if self._failure is not None:
                raise self._failure
            await self._arrived.wait()
        return self._readings.popleft()
