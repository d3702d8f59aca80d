"""Which critical alarms nobody upstream has: what no uplink has delivered to its broker in time. Pure.

An alarm is due when it has waited for `after_s`, or at once where no uplink has been connected for so long. What an
uplink delivers after all is forgotten. A handful of events of one occurrence is one entry, the latest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.events import AlarmTransition
from agent.notice.message import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Event
    from agent.status import UplinkView
    from config.model import Stream

STREAM: Stream = "critical"
ENTRIES_MAX = 500
NEVER = float("-inf")


class Upstream(Protocol):
    """What is asked of an uplink."""

    @property
    def id(self) -> str: ...

    def wants(self, event: Event) -> bool: ...

    def view(self) -> UplinkView: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One occurrence of an alarm that waits to be heard of; by whom, and since when (monotonic seconds)."""

    body: AlarmTransition
    since: float
    uplinks: tuple[str, ...]


class Unheard:
    """`take` what is stored, `look` at the uplinks now and then, ask what is `due`, and say what was `told`.

    `uplinks` may come and go. `forgotten` counts the entries for which there was no room.
    """

    def __init__(self, uplinks: Iterable[Upstream], after_s: float, mono: float) -> None:
        self.forgotten = 0
        self._uplinks = uplinks
        self._after_s = after_s
        self._away_since: dict[str, float | None] = dict.fromkeys((uplink.id for uplink in uplinks), mono)
        self._entries: dict[str, Entry] = {}

    def take(self, event: Event, mono: float) -> None:
        """Note a stored event, if somebody should hear of it."""
        body = event.body
        if event.stream != STREAM or not isinstance(body, AlarmTransition) or body.hidden or body.action not in WORDS:
            return
        before = self._entries.pop(body.occurrence_id, None)
        wanted = tuple(uplink.id for uplink in self._uplinks if uplink.wants(event))
        self._entries[body.occurrence_id] = Entry(body, before.since if before else mono, wanted)
        if len(self._entries) > ENTRIES_MAX:
            del self._entries[next(iter(self._entries))]
            self.forgotten += 1

    def look(self, mono: float) -> None:
        """Forget what was delivered, and note who is connected."""
        delivered = set()
        before, self._away_since = self._away_since, {}
        for uplink in self._uplinks:
            view = uplink.view()
            since = before.get(uplink.id)
            self._away_since[uplink.id] = None if view.state == "connected" else mono if since is None else since
            if not view.waiting.get(STREAM):
                delivered.add(uplink.id)
        self._entries = {key: entry for key, entry in self._entries.items() if delivered.isdisjoint(entry.uplinks)}

    def due(self, mono: float) -> list[AlarmTransition]:
        """What people should be told of now."""
        return [entry.body for entry in self._entries.values() if mono >= self._due_at(entry)]

    def told(self, bodies: Iterable[AlarmTransition]) -> None:
        """They know, unless something newer has happened to it meanwhile."""
        self.forgotten = 0
        for body in bodies:
            entry = self._entries.get(body.occurrence_id)
            if entry is not None and entry.body.n == body.n:
                del self._entries[body.occurrence_id]

    def _due_at(self, entry: Entry) -> float:
        at_the_latest = entry.since + self._after_s
        wanting = [self._away_since[name] for name in entry.uplinks if name in self._away_since]
        away = [since for since in wanting if since is not None]
        if len(away) < len(wanting):
            return at_the_latest
        return min(at_the_latest, max(entry.since, max(away, default=NEVER) + self._after_s))
