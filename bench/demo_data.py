"""What the demo's gateway stores: the simulated hospital, its story and the gateway, played for real."""

from __future__ import annotations

import asyncio
import time
from itertools import groupby
from typing import TYPE_CHECKING

from agent.cli.stage import stage
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from buffer.record import Record

    Commit = list[Record]
    """What was stored in one transaction."""

STORY = "demo"
READ_RECORDS = 500


async def commits(seconds: float, seed: int) -> list[Commit]:
    """All that is stored in so many seconds of the story, in order."""
    async with stage(seed, lambda _: None) as site:
        await site.start_gateway()
        await site.tell_hospital(site.hospital.play(STORY))
        await asyncio.sleep(seconds)
        site.check()
        await site.gateway.stop()
        return await _stored(site.config / "journal")


async def _stored(folder: Path) -> list[Commit]:
    journal = await Journal.open(folder, Limits(2**30, 3600.0), wall=time.time)
    records: list[Record] = []
    for stream in {lane.stream for lane in journal.stats().lanes}:
        after = 0
        while more := await journal.read(stream, after, READ_RECORDS):
            records += more
            after = more[-1].sequence
    await journal.close()
    records.sort(key=lambda record: record.recorded_ms)
    return [list(together) for _, together in groupby(records, key=lambda record: record.recorded_ms)]
