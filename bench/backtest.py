"""A backtest of a large site's day: 1,000 points each 10 s out of a journal's file, through two sets of rules.

CPU time of one process on one core; `.venv/bin/python bench/backtest.py` takes a minute and 400 MB of disk.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, show
from one_line import config_of

from agent.backtest.recorded import of_journal
from agent.backtest.report import backtest
from agent.envelope import draft
from agent.events import TELEMETRY_BATCH, Event, Sample, TelemetryBatch, rfc3339
from buffer.journal import Journal
from buffer.retention import Limits
from config.files import AddressSpec, PointSpec
from config.judgement import Level, Limit
from config.model import Alarm, Config, Device, Place, Point, Text

NAME = Text("压测", "bench")
DEVICES = 50
POINTS = 20
EVERY_S = 10.0
DAY_S = 86_400.0
BEGAN = 1_763_596_800.0
SECONDS_MAX = 60.0


def config(limit: float) -> Config:
    """Each point has an alarm with four levels."""
    return config_of(*(_device(f"d{number}", limit) for number in range(DEVICES)))


def _device(name: str, limit: float) -> Device:
    points = tuple(Point(f"p{at}", name, "bench", NAME, "number", "V", EVERY_S, PointSpec()) for at in range(POINTS))
    condition = Limit(
        (Level("LL", 2, "orange"), Level("L", 5, "yellow"), Level("H", limit, "yellow"), Level("HH", 99, "orange")), 1.0
    )
    alarms = tuple(
        Alarm(f"bench/{name}/{point.id}#x", "x", name, "bench", point.id, condition, NAME, NAME, on_delay_s=30.0)
        for point in points
    )
    return Device(name, NAME, "bench", "line", AddressSpec(), Place(), points, alarms)


async def fill(folder: Path, span_s: float) -> None:
    """A random walk of every point, as the pipeline would have stored it."""
    source = random.Random(4)
    journal = await Journal.open(folder, Limits(4 * 2**30, 1e9), wall=time.time)
    values = [[50.0] * POINTS for _ in range(DEVICES)]
    for round_ in range(round(span_s / EVERY_S)):
        at = BEGAN + round_ * EVERY_S
        drafts = []
        for device in range(DEVICES):
            row = values[device] = [min(100.0, max(0.0, v + source.choice((-1.5, 1.5)))) for v in values[device]]
            samples = [Sample(f"p{index}", 0, value, "change") for index, value in enumerate(row)]
            body = TelemetryBatch(device=f"d{device}", system="bench", meta_ver="c", t0=rfc3339(at), samples=samples)
            drafts.append(draft(Event(TELEMETRY_BATCH, "telemetry", at, f"bench/d{device}", body), "synced"))
        stored = journal.append(drafts)
        if round_ % 100 == 0:
            await stored
    await journal.close()


def figures(*, quick: bool = False) -> list[Figure]:
    span_s = DAY_S / 12 if quick else DAY_S
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill(Path(folder), span_s))
        begun = time.process_time()
        items = of_journal(Path(folder) / "journal.db", BEGAN, BEGAN + DAY_S, print)
        found = backtest(items, config(90.0), config(95.0), stands=False)
        took_s = (time.process_time() - begun) * DAY_S / span_s
    assert found.input.samples == DEVICES * POINTS * round(span_s / EVERY_S), "all of it was played"
    return [
        Figure("a day of 1,000 points at 10 s", took_s, "s", SECONDS_MAX),
        Figure("alarms that moved or went", sum(found.counts.values()) - found.counts["stays"]),
    ]


if __name__ == "__main__":
    sys.exit(show(figures(quick="--quick" in sys.argv)))
