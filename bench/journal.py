"""Journal throughput: append, commit latency, read back. Medians; run it on an idle machine.

.venv/bin/python bench/journal.py [FOLDER]      exit code 1 where a limit is missed; the folder decides which disk

One record of telemetry is 200 values of one device, as the pipeline writes it; encoding it is not in the figures.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from figures import Figure, show

from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits

VALUES = 200
BATCHES = 2_000
RECORDS_PER_APPEND = 20
ROUNDS = 3
VALUES_PER_S_MIN = 200_000


@dataclass(frozen=True, slots=True)
class Round:
    """Values per second appended, the same per second of the processor, milliseconds, values per second read."""

    appended: float
    appended_cpu: float
    commit_p50_ms: float
    commit_p99_ms: float
    read: float


def batch(number: int, source: random.Random) -> Draft:
    """One telemetry record: 200 values of one device, as the pipeline writes them."""
    values = [round(20 + source.gauss(0, 1), 2) for _ in range(VALUES)]
    body = json.dumps({"device": f"d{number % 100}", "t": number, "values": values}).encode()
    return Draft("telemetry", number, "telemetry/pwr-lv/d", body)


async def append(journal: Journal, drafts: list[Draft]) -> tuple[float, float]:
    """Values per second until everything is on disk, and per second of the processor."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for at in range(0, len(drafts), RECORDS_PER_APPEND):
        await journal.room()
        last = journal.append(drafts[at : at + RECORDS_PER_APPEND])
    await last
    count = len(drafts) * VALUES
    return count / (time.perf_counter() - begin), count / (time.process_time() - begin_cpu)


async def commit(journal: Journal) -> list[float]:
    """Milliseconds of single alarm commits."""
    took = []
    for number in range(300):
        begin = time.perf_counter()
        await journal.append([Draft("alarm", number, "alarm/x", b"x" * 400)], {"alarm/x": b"y" * 100})
        took.append((time.perf_counter() - begin) * 1000)
    return took


async def read(journal: Journal) -> float:
    """Values per second, 50 records at a time."""
    begin, after, count = time.perf_counter(), 0, 0
    while records := await journal.read("telemetry", after, 50):
        after = records[-1].sequence
        count += len(records)
    return count * VALUES / (time.perf_counter() - begin)


async def one_round(folder: Path, drafts: list[Draft]) -> Round:
    journal = await Journal.open(folder, Limits(2**30, 3600), wall=time.time, cursors=["main"])
    appended = await append(journal, drafts)
    latencies = sorted(await commit(journal))
    back = await read(journal)
    await journal.close()
    return Round(*appended, statistics.median(latencies), latencies[-4], back)


def figures(folder: str | None = None) -> list[Figure]:
    source = random.Random(1)
    drafts = [batch(number, source) for number in range(BATCHES)]
    rows = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            rows.append(asyncio.run(one_round(Path(scratch), drafts)))
    median = Round(*(statistics.median(column) for column in zip(*map(astuple, rows), strict=True)))
    return [
        Figure("append telemetry, on disk", median.appended, "values/s", VALUES_PER_S_MIN, at_least=True),
        Figure("the same, a second of one core", median.appended_cpu, "values/s", VALUES_PER_S_MIN, at_least=True),
        Figure("commit an alarm with its state, median", median.commit_p50_ms, "ms"),
        Figure("commit an alarm with its state, p99", median.commit_p99_ms, "ms"),
        Figure("read back", median.read, "values/s"),
    ]


if __name__ == "__main__":
    sys.exit(show(figures(sys.argv[1] if len(sys.argv) > 1 else None)))
