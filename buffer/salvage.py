"""A damaged journal: what can be read of it goes into a new file, the old one aside. Runs before the journal is used.

Always true:
- The damaged file is never changed, only renamed, together with its write-ahead log; the newest `ASIDE_MAX` are kept.
- The new file gets the journal's name only when it is complete and on disk: `NEW` beside a journal is an attempt that
  was cut off and is made again, `NEW` without a journal was complete.
- A chunk is taken over only when its checksum and its count are right, so nothing damaged ever passes for a record.
- State comes first, then the streams in the order of their worth, each from its newest record on: a disk that fills up,
  or `SALVAGE_S_MAX`, costs the oldest telemetry.

What is missing afterwards shows as holes; the store accounts for them when it loads the file.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from bisect import bisect_left, insort
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from buffer.chunk import Unpacker
from buffer.database import LOG_SUFFIX, SHARED_SUFFIX, renew, transaction, uri
from buffer.epoch import DAMAGED
from buffer.errors import JournalDamaged
from buffer.incident import Incident
from buffer.migrations import ADDED, COLUMNS, migrate
from buffer.plausible import are_counts, credible, is_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from buffer.ledger import Span

NEW = ".new"
PATCHED = ".patched"
ASIDE = ".damaged-"
ASIDE_MAX = 2
SALVAGE_S_MAX = 30.0
BATCH_CHUNKS = 100
SKIP_IDS_MAX = 1024
PAGE_BYTES = 4096

BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What SQLite says of a broken file, or would say, if the words that it quotes were not broken too."""

Row = tuple[Any, ...]

KEYS = {
    "epoch": ("id",),
    "lane": ("id",),
    "cursor": ("name", "lane"),
    "loss": ("cursor", "lane", "reason"),
    "state": ("key",),
}
"""Every table but the chunks, and how its rows are told apart."""

SECOND_COPIES = {
    "epoch": ("id, name, 0, 1", "sqlite_autoindex_epoch_1"),
    "lane": ("id, epoch, stream, 1, 0, 0, 0", "sqlite_autoindex_lane_1"),
}
"""An index has the names once more; the numbers that it lacks follow from the chunks."""

TEXTS = frozenset({"name", "stream", "cursor", "reason", "key"})
BLOBS = frozenset({"spans", "counts", "value"})
OPTIONAL = frozenset({"sent", "counts"})


def finish_interrupted(path: Path) -> None:
    """Take up what a crash left of an earlier salvage, or clear it away."""
    fresh = beside(path, NEW)
    if fresh.exists():
        if path.exists():
            fresh.unlink()
        else:
            fresh.rename(path)


def salvage(path: Path, rank: Callable[[str], int], cursors: Iterable[str], what: str, now_ms: int) -> Incident:
    """Replace the damaged journal by what can be read of it; `what` says what was found.

    `rank` orders the streams by worth, the highest last to go. One of `cursors` whose account cannot be read gets all
    that is there again. The new file begins a new epoch when it is opened. Raises `sqlite3.Error` and `OSError` where
    nothing can be written; then everything is as it was.
    """
    fresh = beside(path, NEW)
    remove(fresh)
    with closing(empty(fresh)) as new:
        copy = Copy(new, rank, tuple(cursors), now_ms)
        with ExitStack() as stack, suppress(Unreadable):
            copy.run(stack.enter_context(closing(readable(path))))
        renew(new, DAMAGED)
    sync(fresh)
    aside = set_aside(path, now_ms)
    fresh.rename(path)
    remove(beside(path, PATCHED))
    sync(path.parent)
    forget_old(path, aside)
    return Incident(DAMAGED, what, now_ms, copy.records, max(0, copy.expected - copy.records), str(aside))


class Unreadable(Exception):
    """Nothing at all can be read."""


