"""Notices when somebody sets the clock of this machine while the gateway runs, and leaves it in the audit trail.

Delays and polls go by the monotonic clock, and the order of events is their sequence: a step moves none of them. But
whoever compares times later must know that an hour came twice, or not at all. What a clock did while the gateway was
not running is not seen here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.audit import GATEWAY
from agent.events import rfc3339

if TYPE_CHECKING:
    from agent.audit import Trail
    from agent.clock import Clock

STEP_S = 1.0
"""More than that from one look to the next; a clock that is slewed moves by less than a thousandth of it."""

LOOK_EVERY_S = 1.0

TARGET = "clock"


class ClockWatch:
    """`run` until it is cancelled."""

    def __init__(self, trail: Trail, clock: Clock) -> None:
        self._trail = trail
        self._clock = clock
        self._log = structlog.get_logger()
        self._last = clock.now()
        self.steps = 0

    async def run(self) -> None:
        while True:
            await self._clock.sleep_until(self._last.mono + LOOK_EVERY_S)
            self._look()

    def _look(self) -> None:
        now = self._clock.now()
        expected = self._last.wall + now.mono - self._last.mono
        self._last = now
        if abs(now.wall - expected) > STEP_S:
            self.steps += 1
            step_s = round(now.wall - expected, 3)
            self._log.warning("clock was set", step_s=step_s)
            reason = f"the clock of this machine was set by {step_s:+} s"
            self._trail.append(
                GATEWAY, "clock_step", TARGET, before=rfc3339(expected), after=rfc3339(now.wall), reason=reason
            )
