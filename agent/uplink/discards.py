"""Records that a broker will never take, gathered for the audit trail: the first at once, the next ones as ranges.

Entries about the audit stream itself are not made: each would be a record that the broker does not take either. The
journal's own account of losses has every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buffer.record import Record

EVERY_S = 60.0
"""No more than one entry for a stream and reason in this time."""

_UNTOLD = "audit"


@dataclass(slots=True)
class Discard:
    """`records` of one stream and epoch between `first` and `last`, all for one reason."""

    epoch: str
    stream: str
    reason: str
    first: int
    last: int
    records: int = 1

    def __str__(self) -> str:
        span = f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"
        return f"{self.epoch}/{self.stream}/{span}: {self.records} set aside"


class Discards:
    """`note` each one, `take` what is due. Times are those of the event loop."""

    def __init__(self) -> None:
        self._gathered: dict[tuple[str, str, str], Discard] = {}
        self._told: dict[tuple[str, str, str], float] = {}

    def note(self, record: Record, reason: str) -> None:
        if record.stream == _UNTOLD:
            return
        key = (record.epoch, record.stream, reason)
        known = self._gathered.get(key)
        if known is None:
            self._gathered[key] = Discard(*key, record.sequence, record.sequence)
            return
        known.first, known.last = min(known.first, record.sequence), max(known.last, record.sequence)
        known.records += 1

    def take(self, now: float, *, everything: bool = False) -> list[Discard]:
        """What the trail is to hear of now."""
        due = [key for key in self._gathered if everything or self._due(key, now) <= now]
        self._told.update(dict.fromkeys(due, now))
        return [self._gathered.pop(key) for key in due]

    def due(self, now: float) -> float | None:
        """When to take next."""
        return min((self._due(key, now) for key in self._gathered), default=None)

    def _due(self, key: tuple[str, str, str], now: float) -> float:
        return self._told[key] + EVERY_S if key in self._told else now
