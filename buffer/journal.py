"""The store-and-forward journal as the event loop sees it. Neither SQL nor a policy: those are in the modules beside.

An append-only log with cursors, not a queue: records stay where they are until retention trims them, and each uplink
has its own account of what it has settled. Delivery is at least once: a lost `settle` only sends records again.

    journal = await Journal.open(folder, Limits(...), wall=time.time, cursors=["main"])
    await journal.append([Draft("alarm", time_ms, topic, body)], {"alarm/1": state})    # on disk, both or neither
    seen = journal.commits
    for position in journal.cursor("main"):
        records = await journal.read(position.lane.stream, position.low, 100, epoch=position.lane.epoch)
        journal.settle("main", position.lane.stream, [(record.sequence, record.sequence) for record in records])
    await journal.news(seen)                                                            # until there is more
    await journal.close()

All methods belong to the event loop that `open` was awaited in. Limits: `PENDING_BYTES_MAX` for what waits to be
written (`room` waits below it; `append` itself never drops and never blocks), `Limits` for what is kept.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from buffer.database import DATABASE, FolderLock, connect, unusable
from buffer.errors import JournalClosed, JournalError
from buffer.ledger import Kept, Lane, Ledger, Loss, Position, Span
from buffer.reader import Reader
from buffer.store import Store
from buffer.writer import Work, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from buffer.record import Draft, Record
    from buffer.retention import Limits
    from buffer.store import Previous
    from buffer.writer import Report

PENDING_BYTES_MAX = 16 * 1024 * 1024
CHECK_S_MAX = 1.0
SEQUENCE_END = 2**62
NOTHING: Mapping[str, bytes | None] = MappingProxyType({})
NOBODY: Mapping[int, str] = MappingProxyType({})


def random_epoch() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class CursorStats:
    """One uplink: what waits for it. `oldest_ms` is when the oldest of that was stored, None where nothing waits."""

    name: str
    positions: tuple[Position, ...]
    unsettled: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    """The journal at one moment. `lanes` has every epoch that is known, the oldest first.

    `report` is the writer's: sizes, commits, heartbeat; at most a second old. `error` says why nothing is written any
    more, and is empty while all is well.
    """

    epoch: str
    lanes: Mapping[Lane, Kept]
    cursors: tuple[CursorStats, ...]
    losses: tuple[Loss, ...]
    size_max_bytes: int
    pending_bytes: int
    report: Report
    error: str


class Journal:
    """Made by `open` only."""

    epoch: str
    previous: Previous | None
    """The epoch before this one, with the last sequence of each of its streams; for `stream.begin`."""
    state: Mapping[str, bytes]
    """Every key, as it was on disk when the journal was opened."""

    def __init__(self, limits: Limits, ledger: Ledger, lock: FolderLock, opening: Callable[[], Store]) -> None:
        self.pending_bytes = 0
        self.commits = 0
        self._limits = limits
        self._ledger = ledger
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Store] = self._loop.create_future()
        self._writer = Writer(opening, limits, self._on_opened, self._on_done)
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._closing = False

    @classmethod
    async def open(
        cls,
        folder: Path,
        limits: Limits,
        *,
        wall: Callable[[], float],
        cursors: Iterable[str] = (),
        new_epoch: Callable[[], str] = random_epoch,
        renew: bool = False,
    ) -> Journal:
        """Open the journal in an existing folder and start its threads.

        `cursors` are the names of the configured uplinks: a new one begins at the oldest record from which nothing is
        missing, others that were known are forgotten. `renew` begins a new epoch (after a restore, or when the platform
        has seen more than is here). Raises `JournalLocked` and `JournalUnusable`, each one sentence with the next step.
        """
        ledger = Ledger(cursors)
        path = folder / DATABASE
        opening = partial(open_store, path, ledger, wall, new_epoch, renew=renew)
        journal = cls(limits, ledger, FolderLock(folder), opening)
        await journal._start(path)
        return journal

    def append(self, drafts: Sequence[Draft], state: Mapping[str, bytes | None] = NOTHING) -> asyncio.Future[None]:
        """Store records and state together; the future is done when both are on disk, in one transaction.

        A state of None deletes the key. Either may be empty. Order is that of the calls. The future raises
        `JournalError` where that is not known to have happened; nothing else ever drops anything.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        size = sum(len(draft.body) for draft in drafts) + sum(len(value or b"") for value in state.values())
        try:
            self._writer.put(Work(tuple(drafts), dict(state), done, size))
        except JournalError as error:
            fail(done, error)
            return done
        self.pending_bytes += size
        if self.pending_bytes >= PENDING_BYTES_MAX:
            self._room.clear()
        return done

    async def room(self) -> None:
        """Wait until less than `PENDING_BYTES_MAX` wait to be written; producers ask before they append telemetry."""
        await self._room.wait()

    async def read(
        self, stream: str, after: int, limit: int, *, epoch: str | None = None, before: int | None = None
    ) -> list[Record]:
        """Kept records with `after < sequence < before`, in sequence, from this epoch unless another one is named.

        May give fewer than `limit`, but none only where there is none. Sequences that were trimmed are missing. Raises
        `JournalError` where the file cannot be read.
        """
        if self._closing:
            raise JournalClosed("the journal is closed")
        lane = Lane(epoch or self.epoch, stream)
        end = SEQUENCE_END if before is None else before
        return await self._loop.run_in_executor(self._readers, self._reader.read, lane, after, end, limit)

    async def news(self, seen: int) -> int:
        """Wait until there was a commit with records later than number `seen`; gives the latest (`commits`).

        Take `commits`, read everything, then wait with what was taken: nothing is missed in between. Raises
        `JournalError` once there can be no more.
        """
        while self.commits <= seen:
            if self._ended.is_set():
                raise self._error()
            await self._news.wait()
        return self.commits

    def settle(
        self,
        cursor: str,
        stream: str,
        accepted: Iterable[Span],
        *,
        rejected: Mapping[int, str] = NOBODY,
        skipped: Iterable[Span] = (),
        epoch: str | None = None,
    ) -> None:
        """These records need not be sent to this uplink any more. On disk with the next commit or within a second.

        `accepted` are spans of sequences, first and last included. `rejected` gives the reason (one of a small fixed
        set) for each sequence that the other side will never take; it counts as settled, and as a loss. `skipped` are
        not meant for this uplink: settled, but neither sent nor lost. Raises `KeyError` for a cursor that was not
        opened, `ValueError` for a sequence that is not stored yet.
        """
        lane = Lane(epoch or self.epoch, stream)
        self._ledger.settle(cursor, lane, accepted)
        self._ledger.settle(cursor, lane, skipped, sent=False)
        for sequence, reason in rejected.items():
            self._ledger.set_aside(cursor, lane, sequence, reason)

    def cursor(self, name: str) -> tuple[Position, ...]:
        """Where an uplink is: each stream of this epoch, after what older epochs still hold for it.

        Raises `KeyError` for a cursor that was not opened.
        """
        positions = [self._ledger.position(name, lane) for lane in self._ledger.lanes()]
        return tuple(p for p in positions if p.lane.epoch == self.epoch or p.unsettled)

    def position(self, name: str, lane: Lane) -> Position:
        """Where an uplink is in one lane of any epoch. Raises `KeyError` for a cursor that was not opened."""
        return self._ledger.position(name, lane)

    def stats(self) -> Stats:
        report = self._writer.report
        error = self._writer.error
        return Stats(
            epoch=self.epoch,
            lanes=self._ledger.lanes(),
            cursors=tuple(self._cursor_stats(name, report) for name in self._ledger.cursors),
            losses=self._ledger.losses(),
            size_max_bytes=self._limits.size_max_bytes,
            pending_bytes=self.pending_bytes,
            report=report,
            error="" if error is None else str(error),
        )

    async def failure(self) -> JournalError:
        """Wait until nothing can be written any more, and say why. Closing is no failure: then this never returns."""
        await self._ended.wait()
        error = self._error()
        if isinstance(error, JournalClosed):
            await asyncio.Event().wait()
        return error

    async def close(self) -> None:
        """Store what is queued, empty the write-ahead log, release the folder. Allowed twice."""
        if not self._closing:
            self._closing = True
            # The reader first: the last connection to go must be the one that may checkpoint.
            await self._loop.run_in_executor(self._readers, self._reader.close)
            self._readers.shutdown(wait=False)
            self._writer.stop()
        await self._ended.wait()
        self._writer.join()
        self._lock.release()

    async def _start(self, path: Path) -> None:
        self._writer.start()
        try:
            store = await self._opened
            self._reader = await self._loop.run_in_executor(self._readers, open_reader, path)
        except BaseException:
            self._writer.stop()
            self._writer.join()
            self._readers.shutdown(wait=False)
            self._lock.release()
            raise
        self.epoch, self.previous, self.state = store.epoch, store.previous, MappingProxyType(store.state)

    def _error(self) -> JournalError:
        error = self._writer.error
        assert error is not None, "asked for before the writer has ended"
        return type(error)(error.what, error.hint)

    def _cursor_stats(self, name: str, report: Report) -> CursorStats:
        positions = self.cursor(name)
        unsettled = sum(position.unsettled for position in positions)
        return CursorStats(name, positions, unsettled, report.oldest_ms.get(name) if unsettled else None)

    # Called in the writer's thread.

    def _on_opened(self, result: Store | JournalError) -> None:
        self._in_loop(self._take_opened, result)

    def _on_done(self, works: Sequence[Work], error: JournalError | None) -> None:
        self._in_loop(self._take_done, works, error)

    def _in_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # The loop is closed, so nobody waits any more.
            self._loop.call_soon_threadsafe(callback, *arguments)

    # And then in the event loop.

    def _take_opened(self, result: Store | JournalError) -> None:
        if self._opened.done():
            return  # Cancelled.
        if isinstance(result, JournalError):
            self._opened.set_exception(result)
        else:
            self._opened.set_result(result)

    def _take_done(self, works: Sequence[Work], error: JournalError | None) -> None:
        for work in works:
            self.pending_bytes -= work.size
            if error is not None:
                fail(work.done, error)
            elif not work.done.done():
                work.done.set_result(None)
        if error is not None:
            self._ended.set()
        elif any(work.drafts for work in works):
            self.commits += 1
        if self.pending_bytes < PENDING_BYTES_MAX:
            self._room.set()
        self._news.set()
        self._news = asyncio.Event()


def open_store(
    path: Path, ledger: Ledger, wall: Callable[[], float], new_epoch: Callable[[], str], *, renew: bool
) -> Store:
    """In the writer's thread: the file, ready to be written. Raises `JournalUnusable`."""
    try:
        connection = connect(path, CHECK_S_MAX)
        try:
            store = Store(connection, ledger, wall, new_epoch)
            if renew:
                store.begin_epoch(new_epoch)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    return store


def open_reader(path: Path) -> Reader:
    """In the reader's thread. Raises `JournalUnusable`."""
    try:
        return Reader(path)
    except sqlite3.Error as error:
        raise unusable(path, error) from error


def fail(done: asyncio.Future[None], error: JournalError) -> None:
    """Raise it in whoever waits. A future that nobody waits for stays silent: `Stats.error` and `failure` tell all."""
    if not done.done():
        done.set_exception(type(error)(error.what, error.hint))
        done.exception()