@dataclass(slots=True)
class Copy:
    """From one connection to another. `records` were copied, `expected` were there as far as the lanes know."""

    new: sqlite3.Connection
    rank: Callable[[str], int]
    cursors: tuple[str, ...]
    now_ms: int
    records: int = 0
    expected: int = 0
    _streams: dict[int, str] = field(default_factory=dict)
    _places: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    _ranges: dict[int, list[Span]] = field(default_factory=dict)
    _unpacker: Unpacker = field(default_factory=Unpacker)

    def run(self, old: sqlite3.Connection) -> None:
        try:
            for table in KEYS:
                self._table(old, table)
            self._streams = dict(self.new.execute("SELECT id, stream FROM lane"))
            self._chunks(old)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
        with transaction(self.new):
            self._mend()

    def _table(self, old: sqlite3.Connection, table: str) -> None:
        columns, key = COLUMNS[table], KEYS[table]
        present = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
        names = [name for name in columns if name in present]
        wanted = f"SELECT {', '.join(names)} FROM {table}"  # noqa: S608 - names from above
        rows = both_ways(old, f"{wanted} ORDER BY {{}}", key)
        with transaction(self.new):
            self._put(table, names, rows)
            if table in SECOND_COPIES:
                select, index = SECOND_COPIES[table]
                second = f"SELECT {select} FROM {table} INDEXED BY {index} ORDER BY {{}}"  # noqa: S608 - as above
                self._put(table, columns, both_ways(old, second, key))

    def _put(self, table: str, names: Iterable[str], rows: Iterator[Row]) -> None:
        names = list(names)
        marks = ", ".join("?" * len(names))
        self.new.executemany(
            f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - names from above
            (row for row in rows if all(map(plausible, names, row))),
        )

    def _chunks(self, old: sqlite3.Connection) -> None:
        (self.expected,) = self.new.execute("SELECT coalesce(sum(records), 0) FROM lane").fetchone()
        until = time.monotonic() + SALVAGE_S_MAX
        ids = self._ids(old)
        for begin in range(0, len(ids), BATCH_CHUNKS):
            if time.monotonic() > until:
                return
            with transaction(self.new):
                for chunk_id in ids[begin : begin + BATCH_CHUNKS]:
                    self._chunk(old, chunk_id)

    def _ids(self, old: sqlite3.Connection) -> list[int]:
        """Of all chunks that the index or the table knows: the most important stream first, then the newest."""
        sql = "SELECT id, lane, first_seq, last_seq FROM chunk INDEXED BY chunk_range ORDER BY {}"
        rows = (row for row in both_ways(old, sql, ("lane", "last_seq")) if are_counts(*row))
        self._places = {chunk_id: (lane, first, last) for chunk_id, lane, first, last in rows}
        lanes = {chunk_id: place[0] for chunk_id, place in self._places.items()}
        if sum(last - first + 1 for _, first, last in self._places.values()) < max(1, self.expected):
            lanes = dict(table_ids(old)) | lanes
        ranks = {lane: self.rank(stream) for lane, stream in self._streams.items()}
        return sorted((i for i, lane in lanes.items() if lane in ranks), key=lambda i: (-ranks[lanes[i]], -i))

    def _chunk(self, old: sqlite3.Connection, chunk_id: int) -> None:
        try:
            row = old.execute(
                """SELECT lane, first_seq, last_seq, recorded_ms, time_min_ms, time_max_ms, raw_bytes, blob FROM chunk
                WHERE id = ?""",
                (chunk_id,),
            ).fetchone()
        except BROKEN:
            return
        if row is not None and self._is_sound(chunk_id, row) and self._take_range(*row[:3]):
            self.new.execute("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (chunk_id, *row))
            self.records += row[2] - row[1] + 1

    def _is_sound(self, chunk_id: int, row: Row) -> bool:
        """Whether a row is what was stored: table, index and checksum agree."""
        lane, first, last, recorded_ms, *_, raw_bytes, blob = row
        if not are_counts(*row[:7]) or not isinstance(blob, bytes) or lane not in self._streams or first == 0:
            return False
        if self._places.get(chunk_id, (lane, first, last)) != (lane, first, last):
            return False
        try:
            self._unpacker.unpack(blob, raw_bytes, last - first + 1, recorded_ms)
        except JournalDamaged:
            return False
        return True

    def _take_range(self, lane: int, first: int, last: int) -> bool:
        """Whether no other chunk has any of these sequences."""
        ranges = self._ranges.setdefault(lane, [])
        at = bisect_left(ranges, (first,))
        if (at and ranges[at - 1][1] >= first) or (at < len(ranges) and ranges[at][0] <= last):
            return False
        insort(ranges, (first, last))
        return True

    def _mend(self) -> None:
        """Inside a transaction: totals from the chunks that are there, and no mark beyond the end of its lane."""
        # Under another name than it had is better than not at all.
        self.new.execute(
            """INSERT INTO epoch (id, name, begun_ms)
            SELECT DISTINCT epoch, ? || epoch, 0 FROM lane WHERE epoch NOT IN (SELECT id FROM epoch)""",
            (f"unknown-{self.now_ms:x}-",),
        )
        self.new.execute(
            """UPDATE lane SET (next_seq, records, raw_bytes, stored_bytes) =
                (SELECT max(lane.next_seq, coalesce(max(last_seq) + 1, 1)), coalesce(sum(last_seq - first_seq + 1), 0),
                    coalesce(sum(raw_bytes), 0), coalesce(sum(length(blob)), 0)
                FROM chunk WHERE chunk.lane = lane.id)"""
        )
        for table in ("loss", "cursor"):
            self.new.execute(f"DELETE FROM {table} WHERE lane NOT IN (SELECT id FROM lane)")  # noqa: S608 - from above
        ends = dict(self.new.execute("SELECT id, next_seq FROM lane"))
        for name, lane, *mark in self.new.execute("SELECT name, lane, low, spans, counts FROM cursor").fetchall():
            if not credible(*mark, end=ends[lane]):
                self.new.execute("DELETE FROM cursor WHERE name = ? AND lane = ?", (name, lane))
        self.new.execute("UPDATE cursor SET sent = NULL, counts = NULL WHERE sent IS NULL OR counts IS NULL")
        nothing = msgspec.msgpack.encode([])
        self.new.executemany(
            "INSERT OR IGNORE INTO cursor (name, lane, low, spans, sent, counts) VALUES (?, ?, 0, ?, 0, ?)",
            [(name, lane, nothing, nothing) for name in self.cursors for lane in ends],
        )


# The two files.


def empty(path: Path) -> sqlite3.Connection:
    """A journal without records that is fast to fill; what makes it safe is `sync` at the end."""
    new = sqlite3.connect(path, isolation_level=None)
    try:
        new.execute("PRAGMA auto_vacuum = INCREMENTAL")
        new.execute("PRAGMA journal_mode = MEMORY")
        new.execute("PRAGMA synchronous = OFF")
        migrate(new)
    except BaseException:
        new.close()
        raise
    return new


def readable(path: Path) -> sqlite3.Connection:
    """The damaged file, or a copy with a sound first page, without which nothing else can be found."""
    with suppress(*BROKEN):
        return opened(path)
    patched = beside(path, PATCHED)
    for suffix in ("", LOG_SUFFIX):
        if beside(path, suffix).exists():
            shutil.copyfile(beside(path, suffix), beside(patched, suffix))
    transplant_head(patched)
    try:
        return opened(patched)
    except BROKEN as error:
        raise Unreadable(str(error)) from error


def opened(path: Path) -> sqlite3.Connection:
    old = sqlite3.connect(f"{uri(path)}?mode=ro", uri=True, isolation_level=None)
    try:
        old.text_factory = lambda data: data.decode("utf-8", "replace")
        old.execute("PRAGMA cell_size_check = ON")
        for table, columns in COLUMNS.items():
            old.execute(f"SELECT {', '.join(set(columns) - ADDED)} FROM {table} LIMIT 0")  # noqa: S608 - from above
    except BaseException:
        old.close()
        raise
    return old


def transplant_head(path: Path) -> None:
    """Give it the first page of an empty journal: what is where is the same in all of them."""
    template = beside(path, ".head")
    remove(template)
    with closing(empty(template)):
        head = bytearray(template.read_bytes()[:PAGE_BYTES])
    remove(template)
    head[28:32] = (path.stat().st_size // PAGE_BYTES).to_bytes(4, "big")
    head[18:20] = b"\x02\x02"  # With a write-ahead log.
    with path.open("r+b") as file:
        file.write(head)


def set_aside(path: Path, now_ms: int) -> Path:
    """Rename the damaged file and its log; gives the new name."""
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = beside(path, f"{ASIDE}{stamp}")
    for suffix in (LOG_SUFFIX, ""):
        if beside(path, suffix).exists():
            beside(path, suffix).rename(beside(aside, suffix))
    beside(path, SHARED_SUFFIX).unlink(missing_ok=True)
    return aside


def forget_old(path: Path, newest: Path) -> None:
    """Damaged files must not fill the disk one after the other. The clock may have jumped back since the others."""
    others = sorted(set(path.parent.glob(f"{path.name}{ASIDE}*Z")) - {newest})
    for old in others[: 1 - ASIDE_MAX]:
        remove(old)


def remove(path: Path, *, but_file: bool = False) -> None:
    for suffix in ("", LOG_SUFFIX, SHARED_SUFFIX)[but_file:]:
        beside(path, suffix).unlink(missing_ok=True)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


# Reading what may not be readable.


def both_ways(old: sqlite3.Connection, sql: str, key: tuple[str, ...]) -> Iterator[Row]:
    """All rows, or those before the first and behind the last damaged place. `{}` in the statement is the order."""
    try:
        yield from old.execute(sql.format(", ".join(key)))
    except BROKEN:
        with suppress(*BROKEN):
            yield from old.execute(sql.format(", ".join(f"{name} DESC" for name in key)))


def table_ids(old: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Chunk and lane of every row that can be found without the index, stepping over what cannot be read."""
    at, skip = 0, 1
    while skip <= SKIP_IDS_MAX:
        try:
            for chunk_id, lane in old.execute("SELECT id, lane FROM chunk WHERE id > ? ORDER BY id", (at,)):
                yield chunk_id, lane
                at, skip = chunk_id, 1
        except BROKEN:
            at, skip = at + skip, skip * 2
        else:
            return


def plausible(name: str, value: object) -> bool:
    if value is None:
        return name in OPTIONAL
    if name in TEXTS:
        return isinstance(value, str) and "\ufffd" not in value
    if name in BLOBS:
        return isinstance(value, bytes)
    return is_count(value)
