"""The one thread that writes: takes what is queued, commits it as one transaction, and tidies up in between.

Always true:
- A future is done only after its records and state are on disk, and in the order of the calls.
- After an SQLite error nothing is written any more: a failed fsync must not be tried again on the same handle (the
  kernel may have dropped the pages and then says that all is well). Everybody who waits, and who comes later, gets the
  error.
- Tidying up takes at most `TIDY_S` and one step at a time, so a commit never waits longer for it.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import chain
from threading import Condition, Thread
from typing import TYPE_CHECKING

from buffer.errors import JournalClosed, JournalError
from buffer.retention import Retention

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from buffer.record import Draft
    from buffer.retention import Limits
    from buffer.store import Store

COMMIT_BYTES_MAX = 8 * 1024 * 1024
TICK_S = 0.5
TIDY_S = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What one `append` handed over. `size` is roughly its bytes in memory."""

    drafts: Sequence[Draft]
    state: Mapping[str, bytes | None]
    done: asyncio.Future[None]
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """How the writer is doing. `beat_mono` is when it last went round (monotonic seconds); it does so every second.

    `oldest_ms` is when the oldest record was stored that a cursor still waits for, by cursor.
    """

    beat_mono: float = 0.0
    commits: int = 0
    commit_s: float = 0.0
    commit_s_max: float = 0.0
    file_bytes: int = 0
    wal_bytes: int = 0
    oldest_ms: Mapping[str, int] = field(default_factory=dict)


class Writer:
    """Owns the thread and the queue. `put` and `stop` are called from the event loop, `report` is read from anywhere.

    `opened` and `done` are called in the writer's thread: `opened(store)` once the file is ready or `opened(error)`;
    `done(works, error)` after each commit, with everything that it made durable.
    """

    def __init__(
        self,
        opening: Callable[[], Store],
        limits: Limits,
        opened: Callable[[Store | JournalError], None],
        done: Callable[[Sequence[Work], JournalError | None], None],
    ) -> None:
        self.report = Report()
        self.error: JournalError | None = None
        self._opening = opening
        self._limits = limits
        self._opened = opened
        self._done = done
        self._queue: deque[Work] = deque()
        self._wake = Condition()
        self._hand: Sequence[Work] = ()
        self._stopping = False
        self._more = False
        self._tick_due = 0.0
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

    def stop(self) -> None:
        """Finish what is queued, then end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def join(self) -> None:
        self._thread.join()

    # In the thread.

    def _run(self) -> None:
        try:
            store = self._opening()
        except JournalError as error:
            self._end(error)
            self._opened(error)
            return
        self._opened(store)
        self._serve(store, Retention(store, self._limits))

    def _serve(self, store: Store, retention: Retention) -> None:
        # What they are told whom an unforeseen exception, which is a bug and ends the thread, leaves waiting.
        error = JournalError("the journal's writer has ended", "see the log for the reason")
        try:
            while self._round(store, retention):
                pass
            store.finish()
            error = JournalClosed("the journal is closed")
        except (sqlite3.Error, OSError) as cause:
            error = JournalError(f"the journal cannot be written any more ({cause})", "check the disk, then restart")
            # The reader is still connected, so this close does not checkpoint, which would try the disk again.
            store.connection.close()
        finally:
            self._end(error)

    def _end(self, error: JournalError) -> None:
        with self._wake:
            self.error = error
            waiting = [*self._hand, *self._queue]
            self._queue.clear()
        self._done(waiting, error)

    def _round(self, store: Store, retention: Retention) -> bool:
        """Commit what waits, tidy up; whether there will be another round."""
        works = self._take(0.0 if self._more else TICK_S)
        if works:
            self._commit(store, works)
        self._more = self._tidy(store, retention)
        self._beat(store)
        return bool(works) or not self._stopping

    def _take(self, wait_s: float) -> Sequence[Work]:
        with self._wake:
            if not self._queue and not self._stopping:
                self._wake.wait(wait_s)
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
        store.store(chain.from_iterable(work.drafts for work in works), state)
        took = time.monotonic() - begin
        old = self.report
        self.report = replace(
            old,
            commits=old.commits + 1,
            commit_s=took,
            commit_s_max=max(old.commit_s_max, took),
            beat_mono=begin + took,
        )
        self._hand = ()
        self._done(works, None)

    def _tidy(self, store: Store, retention: Retention) -> bool:
        """Trim and checkpoint for a moment; whether there is more to do."""
        until = time.monotonic() + TIDY_S
        while retention.step():
            if time.monotonic() >= until:
                return True
        store.checkpoint_if_due(self._limits.checkpoint_bytes)
        return False

    def _beat(self, store: Store) -> None:
        now = time.monotonic()
        if now < self._tick_due:
            return
        self._tick_due = now + TICK_S
        store.flush()
        file_bytes, wal_bytes = store.sizes()
        self.report = replace(
            self.report, beat_mono=now, file_bytes=file_bytes, wal_bytes=wal_bytes, oldest_ms=store.oldest_ms()
        )
