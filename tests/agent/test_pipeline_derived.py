"""Derived points in the stage between lines and journal: telemetry like any other, and sums in the same transaction."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from derived_bench import Pump, formula, point

from agent.clock import ManualClock, SystemClock
from agent.pipeline import End, Pipeline
from agent.presence import views_of
from agent.rules import Rules
from agent.rules.figures import Kept
from buffer.journal import Journal
from buffer.retention import Limits
from config.model import Derived
from drivers.contract import Reading

if TYPE_CHECKING:
    from pathlib import Path

POINTS = (
    point("energy", derived=Derived("energy", formula("p", "p"))),
    point("double", derived=Derived("expression", formula("p * 2.0", "p"))),
)


async def run(folder: Path, *values: float) -> tuple[list[dict[str, object]], Rules]:
    """An hour lies between one value and the next; gives the samples in the journal, and the rules as they ended."""
    clock = SystemClock()
    pump = Pump(*POINTS)
    journal = await Journal.open(folder, Limits(2**24, 3600.0), wall=clock.wall, cursors=[])
    rules = Rules.build(pump.config, journal.state)
    pipeline = Pipeline(rules, journal, clock, 30.0, "c-1")
    running = asyncio.create_task(pipeline.run())
    for number, value in enumerate(values):
        at = 3600.0 * number
        await pipeline.put(Reading(pump.polls["p"], 1e6 + at, 100.0 + at, (value,), {}, ((0, 1),)))
    await pipeline.put(End())
    await running
    records = await journal.read("telemetry", 0, 100)
    await journal.close()
    return [sample for record in records for sample in json.loads(record.body)["data"]["samples"]], rules


async def test_derived_points_are_telemetry_like_any_other(tmp_path: Path) -> None:
    """In the batch of their device, beside what they are computed from."""
    samples, rules = await run(tmp_path, 10.0, 20.0)
    assert [(sample["p"], sample["v"]) for sample in samples] == [
        ("p", 10.0),
        ("energy", 0.0),
        ("double", 20.0),
        ("p", 20.0),
        ("energy", 10.0),
        ("double", 40.0),
    ]
    computed = rules.derived.of("pump")
    assert computed is not None
    shown = [(view.point, view.value, view.q, view.address) for view in views_of(*computed, 0.0)]
    assert shown == [("energy", 10.0, "good", ""), ("double", 40.0, "good", "")]


async def test_a_sum_goes_on_after_a_restart(tmp_path: Path) -> None:
    """It is in the journal with the telemetry that told it."""
    await run(tmp_path, 10.0, 20.0)
    samples, _ = await run(tmp_path, 5.0, 5.0)
    energy = [sample["v"] for sample in samples if sample["p"] == "energy"]
    assert energy == [0.0, 10.0, pytest.approx(10.0), pytest.approx(15.0)]


async def test_a_sum_is_stored_while_no_telemetry_is_sent(tmp_path: Path) -> None:
    """A power that does not change sends nothing for minutes; what it adds up to is on disk all the same."""
    clock = ManualClock()
    pump = Pump(*(replace(each, deadband=1e9) for each in POINTS))
    journal = await Journal.open(tmp_path, Limits(2**24, 3600.0), wall=clock.wall, cursors=[])
    rules = Rules.build(pump.config, journal.state)
    pipeline = Pipeline(rules, journal, clock, 1.0, "c-1")
    running = asyncio.create_task(pipeline.run())
    for number in range(7):
        await pipeline.put(
            Reading(pump.polls["p"], clock.wall(), clock.mono(), (10.0,), {}, () if number else ((0, 1),))
        )
        async with asyncio.timeout(60):
            while pipeline.readings <= number:
                await asyncio.sleep(0)
            for _ in range(10):  # the next tick is asked for before the time goes on
                await asyncio.sleep(0)
            clock.advance(10.0)
            while rules.derived.is_dirty:
                await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.close()
    again = await Journal.open(tmp_path, Limits(2**24, 3600.0), wall=clock.wall, cursors=[])
    kept = msgspec.msgpack.decode(again.state["derived/pump/energy"], type=Kept)
    await again.close()
    assert kept.total == pytest.approx(10.0 * 60 / 3600, rel=0.2)
