"""Everything the one read-write connection does: load, store, and persist the ledger. Belongs to one thread.

Always true after a commit: sequences of a lane are contiguous from 1 to `next_seq - 1`; `next_seq` only grows, so a
sequence is never reused whatever is trimmed; records and state that were handed over together are both there or both
not. Trimming is `buffer.retention`'s, on the same connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from buffer.chunk import Chunk, Packer, split
from buffer.database import transaction
from buffer.ledger import Kept, Lane, Ledger, Loss, Mark, Span

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

    from buffer.record import Draft

TRANSACTION_BYTES = 32 * 1024
"""What a small transaction adds to the write-ahead log: the handful of pages that it touches."""

START_OF_TAIL = """
    SELECT max(first_seq) FROM
        (SELECT first_seq, lag(last_seq) OVER (ORDER BY last_seq) AS before FROM chunk WHERE lane = ?)
    WHERE before IS NULL OR first_seq <> before + 1"""
"""Where the newest run of kept records without a hole begins."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The epoch before this one, and the last sequence of each of its streams."""

    epoch: str
    last: Mapping[str, int]


class Store:
    """The journal as one thread sees it. Any method may raise `sqlite3.Error`; after that it must not be used again."""

    def __init__(
        self, connection: sqlite3.Connection, ledger: Ledger, wall: Callable[[], float], new_epoch: Callable[[], str]
    ) -> None:
        """Load what is on disk. Begins the first epoch where there is none, with the name that `new_epoch` gives."""
        self.connection = connection
        self.ledger = ledger
        self.wall = wall
        self.lane_ids: dict[Lane, int] = {}
        self.written_bytes = 0
        self._path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._packer = Packer()
        self._epoch_id = 0
        self.epoch = ""
        self.previous: Previous | None = None
        self._forget_other_cursors()
        self._load_lanes()
        self._load_epoch()
        if not self.epoch:
            self.begin_epoch(new_epoch)
        self.state: dict[str, bytes] = dict(connection.execute("SELECT key, value FROM state"))

    def now_ms(self) -> int:
        return int(self.wall() * 1000)

    def begin_epoch(self, new_epoch: Callable[[], str]) -> None:
        """All streams start again at 1 under a name that this journal never had; older epochs stay readable."""
        used = {name for (name,) in self.connection.execute("SELECT name FROM epoch")}
        name = new_epoch()
        while name in used:
            name = new_epoch()
        with transaction(self.connection):
            self.connection.execute("INSERT INTO epoch (name, begun_ms) VALUES (?, ?)", (name, self.now_ms()))
        self._load_epoch()

    def store(self, drafts: Iterable[Draft], state: Mapping[str, bytes | None]) -> None:
        """Records, state, and what was settled since the last time, in one transaction."""
        packed = self._pack(drafts)
        added: dict[Lane, int] = {}
        with transaction(self.connection):
            for lane, chunks in packed.items():
                lane_id = self.lane_ids.get(lane) or added.setdefault(lane, self._add_lane(lane))
                self._put_chunks(lane_id, self.ledger.kept(lane), chunks)
            self._put_state(state)
            self.put_ledger()
        self.lane_ids.update(added)
        for lane, chunks in packed.items():
            self.ledger.put(lane, grown(self.ledger.kept(lane), chunks))
            self.written_bytes += sum(len(chunk.blob) for chunk in chunks)
        self.written_bytes += TRANSACTION_BYTES

    def checkpoint_if_due(self, bytes_max: int) -> None:
        """Move the write-ahead log into the file once about `bytes_max` are in it; never waits for readers."""
        if self.written_bytes >= bytes_max:
            _, pages, moved = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self.written_bytes = 0 if moved == pages else bytes_max

    def finish(self) -> None:
        """Persist what is left, empty the write-ahead log, close."""
        self.flush()
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()

    def sizes(self) -> tuple[int, int]:
        """Bytes of the file and of the write-ahead log. Raises `OSError` where somebody has deleted them."""
        return self._path.stat().st_size, self._path.with_name(self._path.name + "-wal").stat().st_size

    def oldest_ms(self) -> dict[str, int]:
        """When the oldest record was stored that a cursor still waits for, by cursor; milliseconds since the epoch."""
        oldest: dict[str, int] = {}
        for lane, lane_id in self.lane_ids.items():
            for name in self.ledger.cursors:
                position = self.ledger.position(name, lane)
                if position.unsettled:
                    oldest[name] = min(oldest.get(name, self.now_ms()), self._recorded_ms(lane_id, position.low + 1))
        return oldest

    def _recorded_ms(self, lane_id: int, sequence: int) -> int:
        row = self.connection.execute(
            "SELECT recorded_ms FROM chunk WHERE lane = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1",
            (lane_id, sequence),
        ).fetchone()
        return int(row[0])

    def flush(self) -> None:
        """Persist what was settled or lost, if anything was."""
        if self.ledger.dirty:
            with transaction(self.connection):
                self.put_ledger()
            self.written_bytes += TRANSACTION_BYTES

    def put_ledger(self) -> None:
        """Inside a transaction: what was settled or lost since the last time."""
        marks, losses = self.ledger.take_dirty()
        self.connection.executemany(
            "INSERT OR REPLACE INTO cursor (name, lane, low, spans, sent, counts) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (name, self.lane_ids[lane], mark.low, pack(mark.spans), mark.sent, pack(mark.counts))
                for name, lane, mark in marks
            ],
        )
        self.connection.executemany(
            "INSERT OR REPLACE INTO loss VALUES (?, ?, ?, ?, ?, ?)",
            [
                (loss.cursor, self.lane_ids[loss.lane], loss.reason, loss.first, loss.last, loss.records)
                for loss in losses
            ],
        )

    def put_kept(self, lane_id: int, kept: Kept) -> None:
        """Inside a transaction: the totals of a lane."""
        self.connection.execute(
            "UPDATE lane SET next_seq = ?, records = ?, raw_bytes = ?, stored_bytes = ? WHERE id = ?",
            (kept.next, kept.records, kept.raw_bytes, kept.stored_bytes, lane_id),
        )

    def first_kept(self, lane_id: int) -> int | None:
        row = self.connection.execute(
            "SELECT first_seq FROM chunk WHERE lane = ? ORDER BY last_seq LIMIT 1", (lane_id,)
        ).fetchone()
        return None if row is None else int(row[0])

    # Storing.

    def _pack(self, drafts: Iterable[Draft]) -> dict[Lane, list[Chunk]]:
        streams: dict[str, list[Draft]] = {}
        for draft in drafts:
            streams.setdefault(draft.stream, []).append(draft)
        return {
            Lane(self.epoch, stream): [self._packer.pack(group) for group in split(batch)]
            for stream, batch in streams.items()
        }

    def _add_lane(self, lane: Lane) -> int:
        row = self.connection.execute(
            "INSERT INTO lane (epoch, stream, next_seq, records, raw_bytes, stored_bytes) VALUES (?, ?, 1, 0, 0, 0)",
            (self._epoch_id, lane.stream),
        )
        return int(row.lastrowid or 0)

    def _put_chunks(self, lane_id: int, kept: Kept, chunks: list[Chunk]) -> None:
        recorded_ms = self.now_ms()
        first = kept.next
        rows = []
        for chunk in chunks:
            last = first + chunk.records - 1
            rows.append(
                (lane_id, first, last, recorded_ms, chunk.time_min_ms, chunk.time_max_ms, chunk.raw_bytes, chunk.blob)
            )
            first = last + 1
        self.connection.executemany(
            """INSERT INTO chunk (lane, first_seq, last_seq, recorded_ms, time_min_ms, time_max_ms, raw_bytes, blob)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            rows,
        )
        self.put_kept(lane_id, grown(kept, chunks))

    def _put_state(self, state: Mapping[str, bytes | None]) -> None:
        self.connection.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, value) for key, value in state.items() if value is not None],
        )
        self.connection.executemany(
            "DELETE FROM state WHERE key = ?", [(key,) for key, value in state.items() if value is None]
        )

    # Loading.

    def _forget_other_cursors(self) -> None:
        """A cursor of an uplink that is no longer configured must not hold anything back."""
        names = self.ledger.cursors
        marks = ", ".join("?" * len(names))
        with transaction(self.connection):
            self.connection.execute(f"DELETE FROM cursor WHERE name NOT IN ({marks})", names)  # noqa: S608 - only "?"
            self.connection.execute(f"DELETE FROM loss WHERE cursor NOT IN ({marks})", names)  # noqa: S608 - only "?"

    def _load_epoch(self) -> None:
        rows = self.connection.execute("SELECT id, name FROM epoch ORDER BY id DESC LIMIT 2").fetchall()
        if rows:
            self._epoch_id, self.epoch = rows[0]
        if len(rows) > 1:
            lanes = self.ledger.lanes().items()
            self.previous = Previous(
                rows[1][1], {lane.stream: k.next - 1 for lane, k in lanes if lane.epoch == rows[1][1]}
            )

    def _load_lanes(self) -> None:
        rows = self.connection.execute(
            """SELECT lane.id, epoch.name, stream, next_seq, records, raw_bytes, stored_bytes
            FROM lane JOIN epoch ON epoch.id = lane.epoch ORDER BY lane.id"""
        ).fetchall()
        for lane_id, epoch, stream, following, *sizes in rows:
            lane = Lane(epoch, stream)
            self.lane_ids[lane] = lane_id
            kept = Kept(following, self.first_kept(lane_id) or following, *sizes)
            losses = self._load_losses(lane_id, lane)
            marks = self._load_marks(lane_id, losses)
            self.ledger.load(lane, kept, marks, losses)
            self._enter(lane, set(self.ledger.cursors) - marks.keys(), following)

    def _load_marks(self, lane_id: int, losses: Iterable[Loss]) -> dict[str, Mark]:
        rows = self.connection.execute("SELECT name, low, spans, sent, counts FROM cursor WHERE lane = ?", (lane_id,))
        marks = {}
        for name, low, packed, sent, counts in rows:
            spans = msgspec.msgpack.decode(packed, type=list[Span])
            if sent is None:  # Written by a release that did not count it: it skipped nothing.
                sent = low - sum(loss.records for loss in losses if loss.cursor == name)  # noqa: PLW2901 - see above
                marks[name] = Mark(low, spans, max(0, sent), [last - first + 1 for first, last in spans])
            else:
                marks[name] = Mark(low, spans, sent, msgspec.msgpack.decode(counts, type=list[int]))
        return marks

    def _enter(self, lane: Lane, cursors: Iterable[str], following: int) -> None:
        """New cursors begin at the oldest record from which nothing is missing."""
        for name in cursors:
            (start,) = self.connection.execute(START_OF_TAIL, (self.lane_ids[lane],)).fetchone()
            self.ledger.enter(name, lane, start or following)

    def _load_losses(self, lane_id: int, lane: Lane) -> list[Loss]:
        rows = self.connection.execute(
            "SELECT cursor, reason, first_seq, last_seq, records FROM loss WHERE lane = ?", (lane_id,)
        )
        return [Loss(cursor, lane, *rest) for cursor, *rest in rows]


pack = msgspec.msgpack.Encoder().encode


def grown(kept: Kept, chunks: Iterable[Chunk]) -> Kept:
    """What is kept of a lane after `chunks` were added at its end."""
    for chunk in chunks:
        kept = Kept(
            kept.next + chunk.records,
            kept.first,
            kept.records + chunk.records,
            kept.raw_bytes + chunk.raw_bytes,
            kept.stored_bytes + len(chunk.blob),
        )
    return kept
