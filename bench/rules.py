"""What the rules cost: a changed point, an unchanged one, a hospital that changes all over, a flood of alarms.

CPU time of this process, medians; on an idle machine `.venv/bin/python bench/rules.py` takes ten seconds.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from figures import Figure, show
from one_line import config_of

from agent.clock import Now, SystemClock
from agent.pipeline import End, Pipeline
from agent.rules import Rules, step
from buffer.journal import Journal
from buffer.retention import Limits
from config.files import AddressSpec
from config.judgement import Computed, Deviation, Formula, Input, Level, Limit, Mean, Rate
from config.model import Alarm, Device, Place, Point, Text
from drivers.contract import Poll, Reading
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.plan import plan
from drivers.modbus.settings import ModbusAddress, ModbusPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buffer.record import Record
    from config.judgement import Condition
    from config.model import Stream

NAME = Text("压测", "bench")
POINTS = 100
DEVICES = 100
TURNS = 20
WINDOWS = 5
FLOOD = 5_000
FOUR = Limit(
    (Level("LL", 5, "orange"), Level("L", 8, "yellow"), Level("H", 900, "yellow"), Level("HH", 950, "orange")), 1.0
)
CHANGED_US_MAX = 3.0
UNCHANGED_US_MAX = 0.1
"""Of a reading that says that nothing changed, for each of its points."""

CORE_MAX = 0.5
FLOOD_S_MAX = 2.0


def conditions(device: str, at: int) -> tuple[Condition, ...]:
    """Two for each point: four levels, and for one in five something that is more than a value."""
    others: tuple[Condition, ...] = (
        Limit((Level("H", 800, "yellow"),), measure=Mean(3600.0)),
        Limit((Level("H", 1e6, "yellow"),), measure=Rate(60.0, 60.0)),
        Limit((Level("H", 1e6, "yellow"),), measure=Deviation(device, "p0")),
        Computed(
            Formula(
                "a > 900.0 && b > 900.0",
                "a > 900.0 && b > 900.0",
                (
                    Input("a", device, f"p{at}", "a"),
                    Input("b", device, "p0", "b"),
                ),
            ),
            "red",
        ),
    )
    second = others[at // 5 % 4] if at % 5 == 0 else Limit((Level("H", 970, "red"),), 1.0)
    return FOUR, second


def device(name: str, chosen: Callable[[str, int], Sequence[Condition]]) -> Device:
    points = tuple(
        Point(f"p{at}", name, "pwr.lv", NAME, "number", "V", 1.0, ModbusPoint.model_validate({"register": at}))
        for at in range(POINTS)
    )
    alarms = tuple(
        Alarm(
            f"pwr.lv/{name}/p{at}#{key}",
            str(key),
            name,
            "pwr.lv",
            f"p{at}",
            condition,
            NAME,
            NAME,
            on_delay_s=5.0 * key,
        )
        for at in range(POINTS)
        for key, condition in enumerate(chosen(name, at))
    )
    return Device(name, NAME, "pwr.lv", "line", AddressSpec(), Place(), points, alarms)


def per_point_us(rules: Rules, polls: Sequence[Poll], changed: Sequence[tuple[int, int]], about: float) -> float:
    """CPU microseconds for one point of a reading whose values move within 40 of `about`."""
    blocks = [tuple(about + (at + turn) % 40 for at in range(POINTS)) for turn in range(4)]
    times, mono = [], 100.0
    for _ in range(WINDOWS):
        began = time.process_time()
        for turn in range(TURNS):
            mono += 1.0
            for poll in polls:
                step(rules, Reading(poll, 1e6 + mono, mono, blocks[turn % 4], {}, changed), Now(1e6 + mono, mono))
        times.append((time.process_time() - began) / (TURNS * len(polls) * POINTS) * 1e6)
    return statistics.median(times)


def small() -> list[Figure]:
    """One reading of a hundred points, each with one alarm of four levels."""
    devices = tuple(device(f"d{at}", lambda *_: (FOUR,)) for at in range(10))
    rules = Rules.build(config_of(*devices), {})
    polls = [Poll(each, each.points, 1.0) for each in devices]
    whole = ((0, POINTS),)
    return [
        Figure("an unchanged point", per_point_us(rules, polls, (), 100.0), "us", UNCHANGED_US_MAX),
        Figure("a changed point with four levels", per_point_us(rules, polls, whole, 100.0), "us", CHANGED_US_MAX),
        Figure("the same while its alarm stands", per_point_us(rules, polls, whole, 905.0), "us", CHANGED_US_MAX),
    ]


def hospital() -> Figure:
    """CPU seconds for each second in which 10,000 points with 20,000 conditions are decoded, and all have changed."""
    devices = tuple(device(f"d{at}", conditions) for at in range(DEVICES))
    rules = Rules.build(config_of(*devices), {})
    (block,) = plan(list(devices[0].points), ModbusAddress())
    polls = [Poll(each, each.points, 1.0) for each in devices]
    decoders = [BlockDecoder(block, each.points) for each in devices]
    payloads = [
        bytes(20 + (at * 7 + turn) % 60 if at % 2 else 0 for at in range(block.size_bytes)) for turn in range(TURNS)
    ]
    times, mono = [], 100.0
    for turn in range(TURNS):
        mono += 1.0
        now = Now(1e6 + mono, mono)
        began = time.process_time()
        for poll, decoder in zip(polls, decoders, strict=True):
            values, flaws = decoder.decode(payloads[turn])
            step(rules, Reading(poll, now.wall, mono, values, flaws, ((0, POINTS),)), now)
        rules.take_delays(Now(mono, mono))
        times.append(time.process_time() - began)
    name = "10,000 points, 20,000 conditions, all decoded"
    return Figure(name, statistics.median(times), "core", CORE_MAX)


class Flood:
    """A reading of each device in turn: all quiet, and then all of them in alarm within one second."""

    def __init__(self, pipeline: Pipeline, clock: SystemClock, polls: Sequence[Poll]) -> None:
        self.pipeline = pipeline
        self.clock = clock
        self.polls = polls

    async def play(self, value: float, wiggle: float) -> None:
        """A second, at the pace of real polls."""
        began = self.clock.mono()
        for at, poll in enumerate(self.polls):
            await self.clock.sleep_until(began + at / len(self.polls))
            values = [value + wiggle * index for index in range(len(poll.points))]
            await self.pipeline.put(
                Reading(poll, self.clock.wall(), self.clock.mono(), values, {}, ((0, len(poll.points)),))
            )


async def stream(journal: Journal, name: Stream) -> list[Record]:
    """All of it: one read gives no more than its limit of bytes."""
    records: list[Record] = []
    while found := await journal.read(name, records[-1].sequence if records else 0, FLOOD):
        records += found
    return records


async def flood(folder: Path) -> list[Figure]:
    """5,000 alarms of 50 devices within a second, into a journal on disk, while telemetry goes on."""
    clock = SystemClock()
    devices = tuple(device(f"d{at}", lambda *_: (FOUR,)) for at in range(FLOOD // POINTS))
    journal = await Journal.open(folder, Limits(2**30, 3600.0), wall=clock.wall, cursors=[])
    rules = Rules.build(config_of(*devices), journal.state)
    pipeline = Pipeline(rules, journal, clock, 1.0, "c-1")
    stored_at: list[float] = []
    pipeline.listeners.append(lambda events: stored_at.extend(clock.mono() for _ in events))
    running = asyncio.create_task(pipeline.run())
    source = Flood(pipeline, clock, [Poll(each, each.points, 1.0) for each in devices])
    await source.play(100.0, 0.1)
    began = clock.mono()
    await source.play(920.0, 0.1)
    await source.play(921.0, 0.1)
    while len(stored_at) < FLOOD and clock.mono() - began < 10 * FLOOD_S_MAX:
        await asyncio.sleep(0.01)
    await pipeline.put(End())
    await running
    records = await stream(journal, "alarm")
    samples = sum(record.body.count(b'"dt"') for record in await stream(journal, "telemetry"))
    await journal.close()
    sequences = [record.sequence for record in records if b'"alarm_id"' in record.body]
    ordered = sum(second == first + 1 for first, second in pairwise(sequences)) + 1
    return [
        Figure("5,000 transitions within a second: journaled after", max(stored_at) - began, "s", FLOOD_S_MAX),
        Figure("of them journaled in order", float(ordered), "", float(FLOOD), at_least=True),
        Figure("telemetry samples journaled beside them", float(samples), "", float(3 * FLOOD), at_least=True),
    ]


def figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        flooded = uvloop.run(flood(Path(folder)))
    return [*small(), hospital(), *flooded]


if __name__ == "__main__":
    sys.exit(show(figures()))
