"""A clock that is set while the gateway runs: what it said before and after is in the audit trail."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agent.audit import Trail
from agent.clock import ManualClock
from agent.clock_watch import ClockWatch
from agent.envelope import Origin, splice
from agent.events import rfc3339
from agent.health import Health
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from agent.events import ClockState

ORIGIN = Origin("h01", "gw-a1")
NOON = 1_763_726_400.0


@asynccontextmanager
async def watched(folder: Path, health: Health | None = None) -> AsyncIterator[tuple[ManualClock, Journal]]:
    """A journal whose gateway watches a clock that says noon."""
    clock = ManualClock(wall=NOON)
    journal = await Journal.open(folder, Limits(2_000_000, 3600.0), wall=clock.wall)
    task = asyncio.create_task(ClockWatch(Trail(journal, clock), clock, health or Health()).run())
    await asyncio.sleep(0)
    try:
        yield clock, journal
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()


async def pass_time(clock: ManualClock, seconds: int) -> None:
    for _ in range(seconds):
        clock.advance(1.0)
        await asyncio.sleep(0)


async def steps(journal: Journal) -> list[dict[str, Any]]:
    """What is in the trail once all that was handed over is stored."""
    await journal.append(())
    return [json.loads(splice(record, ORIGIN))["data"] for record in await journal.read("audit", 0, 100)]


@pytest.mark.parametrize("jump_s", [-3600.0, -1.5, 1.5, 86_400.0])
async def test_a_step_is_audited_once(tmp_path: Path, jump_s: float) -> None:
    """With what the clock said and what it says now; the clock that goes on from there is no step."""
    async with watched(tmp_path) as (clock, journal):
        await pass_time(clock, 3)
        clock.set_wall(clock.wall() + jump_s)
        await pass_time(clock, 3)
        (told,) = await steps(journal)
    assert (told["verb"], told["target"], told["actor"]["type"]) == ("clock_step", "clock", "system")
    assert (told["before"], told["after"]) == (rfc3339(NOON + 4), rfc3339(NOON + 4 + jump_s))


async def test_a_clock_that_is_slewed_is_no_step(tmp_path: Path) -> None:
    """A little each second, as time servers correct it: not even where it adds up to much."""
    async with watched(tmp_path) as (clock, journal):
        for _ in range(20):
            clock.set_wall(clock.wall() + 0.4)
            await pass_time(clock, 1)
        assert await steps(journal) == []


async def test_a_look_that_comes_late_is_no_step(tmp_path: Path) -> None:
    """The machine was busy: both clocks have gone on."""
    async with watched(tmp_path) as (clock, journal):
        clock.advance(30.0)
        await asyncio.sleep(0)
        await pass_time(clock, 1)
        assert await steps(journal) == []


@pytest.mark.parametrize(("state", "minutes"), [("unsynced", 10), ("holdover", 60)])
async def test_a_clock_that_nobody_sets_is_a_condition_after_a_while(
    tmp_path: Path, state: ClockState, minutes: int
) -> None:
    """A start has its time until a server is heard, and a server may be silent for a while; then a person must look."""
    health = Health()
    async with watched(tmp_path, health) as (clock, _):
        clock.worth = state
        await pass_time(clock, 60 * minutes)
        assert list(health.views()) == []
        await pass_time(clock, 2)
        ((code, detail),) = [(view.code, view.detail) for view in health.views()]
        assert (code, detail) == ("clock_unset", f"{state} for {minutes} min")
        clock.worth = "synced"
        await pass_time(clock, 1)
        assert list(health.views()) == []
