"""One configured way to tell people on the spot: when it sends, how often at most, and what happens when it cannot.

At most `max_per_hour` messages; `BURST` of them may follow each other at once. What waits meanwhile goes together in
the next one, so nothing is left out. What could not be sent is tried again for as long as nobody upstream has it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from agent.notice.failure import NoticeFailed
from agent.notice.message import compose
from agent.notice.unheard import Unheard
from config.outward import Webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable

    from agent.clock import Clock
    from agent.events import AlarmTransition, Event
    from agent.health import Health
    from agent.notice.message import Message
    from agent.notice.unheard import Upstream
    from config.outward import Notifier as Settings

    Send = Callable[[Message], Awaitable[None]]

LOOK_EVERY_S = 0.5
SEND_S_MAX = 15.0
BURST = 5
RETRY_S_MIN = 5.0
RETRY_S_MAX = 300.0


class Notifier:
    """`run` it beside the uplinks; add `on_stored` to the pipeline's listeners.

    Only alarms in `alarms` are told of: a proof test is no alarm of this house.
    """

    def __init__(
        self,
        settings: Settings,
        source: tuple[str, str],
        uplinks: Iterable[Upstream],
        alarms: Container[str],
        health: Health,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._source = source
        self._alarms = alarms
        self._health = health
        self._clock = clock
        self._send = sender(settings)
        self._unheard = Unheard(uplinks, settings.after_s, clock.mono())
        self._budget = Budget(settings.max_per_hour, clock.mono())
        self._retry_s = RETRY_S_MIN
        self._not_before = clock.mono()
        self._failing = False
        self._log = structlog.get_logger().bind(notifier=settings.id)

    def on_stored(self, events: Iterable[Event]) -> None:
        mono = self._clock.mono()
        for event in events:
            if event.subject in self._alarms:
                self._unheard.take(event, mono)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.mono() + LOOK_EVERY_S)
            mono = self._clock.mono()
            self._unheard.look(mono)
            due = self._unheard.due(mono)
            if due and mono >= self._not_before and self._budget.allows(mono):
                await self._tell(due)

    async def _tell(self, due: list[AlarmTransition]) -> None:
        message = compose(*self._source, due, self._unheard.forgotten)
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await self._send(message)
        except NoticeFailed as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed(f"no answer within {SEND_S_MAX:.0f} s; check host and network")
        else:
            self._unheard.told(due)
            self._budget.spend()
            self._passed(len(due))

    def _failed(self, why: str) -> None:
        self._health.hold("notice_failed", self._settings.id, self._clock.wall(), why)
        self._not_before = self._clock.mono() + self._retry_s
        self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
        if not self._failing:
            self._failing = True
            self._log.error("local notice failed", why=why)

    def _passed(self, alarms: int) -> None:
        self._health.release(self._settings.id, "notice_failed")
        self._failing = False
        self._retry_s = RETRY_S_MIN
        self._log.info("told people on the spot", alarms=alarms)


class Budget:
    """How many messages may still be sent: fills up to `BURST`, evenly over the hour."""

    def __init__(self, per_hour: int, mono: float) -> None:
        self._per_s = per_hour / 3600
        self._most = min(BURST, per_hour)
        self._left = float(self._most)
        self._at = mono

    def allows(self, mono: float) -> bool:
        self._left = min(self._most, self._left + (mono - self._at) * self._per_s)
        self._at = mono
        return self._left >= 1

    def spend(self) -> None:
        self._left -= 1


def sender(settings: Settings) -> Send:
    """How this one sends. What a way needs is imported only where it is configured."""
    way = settings.way
    if isinstance(way, Webhook):
        from agent.notice import webhook  # noqa: PLC0415 - see above

        return lambda message: webhook.send(way, message)
    from agent.notice import mail  # noqa: PLC0415 - see above

    return lambda message: mail.send(way, message)
