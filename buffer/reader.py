"""Reads records back, on a connection that can only read, in a thread of its own. Never in the way of the writer.

Every question is answered by statements that end before the answer is given, so that a reader never holds the
write-ahead log back.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from typing import TYPE_CHECKING

from buffer.chunk import Unpacker
from buffer.database import connect_reader
from buffer.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

    from buffer.ledger import Lane
    from buffer.record import Record

READ_BYTES_MAX = 4 * 1024 * 1024
READ_CHUNKS_MAX = 64
CACHE_CHUNKS = 8
"""Unpacked chunks that are kept: a reader that takes 50 records at a time unpacks each chunk of 1,000 once."""


class Reader:
    """Belongs to one thread. Every method raises `JournalError` where the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_reader(path)
        self._unpacker = Unpacker()
        self._lane_ids: dict[Lane, int] = {}
        self._cache: OrderedDict[tuple[int, int], list[Record]] = OrderedDict()

    def read(self, lane: Lane, after: int, before: int, limit: int) -> list[Record]:
        """Kept records with `after < sequence < before`, in order: at most `limit` and about `READ_BYTES_MAX`."""
        try:
            # One snapshot for all statements of one question: chunks may be trimmed while it is answered.
            self._connection.execute("BEGIN")
            with self._connection:
                lane_id = self._lane_id(lane)
                return [] if lane_id is None else self._read(lane_id, lane, after, before, limit)
        except sqlite3.Error as error:
            raise JournalError(f"reading {lane.stream}/{after + 1} failed ({error})", "check the disk") from error

    def close(self) -> None:
        self._connection.close()

    def _lane_id(self, lane: Lane) -> int | None:
        if lane not in self._lane_ids:
            row = self._connection.execute(
                "SELECT lane.id FROM lane JOIN epoch ON epoch.id = lane.epoch WHERE name = ? AND stream = ?", lane
            ).fetchone()
            if row is None:
                return None
            self._lane_ids[lane] = row[0]
        return self._lane_ids[lane]

    def _read(self, lane_id: int, lane: Lane, after: int, before: int, limit: int) -> list[Record]:
        rows = self._connection.execute(
            """SELECT id, first_seq, last_seq, recorded_ms, raw_bytes FROM chunk
            WHERE lane = ? AND last_seq > ? AND first_seq < ? ORDER BY last_seq LIMIT ?""",
            (lane_id, after, before, min(limit, READ_CHUNKS_MAX)),
        ).fetchall()
        found: list[Record] = []
        size = 0
        for chunk_id, first, last, recorded_ms, raw_bytes in rows:
            if len(found) >= limit or size > READ_BYTES_MAX:
                break
            records = self._chunk((lane_id, last), chunk_id, lane, first, recorded_ms, raw_bytes)
            found += records[max(0, after + 1 - first) : before - first]
            size += raw_bytes
        return found[:limit]

    def _chunk(
        self, key: tuple[int, int], chunk_id: int, lane: Lane, first: int, recorded_ms: int, raw_bytes: int
    ) -> list[Record]:
        records = self._cache.get(key)
        if records is not None:
            self._cache.move_to_end(key)
            return records
        (blob,) = self._connection.execute("SELECT blob FROM chunk WHERE id = ?", (chunk_id,)).fetchone()
        records = self._unpacker.unpack(
            blob, raw_bytes, stream=lane.stream, epoch=lane.epoch, first=first, recorded_ms=recorded_ms
        )
        self._cache[key] = records
        if len(self._cache) > CACHE_CHUNKS:
            self._cache.popitem(last=False)
        return records
