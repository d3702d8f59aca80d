"""When a window of maintenance comes: days of a calendar, in the time zone of the gateway. Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from config.duty import MaintenanceWindow

DAYS_AHEAD_MAX = 800
"""A fifth Monday, or the 31st, comes sooner than that."""

DAYS_A_WEEK = 7
NEVER = float("inf")


class Window:
    """One configured window on the clock on the wall; times are seconds since the epoch."""

    def __init__(self, settings: MaintenanceWindow, zone: ZoneInfo) -> None:
        self.settings = settings
        self._zone = zone

    def current(self, wall: float) -> float | None:
        """The beginning of the one that is on now."""
        today = datetime.fromtimestamp(wall, self._zone).date()
        for day in (today, today - timedelta(days=1)):
            start = self._start(day)
            if self._comes(day) and start <= wall < start + self.settings.duration_s:
                return start
        return None

    def next_start(self, wall: float) -> float:
        """The beginning of the next one after `wall`."""
        today = datetime.fromtimestamp(wall, self._zone).date()
        days = (today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD_MAX))
        return next((start for day in days if self._comes(day) and (start := self._start(day)) > wall), NEVER)

    def _comes(self, day: date) -> bool:
        rule = self.settings
        week = (day.day - 1) // DAYS_A_WEEK + 1
        return (
            (not rule.weekdays or day.weekday() in rule.weekdays)
            and (not rule.weeks or week in rule.weeks)
            and (not rule.days or day.day in rule.days)
        )

    def _start(self, day: date) -> float:
        hour, minute = divmod(self.settings.start_minute, 60)
        return datetime.combine(day, time(hour, minute), self._zone).timestamp()
