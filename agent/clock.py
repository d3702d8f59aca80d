"""Time comes in: the system's clock, and a manual one for tests, backtest and fast-forward."""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import dataclass
from itertools import count
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Now:
    """One moment: `wall` seconds since the epoch, `mono` monotonic seconds. Delays use `mono`, events carry `wall`."""

    wall: float
    mono: float


class Clock(Protocol):
    """Where the stages take their time from. An injected clock does not move `asyncio.timeout`: use `sleep_until`."""

    def wall(self) -> float: ...

    def mono(self) -> float: ...

    def now(self) -> Now: ...

    async def sleep_until(self, mono: float) -> None: ...


class SystemClock:
    """The real one."""

    def wall(self) -> float:
        return time.time()

    def mono(self) -> float:
        return time.monotonic()

    def now(self) -> Now:
        return Now(time.time(), time.monotonic())

    async def sleep_until(self, mono: float) -> None:
        await asyncio.sleep(max(0.0, mono - time.monotonic()))


class ManualClock:
    """Stands still until `advance`; sleepers wake in the order of their deadlines."""

    def __init__(self, wall: float = 1_763_700_000.0, mono: float = 1_000.0) -> None:
        self._wall = wall
        self._mono = mono
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def wall(self) -> float:
        return self._wall

    def mono(self) -> float:
        return self._mono

    def now(self) -> Now:
        return Now(self._wall, self._mono)

    def advance(self, seconds: float) -> None:
        """Move both times on and wake who is due."""
        self._wall += seconds
        self._mono += seconds
        while self._sleepers and self._sleepers[0][0] <= self._mono:
            _, _, sleeper = heapq.heappop(self._sleepers)
            if not sleeper.done():
                sleeper.set_result(None)

    def set_wall(self, wall: float) -> None:
        """A clock jump: the wall moves, the monotonic clock does not."""
        self._wall = wall

    async def sleep_until(self, mono: float) -> None:
        if mono <= self._mono:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (mono, next(self._order), sleeper))
        await sleeper
