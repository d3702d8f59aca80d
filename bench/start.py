"""How a start goes with a backlog: until the daemon answers an operator, and what memory the backlog costs.

.venv/bin/python bench/start.py [--big]      exit code 1 where a limit is missed; `--big` adds a journal of 5 GB

Each daemon finds a journal of which nothing is acknowledged, read from the disk and not from the page cache, starts
without a broker, then gets one and drains for a while.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from figures import Figure, show
from gateway import Load, Site, rss_peak_mb, wait_for

from buffer.database import DATABASE
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
    """What waits: so many records with random bodies of this size, which no compression makes smaller; `times` over."""

    name: str
    records: int
    body_bytes: int
    times: int = 1


NONE = Backlog("nothing waits", 0, 0)
MANY = Backlog("a million records wait", 1_000_000, 60)
BIG = Backlog("5 GB wait", 20_000, 12_500, times=20)


@dataclass(frozen=True, slots=True)
class Row:
    """`file_mb` is the journal's size on disk, `drained` how many records the broker had taken at the end."""

    file_mb: float
    answers_s: float
    rss_mb: float
    drained: int


def measure(backlog: Backlog) -> Row:
    site = Site(Load(devices=1, size_max=SIZE_MAX), NET)
    try:
        site.configure()
        asyncio.run(fill(site.folder / "journal", backlog))
        multiply(site.folder / "journal" / DATABASE, backlog.times)
        file_bytes = forget(site.folder / "journal" / DATABASE)
        begin = time.monotonic()
        pid = site.start("gateway", sys.executable, "-m", "agent", "run", "--config", str(site.folder))
        wait_for("an answer", lambda: _answers(site), 60)
        answers_s = time.monotonic() - begin
        site.start_broker()
        enough = min(DRAINED_RECORDS, backlog.records * backlog.times)
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


def multiply(file: Path, times: int) -> None:
    """Have what is in a closed journal with one lane so many times, the sequences going on: quicker than storing it."""
    with closing(sqlite3.connect(file)) as journal, journal:
        journal.execute("PRAGMA synchronous = OFF")
        count = journal.execute("SELECT coalesce(max(last_seq), 0) FROM chunk").fetchone()[0]
        for turn in range(1, times):
            journal.execute(
                """INSERT INTO chunk (lane, first_seq, last_seq, recorded_ms, time_min_ms, time_max_ms, raw_bytes, blob)
                SELECT lane, first_seq + :more, last_seq + :more, recorded_ms, time_min_ms, time_max_ms, raw_bytes, blob
                FROM chunk WHERE last_seq <= :count ORDER BY last_seq""",
                {"more": turn * count, "count": count},
            )
            journal.commit()
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        journal.execute(
            """UPDATE lane SET next_seq = 1 + records * :times, records = records * :times,
            raw_bytes = raw_bytes * :times, stored_bytes = stored_bytes * :times""",
            {"times": times},
        )


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


def figures(*, big: bool = True) -> list[Figure]:
    found: list[Figure] = []
    base_mb = 0.0
    for backlog in (NONE, MANY, BIG) if big else (NONE, MANY):
        row = measure(backlog)
        base_mb = base_mb or row.rss_mb
        words = f"{backlog.name}, {row.file_mb:,.0f} MB:"
        found.append(Figure(f"{words} start to answer", row.answers_s, "s", START_S_MAX))
        limit = None if backlog is NONE else base_mb + GROWTH_MB_MAX
        found.append(Figure(f"{words} memory, most", row.rss_mb, "MB", limit))
    return found


if __name__ == "__main__":
    sys.exit(show(figures(big="--big" in sys.argv)))
