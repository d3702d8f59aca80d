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

While the disk is away (full, failing, read-only, deleted, or silent for `STALL_S` with an alarm waiting) it goes on in
memory, in a volatile epoch: everything works as before, and `append` says so. When the disk is back, what memory holds
is written under the names that it has, and a new durable epoch begins.

All methods belong to the event loop that `open` was awaited in. Limits: `PENDING_BYTES_MAX` for what waits to be
written (`room` waits below it; `append` itself never drops and never blocks), `Limits` for what is kept.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from buffer.database import DATABASE, FolderLock
from buffer.epoch import DISK_AWAY, RENEWED, Begun, Previous, nothing
from buffer.errors import JournalClosed, JournalError, JournalUnavailable
from buffer.ledger import Kept, Lane, Ledger, Loss, Position, Span
from buffer.memory import Memory
from buffer.opening import Opening
from buffer.reader import START
from buffer.reading import STALL_S, Reading
from buffer.regain import Handover
from buffer.writer import Work, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from buffer.epoch import Begin
    from buffer.incident import Incident
    from buffer.reader import Place
    from buffer.record import Draft, Record
    from buffer.retention import Limits, Retention
    from buffer.store import Store, Stored
    from buffer.writer import Report

PENDING_BYTES_MAX = 16 * 1024 * 1024
SILENT = f"the disk has not answered for {STALL_S:.0f} s"
SEQUENCE_END = 2**62
NOTHING: Mapping[str, bytes | None] = MappingProxyType({})
NOBODY: Mapping[int, str] = MappingProxyType({})

