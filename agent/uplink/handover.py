"""What the broker has taken and the platform has not confirmed, for an uplink that waits for confirmation.

There a PUBACK settles nothing: it is remembered here, in memory, so that watermark and status can tell handed over from
confirmed. After a restart the journal's cursor, which holds what is confirmed, is all that is known: the rest is sent
again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from buffer.ledger import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buffer.journal import Journal
    from buffer.ledger import Lane, Position, Span

STAMP_EVERY_S = 5.0
STAMPS_MAX = 64
"""Of the oldest that is not confirmed the age must be known well; of the others it is enough that they are younger."""


@dataclass(slots=True)
class Lot:
    """One lane: what was handed over, and when `low` of it had which value at the latest."""

    mark: Mark
    confirmed: Mark = field(default_factory=Mark)
    stamps: deque[tuple[float, int]] = field(default_factory=deque)

    def stamp(self, now: float) -> None:
        """What was handed over up to here was so by `now`."""
        if self.stamps and (now - self.stamps[-1][0] < STAMP_EVERY_S or len(self.stamps) == STAMPS_MAX):
            now = self.stamps.pop()[0]
        self.stamps.append((now, self.mark.low))

    def since(self, confirmed_to: int) -> float | None:
        """Since when something that is handed over has not been confirmed, in the seconds of the event loop."""
        while self.stamps and self.stamps[0][1] <= confirmed_to:
            self.stamps.popleft()
        return self.stamps[0][0] if self.stamps else None


class Handover:
    """The account of one uplink since the start of the process."""

    def __init__(self, journal: Journal, cursor: str) -> None:
        self.confirmed = 0
        self._journal = journal
        self._cursor = cursor
        self._lots: dict[Lane, Lot] = {}

    def take(self, lane: Lane, spans: Iterable[Span], now: float) -> None:
        """The broker has acknowledged these."""
        lot = self._lot(lane)
        for first, last in spans:
            lot.mark.add(first, last)
        lot.stamp(now)

    def confirm(self, lane: Lane, spans: Iterable[Span]) -> int:
        """The platform has these: settle them. Returns how many of them it had not confirmed before.

        Raises `ValueError` for a sequence that is not stored yet.
        """
        lot = self._lot(lane)
        before = self._journal.position(self._cursor, lane).unsettled
        spans = list(spans)
        self._journal.settle(self._cursor, lane.stream, spans, epoch=lane.epoch)
        for first, last in spans:
            lot.mark.add(first, last)
            lot.confirmed.add(first, last)
        fresh = before - self._journal.position(self._cursor, lane).unsettled
        self.confirmed += fresh
        return fresh

    def has_confirmed(self, lane: Lane, sequence: int) -> bool:
        """Whether the platform itself has confirmed this record since the start of the process."""
        lot = self._lots.get(lane)
        return lot is not None and lot.confirmed.holds(sequence)

    def mark(self, lane: Lane) -> Mark:
        """What was handed over, with what the cursor has settled in other ways."""
        mark = self._lot(lane).mark
        position = self._journal.position(self._cursor, lane)
        for first, last in ((1, position.low), *position.spans):
            mark.add(first, last, sent=False)
        return mark

    def unconfirmed(self, lane: Lane) -> int:
        """How many records are handed over and not confirmed."""
        position = self._journal.position(self._cursor, lane)
        return self.mark(lane).total - (position.next - 1 - position.unsettled)

    def since(self) -> float | None:
        """Since when the oldest of them waits for its confirmation, in the seconds of the event loop."""
        starts = [
            lot.since(self._journal.position(self._cursor, lane).low) for lane, lot in self._lots.items() if lot.stamps
        ]
        return min((start for start in starts if start is not None), default=None)

    def _lot(self, lane: Lane) -> Lot:
        lot = self._lots.get(lane)
        if lot is None:
            position = self._journal.position(self._cursor, lane)
            lot = self._lots[lane] = Lot(_mark(position))
        return lot


def _mark(position: Position) -> Mark:
    return Mark(position.low, list(position.spans), position.sent, list(position.counts))
