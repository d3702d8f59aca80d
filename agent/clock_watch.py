"""Notices when somebody sets the clock of this machine while the gateway runs, and when nobody does.

Delays and polls go by the monotonic clock, and the order of events is their sequence: a step moves none of them. But
whoever compares times later must know that an hour came twice, or not at all: that is left in the audit trail. What a
clock did while the gateway was not running is not seen here. A clock that no time server has set for long is a health
condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.audit import GATEWAY
from agent.events import rfc3339

if TYPE_CHECKING:
    from agent.audit import Trail
    from agent.clock import Clock
    from agent.health import Health

STEP_S = 1.0
"""More than that from one look to the next; a clock that is slewed moves by less than a thousandth of it."""

LOOK_EVERY_S = 1.0

PATIENCE_S = {"unsynced": 600.0, "holdover": 3600.0}
"""How long a time server may take to be heard for the first time, and how long it may be silent later."""

TARGET = "clock"


class ClockWatch:
    """`run` until it is cancelled."""

    def __init__(self, trail: Trail, clock: Clock, health: Health) -> None:
        self._trail = trail
        self._clock = clock
        self._health = health
        self._log = structlog.get_logger()
        self._last = clock.now()
        self._state = clock.state()
        self._since_mono = clock.mono()
        self.steps = 0

    async def run(self) -> None:
        while True:
            await self._clock.sleep_until(self._last.mono + LOOK_EVERY_S)
            self._look()
            self._look_at_state()

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

    def _look_at_state(self) -> None:
        state, now = self._clock.state(), self._clock.now()
        if state != self._state:
            self._log.info("clock changed", state=state, before=self._state)
            self._state, self._since_mono = state, now.mono
        alone_s = now.mono - self._since_mono
        if state == "synced":
            self._health.release(TARGET, "clock_unset")
        elif alone_s >= PATIENCE_S[state]:
            self._health.hold("clock_unset", TARGET, now.wall, f"{state} for {alone_s / 60:.0f} min")
