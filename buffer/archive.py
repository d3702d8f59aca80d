"""Copies of a journal: made while it runs, checked, and put back. Nothing here runs in the daemon but `copy`.

Always true:
- A copy appears under its name only when it is complete and on disk.
- Whoever starts on a copy begins a new epoch, because the platform has seen more than is in it.
- What lies where a copy is put back is renamed, never removed.
- Nobody who reads beside a daemon keeps it from emptying its write-ahead log for longer than `STRUCTURE_S_MAX`.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from buffer.chunk import Unpacker
from buffer.database import (
    CLOSED,
    DATABASE,
    LOG_SUFFIX,
    FolderLock,
    check,
    connect_reader,
    give,
    refuse_foreign,
    renew,
    unusable,
)
from buffer.epoch import RESTORED
from buffer.errors import JournalDamaged, JournalError, JournalLocked, JournalUnusable
from buffer.plausible import is_count
from buffer.reader import START, Reader
from buffer.salvage import beside, remove, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from buffer.reader import Damaged, Place
    from buffer.record import Record

PART = ".part"
REPLACED = ".replaced-"
STEP_PAGES = 64
"""A quarter of a megabyte: a commit waits no longer than for that."""

SYNC_PAGES = 32 * STEP_PAGES
"""So much at most is left to the kernel to write: a disk that has a gigabyte to catch up with answers nobody."""

LOOK_S = 0.005
STRUCTURE_S_MAX = 10.0
CHECK_S = 60.0


def copy(source: sqlite3.Connection, to: Path, between: Callable[[], None]) -> None:
    """Copy a journal that is in use; `between` is called after every `STEP_PAGES` and while the disk of the copy is
    waited for, and may use the connection.

    Raises `JournalError` where the copy cannot be written, and what `between` raises.
    """
    raised: list[BaseException] = []

    def go_on() -> None:
        try:
            between()
        except BaseException as error:
            raised.append(error)
            raise

    own = Path(source.execute("PRAGMA database_list").fetchone()[2])
    if to.parent.resolve() == own.parent.resolve() and to.name.startswith(f"{own.stem}."):
        raise JournalError(f"{to} is a name of the journal's own", "choose another name")
    part = beside(to, PART)
    try:
        remove(part)
        with ThreadPoolExecutor(1, "journal-copy") as helper:
            _fill(source, part, go_on, lambda: _sync_aside(helper, part, go_on))
        part.rename(to)
        sync(to.absolute().parent)
    except (sqlite3.Error, OSError) as error:
        if raised:
            raise
        raise JournalError(f"the copy {to} cannot be written ({error})", "choose another place") from error
    finally:
        remove(part)


def _fill(source: sqlite3.Connection, part: Path, go_on: Callable[[], None], synced: Callable[[], None]) -> None:
    """All pages, in steps; what happens in between is in the copy as well, because it is done on this connection."""

    def progress(_: int, left: int, pages: int) -> None:
        go_on()
        if (pages - left) % SYNC_PAGES < STEP_PAGES:
            synced()

    with closing(sqlite3.connect(part, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target, pages=STEP_PAGES, progress=progress, sleep=0)
        target.execute("PRAGMA journal_mode = DELETE")
        renew(target, RESTORED)
    synced()


def _sync_aside(helper: ThreadPoolExecutor, part: Path, go_on: Callable[[], None]) -> None:
    """Wait for the disk of the copy, in a thread of its own."""
    done = helper.submit(sync, part)
    while wait([done], LOOK_S).not_done:
        go_on()
    done.result()


def copy_unused(folder: Path, to: Path) -> None:
    """Copy a journal that no daemon has open. Raises `JournalError`."""
    lock = FolderLock(folder)
    path = folder / DATABASE
    try:
        with closing(connect_reader(path)) as source:
            copy(source, to, lambda: None)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    finally:
        lock.release()


def past(
    path: Path, streams: Iterable[str], from_ms: int, to_ms: int, on_damaged: Callable[[Damaged], None]
) -> Iterator[Record]:
    """What happened in a time, each stream for itself, from a journal in use or not. Raises `JournalError`.

    `on_damaged` hears of what had to be left out.
    """
    try:
        with closing(Reader(path, on_damaged)) as reader:
            for stream in streams:
                place: Place | None = START
                while place is not None:
                    records, place = reader.history(stream, from_ms, to_ms, place)
                    yield from records
    except sqlite3.Error as error:
        raise unusable(path, error) from error


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: how much it looked at, and what is wrong, one sentence each.

    `whole` is false where the time was up before it had looked at everything.
    """

    records: int
    chunks: int
    faults: tuple[str, ...]
    whole: bool


