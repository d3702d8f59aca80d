"""Where a journal lies: the lock beside it, and the one read-write connection. Knows no record."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
from contextlib import closing, contextmanager, suppress
from threading import Event, Timer
from typing import TYPE_CHECKING

from buffer.errors import JournalDamaged, JournalLocked, JournalUnusable
from buffer.migrations import APPLICATION_ID, READER, migrate
from buffer.plausible import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DATABASE = "journal.db"
LOCK = "journal.lock"
LOG_SUFFIX = "-wal"
SHARED_SUFFIX = "-shm"
RENEW = "renew:"
BUSY_S = 2.0
WAL_BYTES_MAX = 16 * 1024 * 1024


NEVER, OPEN, CLOSED = "never", "open", "closed"
"""What the last journal in a folder left there: nothing, no goodbye, or a clean end."""

LOCK_BYTES = 32

AWAY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class FolderLock:
    """A lock on the folder until `release` or the end of the process. The file stays: the lock is what counts.

    In it are the number of the process, and how the journal in this folder last ended (`found`).
    """

    def __init__(self, folder: Path) -> None:
        """Raises `JournalLocked` and `JournalUnusable`."""
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise JournalUnusable(
                f"the journal folder {folder} {what}", "create it, or set journal.path in gateway.yaml"
            )
        try:
            self._fd = self._open(folder)
        except OSError as error:
            raise JournalUnusable(
                f"the journal folder {folder} cannot be written ({error.strerror})",
                "give it to the user that wardgate runs as, or set journal.path in gateway.yaml",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder, _ = self._read()
            os.close(self._fd)
            raise JournalLocked(
                f"another wardgate (process {holder}) already uses the journal in {folder}",
                "stop it first, or give this one a journal.path of its own",
            ) from error
        _, self.found = self._read()
        with suppress(OSError):
            self._write(self.found)

    def note(self, state: str) -> None:
        """Leave it for the next one, power cut or not: called before what it says begins, or after that has ended.

        A disk that does not take it makes the next start a little more careful.
        """
        with suppress(OSError):
            self._write(state)
            os.fdatasync(self._fd)

    def _write(self, state: str) -> None:
        os.pwrite(self._fd, f"{os.getpid()} {state}\n".encode().ljust(LOCK_BYTES), 0)

    def release(self) -> None:
        """Allowed twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self, folder: Path) -> int:
        try:
            fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in AWAY:
                raise
        else:
            give(folder / LOCK, folder)
            return fd
        # A disk that is full or cannot be written is no reason not to start, and a folder can be locked as well.
        file = folder / LOCK
        return os.open(file if file.exists() else folder, os.O_RDONLY | os.O_CLOEXEC)

    def _read(self) -> tuple[str, str]:
        if stat.S_ISDIR(os.fstat(self._fd).st_mode):
            return "unknown", OPEN
        words = os.pread(self._fd, LOCK_BYTES, 0).decode("ascii", "replace").split()
        state = words[1] if len(words) > 1 else NEVER
        return (words[0] if words else "unknown"), (state if state in {OPEN, CLOSED} else NEVER)


def give(file: Path, folder: Path) -> None:
    """To the owner of the folder, as far as we may: who makes it may be another one than the daemon."""
    owner = folder.stat()
    with suppress(PermissionError):
        if (owner.st_uid, owner.st_gid) != (file.stat().st_uid, file.stat().st_gid):
            os.chown(file, owner.st_uid, owner.st_gid)


