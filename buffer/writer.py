"""The one thread that writes: takes what is queued, commits it as one transaction, and tidies up in between.

Always true:
- A work is reported as stored only after its records and state are on disk, and in the order of the calls.
- After an SQLite error nothing more is written with that handle: a failed fsync must not be tried again on it (the
  kernel may have dropped the pages and then says that all is well). The owner takes back what waits (`overtake`), and
  the thread tries to open the file anew, from the beginning, until it can.
- What was taken back is not reported any more, even if its commit succeeds after all.
- Tidying up takes at most `TIDY_S` and one step at a time, so a commit never waits longer for it.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from threading import Condition, Thread
from typing import TYPE_CHECKING, Protocol

from buffer.archive import copy
from buffer.database import CLOSED
from buffer.errors import JournalClosed, JournalDamaged, JournalError, JournalUnavailable
from buffer.patrol import Patrol
from buffer.retention import Retention
from buffer.whereabouts import waits_for_device

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from buffer.ledger import Lane, Ledger
    from buffer.opening import Opening
    from buffer.record import Draft
    from buffer.regain import Handover
    from buffer.retention import Limits
    from buffer.store import Store, Stored
    from buffer.tail import Tail

    Job = Callable[[Store, Retention], None]

COMMIT_BYTES_MAX = 8 * 1024 * 1024
TICK_S = 0.5
SETTLE_S = 2.0
"""Settlements are stored with what is stored next, so that a flash bears half as many transactions; alone only when
nothing else has been stored for so long. What a power cut takes of them is sent again.
"""

TIDY_S = 0.02
REGAIN_S_MIN = 0.1
REGAIN_S_MAX = 10.0
STEADY_S = 60.0
"""A disk that did its work for so long was well: after that the first waits are short again."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What one `append` handed over. `size` is roughly its bytes in memory."""

    drafts: Sequence[Draft]
    state: Mapping[str, bytes | None]
    done: asyncio.Future[bool]
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """How the writer is doing. `beat_mono` is when it last went round (monotonic seconds); it does so every second.

    `oldest_ms` is when the oldest record was stored that a cursor still waits for, by cursor. `fault` says why the disk
    is away, empty while it is not.
    """

    beat_mono: float = 0.0
    commits: int = 0
    commit_s: float = 0.0
    commit_s_max: float = 0.0
    file_bytes: int = 0
    wal_bytes: int = 0
    oldest_ms: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""


class Owner(Protocol):
    """Whom the thread tells. All of it is called in the thread."""

    ledger: Ledger

    def opened(self, store: Store) -> None:
        """The file is ready at the start."""

    def opened_without_disk(self, state: Mapping[str, bytes]) -> None:
        """The disk is away from the start; `state` is what could be read nevertheless."""

    def stored(self, works: Sequence[Work]) -> None:
        """They are on disk."""

    def lost(self, error: JournalError) -> None:
        """The disk is away: the owner is to `overtake`. May be said again."""

    def alone(self) -> AbstractContextManager[None]:
        """While this lasts nobody else in the process has the file open."""

    def hand_over(self, written: Mapping[str, int], last: bool) -> Handover:
        """See `buffer.regain`."""

    def regained(self, store: Store, begun: Stored) -> bool:
        """The disk is back, with everything that was handed over; False where the owner went on without it."""

    def ended(self, error: JournalError) -> None:
        """Nothing will be written any more."""


class Overtaken(Exception):
    """The owner did not wait any longer."""


