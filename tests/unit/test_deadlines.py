"""Deadlines: what takes too long ends, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest

from agent.deadlines import Deadlines

LONG_S, SHORT_S = 60.0, 0.02


async def test_what_ends_in_time_gives_its_result() -> None:
    """A value comes through, an error too, and the timer of what has ended ends nobody."""
    deadlines = Deadlines(SHORT_S)

    async def fail() -> None:
        raise KeyError("d")

    assert await deadlines.run(asyncio.sleep(0, "value")) == "value"
    with pytest.raises(KeyError):
        await deadlines.run(fail())
    while deadlines._timer is not None:  # it fires with nothing to end: this task goes on
        await asyncio.sleep(SHORT_S)
    assert await deadlines.run(asyncio.sleep(0, "again")) == "again"


async def test_what_takes_too_long_is_cancelled() -> None:
    """Each of several that run at once ends with a timeout, and has been told so."""
    deadlines = Deadlines(SHORT_S)
    told = []

    async def hang(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(number)
            raise

    ends = await asyncio.gather(*(deadlines.run(hang(n)) for n in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [TimeoutError] * 3
    assert told == [0, 1, 2]


async def test_a_task_can_go_on_after_its_deadline() -> None:
    """It is not left half cancelled: it waits again, and can be ended again."""
    deadlines = Deadlines(SHORT_S)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await deadlines.run(asyncio.Event().wait())
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    """Whoever stops the line gets the task cancelled, also when its deadline passed at the same moment."""
    deadlines = Deadlines(LONG_S)
    inside = asyncio.Event()

    async def hang() -> None:
        inside.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(deadlines.run(hang()))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    both = Deadlines(0.0)
    inside.clear()
    task = asyncio.create_task(both.run(hang()))
    await inside.wait()
    task.cancel()
    both._end_overdue(asyncio.get_running_loop())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_will_not_be_cancelled_is_not_taken_for_late_again() -> None:
    """Its late result counts, and a cancellation that comes afterwards is none of the deadline's."""
    deadlines = Deadlines(SHORT_S)

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    async def twice() -> str:
        await deadlines.run(stubborn())
        return await deadlines.run(asyncio.sleep(0, "fine"))

    assert await asyncio.create_task(twice()) == "fine"
