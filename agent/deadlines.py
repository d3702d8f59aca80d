"""Ends what takes too long, with one timer for all that runs at once: a timer for each of many polls costs a tenth of
the whole poll. Not for waits of different lengths; `asyncio.timeout` is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class Deadlines:
    """All that runs here has the same `limit_s`, so what began first is the first to be overdue."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._running: dict[asyncio.Task[object], float] = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: Coroutine[object, object, T]) -> T:
        """What `work` gives. Raises `TimeoutError` after cancelling what took too long. One at a time a task."""
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        cancelling = task.cancelling()
        due = self._running[task] = loop.time() + self._limit_s
        if self._timer is None:
            self._timer = loop.call_at(due, self._end_overdue, loop)
        try:
            return await work
        except asyncio.CancelledError:
            # As asyncio.timeout does: whoever else cancelled the task meanwhile comes first.
            if task in self._ended and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._running.pop(task, None)
            if self._ended:
                self._ended.discard(task)

    def _end_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for task, due in tuple(self._running.items()):
            if due > now:
                self._timer = loop.call_at(due, self._end_overdue, loop)
                return
            del self._running[task]
            self._ended.add(task)
            task.cancel()
