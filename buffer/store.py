"""Everything the one read-write connection does: load, store, and persist the ledger. Belongs to one thread.

Always true after a commit: sequences of a lane are contiguous from 1 to `next_seq - 1`; `next_seq` only grows, so a
sequence is never reused whatever is trimmed; records and state that were handed over together are both there or both
not. Trimming is `buffer.retention`'s, on the same connection.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from buffer.chunk import Chunk, Packer, Unpacker, by_stream, entries_of
from buffer.database import RENEW, connect_reader, file_of, transaction
from buffer.epoch import FIRST, RENEWED, Begun, Previous, nothing
from buffer.errors import JournalDamaged
from buffer.ledger import Kept, Lane, Ledger, Loss, Mark, Span
from buffer.plausible import are_counts, credible
from buffer.reader import READ_CHUNKS_MAX
from buffer.tail import Packed, Tail, pack_on

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping

    from buffer.epoch import Begin
    from buffer.record import Draft

TRANSACTION_BYTES = 32 * 1024
"""What a small transaction adds to the write-ahead log: the handful of pages that it touches."""

START_OF_TAIL = """
    SELECT max(first_seq) FROM
        (SELECT first_seq, lag(last_seq) OVER (ORDER BY last_seq) AS before FROM chunk WHERE lane = ?)
    WHERE before IS NULL OR first_seq <> before + 1"""
"""Where the newest run of kept records without a hole begins."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a transaction added: lanes as they are now with their tails, the ids of new ones, bytes of blobs."""

    lanes: dict[Lane, Kept]
    tails: dict[Lane, Tail]
    lane_ids: dict[Lane, int]
    size: int


