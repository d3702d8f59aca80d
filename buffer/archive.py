"""Copies of a journal: made while it runs, checked, and put back. Nothing here runs in the daemon but `copy`.

Always true:
- A copy appears under its name only when it is complete and on disk.
- Whoever starts on a copy begins a new epoch, because the platform has seen more than is in it.
- What lies where a copy is put back is renamed, never removed.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from buffer.chunk import Unpacker
from buffer.database import DATABASE, LOG_SUFFIX, FolderLock, check, connect_reader, refuse_foreign, renew, unusable
from buffer.epoch import RESTORED
from buffer.errors import JournalDamaged, JournalError, JournalUnusable
from buffer.salvage import beside, remove, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PART = ".part"
REPLACED = ".replaced-"
STEP_PAGES = 64
"""A quarter of a megabyte: a commit waits no longer than for that."""

CHECK_S_MAX = 3600.0


def copy(source: sqlite3.Connection, to: Path, between: Callable[[], None]) -> None:
    """Copy a journal that is in use; `between` is called after every `STEP_PAGES` and may use the connection.

    Raises `JournalError` where the copy cannot be written, and what `between` raises.
    """
    raised: list[BaseException] = []

    def progress(*_: int) -> None:
        try:
            between()
        except BaseException as error:
            raised.append(error)
            raise

    part = beside(to, PART)
    try:
        remove(part)
        with closing(sqlite3.connect(part, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target, pages=STEP_PAGES, progress=progress, sleep=0)
            target.execute("PRAGMA journal_mode = DELETE")
            renew(target, RESTORED)
        sync(part)
        part.rename(to)
        sync(to.absolute().parent)
    except (sqlite3.Error, OSError) as error:
        if raised:
            raise
        raise JournalError(f"the copy {to} cannot be written ({error})", "choose another place") from error
    finally:
        remove(part)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: nothing but counts, or what is wrong, one sentence each."""

    records: int
    chunks: int
    faults: tuple[str, ...]


def verify(path: Path) -> Verdict:
    """Read all of a journal, in use or not: structure, indexes, every checksum, and that no sequence is there twice.

    Raises `JournalUnusable` where it is none.
    """
    try:
        with closing(connect_reader(path)) as reader:
            refuse_foreign(reader, path)
            fault = check(reader, CHECK_S_MAX, thorough=True)
            faults = [f"the file: {line}" for line in fault.splitlines()]
            counts = [0, 0]
            for records, found in _chunks(reader):
                counts[0] += records
                counts[1] += 1
                faults += [found] if found else []
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    return Verdict(counts[0], counts[1], tuple(faults))


def _chunks(reader: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Records in each chunk, and what is wrong with it; read one at a time, so that nothing is held up."""
    unpacker = Unpacker()
    at, ends = 0, dict[int, int]()
    while row := reader.execute(
        """SELECT chunk.id, lane, stream, first_seq, last_seq, chunk.raw_bytes, blob
        FROM chunk LEFT JOIN lane ON lane.id = lane WHERE chunk.id > ? ORDER BY chunk.id LIMIT 1""",
        (at,),
    ).fetchone():
        at, lane, stream, first, last, raw_bytes, blob = row
        fault = ""
        try:
            unpacker.unpack(blob, raw_bytes, last - first + 1)
        except (JournalDamaged, TypeError) as error:
            fault = f"{stream}/{first} to {last}: {error}"
        if first <= ends.get(lane, 0):
            fault = f"{stream}/{first} is there twice"
        ends[lane] = last
        yield last - first + 1, fault


def restore(folder: Path, file: Path, now_s: float) -> Path | None:
    """Put a copy where the journal is, and what is there now aside; gives its new name, None where there was none.

    Raises `JournalLocked` while a daemon runs, `JournalUnusable` and `JournalDamaged` where the copy is of no use.
    """
    lock = FolderLock(folder)
    try:
        verdict = verify(file)
        if verdict.faults:
            raise JournalDamaged(f"the copy {file} is damaged ({verdict.faults[0]})", "choose another one")
        path, part = folder / DATABASE, folder / f"{DATABASE}{PART}"
        remove(part)
        shutil.copyfile(file, part)
        with closing(sqlite3.connect(part, isolation_level=None)) as target:
            target.execute("PRAGMA journal_mode = DELETE")
            renew(target, RESTORED)
        sync(part)
        aside = _replace(path, now_s)
        part.rename(path)
        sync(folder)
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
