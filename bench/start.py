"""How a start goes with a backlog: until the daemon answers an operator, and what memory the backlog costs.

.venv/bin/python bench/start.py [--big]      exit code 1 where a limit is missed; `--big` adds a journal of 5 GB

Each daemon finds a journal of which nothing is acknowledged, read from the disk and not from the page cache, starts
without a broker, then gets one and drains for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway import Load, Site, rss_peak_mb, wait_for

from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path

NET = "127.61.9"
SIZE_MAX = "20GB"
SIZE_MAX_BYTES = 20 * 10**9
START_S_MAX = 3.0
GROWTH_MB_MAX = 20.0
"""What a million records that wait may cost, beside none."""

DRAINED_RECORDS = 10_000
APPEND_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: so many records with random bodies of this size, which no compression makes smaller."""

    name: str
    records: int
    body_bytes: int


NONE = Backlog("nothing waits", 0, 0)
MANY = Backlog("a million records wait", 1_000_000, 60)
BIG = Backlog("5 GB wait", 400_000, 12_500)


@dataclass(frozen=True, slots=True)
class Row:
    """`file_mb` is the journal's size on disk, `drained` how many records the broker had taken at the end."""

    file_mb: float
    answers_s: float
    rss_mb: float
    drained: int


def measure(backlog: Backlog) -> Row:
    site = Site(Load(backlog.name, devices=1, size_max=SIZE_MAX), NET)
    try:
        site.configure()
        asyncio.run(fill(site.folder / "journal", backlog))
        file_bytes = forget(site.folder / "journal" / "journal.db")
        begin = time.monotonic()
        pid = site.start("gateway", sys.executable, "-m", "agent", "run", "--config", str(site.folder))
        wait_for("an answer", lambda: _answers(site), 60)
        answers_s = time.monotonic() - begin
        site.start_broker()
        enough = min(DRAINED_RECORDS, backlog.records)
        wait_for("the drain", lambda: _acknowledged(site) >= enough, 60)
        return Row(file_bytes / 1e6, answers_s, rss_peak_mb(pid), _acknowledged(site))
    finally:
        site.close()


async def fill(folder: Path, backlog: Backlog) -> None:
    limits = Limits(SIZE_MAX_BYTES, 30 * 86_400.0)
    journal = await Journal.open(folder, limits, wall=time.time, cursors=["platform"])
    source = random.Random(1)
    for begin in range(0, backlog.records, APPEND_RECORDS):
        await journal.room()
        last = journal.append([_draft(number, backlog, source) for number in range(begin, begin + APPEND_RECORDS)])
    if backlog.records:
        await last
    await journal.close()


def _draft(number: int, backlog: Backlog, source: random.Random) -> Draft:
    return Draft("telemetry", number, "telemetry/pwr-lv/d", source.randbytes(backlog.body_bytes))


def forget(file: Path) -> int:
    """Have the kernel drop what it holds of the file in memory; gives the size."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return os.fstat(opened.fileno()).st_size


def _answers(site: Site) -> bool:
    try:
        site.status()
    except OSError:
        return False
    return True


def _acknowledged(site: Site) -> int:
    return int(site.status()["uplinks"][0]["acknowledged"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--big", action="store_true")
    backlogs = (NONE, MANY, BIG) if parser.parse_args().big else (NONE, MANY)
    missed = False
    base_mb = 0.0
    for backlog in backlogs:
        row = measure(backlog)
        base_mb = base_mb or row.rss_mb
        late, large = row.answers_s > START_S_MAX, row.rss_mb - base_mb > GROWTH_MB_MAX
        missed = missed or late or large
        print(f"{backlog.name}  (journal of {row.file_mb:,.0f} MB)")
        print(f"  start    {row.answers_s:8.2f} s    limit {START_S_MAX:g}{'   MISSED' if late else ''}")
        print(
            f"  memory   {row.rss_mb:8.1f} MB peak, after {row.drained:,} records were sent"
            f"    limit {base_mb + GROWTH_MB_MAX:.0f}{'   MISSED' if large else ''}",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
