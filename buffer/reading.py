"""Reading from the event loop: one thread for the uplinks, one for whoever looks back, and what becomes of bad news.

Always true:
- Nobody waits longer than `STALL_S` for a disk that is known to be away: what is in memory must go on.
- While somebody is `alone` no other handle of this process has the file open: handles share what they know, be it that
  the file can only be read, or what was in a log that has gone.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from threading import Condition
from typing import TYPE_CHECKING, Any, TypeVar

from buffer.errors import JournalUnavailable
from buffer.reader import Damaged, Reader, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from buffer.ledger import Lane
    from buffer.reader import Place
    from buffer.record import Record
    from buffer.writer import Job

STALL_S = 1.0
"""How long an urgent record, a full queue or a question waits for a silent disk before things go on without it."""

T = TypeVar("T")


class Gate:
    """Many may be in at once; who wants to be alone waits until all have left, and meanwhile nobody comes in."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._is_shut = False

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """Raises `JournalUnavailable` where somebody is alone, or waits to be."""
        with self._changed:
            if self._is_shut:
                raise JournalUnavailable("the journal is being opened", "try again")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._is_shut = True
            self._changed.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._changed:
                self._is_shut = False


class Reading:
    """`put_job` has something done by the writer; `is_away` says whether the disk is."""

    def __init__(self, path: Path, put_job: Callable[[Job], None], is_away: Callable[[], bool]) -> None:
        self._path = path
        self._put_job = put_job
        self._is_away = is_away
        self._gate = Gate()
        self._reader: Reader | None = None
        self._is_stale = False
        self._threads = {name: ThreadPoolExecutor(1, f"journal-{name}") for name in ("reader", "history")}
        self._hanging: dict[str, asyncio.Future[Any]] = {}

    async def connect(self) -> None:
        """Open the file before the first question. Raises `JournalUnavailable`."""
        await self._ask("reader", self._connect)

    async def read(self, lane: Lane, after: int, before: int, limit: int) -> list[Record]:
        """As `Reader.read`."""
        return await self._ask("reader", lambda: self._read(lane, after, before, limit))

    async def history(self, stream: str, from_ms: int, to_ms: int, place: Place) -> tuple[list[Record], Place | None]:
        """As `Reader.history`."""
        return await self._ask("history", lambda: self._history(stream, from_ms, to_ms, place))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For the writer's thread: waits until what is being read is there."""
        with self._gate.alone():
            self._close()
            yield

    def renew(self) -> None:
        """The next question is for the file that lies there now."""
        self._is_stale = True

    async def close(self) -> None:
        """Once nobody asks any more. What hangs is left behind."""
        for name, last in (("history", lambda: None), ("reader", self._close)):
            with suppress(JournalUnavailable):
                await self._ask(name, last)
            self._threads[name].shutdown(wait=False)

    async def _ask(self, thread: str, question: Callable[[], T]) -> T:
        hanging = self._hanging.get(thread)
        if hanging is not None and not hanging.done():
            raise JournalUnavailable("the disk does not answer", "check the disk")
        answer = asyncio.get_running_loop().run_in_executor(self._threads[thread], question)
        while True:
            done, _ = await asyncio.wait({answer}, timeout=STALL_S)
            if done:
                return answer.result()
            if self._is_away():
                answer.add_done_callback(asyncio.Future.exception)  # Nobody asks for it any more.
                self._hanging[thread] = answer
                raise JournalUnavailable("the disk does not answer", "check the disk")

    # In the threads.

    def _read(self, lane: Lane, after: int, before: int, limit: int) -> list[Record]:
        with self._gate.among_others():
            if self._reader is None or self._is_stale:
                self._open()
            assert self._reader is not None, "opened above"
            try:
                return self._reader.read(lane, after, before, limit)
            except JournalUnavailable:
                if not self._is_away():
                    self._put_job(lambda store, _: store.probe(lane, after))
                raise

    def _history(self, stream: str, from_ms: int, to_ms: int, place: Place) -> tuple[list[Record], Place | None]:
        try:
            # A connection for each question: they are rare.
            with self._gate.among_others(), closing(Reader(self._path, self._on_damaged)) as reader:
                try:
                    return reader.history(stream, from_ms, to_ms, place)
                except JournalUnavailable:
                    if fault := reader.fault():
                        self._put_job(lambda store, _: store.give_up(fault))
                    raise
        except sqlite3.Error as error:
            raise unavailable(stream, error) from error

    def _connect(self) -> None:
        with self._gate.among_others():
            self._open()

    def _open(self) -> None:
        self._close()
        self._is_stale = False
        try:
            self._reader = Reader(self._path, self._on_damaged)
        except sqlite3.Error as error:
            raise unavailable("the journal", error) from error

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _on_damaged(self, chunk: Damaged) -> None:
        self._put_job(lambda _, retention: retention.mend(*chunk))