def connect(
    path: Path,
    check_s_max: float,
    *,
    ours: bool = False,
    thorough: bool = False,
    before_writing: Callable[[sqlite3.Connection], None] = lambda _: None,
) -> sqlite3.Connection:
    """The connection for all writes and checkpoints, with the schema of this release.

    One connection does both on purpose: SQLite before 3.51.3 can damage a file when one connection checkpoints while
    another commits. Where the file is known to be `ours`, one that looks foreign is damaged. `before_writing` may look
    at the file as it was found. Raises `JournalUnusable`, and `sqlite3.Error` for `unusable` to put into words.
    """
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    connection.text_factory = text
    try:
        refuse_foreign(connection, path, ours=ours)
        before_writing(connection)
        _prepare(connection, path, check_s_max, thorough=thorough)
        migrate(connection)
    except (TypeError, ValueError) as error:
        connection.close()
        raise damaged(path, f"a row that was never written: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read. It never checkpoints, and while it is open no other one does so on closing."""
    connection = sqlite3.connect(
        f"{uri(path)}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    # SQLite opens the file, and takes the lock that keeps others from being the last, only when it is first asked.
    try:
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def file_of(path: Path) -> tuple[int, int]:
    """What tells two files apart that had one name, one after the other. Raises `OSError`."""
    status = path.stat()
    return status.st_dev, status.st_ino


def uri(path: Path) -> str:
    return path.absolute().as_uri()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing. A failed commit is rolled back and raised; it is for the caller never to try it again."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


def _prepare(connection: sqlite3.Connection, path: Path, check_s_max: float, *, thorough: bool) -> None:
    # Only works while the file has no page yet, so before WAL mode writes the first one; later it would only write.
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnusable(f"the journal {path} cannot use a write-ahead log here", "put it on a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # The writer checkpoints when nobody waits for it.
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    fault = check(connection, check_s_max, thorough=thorough)
    if fault:
        raise damaged(path, fault)


def refuse_foreign(connection: sqlite3.Connection, path: Path, *, ours: bool = False) -> None:
    """Raises `JournalUnusable` for a file that is not ours, or of a newer release."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and tables == 0:
        return  # New, or a first start that was cut off before the schema was there.
    if application != APPLICATION_ID:
        if ours:
            raise damaged(path, "its head is not a journal's")
        raise JournalUnusable(f"{path} is not a wardgate journal", "move it aside, or set another journal.path")
    (needed,) = connection.execute("SELECT value FROM meta WHERE key = 'min_reader'").fetchone()
    if needed > READER:
        raise JournalUnusable(
            f"the journal {path} was written by a newer wardgate (format {needed}, this one reads {READER})",
            "install the newer release again, or move the journal aside",
        )


def damaged(path: Path, fault: str) -> JournalDamaged:
    return JournalDamaged(f"the journal {path} is damaged ({fault})", "start the daemon, which salvages it")


def unusable(path: Path, error: sqlite3.Error) -> JournalUnusable:
    """What SQLite said while opening, as a sentence with the next step."""
    code = primary(error)
    if code == sqlite3.SQLITE_NOTADB:
        return JournalUnusable(f"{path} is not a wardgate journal", "move it aside, or set another journal.path")
    if code == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    return JournalUnusable(f"the journal {path} cannot be used ({error})", "check the folder's owner and the disk")


def primary(error: sqlite3.Error) -> int:
    """The result code without what SQLite adds to it; 0 for what SQLite did not raise itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def renew(connection: sqlite3.Connection, reason: str) -> None:
    """Have whoever opens this file begin a new epoch, because others may know more of the present one than it does."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, 1)", (f"{RENEW}{reason}",))


def check(connection: sqlite3.Connection, s_max: float, *, thorough: bool = False) -> str | None:
    """SQLite's quick check, or its thorough one, which also compares tables with their indexes.

    Gives the first fault, or an empty text where there is none; None where it was broken off after `s_max` seconds.
    """
    expired = Event()

    def stop() -> None:
        expired.set()
        connection.interrupt()

    timer = Timer(s_max, stop)
    timer.daemon = True
    timer.start()
    try:
        with closing(connection.execute("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)")) as rows:
            (found,) = rows.fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        timer.cancel()
        timer.join()
    if found == "ok":
        return ""
    return None if expired.is_set() else str(found)
