"""Maintenance: what is being worked on, until when, and what that does to the alarms that are meant.

Invariants: every maintenance has an end by the clock on the wall. What may be hidden is suppressed by design; what must
never be hidden is told as ever, marked as a test. When the last one ends, the present state is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from agent.events import rfc3339
from agent.rules.commands import Refused
from agent.rules.stored import Cause
from agent.rules.windows import NEVER, Window
from config.duty import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent.rules.commands import MaintenanceCommand
    from agent.rules.occurrence import Run
    from config.model import Config

STATE_KEY = "maintenance"
MAINTENANCE_S_MAX = 7 * 86_400.0
"""What takes longer is looked at again, and started again."""

SCHEDULE = "schedule"
"""Who starts a window of the configuration."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One that is on. `until` and `since` are wall times; with `is_test` nothing is hidden."""

    id: str
    scope: Scope
    is_test: bool
    by: str
    reason: str
    since: float
    until: float

    @property
    def source(self) -> str:
        """What its alarms are told to be suppressed by."""
        return f"maintenance/{self.id}"

    def cover(self, run: Run) -> None:
        """Hide the alarm, or mark it as a test."""
        causes = run.tested_by if self.is_test or not run.alarm.shelvable else run.suppressed_by
        causes[self.source] = Cause(self.reason, self.since, self.until)

    def uncover(self, run: Run) -> None:
        run.tested_by.pop(self.source, None)
        run.suppressed_by.pop(self.source, None)


class Change(NamedTuple):
    """One that begins, or ends."""

    entry: Entry
    begins: bool


class _Stored(msgspec.Struct, frozen=True):
    """`begun` is the beginning of the last occurrence of each window, so that one that was ended early stays ended."""

    count: int
    entries: list[Entry]
    begun: dict[str, float]


class Maintenance:
    """All that is on, and the windows that come by themselves."""

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        self._windows = {window.settings.id: window for window in windows}
        self._count = 0
        self._begun: dict[str, float] = {}
        self.entries: dict[str, Entry] = {}

    @classmethod
    def build(cls, config: Config, stored: Mapping[str, bytes]) -> Maintenance:
        """As the journal keeps it."""
        zone = ZoneInfo(config.time_zone)
        made = cls(Window(each, zone) for each in config.maintenance)
        raw = stored.get(STATE_KEY)
        if raw is not None:
            found = msgspec.json.decode(raw, type=_Stored)
            made._count, made._begun = found.count, found.begun
            made.entries = {entry.id: entry for entry in found.entries}
        return made

    def store(self) -> bytes:
        return msgspec.json.encode(_Stored(self._count, list(self.entries.values()), self._begun))

    def due(self, wall: float) -> float:
        """The wall time at which something begins or ends next."""
        ends = (entry.until for entry in self.entries.values())
        begins = (window.next_start(wall) for window in self._windows.values())
        return min((*ends, *begins), default=NEVER)

    def serve(self, wall: float) -> list[Change]:
        """Whatever is over, and whatever has come."""
        over = [entry for entry in self.entries.values() if entry.until <= wall]
        for entry in over:
            del self.entries[entry.id]
        return [*(Change(entry, begins=False) for entry in over), *self._come(wall)]

    def _come(self, wall: float) -> Iterator[Change]:
        for name, window in self._windows.items():
            start = window.current(wall)
            if start is None or self._begun.get(name) == start or name in self.entries:
                continue
            self._begun[name] = start
            rule = window.settings
            until = start + rule.duration_s
            yield self._begin(name, rule.scope, SCHEDULE, rule.reason, wall, until, is_test=rule.is_test)

    def cut(self, wall: float) -> None:
        """The clock was set: everything ends after what it was asked for, at the latest. At 0, everything ends now."""
        for entry in self.entries.values():
            until = min(entry.until, wall + max(0.0, entry.until - entry.since)) if wall else 0.0
            self.entries[entry.id] = msgspec.structs.replace(entry, until=until)

    def obey(self, command: MaintenanceCommand, wall: float, runs: Iterable[Run]) -> Change:
        """Raises `Refused`."""
        return self._start(command, wall, runs) if command.verb == "maintenance-start" else self._end(command)

    def _start(self, command: MaintenanceCommand, wall: float, runs: Iterable[Run]) -> Change:
        scope, until = command.scope, command.until
        if not command.reason.strip():
            raise Refused("maintenance without why; say it", "malformed")
        if until is None:
            raise Refused("maintenance without an end; say until when", "malformed")
        if until <= wall:
            raise Refused(f"{rfc3339(until)} is over; give a time to come", "malformed")
        if until > wall + MAINTENANCE_S_MAX + 1.0:
            raise Refused(f"maintenance lasts {MAINTENANCE_S_MAX / 86_400:.0f} days at most", "forbidden")
        if not scope.named() or not any(scope.means(run.alarm) for run in runs):
            raise Refused("no alarm is meant by it; name a device, a system or a place", "unknown")
        return self._begin(self._free_id(), scope, command.actor, command.reason, wall, until, is_test=command.is_test)

    def _end(self, command: MaintenanceCommand) -> Change:
        entry = self.entries.pop(command.id, None)
        if entry is None:
            known = ", ".join(self.entries) or "none"
            raise Refused(f"there is no maintenance {command.id}; there is {known}", "unknown")
        return Change(entry, begins=False)

    def _free_id(self) -> str:
        """A number that no window is called."""
        self._count += 1
        while str(self._count) in self._windows:
            self._count += 1
        return str(self._count)

    def _begin(
        self, name: str, scope: Scope, by: str, reason: str, since: float, until: float, *, is_test: bool
    ) -> Change:
        entry = Entry(id=name, scope=scope, is_test=is_test, by=by, reason=reason, since=since, until=until)
        self.entries[name] = entry
        return Change(entry, begins=True)
