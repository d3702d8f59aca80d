"""Time comes in: the system's clock, and a manual one for tests, backtest and fast-forward."""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent.events import ClockState

_TIMEX_BYTES = 512
"""More than any kernel's `struct timex`; its first field, modes, stays 0: read only."""

_TIME_ERROR = 5
"""What adjtimex(2) returns while nobody disciplines the clock."""


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

    def state(self) -> ClockState: ...

    async def sleep_until(self, mono: float) -> None: ...


class SystemClock:
    """The real one. Its state comes from the kernel: a clock that was disciplined and is no longer holds over."""

    def __init__(self) -> None:
        self._timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        self._adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
        self._was_synced = False

    def state(self) -> ClockState:
        if 0 <= self._adjtimex(self._timex) < _TIME_ERROR:
            self._was_synced = True
            return "synced"
        return "holdover" if self._was_synced else "unsynced"

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
        self.worth: ClockState = "synced"
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def state(self) -> ClockState:
        return self.worth

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