def verify(path: Path, s_max: float | None = CHECK_S) -> Verdict:
    """Check a journal, in use or not: structure, indexes, checksums, and that no sequence is there twice.

    What is newest is looked at first; with `s_max` None all of it is, which is for a file that nobody uses. Raises
    `JournalUnusable` where it is no journal.
    """
    until = time.monotonic() + (s_max if s_max is not None else 2**31)
    try:
        with closing(connect_reader(path)) as reader:
            refuse_foreign(reader, path)
            fault = check(reader, 2**20 if s_max is None else min(STRUCTURE_S_MAX, s_max / 2), thorough=True)
            faults = [f"the file: {line}" for line in (fault or "").splitlines()]
            counts = [0, 0]
            whole = fault is not None
            for records, found in _chunks(reader):
                counts[0] += records
                counts[1] += 1
                faults += [found] if found else []
                if time.monotonic() > until:
                    whole = False
                    break
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    return Verdict(counts[0], counts[1], tuple(faults), whole)


def is_in_use(folder: Path) -> bool:
    """Whether a daemon has it. Raises `JournalUnusable`."""
    try:
        FolderLock(folder).release()
    except JournalLocked:
        return True
    return False


def _chunks(reader: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Records in each chunk, and what is wrong with it; read one at a time, so that nothing is held up."""
    unpacker = Unpacker()
    at, begins = 2**62, dict[int, int]()
    while row := reader.execute(
        """SELECT chunk.id, lane, stream, first_seq, last_seq, recorded_ms, chunk.raw_bytes, blob
        FROM chunk LEFT JOIN lane ON lane.id = lane WHERE chunk.id < ? ORDER BY chunk.id DESC LIMIT 1""",
        (at,),
    ).fetchone():
        at, lane, stream, first, last, recorded_ms, raw_bytes, blob = row
        if not is_count(first) or not is_count(last) or stream is None:
            yield 0, f"chunk {at}: it belongs to no stream"
            continue
        fault = ""
        try:
            unpacker.unpack(blob, raw_bytes, last - first + 1, recorded_ms)
        except JournalDamaged as error:
            fault = f"{stream}/{first} to {last}: {error}"
        if last >= begins.get(lane, last + 1):
            fault = f"{stream}/{first} to {last}: there twice, or not in order"
        begins[lane] = first
        yield last - first + 1, fault


def restore(folder: Path, file: Path, now_s: float) -> Path | None:
    """Put a copy where the journal is, and what is there now aside; gives its new name, None where there was none.

    Raises `JournalLocked` while a daemon runs, `JournalUnusable` and `JournalDamaged` where the copy is of no use.
    """
    lock = FolderLock(folder)
    try:
        verdict = verify(file, None)
        if verdict.faults:
            raise JournalDamaged(f"the copy {file} is damaged ({verdict.faults[0]})", "choose another one")
        path, part = folder / DATABASE, folder / f"{DATABASE}{PART}"
        remove(part)
        shutil.copyfile(file, part)
        with closing(sqlite3.connect(part, isolation_level=None)) as target:
            target.execute("PRAGMA journal_mode = DELETE")
            renew(target, RESTORED)
        give(part, folder)
        sync(part)
        aside = _replace(path, now_s)
        part.rename(path)
        sync(folder)
        lock.note(CLOSED)  # Whatever the last daemon left behind, it lies aside now.
    except OSError as error:
        raise JournalUnusable(f"the copy {file} cannot be put into {folder} ({error})", "check the disk") from error
    finally:
        lock.release()
    return aside


def _replace(path: Path, now_s: float) -> Path | None:
    stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = beside(path, f"{REPLACED}{stamp}")
    had_one = path.exists()
    for suffix in (LOG_SUFFIX, ""):
        if beside(path, suffix).exists():
            beside(path, suffix).rename(beside(aside, suffix))
    remove(path)
    return aside if had_one else None
