"""Reads records back, on a connection that can only read, in a thread of its own. Never in the way of the writer.

Every question is answered by statements that end before the answer is given, so that a reader never holds the
write-ahead log back.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from typing import TYPE_CHECKING

from buffer.chunk import Unpacker, numbered
from buffer.database import check, connect_reader, primary
from buffer.errors import JournalDamaged, JournalUnavailable
from buffer.ledger import Lane
from buffer.plausible import are_counts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from buffer.record import Record

READ_BYTES_MAX = 4 * 1024 * 1024
READ_CHUNKS_MAX = 64
CACHE_CHUNKS = 8
"""Unpacked chunks that are kept: a reader that takes 50 records at a time unpacks each chunk of 1,000 once."""


Place = tuple[int, int, int, int, int, int]
"""Where a look back goes on: behind the lane, the latest and the earliest time, and the id of a chunk.

Then the newest chunk that was read, and up to which sequence: it may have grown meanwhile, and be met again.
"""

START: Place = (0, -(2**62), -(2**62), 0, 0, 0)
HISTORY_CHUNKS = 16
FAULT_S_MAX = 5.0

UNREADABLE = (sqlite3.Error, TypeError, ValueError)
"""What SQLite says, and what a row leads to that was never written like that."""

Damaged = tuple[Lane, int, int]
"""A chunk that cannot be what was stored: its lane, first and last sequence."""


class Reader:
    """Belongs to one thread. Every method raises `JournalUnavailable` where the file cannot be read.

    A damaged chunk is left out of the answer, as if it had been trimmed, and handed to `on_damaged`.
    """

    def __init__(self, path: Path, on_damaged: Callable[[Damaged], None] | None = None) -> None:
        self._connection = connect_reader(path)
        self._on_damaged = on_damaged
        self._unpacker = Unpacker()
        self._lanes: dict[Lane, tuple[int, bool]] = {}
        self._cache: OrderedDict[tuple[int, int], list[Record]] = OrderedDict()

    def read(self, lane: Lane, after: int, before: int, limit: int) -> list[Record]:
        """Kept records with `after < sequence < before`, in order: at most `limit` and about `READ_BYTES_MAX`."""
        try:
            # One snapshot for all statements of one question: chunks may be trimmed while it is answered.
            self._connection.execute("BEGIN")
            with self._connection:
                return self._read(lane, after, before, limit)
        except UNREADABLE as error:
            raise unavailable(f"{lane.stream}/{after + 1}", error) from error

    def history(self, stream: str, from_ms: int, to_ms: int, place: Place) -> tuple[list[Record], Place | None]:
        """Records with `from_ms <= time_ms < to_ms` of all epochs, some of them, and where to go on for more."""
        try:
            self._connection.execute("BEGIN")
            with self._connection:
                return self._history(stream, from_ms, to_ms, place)
        except UNREADABLE as error:
            raise unavailable(stream, error) from error

    def fault(self) -> str:
        """What is wrong with the file, if that is found in `FAULT_S_MAX`."""
        try:
            return check(self._connection, FAULT_S_MAX, thorough=True) or ""
        except sqlite3.Error as error:
            return str(error) if primary(error) == sqlite3.SQLITE_CORRUPT else ""

    def close(self) -> None:
        self._connection.close()

    def _lane(self, lane: Lane) -> tuple[int, bool] | None:
        """Its id, and whether it is durable."""
        if lane not in self._lanes:
            # All of them, and not one by its name: if the index of names is damaged a lane must not seem to be empty.
            for epoch, stream, lane_id, durable in self._connection.execute(
                "SELECT name, stream, lane.id, durable FROM lane NOT INDEXED JOIN epoch ON epoch.id = lane.epoch"
            ):
                self._lanes[Lane(epoch, stream)] = lane_id, bool(durable)
        return self._lanes.get(lane)

    def _read(self, lane: Lane, after: int, before: int, limit: int) -> list[Record]:
        found: list[Record] = []
        size = 0
        while (known := self._lane(lane)) is not None:
            rows = self._connection.execute(
                """SELECT id, first_seq, last_seq, recorded_ms, raw_bytes FROM chunk
                WHERE lane = ? AND last_seq > ? AND first_seq < ? ORDER BY last_seq LIMIT ?""",
                (known[0], after, before, min(limit, READ_CHUNKS_MAX)),
            ).fetchall()
            for row in rows:
                if not are_counts(*row):
                    raise ValueError("a chunk that was never written")
                if len(found) >= limit or size > READ_BYTES_MAX:
                    break
                records = self._chunk(lane, *row)
                found += records[max(0, after + 1 - row[1]) : before - row[1]]
                size += row[4]
            if found or not rows:
                break
            after = rows[-1][2]  # Nothing of it was sound: there may be more behind it.
        return found[:limit]

    def _history(self, stream: str, from_ms: int, to_ms: int, place: Place) -> tuple[list[Record], Place | None]:
        lanes = self._connection.execute(
            """SELECT lane.id, name FROM lane JOIN epoch ON epoch.id = lane.epoch
            WHERE stream = ? AND lane.id >= ? ORDER BY lane.id""",
            (stream, place[0]),
        ).fetchall()
        for lane_id, name in lanes:
            lane = Lane(name, stream)
            *after, newest, told = place[1:] if lane_id == place[0] else START[1:]
            rows = self._connection.execute(
                """SELECT time_max_ms, time_min_ms, id, first_seq, last_seq, recorded_ms, raw_bytes FROM chunk
                WHERE lane = ? AND time_max_ms >= ? AND time_min_ms < ? AND (time_max_ms, time_min_ms, id) > (?, ?, ?)
                ORDER BY time_max_ms, time_min_ms, id LIMIT ?""",
                (lane_id, from_ms, to_ms, *after, HISTORY_CHUNKS),
            ).fetchall()
            if rows:
                self._lane(lane)
                found = [
                    record
                    for row in rows
                    for record in self._chunk(lane, *row[2:])
                    if from_ms <= record.time_ms < to_ms and not (row[2] == newest and record.sequence <= told)
                ]
                newest, told = max((newest, told), *((row[2], row[4]) for row in rows))
                return found, (lane_id, *rows[-1][:3], newest, told)
        return [], None

    def _chunk(
        self, lane: Lane, chunk_id: int, first: int, last: int, recorded_ms: int, raw_bytes: int
    ) -> list[Record]:
        lane_id, durable = self._lanes[lane]
        key = lane_id, last
        records = self._cache.get(key)
        if records is not None:
            self._cache.move_to_end(key)
            return records
        row = self._connection.execute(
            "SELECT lane, first_seq, last_seq, blob FROM chunk WHERE id = ?", (chunk_id,)
        ).fetchone()
        is_the_one = row is not None and row[:3] == (lane_id, first, last)
        try:
            blob = row[3] if is_the_one else b""
            entries = self._unpacker.unpack(blob, raw_bytes, last - first + 1, recorded_ms)
        except JournalDamaged:
            if self._on_damaged is not None:
                self._on_damaged((lane, first, last))
            return []
        records = self._cache[key] = numbered(entries, lane, first, durable=durable)
        if len(self._cache) > CACHE_CHUNKS:
            self._cache.popitem(last=False)
        return records


def unavailable(what: str, error: Exception) -> JournalUnavailable:
    return JournalUnavailable(f"reading {what} failed ({error})", "check the disk")
