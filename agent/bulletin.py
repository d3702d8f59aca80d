"""Tells every platform how the gateway is: once a minute, and soon after a health condition has come or gone.

What is told is the status that an operator sees (`health_event`). It is no record: a platform that was away hears how
it is now, not how it was.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.health_event import MachineHealth, health_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.clock import Clock
    from agent.events import Event
    from agent.health import Code, Health
    from agent.status import Status

EVERY_S = 60.0
LOOK_EVERY_S = 1.0

CHANGE_S_MIN = 5.0
"""A condition that comes and goes all the time makes no more messages than one each so often."""


MEMORY = Path("/proc/self/statm")
RESIDENT = 1
"""The column of the pages that are in memory."""


class Listening(Protocol):
    """An uplink, as far as it is told."""

    def tell(self, event: Event) -> None:
        """Say this now, or whatever is newer by the time when somebody can hear it."""


class Bulletin:
    """`run` until it is cancelled."""

    def __init__(
        self, status: Callable[[], Status], health: Health, uplinks: Iterable[Listening], clock: Clock
    ) -> None:
        self._status = status
        self._health = health
        self._uplinks = uplinks
        self._clock = clock
        self._held: set[tuple[Code, str]] = set()
        self._told_at = float("-inf")

    def renew(self) -> None:
        """There are others to be told now."""
        self._told_at = float("-inf")

    async def run(self) -> None:
        """A look each second costs what the conditions are; the status is made for what is told only."""
        while True:
            await self._clock.sleep_until(self._clock.mono() + LOOK_EVERY_S)
            self._look()

    def _look(self) -> None:
        now, held = self._clock.now(), self._health.held
        since_s = now.mono - self._told_at
        is_change = held != self._held
        if since_s < (CHANGE_S_MIN if is_change else EVERY_S):
            return
        self._held, self._told_at = held, now.mono
        event = health_event(self._status(), _machine(), "change" if is_change else "interval", now.wall)
        for uplink in self._uplinks:
            uplink.tell(event)


def _machine() -> MachineHealth:
    """As the kernel counts it, without asking a disk."""
    pages = int(MEMORY.read_text(encoding="ascii").split()[RESIDENT])
    return MachineHealth(
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        load_1min=round(os.getloadavg()[0], 2),
        cpus=os.cpu_count() or 1,
    )
