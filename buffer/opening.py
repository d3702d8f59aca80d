"""From a folder to a store that can be written, whatever state its file is in. Runs in the writer's thread.

    foreign, newer, no rights      refused, and not touched
    damaged, checked twice         salvaged, the file aside, new epoch
    deleted, log lost or torn      new epoch: others may have seen more than is here
    log of another file            aside
    a copy (backup)                new epoch

"Checked twice", because an error in reading shows as damage: only what a fresh handle finds again is believed.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from buffer import epoch
from buffer.database import (
    CLOSED,
    LOG_SUFFIX,
    NEVER,
    OPEN,
    check,
    connect,
    connect_reader,
    damaged,
    file_of,
    primary,
    unusable,
    uri,
)
from buffer.errors import JournalDamaged, JournalUnavailable
from buffer.incident import Incident
from buffer.ledger import Ledger
from buffer.log import commits_beyond
from buffer.memory import REASON_PROCESS
from buffer.regain import regain
from buffer.salvage import ASIDE, BROKEN, beside, finish_interrupted, remove, salvage
from buffer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from buffer.database import FolderLock
    from buffer.epoch import Begin
    from buffer.errors import JournalError
    from buffer.regain import Handover
    from buffer.retention import Limits
    from buffer.store import Stored

CHECK_S_MAX = 1.0
THOROUGH_S_MAX = 20.0
SUSPICION_MAX = 2

TRANSIENT = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
"""What a disk says that is full, failing or mounted read-only, and what it may say no more later."""

NAMES = "SELECT name FROM epoch"

UNREADABLE = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})

WORDS = {
    epoch.FILE_MISSING: "the journal's file is gone",
    epoch.LOG_MISSING: "the journal's write-ahead log is gone",
    epoch.LOG_DAMAGED: "the journal's write-ahead log is damaged",
}


@dataclass(slots=True)
class Opening:
    """How to open the journal of one folder. `incident` is the latest that an opening met."""

    path: Path
    lock: FolderLock
    cursors: tuple[str, ...]
    limits: Limits
    wall: Callable[[], float]
    new_epoch: Callable[[], str]
    begin: Begin
    incident: Incident | None = None
    suspicion: int = 0
    """How often damage showed lately that the quick check had not found."""
    _reason: str = field(default="", init=False)
    _is_start: bool = field(default=True, init=False)
    _is_misled: bool = field(default=False, init=False)
    _file: tuple[int, int] | None = field(default=None, init=False)
    """The one that was open last."""

    def first(self, renew: str = "") -> Store:
        """At the start of a process. Raises `JournalUnusable`, and `JournalUnavailable` where the disk does not answer.

        `renew` is the reason for which to begin a new epoch, empty to go on with the present one.
        """
        self._reason = renew
        try:
            while True:
                store = self._open()
                try:
                    self._begin(store)
                    break
                except sqlite3.Error as error:
                    store.abandon()
                    if not self.suspect(error):
                        raise
        except sqlite3.Error as error:
            raise self._refused(error) from error
        except OSError as error:
            raise JournalUnavailable(f"the journal {self.path} cannot be used ({error})", "check the disk") from error
        self._went_well()
        return store

    def again(
        self,
        live: Ledger,
        hand_over: Callable[[Mapping[str, int], bool], Handover],
        alone: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Store, Stored]:
        """After the disk was away, and as often as it takes; gives what is to be published of the new epoch.

        Readers may stay, unless what they know misleads whoever opens the file beside them: then it is opened `alone`.
        Raises `JournalError`, `sqlite3.Error` and `OSError`; then it is away still.
        """
        try:
            with alone() if self._is_misled or self._has_changed() else nullcontext():
                store = self._open()
            return store, self._take_up(store, live, hand_over)
        except sqlite3.Error as error:
            self._is_misled = primary(error) == sqlite3.SQLITE_READONLY  # It was so when a reader came, at least.
            raise

    def _take_up(self, store: Store, live: Ledger, hand_over: Callable[[Mapping[str, int], bool], Handover]) -> Stored:
        try:
            if self._is_start:
                live.take_over(store.ledger)
            begun = regain(store, live, hand_over, store.renewal or self._reason)
        except BaseException as error:
            store.abandon()
            if isinstance(error, sqlite3.Error):
                self.suspect(error)
            raise
        self._went_well()
        return begun

    def _has_changed(self) -> bool:
        """Whether the file or its log is not the one that was open last."""
        if self._file is None:
            return False
        is_there = self.path.exists() and beside(self.path, LOG_SUFFIX).exists()
        return not is_there or self._file != file_of(self.path)

    def suspect(self, error: Exception) -> bool:
        """Something went wrong with an open store: whether it looks like damage, and is looked for with more care."""
        is_damage = isinstance(error, (JournalDamaged, sqlite3.Error)) and self._is_damage(error)
        self.suspicion += is_damage
        return is_damage

    def rescued_state(self) -> dict[str, bytes]:
        """The state from a disk that can only be read; empty where it cannot even be read."""
        # The first needs no shared memory, which would be a file; the last does not see the log.
        for mode, locking in (("rw", "EXCLUSIVE"), ("ro", "NORMAL"), ("ro&immutable=1", "NORMAL")):
            with suppress(*BROKEN), closing(sqlite3.connect(f"{uri(self.path)}?mode={mode}", uri=True)) as old:
                old.execute(f"PRAGMA locking_mode = {locking}")
                return dict(old.execute("SELECT key, value FROM state"))
        return {}

    def _went_well(self) -> None:
        self._is_start = False
        self._is_misled = False
        self._reason = ""
        self._file = file_of(self.path)
        self.lock.found = OPEN
        self.lock.note(OPEN)

    def _open(self) -> Store:
        finish_interrupted(self.path)
        self._look_around()
        try:
            return self._load()
        except (JournalDamaged, sqlite3.Error) as error:
            if not self._is_damage(error):
                raise
        try:
            return self._load()
        except (JournalDamaged, sqlite3.Error) as error:
            if not self._is_damage(error):
                raise
            found = error.what if isinstance(error, JournalDamaged) else damaged(self.path, str(error)).what
        self.incident = salvage(self.path, self.limits.rank, self.cursors, found, self._now_ms())
        self._reason = ""  # The new file says so itself.
        self.suspicion = 0
        store = self._load()
        if self._is_start:
            store.account_for_holes(epoch.DAMAGED)
            store.flush()
        return store

    def _load(self) -> Store:
        if self.suspicion >= SUSPICION_MAX:
            raise damaged(self.path, "reading it fails again and again")
        connection = connect(
            self.path,
            THOROUGH_S_MAX if self.suspicion else CHECK_S_MAX,
            ours=self.lock.found != NEVER,
            thorough=self.suspicion > 0,
            before_writing=self._before_writing,
        )
        try:
            store = Store(connection, Ledger(self.cursors), self.wall, self.new_epoch, self.begin, self._reason)
            store.guard()
        except (TypeError, ValueError, KeyError, msgspec.MsgspecError) as error:
            connection.close()
            raise damaged(self.path, f"a row that was never written: {error}") from error
        except BaseException:
            connection.close()
            raise
        return store

    def _begin(self, store: Store) -> None:
        reason = store.renewal or self._reason
        if store.is_volatile:  # The process ended while it wrote what it had in memory; others have seen all of it.
            store.account_for_holes(REASON_PROCESS)
            store.flush()
            reason = reason or epoch.DISK_BACK
        if reason and not store.is_new:
            store.begin_epoch(reason)
        store.begin_streams()

    def _look_around(self) -> None:
        """What the last end and the files that are there say about each other."""
        log = beside(self.path, LOG_SUFFIX)
        if self.lock.found == NEVER or self._reason:
            return
        if not self.path.exists() or not self.path.stat().st_size:
            self._note(epoch.FILE_MISSING)
            remove(self.path)
        elif self._file is not None and self._file != file_of(self.path):
            self._note(epoch.FILE_MISSING)
            remove(self.path, but_file=True)  # The log is that of the other file.
        elif self.lock.found == OPEN and not log.exists():
            self._note(epoch.LOG_MISSING)
        elif self.lock.found == CLOSED and log.exists() and log.stat().st_size and not self._fits():
            moved = beside(self.path, f"{ASIDE}{self._now_ms()}{LOG_SUFFIX}")
            log.rename(moved)
            what = f"a write-ahead log of another file lay beside the journal {self.path}"
            self.incident = Incident("", what, self._now_ms(), moved_to=str(moved))

    def _fits(self) -> bool:
        """Whether the file is whole, and the same journal, when it is read with the log that lies beside it."""
        try:
            with closing(connect_reader(self.path)) as reader:
                return not check(reader, CHECK_S_MAX) and self._names_alone() <= set(reader.execute(NAMES))
        except BROKEN:
            return False

    def _names_alone(self) -> set[tuple[str]]:
        """Of the epochs, without the log. A checkpoint that was cut off leaves a file that says nothing without it."""
        with suppress(*BROKEN), closing(sqlite3.connect(f"{uri(self.path)}?immutable=1", uri=True)) as alone:
            return set(alone.execute(NAMES))
        return set()

    def _before_writing(self, connection: sqlite3.Connection) -> None:
        """Begin with an empty log, in which nothing lies that only seems to be on disk.

        What was written before a sync failed is in the kernel's memory, and passes for written with the next sync that
        succeeds. A checkpoint writes it anew, into the file; what comes then does not lean on it.
        """
        self._look_at_log(connection)
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy and not self._is_start:
            raise JournalUnavailable(f"the journal {self.path} is being read", "wait")

    def _look_at_log(self, connection: sqlite3.Connection) -> None:
        """After a crash: whether SQLite stopped reading its log too early."""
        log = beside(self.path, LOG_SUFFIX)
        if not self._is_start or self.lock.found != OPEN or self._reason or not log.exists():
            return
        _, valid, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        if commits_beyond(log, valid, page_bytes) > 1:
            self._note(epoch.LOG_DAMAGED)

    def _note(self, reason: str) -> None:
        self._reason = reason
        self.incident = Incident(reason, WORDS[reason], self._now_ms())

    def _is_damage(self, error: JournalDamaged | sqlite3.Error) -> bool:
        if isinstance(error, JournalDamaged):
            return True
        code = primary(error)
        if code == sqlite3.SQLITE_NOTADB:
            return self.lock.found != NEVER
        # Our statements are right, so what is not found in the schema was there.
        extended = getattr(error, "sqlite_errorcode", 0)
        return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR} or extended in UNREADABLE

    def _refused(self, error: sqlite3.Error) -> JournalError:
        refusal = unusable(self.path, error)
        if primary(error) in TRANSIENT and not self._is_for_a_person():
            return JournalUnavailable(refusal.what, refusal.hint)
        return refusal

    def _is_for_a_person(self) -> bool:
        """Whether it is the rights, or something that is no file, that keep us out."""
        if self.path.exists() and not self.path.is_file():
            return True
        is_read_only = os.statvfs(self.path.parent).f_flag & os.ST_RDONLY
        file = self.path if self.path.exists() else self.path.parent
        return not (is_read_only or os.access(file, os.W_OK))

    def _now_ms(self) -> int:
        return int(self.wall() * 1000)