T = TypeVar("T")


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

    `report` is the writer's: sizes, commits, heartbeat; at most a second old. `away` says why the disk is away, and is
    empty while it is not; `memory_records` and `memory_bytes` are held in memory meanwhile. `incident` is the latest
    thing that happened to the file since the start. `error` says why nothing is written any more, and is empty while
    all is well.
    """

    epoch: str
    lanes: Mapping[Lane, Kept]
    cursors: tuple[CursorStats, ...]
    losses: tuple[Loss, ...]
    size_max_bytes: int
    pending_bytes: int
    report: Report
    error: str
    away: str = ""
    memory_records: int = 0
    memory_bytes: int = 0
    incident: Incident | None = None


class Journal:
    """Made by `open` only."""

    epoch: str
    """The one that new records get. It changes when the disk goes away and when it comes back."""
    previous: Previous | None
    """The epoch before this one, with the last sequence of each of its streams; for `stream.begin`."""
    state: Mapping[str, bytes]
    """Every key, as it was handed over last."""

    def __init__(self, opening: Opening, renew: str) -> None:
        self.ledger = Ledger(opening.cursors)
        self.pending_bytes = 0
        self.commits = 0
        self._opening = opening
        self._limits = opening.limits
        self._lock = opening.lock
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._writer = Writer(opening, opening.limits, self, renew)
        self._state: dict[str, bytes] = {}
        self.state = MappingProxyType(self._state)
        self._knows_all_state = False
        self._memory: Memory | None = None
        self._is_returning = False
        self._away = ""
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._reading = Reading(opening.path, self._writer.put_job, lambda: bool(self._away))
        self._orders: set[asyncio.Future[bool]] = set()
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
        begin: Begin = nothing,
        renew: bool = False,
    ) -> Journal:
        """Open the journal in an existing folder and start its threads.

        `cursors` are the names of the configured uplinks: a new one begins at the oldest record from which nothing is
        missing, others that were known are forgotten. `begin` gives the first records of an epoch whenever one begins.
        `renew` begins a new epoch (when the platform has seen more than is here). A damaged file is salvaged, and a
        disk that does not answer is waited for in memory. Raises `JournalLocked` and `JournalUnusable`, each one
        sentence with the next step.
        """
        opening = Opening(folder / DATABASE, FolderLock(folder), tuple(cursors), limits, wall, new_epoch, begin)
        journal = cls(opening, RENEWED if renew else "")
        await journal._start()
        return journal

    def append(self, drafts: Sequence[Draft], state: Mapping[str, bytes | None] = NOTHING) -> asyncio.Future[bool]:
        """Store records and state together; the future is done when both are on disk, in one transaction.

        A state of None deletes the key. Either may be empty. Order is that of the calls. The future gives True, or
        False where the disk is away and they are in memory only. It raises `JournalError` where nothing is stored any
        more.
        """
        done: asyncio.Future[bool] = self._loop.create_future()
        size = sum(len(draft.body) for draft in drafts) + sum(len(value or b"") for value in state.values())
        work = Work(tuple(drafts), dict(state), done, size)
        self._keep_state(work.state)
        if self._memory is not None and not self._is_returning and not self._closing:
            self._remember(self._memory, [work])
            return done
        try:
            self._writer.put(work)
        except JournalError as error:
            fail(done, error)
            return done
        self.pending_bytes += size
        if self.pending_bytes >= PENDING_BYTES_MAX:
            self._room.clear()
        if any(draft.stream in self._limits.urgent for draft in drafts):
            self._loop.call_later(STALL_S, self._look_at, work)
        return done

    async def room(self) -> None:
        """Wait until less than `PENDING_BYTES_MAX` wait to be written; producers ask before they append telemetry."""
        while not self._room.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), STALL_S)
            if not self._room.is_set() and self._writer.silent_s() >= STALL_S:
                self._fall_back(SILENT)

    async def read(
        self, stream: str, after: int, limit: int, *, epoch: str | None = None, before: int | None = None
    ) -> list[Record]:
        """Kept records with `after < sequence < before`, in sequence, from this epoch unless another one is named.

        May give fewer than `limit`, but none only where there is none. Sequences that were trimmed are missing. Raises
        `JournalUnavailable` where the file cannot be read now: try again a little later.
        """
        if self._closing:
            raise JournalClosed("the journal is closed")
        lane = Lane(epoch or self.epoch, stream)
        end = SEQUENCE_END if before is None else before
        if self._memory is not None and lane.epoch == self._memory.epoch:
            return self._memory.read(stream, after, end, limit)
        newest = self._writer.newest(lane)
        found = None if newest is None else newest.records(lane, after, end, limit)
        if found is not None:
            return found
        return await self._reading.read(lane, after, end, limit)

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
        self.ledger.settle(cursor, lane, accepted)
        self.ledger.settle(cursor, lane, skipped, sent=False)
        for sequence, reason in rejected.items():
            self.ledger.set_aside(cursor, lane, sequence, reason)

    def cursor(self, name: str) -> tuple[Position, ...]:
        """Where an uplink is: each stream of this epoch, after what older epochs still hold for it.

        Raises `KeyError` for a cursor that was not opened.
        """
        return self.ledger.positions(name, self.epoch)

    def position(self, name: str, lane: Lane) -> Position:
        """Where an uplink is in one lane of any epoch. Raises `KeyError` for a cursor that was not opened."""
        return self.ledger.position(name, lane)

    def stats(self) -> Stats:
        report = self._writer.report
        error = self._writer.error
        return Stats(
            epoch=self.epoch,
            lanes=self.ledger.lanes(),
            cursors=tuple(self._cursor_stats(name, report) for name in self.ledger.cursors),
            losses=self.ledger.losses(),
            size_max_bytes=self._limits.size_max_bytes,
            pending_bytes=self.pending_bytes,
            report=report,
            error="" if error is None else str(error),
            away=self._away,
            memory_records=0 if self._memory is None else self._memory.records,
            memory_bytes=0 if self._memory is None else self._memory.size,
            incident=self._opening.incident,
        )

    def stuck_s(self) -> float:
        """How long the writer has done nothing although its disk let it, in seconds; ask every few seconds."""
        return self._writer.stuck_s()

    async def failure(self) -> JournalError:
        """Wait until nothing can be written any more, and say why. Closing is no failure: then this never returns."""
        await self._ended.wait()
        error = self._error()
        if isinstance(error, JournalClosed):
            await asyncio.Event().wait()
        return error

    async def backup(self, to: Path) -> None:
        """Write a copy of the journal as it is now, beside the commits, which wait a few milliseconds for it.

        Whoever starts on the copy begins a new epoch. Raises `JournalError` where it cannot be made.
        """
        done = self._order()

        def told(failure: JournalError | None) -> None:
            self._in_loop(self._take_told, done, failure)

        self._writer.put_backup(to, told)
        await done

    async def enlist(self, cursor: str) -> None:
        """Keep an account for one more uplink, which begins where one that is new to `open` does.

        Raises `JournalError` where that cannot be found out now; then there is none.
        """
        done = self._order()

        def enter(store: Store, _: Retention) -> None:
            starts = store.starts()
            self._ask(lambda: self._take_enlisted(done, cursor, starts))  # Nothing is trimmed in between.

        self._writer.put_job(enter)
        await done

    def dismiss(self, cursor: str) -> None:
        """Forget the account of an uplink, which holds nothing back any more. Nothing happens where there is none."""
        self.ledger.dismiss(cursor)
        self._opening.cursors = self.ledger.cursors  # The file forgets it at once, or when it is opened next.
        self._writer.put_job(lambda store, _: store.forget_other_cursors())

    def renew(self, limits: Limits) -> None:
        """Keep more, or less, from now on. What is too much goes step by step."""
        self._limits = self._opening.limits = limits
        if self._memory is not None:
            self._memory.limits = limits
        self._writer.renew(limits)

    def history(self, stream: str, from_ms: int, to_ms: int) -> AsyncIterator[list[Record]]:
        """Records of a stream that happened in a time (`from_ms <= time_ms < to_ms`), some at a time, of all epochs.

        Roughly in the order in which they happened. Raises `JournalUnavailable` where the file cannot be read now.
        """
        return self._history(stream, from_ms, to_ms)

    async def _history(self, stream: str, from_ms: int, to_ms: int) -> AsyncIterator[list[Record]]:
        place: Place | None = START
        while place is not None:
            if self._closing:
                raise JournalClosed("the journal is closed")
            records, place = await self._reading.history(stream, from_ms, to_ms, place)
            yield records
        if self._memory is not None:
            yield self._memory.history(stream, from_ms, to_ms)

    async def close(self) -> None:
        """Store what is queued, empty the write-ahead log, release the folder. Allowed twice.

        Where the disk is away it tries once more; what is in memory only is lost then (`Stats.memory_records`).
        """
        if not self._closing:
            self._closing = True
            await self._reading.close()  # First: the last connection to go must be the one that may checkpoint.
            self._writer.stop()
        await self._ended.wait()
        self._writer.join()
        self._lock.release()

    def _order(self) -> asyncio.Future[bool]:
        """Of what the writer is to do with its file. Raises `JournalError` where it has none at hand."""
        if self._ended.is_set() or self._closing:
            raise JournalClosed("the journal is closed")
        if self._memory is not None:
            raise JournalUnavailable("the journal's disk is away", "try again when it is back")
        done: asyncio.Future[bool] = self._loop.create_future()
        self._orders.add(done)
        done.add_done_callback(self._orders.discard)
        return done

    async def _start(self) -> None:
        self._writer.start()
        try:
            await self._opened
            with suppress(JournalUnavailable):  # Then it is tried again with every question.
                await self._reading.connect()
        except BaseException:
            self._writer.stop()
            self._writer.join()
            await self._reading.close()
            self._lock.release()
            raise

    def _error(self) -> JournalError:
        error = self._writer.error
        assert error is not None, "asked for before the writer has ended"
        return type(error)(error.what, error.hint)

    def _cursor_stats(self, name: str, report: Report) -> CursorStats:
        positions = self.cursor(name)
        unsettled = sum(position.unsettled for position in positions)
        return CursorStats(name, positions, unsettled, report.oldest_ms.get(name) if unsettled else None)

    # Memory, while the disk is away.

    def _keep_state(self, state: Mapping[str, bytes | None]) -> None:
        for key, value in state.items():
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = value

    def _look_at(self, work: Work) -> None:
        """An urgent record waits: if it is the disk that it waits for, not any longer."""
        if work.done.done() or (self._memory is not None and not self._is_returning):
            return
        left_s = STALL_S - self._writer.silent_s()
        if left_s <= 0:
            self._fall_back(SILENT)
        else:
            self._loop.call_later(left_s, self._look_at, work)

    def _fall_back(self, reason: str) -> None:
        """Go on in memory, with everything that is not known to be on disk."""
        self._away = reason
        self._is_returning = False
        works = self._writer.overtake()
        for order in list(self._orders):
            fail(order, JournalUnavailable("the journal's disk is away", "try again when it is back"))
        self.pending_bytes -= sum(work.size for work in works)
        self._remember(self._memory or self._begin_memory(), works)
        self._room.set()

    def _begin_memory(self) -> Memory:
        last = {lane.stream: kept.next - 1 for lane, kept in self.ledger.lanes().items() if lane.epoch == self.epoch}
        self.previous = Previous(self.epoch, last) if self.epoch else None
        self.epoch = self._opening.new_epoch()
        memory = self._memory = Memory(self.epoch, self.ledger, self._limits, self._opening.wall)
        memory.append(self._opening.begin(Begun(self.epoch, self.previous, DISK_AWAY, durable=False)), {})
        return memory

    def _remember(self, memory: Memory, works: Sequence[Work]) -> None:
        for work in works:
            memory.append(work.drafts, work.state)
            if not work.done.done():
                work.done.set_result(False)
        self._announce(any(work.drafts for work in works))

    def _announce(self, has_records: bool) -> None:
        self.commits += has_records
        self._news.set()
        self._news = asyncio.Event()

    # In the writer's thread.

    def opened(self, store: Store) -> None:
        self.ledger = store.ledger
        self._in_loop(self._take_opened, store)

    def opened_without_disk(self, state: Mapping[str, bytes]) -> None:
        self._in_loop(self._take_opened_without_disk, state)

    def stored(self, works: Sequence[Work]) -> None:
        self._in_loop(self._take_stored, works)

    def lost(self, error: JournalError) -> None:
        self._in_loop(self._fall_back, str(error))

    def alone(self) -> AbstractContextManager[None]:
        return self._reading.alone()

    def hand_over(self, written: Mapping[str, int], last: bool) -> Handover:
        return self._ask(lambda: self._hand_over(written, last=last))

    def regained(self, store: Store, begun: Stored) -> bool:
        return self._ask(lambda: self._take_regained(store, begun))

    def ended(self, error: JournalError) -> None:
        self._in_loop(self._take_ended, error)

    def _in_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # The loop is closed, so nobody waits any more.
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _ask(self, question: Callable[[], T]) -> T:
        """What the event loop answers. Raises `JournalClosed` where there is none any more."""
        answer: Future[T] = Future()
        try:
            self._loop.call_soon_threadsafe(lambda: answer.set_result(question()))
        except RuntimeError as error:
            raise JournalClosed("the event loop has ended") from error
        return answer.result()

    # And then in the event loop.

    def _take_opened(self, store: Store) -> None:
        self.epoch, self.previous = store.epoch, store.previous
        self._state.update(store.state)
        self._knows_all_state = True
        if not self._opened.done():
            self._opened.set_result(None)

    def _take_opened_without_disk(self, state: Mapping[str, bytes]) -> None:
        self.epoch, self.previous = "", None
        self._state.update(state)
        if not self._opened.done():
            self._opened.set_result(None)

    def _take_stored(self, works: Sequence[Work]) -> None:
        for work in works:
            self.pending_bytes -= work.size
            if not work.done.done():
                work.done.set_result(True)
        if self.pending_bytes < PENDING_BYTES_MAX:
            self._room.set()
        self._announce(any(work.drafts for work in works))

    def _hand_over(self, written: Mapping[str, int], *, last: bool) -> Handover:
        memory = self._memory
        assert memory is not None, "asked for only after `lost`"
        if last:
            self._is_returning = True
            self._writer.arm()
        whole = dict(self._state) if self._knows_all_state else None
        return Handover(memory.epoch, memory.since(written), dict(memory.state), whole)

    def _take_regained(self, store: Store, begun: Stored) -> bool:
        if not self._is_returning:
            return False
        store.publish(begun)
        self.epoch, self.previous = store.epoch, store.previous
        self._memory = None
        self._is_returning = False
        self._away = ""
        self._reading.renew()
        self._announce(has_records=True)
        return True

    def _take_told(self, done: asyncio.Future[bool], failure: JournalError | None) -> None:
        if failure is not None:
            fail(done, failure)
        elif not done.done():
            done.set_result(True)

    def _take_enlisted(self, done: asyncio.Future[bool], cursor: str, starts: Mapping[Lane, int]) -> None:
        if not done.done():
            self.ledger.enlist(cursor, starts)
            self._opening.cursors = self.ledger.cursors
            done.set_result(True)

    def _take_ended(self, error: JournalError) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
        for work in self._writer.overtake():
            self.pending_bytes -= work.size
            fail(work.done, error)
        for order in list(self._orders):
            fail(order, error)
        self._ended.set()
        self._room.set()
        self._announce(has_records=False)


def fail(done: asyncio.Future[bool], error: JournalError) -> None:
    """Raise it in whoever waits. A future that nobody waits for stays silent: `Stats.error` and `failure` tell all."""
    if not done.done():
        done.set_exception(type(error)(error.what, error.hint))
        done.exception()
