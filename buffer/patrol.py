"""Looks once through a journal for records that are missing although nobody let them go. Runs in the writer's thread.

A disk may lose a write without a word, and a page that is an older one is a sound page: SQLite sees nothing. What is
missing then would be waited for for ever; so it is counted as lost. In small steps, between commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buffer.errors import JournalDamaged
from buffer.plausible import are_counts
from buffer.retention import REASON_DAMAGED

if TYPE_CHECKING:
    from buffer.ledger import Lane
    from buffer.store import Store

STEP_CHUNKS = 2000
"""Takes about a millisecond."""


class Patrol:
    """One round through the lanes that were there when it began."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lanes: list[Lane] = list(store.lane_ids)
        self._seen = 0

    def step(self) -> bool:
        """Whether there is more to look at. Raises `JournalDamaged` and `sqlite3.Error`."""
        if not self._lanes:
            return False
        lane = self._lanes[-1]
        rows = self._store.connection.execute(
            "SELECT first_seq, last_seq FROM chunk WHERE lane = ? AND last_seq > ? ORDER BY last_seq LIMIT ?",
            (self._store.lane_ids[lane], self._seen, STEP_CHUNKS),
        ).fetchall()
        is_end = len(rows) < STEP_CHUNKS
        for first, last in rows if is_end else rows[:-1]:  # The last row of a lane may still grow.
            if not are_counts(first, last) or not self._seen < first <= last:
                raise JournalDamaged("chunks overlap")
            self._miss(lane, first - 1)
            self._seen = last
        if is_end:
            self._miss(lane, self._store.ledger.kept(lane).next - 1)
            self._lanes.pop()
            self._seen = 0
        return True

    def _miss(self, lane: Lane, last: int) -> None:
        """What is not there up to `last` was settled by all before it was trimmed, or it is lost."""
        if last > self._seen:
            self._store.ledger.drop(lane, self._seen + 1, last, REASON_DAMAGED)
