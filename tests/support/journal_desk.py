"""What the tests of the journal share: a clock that stands still, drafts, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from buffer.journal import Journal
from buffer.record import Draft
from buffer.store import Store

MEBIBYTE = 1024 * 1024

OpenJournal = Callable[..., Awaitable[Journal]]
OpenStore = Callable[..., Store]


@dataclass
class Wall:
    """Wall-clock seconds that move when a test says so."""

    now: float = 1_763_700_000.0

    def __call__(self) -> float:
        return self.now


def drafts(stream: str, *bodies: str) -> list[Draft]:
    return [Draft(stream, at, f"{stream}/x", body.encode()) for at, body in enumerate(bodies)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
