"""Where a journal lies: the lock beside it, and the one read-write connection. Knows no record."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from threading import Event, Timer
from typing import TYPE_CHECKING

from buffer.errors import JournalLocked, JournalUnusable
from buffer.migrations import APPLICATION_ID, READER, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "journal.db"
LOCK = "journal.lock"
BUSY_S = 2.0
WAL_BYTES_MAX = 16 * 1024 * 1024


class FolderLock:
    """A lock on the folder until `release` or the end of the process. The file stays: the lock is what counts."""

    def __init__(self, folder: Path) -> None:
        """Raises `JournalLocked` and `JournalUnusable`."""
        if not folder.is_dir():
            raise JournalUnusable(
                f"the journal folder {folder} does not exist", "create it, or set journal.path in gateway.yaml"
            )
        try:
            self._fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalUnusable(
                f"the journal folder {folder} cannot be written ({error.strerror})",
                "give it to the user that wardgate runs as, or set journal.path in gateway.yaml",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise JournalLocked(
                f"another wardgate (process {holder}) already uses the journal in {folder}",
                "stop it first, or give this one a journal.path of its own",
            ) from error
        os.ftruncate(self._fd, 0)
        os.write(self._fd, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Allowed twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def connect(path: Path, check_s_max: float) -> sqlite3.Connection:
    """The connection for all writes and checkpoints, with the schema of this release.

    One connection does both on purpose: SQLite before 3.51.3 can damage a file when one connection checkpoints while
    another commits. Raises `JournalUnusable`, and `sqlite3.Error` for `unusable` to put into words.
    """
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        _prepare(connection, path, check_s_max)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read. It never checkpoints, and while it is open no other one does so on closing."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
    # SQLite opens the file, and takes the lock that keeps others from being the last, only when it is first asked.
    try:
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing. A failed commit is rolled back and raised; it is for the caller never to try it again."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


def _prepare(connection: sqlite3.Connection, path: Path, check_s_max: float) -> None:
    _refuse_foreign(connection, path)
    # Only works while the file has no page yet, so before WAL mode writes the first one.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnusable(f"the journal {path} cannot use a write-ahead log here", "put it on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # The writer checkpoints when nobody waits for it.
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    fault = check(connection, check_s_max)
    if fault:
        raise JournalUnusable(f"the journal {path} is damaged ({fault})", "move it aside and start again")
    migrate(connection)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and tables == 0:
        return  # New, or a first start that was cut off before the schema was there.
    if application != APPLICATION_ID:
        raise JournalUnusable(f"{path} is not a wardgate journal", "move it aside, or set another journal.path")
    (needed,) = connection.execute("SELECT value FROM meta WHERE key = 'min_reader'").fetchone()
    if needed > READER:
        raise JournalUnusable(
            f"the journal {path} was written by a newer wardgate (format {needed}, this one reads {READER})",
            "install the newer release again, or move the journal aside",
        )


def unusable(path: Path, error: sqlite3.Error) -> JournalUnusable:
    """What SQLite said while opening, as a sentence with the next step."""
    code = getattr(error, "sqlite_errorcode", None)  # Only what SQLite itself raised has one.
    if code == sqlite3.SQLITE_NOTADB:
        return JournalUnusable(f"{path} is not a wardgate journal", "move it aside, or set another journal.path")
    if code == sqlite3.SQLITE_CORRUPT:
        return JournalUnusable(f"the journal {path} is damaged ({error})", "move it aside and start again")
    return JournalUnusable(f"the journal {path} cannot be used ({error})", "check the folder's owner and the disk")


def check(connection: sqlite3.Connection, s_max: float) -> str:
    """SQLite's quick check, broken off after `s_max` seconds: the first fault, or nothing found in that time."""
    expired = Event()

    def stop() -> None:
        expired.set()
        connection.interrupt()

    timer = Timer(s_max, stop)
    timer.daemon = True
    timer.start()
    try:
        with closing(connection.execute("PRAGMA quick_check(1)")) as rows:
            (found,) = rows.fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return ""
    finally:
        timer.cancel()
        timer.join()
    return "" if found == "ok" or expired.is_set() else str(found)