class Writer:
    """Owns the thread and the queue. The methods are called from the event loop, `report` is read from anywhere."""

    def __init__(self, opening: Opening, limits: Limits, owner: Owner, renew: str) -> None:
        self.report = Report()
        self.error: JournalError | None = None
        self._opening = opening
        self._limits = limits
        self._owner = owner
        self._renew = renew
        self._queue: deque[Work] = deque()
        self._jobs: deque[Job] = deque()
        self._wake = Condition()
        self._hand: Sequence[Work] = ()
        self._store: Store | None = None
        self._is_idle = True
        self._armed_mono = 0.0
        self._seen_mono = time.monotonic()
        self._stopping = False
        self._overtaken = False
        self._more = False
        self._tick_due = 0.0
        self._ledger_mono = 0.0
        self._regain_s = REGAIN_S_MIN
        # A process that ends without `close` ends like a power cut, which loses nothing, and is never held up.
        self._thread = Thread(target=self._run, name="journal-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue it. Raises `JournalError` where nothing is written any more."""
        with self._wake:
            if self.error is not None:
                raise self.error
            self._queue.append(work)
            self._wake.notify()

    def newest(self, lane: Lane) -> Tail | None:
        """The newest chunk of a lane, where it was stored since the file was opened."""
        store = self._store
        return None if store is None else store.tails.get(lane)

    def silent_s(self) -> float:
        """How long the disk has not answered its latest question. Lacking the processor is not being silent."""
        if self._is_idle:
            return 0.0
        store = self._store
        return time.monotonic() - (self._armed_mono if store is None else store.pulse_mono)

    def stuck_s(self) -> float:
        """How long the thread has neither gone round nor been seen to wait for the disk; ask every few seconds.

        A disk that is away or silent is no reason to begin anew: that would cost what only memory holds.
        """
        if self.report.fault or waits_for_device(self._thread.native_id):
            self._seen_mono = time.monotonic()
        return max(0.0, time.monotonic() - max(self._seen_mono, self.report.beat_mono))

    def put_job(self, job: Job) -> None:
        """Have it done with the store between two commits; forgotten where the disk goes away before that."""
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    def arm(self) -> None:
        """From here on works may be queued again; another `overtake` makes the attempt under way worthless."""
        with self._wake:
            self._overtaken = False
            self._armed_mono = time.monotonic()
            self._is_idle = False

    def overtake(self) -> Sequence[Work]:
        """Take back what is not known to be on disk; none of it will be reported, and the file is opened anew."""
        with self._wake:
            self._overtaken = True
            waiting = [*self._hand, *self._queue]
            self._hand = ()
            self._queue.clear()
            self._wake.notify()
            return waiting

    def renew(self, limits: Limits) -> None:
        """From now on these count."""
        self._limits = limits
        self.put_job(lambda _, retention: retention.renew(limits))

    def put_backup(self, to: Path, done: Callable[[JournalError | None], None]) -> None:
        """Have a copy made beside the commits; `done` is called in the thread, with why there is none."""
        self.put_job(lambda store, retention: self._back_up(store, retention, to, done))

    def stop(self) -> None:
        """Finish what is queued, then end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def join(self) -> None:
        self._thread.join()

    # In the thread.

    def _run(self) -> None:
        # What they are told whom an unforeseen exception, which is a bug and ends the thread, leaves waiting.
        error = JournalError("the journal's writer has ended", "see the log for the reason")
        try:
            store: Store | None = self._open()
            while store is not None:
                self._serve(store)
                store = self._regain() if self.report.fault else None
            error = JournalClosed("the journal is closed")
        except JournalError as cause:
            error = cause
        except sqlite3.Error as cause:
            error = JournalError(f"the journal cannot be written any more ({cause})", "send the log to support")
        finally:
            self._end(error)

    def _open(self) -> Store | None:
        """The first time; from then on as often as it takes. Raises `JournalUnusable` where a person must act."""
        try:
            store = self._opening.first(self._renew)
        except JournalUnavailable as error:
            self._owner.opened_without_disk(self._opening.rescued_state())
            self._lose(error)
            return self._regain()
        self._owner.opened(store)
        return store

    def _serve(self, store: Store) -> None:
        """Until `stop`, or until the disk is away (`report.fault`)."""
        retention = Retention(store, self._limits)
        self._store = store
        self.put_job(partial(self._go_round, Patrol(store)))
        begin = time.monotonic()
        try:
            while self._round(store, retention):
                pass
            store.finish()
        except (sqlite3.Error, OSError, JournalDamaged, Overtaken) as cause:
            store.abandon()
            self._store = None
            if is_our_mistake(cause):
                raise
            if time.monotonic() - begin > STEADY_S:
                self._regain_s = REGAIN_S_MIN
                self._opening.suspicion = 0
            self._opening.suspect(cause)
            self._lose(JournalUnavailable(f"the journal cannot be written ({cause})", "check the disk"))
        else:
            self._opening.lock.note(CLOSED)

    def _lose(self, error: JournalUnavailable) -> None:
        self.report = replace(self.report, fault=str(error))
        self._owner.lost(error)

    def _regain(self) -> Store | None:
        """Try until the disk is back; None where `stop` comes first, after one last attempt."""
        while True:
            stopping = self._pause(self._regain_s)
            self._regain_s = min(self._regain_s * 2, REGAIN_S_MAX)
            try:
                return self._take_back()
            except JournalClosed:
                return None
            except (JournalError, sqlite3.Error, OSError, Overtaken) as error:
                if is_our_mistake(error):
                    raise
                self._lose(JournalUnavailable(f"the journal cannot be written ({error})", "check the disk"))
                if stopping:
                    return None

    def _take_back(self) -> Store:
        store, begun = self._opening.again(self._owner.ledger, self._owner.hand_over, self._owner.alone)
        if not self._owner.regained(store, begun):
            store.abandon()
            raise Overtaken("it takes too long")
        self.report = replace(self.report, fault="")
        return store

    def _pause(self, wait_s: float) -> bool:
        """Wait, with a heartbeat; whether the end was asked for."""
        until = time.monotonic() + wait_s
        with self._wake:
            self._jobs.clear()
            while not self._stopping and (left_s := until - time.monotonic()) > 0:
                self._wake.wait(min(left_s, TICK_S))
                self.report = replace(self.report, beat_mono=time.monotonic())
            return self._stopping

    def _end(self, error: JournalError) -> None:
        with self._wake:
            self.error = error
        self._owner.ended(error)

    def _round(self, store: Store, retention: Retention) -> bool:
        """Commit what waits, or do a job, and tidy up; whether there will be another round."""
        has_works = self._attend(store, retention, 0.0 if self._more else TICK_S)
        if self._jobs and not has_works:
            self._jobs.popleft()(store, retention)
        return has_works or bool(self._jobs) or not self._stopping

    def _attend(self, store: Store, retention: Retention, wait_s: float) -> bool:
        """Commit what waits, and tidy up for a moment; whether there was anything to commit."""
        works = self._take(wait_s)
        store.pulse()
        if works:
            self._commit(store, works)
        self._more = self._tidy(store, retention) or bool(self._jobs)
        self._beat(store)
        return bool(works)

    def _back_up(
        self, store: Store, retention: Retention, to: Path, done: Callable[[JournalError | None], None]
    ) -> None:
        def go_on() -> None:
            if self._stopping:
                raise JournalClosed("the journal is closed before the copy is complete")
            self._attend(store, retention, 0.0)

        failure: JournalError | None = JournalUnavailable("the disk went away while the copy was made", "try again")
        try:
            copy(store.connection, to, go_on)
            failure = None
        except JournalDamaged:
            raise
        except JournalError as error:
            failure = error
        finally:
            done(failure)

    def _go_round(self, patrol: Patrol, _store: Store, _retention: Retention) -> None:
        if patrol.step() and not self._stopping:
            self.put_job(partial(self._go_round, patrol))

    def _take(self, wait_s: float) -> Sequence[Work]:
        with self._wake:
            if not (self._queue or self._jobs or self._stopping or self._overtaken):
                self._is_idle = True
                self._wake.wait(wait_s)
            self._is_idle = False
            if self._overtaken:
                raise Overtaken("it takes too long")
            works: list[Work] = []
            size = 0
            while self._queue and size < COMMIT_BYTES_MAX:
                works.append(self._queue.popleft())
                size += works[-1].size
            self._hand = works
            return works

    def _commit(self, store: Store, works: Sequence[Work]) -> None:
        begin = time.monotonic()
        state: dict[str, bytes | None] = {}
        for work in works:
            state.update(work.state)
        stored = store.write(chain.from_iterable(work.drafts for work in works), state)
        took = time.monotonic() - begin
        self._ledger_mono = begin + took
        old = self.report
        self.report = replace(
            old,
            commits=old.commits + 1,
            commit_s=took,
            commit_s_max=max(old.commit_s_max, took),
            beat_mono=begin + took,
        )
        with self._wake:
            if self._overtaken:
                raise Overtaken("it takes too long")
            store.publish(stored)
            self._hand = ()
            self._owner.stored(works)

    def _tidy(self, store: Store, retention: Retention) -> bool:
        """Trim and checkpoint for a moment; whether there is more to do."""
        until = time.monotonic() + TIDY_S
        while retention.step():
            store.pulse()
            if time.monotonic() >= until:
                return True
        store.checkpoint_if_due(self._limits.checkpoint_bytes)
        return False

    def _beat(self, store: Store) -> None:
        now = time.monotonic()
        if now < self._tick_due:
            return
        self._tick_due = now + TICK_S
        store.pulse()
        if now - self._ledger_mono >= SETTLE_S:
            self._ledger_mono = now
            store.flush()
        file_bytes, wal_bytes = store.sizes()
        self.report = replace(
            self.report, beat_mono=now, file_bytes=file_bytes, wal_bytes=wal_bytes, oldest_ms=store.oldest_ms()
        )


def is_our_mistake(error: Exception) -> bool:
    """Whether it was refused before it came to SQLite: trying again would not help."""
    return isinstance(error, sqlite3.Error) and not hasattr(error, "sqlite_errorcode")