class Store:
    """The journal as one thread sees it. Any method may raise `sqlite3.Error`; after that it must not be used again."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        ledger: Ledger,
        wall: Callable[[], float],
        new_epoch: Callable[[], str],
        begin: Begin = nothing,
        reason: str = "",
    ) -> None:
        """Load what is on disk. Begins an epoch where there is none (`is_new`), for `reason` if one is known."""
        self.connection = connection
        self.ledger = ledger
        self.wall = wall
        self.lane_ids: dict[Lane, int] = {}
        self.written_bytes = 0
        self.pulse_mono = time.monotonic()
        self._new_epoch = new_epoch
        self._begin = begin
        self._path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._file = file_of(self._path)
        self._packer = Packer()
        self.tails: dict[Lane, Tail] = {}
        self._guard: sqlite3.Connection | None = None
        self._epoch_id = 0
        self.epoch = ""
        self.is_volatile = False
        self.previous: Previous | None = None
        self.forget_other_cursors()
        self._load_lanes()
        self._load_epoch()
        self.is_new = not self.epoch
        if self.is_new:
            self.begin_epoch(self.renewal or reason or FIRST)
        self.state: dict[str, bytes] = dict(connection.execute("SELECT key, value FROM state"))
        if not all(isinstance(value, bytes) for value in self.state.values()):
            raise JournalDamaged("a state that was never written")

    def pulse(self) -> None:
        """Note that the disk has answered so far, before it is asked again."""
        self.pulse_mono = time.monotonic()

    def now_ms(self) -> int:
        return int(self.wall() * 1000)

    @property
    def renewal(self) -> str:
        """Why a new epoch must begin before anything else is stored; empty where it need not."""
        row = self.connection.execute("SELECT key FROM meta WHERE key >= ? ORDER BY key", (RENEW,)).fetchone()
        return str(row[0]).removeprefix(RENEW) if row is not None and row[0].startswith(RENEW) else ""

    def begin_epoch(self, reason: str) -> None:
        """All streams start again at 1 under a name that this journal never had; older epochs stay readable."""
        name = self.unused_name()
        with transaction(self.connection):
            stored = self.put_epoch(name, reason)
        self.publish(stored)

    def begin_streams(self) -> None:
        """Store the first records of streams that this epoch does not have yet."""
        known = {
            lane.stream for lane, kept in self.ledger.lanes().items() if lane.epoch == self.epoch and kept.next > 1
        }
        first = [
            draft
            for draft in self._begin(
                Begun(self.epoch, self.previous, RENEWED if self.previous else FIRST, durable=True)
            )
            if draft.stream not in known
        ]
        if first:
            self.store(first, {})

    def account_for_holes(self, reason: str, but: str = "") -> None:
        """Count as lost what is missing between the chunks of a lane, in any epoch `but` one, and was not settled.

        On disk with the next transaction.
        """
        for lane, lane_id in self.lane_ids.items():
            if lane.epoch == but:
                continue
            following = 1
            for first, last in self.connection.execute(
                "SELECT first_seq, last_seq FROM chunk WHERE lane = ? ORDER BY last_seq", (lane_id,)
            ):
                self.ledger.drop(lane, following, first - 1, reason)
                following = last + 1
            self.ledger.drop(lane, following, self.ledger.kept(lane).next - 1, reason)

    def unused_name(self) -> str:
        used = {name for (name,) in self.connection.execute("SELECT name FROM epoch")}
        name = self._new_epoch()
        while name in used:
            name = self._new_epoch()
        return name

    def store(self, drafts: Iterable[Draft], state: Mapping[str, bytes | None]) -> None:
        """Records, state, and what was settled since the last time, in one transaction."""
        self.publish(self.write(drafts, state))

    def write(self, drafts: Iterable[Draft], state: Mapping[str, bytes | None]) -> Stored:
        """As `store`, but nobody hears of the records until `publish`."""
        packed = self._pack(self.epoch, drafts)
        self.pulse()
        with transaction(self.connection):
            self.pulse()
            stored = self._put(packed)
            self.put_state(state)
            self.put_ledger()
            self.pulse()
        self.pulse()
        return stored

    def publish(self, stored: Stored) -> None:
        """Enter in the ledger what a transaction has stored."""
        self.lane_ids.update(stored.lane_ids)
        for lane, kept in stored.lanes.items():
            self.ledger.put(lane, kept)
        self.tails.update(stored.tails)
        self.written_bytes += stored.size + TRANSACTION_BYTES

    def checkpoint_if_due(self, bytes_max: int) -> None:
        """Move the write-ahead log into the file once about `bytes_max` are in it; never waits for readers."""
        if self.written_bytes >= bytes_max:
            self.pulse()
            _, pages, moved = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self.written_bytes = 0 if moved == pages else bytes_max

    def guard(self) -> None:
        """Have a second connection, so that `abandon` is not the last one to go."""
        self._guard = connect_reader(self._path)

    def abandon(self) -> None:
        """Close without the checkpoint that the last connection would do, which would try the disk again."""
        self.connection.close()
        if self._guard is not None:
            self._guard.close()

    def finish(self) -> None:
        """Persist what is left, empty the write-ahead log, close."""
        if self._guard is not None:
            self._guard.close()
        self.flush()
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.close()

    def sizes(self) -> tuple[int, int]:
        """Bytes of the file and of the write-ahead log. Raises `OSError` where they are deleted or replaced."""
        if file_of(self._path) != self._file:
            raise FileNotFoundError(errno.ENOENT, "another file lies in its place", str(self._path))
        return self._path.stat().st_size, self._path.with_name(self._path.name + "-wal").stat().st_size

    def oldest_ms(self) -> dict[str, int]:
        """When the oldest record was stored that a cursor still waits for, by cursor; milliseconds since the epoch."""
        oldest: dict[str, int] = {}
        for name, positions in self.ledger.account(self.epoch).items():
            for position in positions:
                if position.unsettled and position.lane in self.lane_ids:
                    recorded_ms = self._recorded_ms(position.lane, position.low + 1)
                    oldest[name] = min(oldest.get(name, self.now_ms()), recorded_ms)
        return oldest

    def _recorded_ms(self, lane: Lane, sequence: int) -> int:
        """When it was stored; of records before the tail, when the first one of their chunk was."""
        tail = self.tails.get(lane)
        if tail is not None and sequence >= tail.first:
            return tail.recorded_ms(sequence)
        row = self.connection.execute(
            "SELECT recorded_ms FROM chunk WHERE lane = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1",
            (self.lane_ids[lane], sequence),
        ).fetchone()
        if row is None or not are_counts(*row):
            raise JournalDamaged("a record that is waited for is not there")
        return int(row[0])

    def is_sound(self, chunk_id: int, lane: Lane, span: Span) -> bool:
        """Whether the blob of one chunk is what was stored. Raises `JournalDamaged` where the row itself is not."""
        row = self.connection.execute(
            "SELECT lane, first_seq, last_seq, recorded_ms, raw_bytes, blob FROM chunk WHERE id = ?", (chunk_id,)
        ).fetchone()
        if row is None or row[:3] != (self.lane_ids[lane], *span):
            raise JournalDamaged("a table and its index do not agree")
        if not are_counts(*row[:5]) or not isinstance(row[5], bytes):
            raise JournalDamaged("a chunk that was never written")
        try:
            Unpacker().unpack(row[5], row[4], span[1] - span[0] + 1, row[3])
        except JournalDamaged:
            return False
        return True

    def probe(self, lane: Lane, after: int) -> None:
        """Read what a reader may have read. Raises `JournalDamaged` and `sqlite3.Error` where that cannot be done."""
        for row in self.connection.execute(
            "SELECT id, first_seq, last_seq FROM chunk WHERE lane = ? AND last_seq > ? ORDER BY last_seq LIMIT ?",
            (self.lane_ids.get(lane), after, READ_CHUNKS_MAX),
        ).fetchall():
            if not all(isinstance(value, int) for value in row):
                raise JournalDamaged("a row that was never written")
            self.pulse()
            self.is_sound(row[0], lane, row[1:])

    def give_up(self, fault: str) -> None:
        """A reader has found the file damaged. Raises `JournalDamaged`."""
        raise JournalDamaged(fault)

    def flush(self) -> None:
        """Persist what was settled or lost, if anything was."""
        if self.ledger.dirty:
            with transaction(self.connection):
                self.put_ledger()
            self.written_bytes += TRANSACTION_BYTES

    def starts(self) -> dict[Lane, int]:
        """Where a new cursor begins: at the oldest record from which nothing is missing."""
        return {lane: self._start(lane_id, self.ledger.kept(lane).next) for lane, lane_id in self.lane_ids.items()}

    def forget_other_cursors(self) -> None:
        """A cursor of an uplink that is no longer configured must not hold anything back."""
        names = self.ledger.cursors
        marks = ", ".join("?" * len(names))
        known = self.connection.execute("SELECT name FROM cursor UNION SELECT cursor FROM loss")
        if not {name for (name,) in known} - set(names):
            return
        with transaction(self.connection):
            self.connection.execute(f"DELETE FROM cursor WHERE name NOT IN ({marks})", names)  # noqa: S608 - only "?"
            self.connection.execute(f"DELETE FROM loss WHERE cursor NOT IN ({marks})", names)  # noqa: S608 - only "?"

    def put_ledger(self) -> None:
        """Inside a transaction: what was settled or lost since the last time."""
        marks, losses = self.ledger.take_dirty(self.lane_ids)
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
        if row is None:
            return None
        if not are_counts(*row):
            raise JournalDamaged("a chunk begins at no sequence")
        return int(row[0])

    # Storing.

    def _pack(self, epoch: str, drafts: Iterable[Draft]) -> dict[Lane, Packed]:
        recorded_ms = self.now_ms()
        lanes = {Lane(epoch, stream): entries_of(batch, recorded_ms) for stream, batch in by_stream(drafts).items()}
        return {lane: pack_on(self.tails.get(lane), entries, self._packer) for lane, entries in lanes.items()}

    def _put(self, packed: Mapping[Lane, Packed]) -> Stored:
        """Inside a transaction: chunks of this epoch."""
        stored = Stored({}, {}, {}, sum(len(chunk.blob) for each in packed.values() for chunk in each.chunks))
        for lane, each in packed.items():
            lane_id = self.lane_ids.get(lane) or stored.lane_ids.setdefault(
                lane, self._add_lane(self._epoch_id, lane.stream)
            )
            stored.lanes[lane], stored.tails[lane] = self._put_lane(lane_id, self.ledger.kept(lane), each)
        return stored

    def put_epoch(self, name: str, reason: str) -> Stored:
        """Inside a transaction: an epoch with its first records."""
        self._add_epoch(name, durable=True)
        self.connection.execute("DELETE FROM meta WHERE key = ?", (f"{RENEW}{reason}",))
        self._load_epoch()
        return self._put(self._pack(name, self._begin(Begun(name, self.previous, reason, durable=True))))

    def add_lane(self, lane: Lane, *, durable: bool = True) -> int:
        """Inside a transaction: its id, made with its epoch where they are not there yet."""
        if lane not in self.lane_ids:
            row = self.connection.execute("SELECT id FROM epoch WHERE name = ?", (lane.epoch,)).fetchone()
            epoch_id = row[0] if row else self._add_epoch(lane.epoch, durable=durable)
            self.lane_ids[lane] = self._add_lane(epoch_id, lane.stream)
        return self.lane_ids[lane]

    def put_rows(self, lane_id: int, first: int, chunks: Iterable[Chunk]) -> None:
        """Inside a transaction: chunks one after the other, from sequence `first`."""
        rows = []
        for chunk in chunks:
            rows.append((lane_id, first, *_columns(chunk, first)))
            first += chunk.records
        self.connection.executemany(
            """INSERT INTO chunk (lane, first_seq, last_seq, recorded_ms, time_min_ms, time_max_ms, raw_bytes, blob)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            rows,
        )

    def replace(self, chunk_id: int, first: int, chunk: Chunk) -> None:
        """Inside a transaction: what is in the row of a chunk, whose first sequence stays `first`."""
        done = self.connection.execute(
            """UPDATE chunk SET last_seq = ?, recorded_ms = ?, time_min_ms = ?, time_max_ms = ?, raw_bytes = ?, blob = ?
            WHERE id = ? AND first_seq = ?""",
            (*_columns(chunk, first), chunk_id, first),
        )
        if done.rowcount != 1:
            raise JournalDamaged(f"the row of chunk {chunk_id} is gone")

    def forget_epochs(self, kept_max: int, step_max: int) -> bool:
        """Take out epochs that are done with, all but the newest `kept_max`, at most `step_max` of them at a time.

        A disk that comes and goes begins two each time, for years. Gives whether there were any.
        """
        rows = self.connection.execute("SELECT name FROM epoch ORDER BY id DESC LIMIT -1 OFFSET ?", (kept_max,))
        lanes: dict[str, set[Lane]] = {name: set() for (name,) in rows}
        for lane in self.lane_ids:
            if lane.epoch in lanes:
                lanes[lane.epoch].add(lane)
        over = self.ledger.done_with(chain.from_iterable(lanes.values()))
        epochs = [epoch for epoch, of_it in lanes.items() if of_it <= over][:step_max]
        gone = set().union(*(lanes[epoch] for epoch in epochs))
        with transaction(self.connection):
            for lane in gone:
                self.delete_lane(self.lane_ids[lane])
            self.connection.executemany("DELETE FROM epoch WHERE name = ?", [(epoch,) for epoch in epochs])
        self.ledger.forget(gone)
        for lane in gone:
            del self.lane_ids[lane]
        return bool(epochs)

    def delete_lane(self, lane_id: int) -> None:
        """Inside a transaction: with everything that is in it."""
        for table in ("chunk", "cursor", "loss"):
            self.connection.execute(f"DELETE FROM {table} WHERE lane = ?", (lane_id,))  # noqa: S608 - names from above
        self.connection.execute("DELETE FROM lane WHERE id = ?", (lane_id,))

    def delete(self, chunk_ids: Collection[int]) -> None:
        """Inside a transaction."""
        self.connection.executemany("DELETE FROM chunk WHERE id = ?", [(chunk_id,) for chunk_id in chunk_ids])
        for lane in [lane for lane, tail in self.tails.items() if tail.chunk_id in chunk_ids]:
            del self.tails[lane]

    def _add_epoch(self, name: str, *, durable: bool) -> int:
        row = self.connection.execute(
            "INSERT INTO epoch (name, begun_ms, durable) VALUES (?, ?, ?)", (name, self.now_ms(), durable)
        )
        return int(row.lastrowid or 0)

    def _add_lane(self, epoch_id: int, stream: str) -> int:
        row = self.connection.execute(
            "INSERT INTO lane (epoch, stream, next_seq, records, raw_bytes, stored_bytes) VALUES (?, ?, 1, 0, 0, 0)",
            (epoch_id, stream),
        )
        return int(row.lastrowid or 0)

    def _put_lane(self, lane_id: int, kept: Kept, packed: Packed) -> tuple[Kept, Tail]:
        tail, last = packed.tail, packed.chunks[-1]
        if tail is None:
            self.put_rows(lane_id, kept.next, packed.chunks)
            (chunk_id,) = self.connection.execute("SELECT last_insert_rowid()").fetchone()
        else:
            self.replace(tail.chunk_id, tail.first, last)
            chunk_id = tail.chunk_id
            kept = kept.grown(-tail.chunk.records, -tail.chunk.raw_bytes, -len(tail.chunk.blob))
        for chunk in packed.chunks:
            kept = kept.grown(chunk.records, chunk.raw_bytes, len(chunk.blob))
        self.put_kept(lane_id, kept)
        return kept, Tail(chunk_id, kept.next - last.records, last, packed.entries)

    def put_state(self, state: Mapping[str, bytes | None] | Mapping[str, bytes]) -> None:
        """Inside a transaction: these keys; a value of None deletes one."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, value) for key, value in state.items() if value is not None],
        )
        self.connection.executemany(
            "DELETE FROM state WHERE key = ?", [(key,) for key, value in state.items() if value is None]
        )

    # Loading.

    def _load_epoch(self) -> None:
        rows = self.connection.execute("SELECT id, name, durable FROM epoch ORDER BY id DESC LIMIT 2").fetchall()
        if rows:
            self._epoch_id, self.epoch = rows[0][:2]
            self.is_volatile = not rows[0][2]
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
            if not are_counts(following, *sizes) or not isinstance(epoch, str) or not isinstance(stream, str):
                raise JournalDamaged("a lane that was never written")
            lane = Lane(epoch, stream)
            self.lane_ids[lane] = lane_id
            kept = Kept(following, self.first_kept(lane_id) or following, *sizes)
            losses = self._load_losses(lane_id, lane)
            marks = self._load_marks(lane_id, losses, following)
            self.ledger.load(lane, kept, marks, losses)
            self._enter(lane, set(self.ledger.cursors) - marks.keys(), following)

    def _load_marks(self, lane_id: int, losses: Iterable[Loss], following: int) -> dict[str, Mark]:
        rows = self.connection.execute("SELECT name, low, spans, sent, counts FROM cursor WHERE lane = ?", (lane_id,))
        marks = {}
        for name, low, packed, sent, counts in rows:
            if not are_counts(low, sent or 0) or not credible(low, packed, counts, end=following):
                raise JournalDamaged("a cursor that was never written")
            spans = msgspec.msgpack.decode(packed, type=list[Span])
            if sent is None:  # Written by a release that did not count it: it skipped nothing.
                sent = low - sum(loss.records for loss in losses if loss.cursor == name and loss.last <= low)  # noqa: PLW2901 - see above
                marks[name] = Mark(low, spans, max(0, sent), [last - first + 1 for first, last in spans])
            else:
                marks[name] = Mark(low, spans, sent, msgspec.msgpack.decode(counts, type=list[int]))
        return marks

    def _enter(self, lane: Lane, cursors: Iterable[str], following: int) -> None:
        for name in cursors:
            self.ledger.enter(name, lane, self._start(self.lane_ids[lane], following))

    def _start(self, lane_id: int, following: int) -> int:
        (start,) = self.connection.execute(START_OF_TAIL, (lane_id,)).fetchone()
        return start or following

    def _load_losses(self, lane_id: int, lane: Lane) -> list[Loss]:
        rows = self.connection.execute(
            "SELECT cursor, reason, first_seq, last_seq, records FROM loss WHERE lane = ?", (lane_id,)
        )
        losses = [Loss(cursor, lane, *rest) for cursor, *rest in rows]
        if not all(are_counts(loss.first, loss.last, loss.records) for loss in losses):
            raise JournalDamaged("a loss that was never written")
        return losses


def _columns(chunk: Chunk, first: int) -> tuple[int, int, int, int, int, bytes]:
    """Of a chunk's row, all behind the first sequence."""
    last = first + chunk.records - 1
    return last, chunk.recorded_ms, chunk.time_min_ms, chunk.time_max_ms, chunk.raw_bytes, chunk.blob


pack = msgspec.msgpack.Encoder().encode
