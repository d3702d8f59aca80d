"""Journal throughput: append, commit latency, read back. Prints medians; run it on an idle machine.

.venv/bin/python bench/journal.py [FOLDER]      the folder decides which disk is measured
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits

VALUES = 200
BATCHES = 2_000
RECORDS_PER_APPEND = 20
ROUNDS = 3


def batch(number: int, source: random.Random) -> Draft:
    """One telemetry record: 200 values of one device, as the pipeline writes them."""
    values = [round(20 + source.gauss(0, 1), 2) for _ in range(VALUES)]
    body = json.dumps({"device": f"d{number % 100}", "t": number, "values": values}).encode()
    return Draft("telemetry", number, "telemetry/pwr-lv/d", body)


async def append(journal: Journal, drafts: list[Draft]) -> float:
    """Values per second until everything is on disk."""
    begin = time.perf_counter()
    for at in range(0, len(drafts), RECORDS_PER_APPEND):
        await journal.room()
        last = journal.append(drafts[at : at + RECORDS_PER_APPEND])
    await last
    return len(drafts) * VALUES / (time.perf_counter() - begin)


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


async def one_round(folder: Path, drafts: list[Draft]) -> tuple[float, float, float, float, float]:
    journal = await Journal.open(folder, Limits(2**30, 3600), wall=time.time, cursors=["main"])
    appended = await append(journal, drafts)
    latencies = await commit(journal)
    drained = await read(journal)
    await journal.close()
    size = (folder / "journal.db").stat().st_size / (len(drafts) * VALUES)
    return appended, statistics.median(latencies), sorted(latencies)[-4], drained, size


async def main() -> None:
    source = random.Random(1)
    drafts = [batch(number, source) for number in range(BATCHES)]
    rows = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
            rows.append(await one_round(Path(folder), drafts))
    appended, p50, p99, drained, size = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"append   {appended:12,.0f} values/s  ({VALUES} values a record, {RECORDS_PER_APPEND} records an append)")
    print(f"commit   {p50:12.2f} ms p50, {p99:.2f} ms p99  (one alarm with its state)")
    print(f"read     {drained:12,.0f} values/s")
    print(f"disk     {size:12.1f} bytes a value")


if __name__ == "__main__":
    asyncio.run(main())
