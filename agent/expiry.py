"""Which lines will end because a certificate does: a health condition in time for somebody to renew it.

Uplinks look after their own; the rule is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.events import rfc3339
from agent.uplink.certificates import Validity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.clock import Clock
    from agent.health import Health
    from agent.poll import LineWorker

LOOK_EVERY_S = 60.0


class ExpiryWatch:
    """`look` as often as one likes; it judges by the minute. `workers` are gone through anew each time."""

    def __init__(self, workers: Iterable[LineWorker], health: Health, clock: Clock) -> None:
        self._workers = workers
        self._health = health
        self._clock = clock
        self._due = clock.mono()
        self._held: set[str] = set()

    def look(self) -> None:
        now = self._clock.now()
        if now.mono < self._due:
            return
        self._due = now.mono + LOOK_EVERY_S
        before, self._held = self._held, set()
        for worker in self._workers:
            self._judge(worker, now.wall)
        for line in before - self._held:
            self._health.release(line, "certificate_expires")

    def _judge(self, worker: LineWorker, wall: float) -> None:
        ending = [
            f"{what} until {rfc3339(end)}"
            for what, (begin, end) in worker.validities().items()
            if Validity(begin, end).ends_soon(wall)
        ]
        if ending:
            self._health.hold("certificate_expires", worker.line.id, wall, "; ".join(ending))
            self._held.add(worker.line.id)
