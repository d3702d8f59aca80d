"""What the demo's data costs on disk: bytes of the journal's file for each value of its telemetry.

.venv/bin/python bench/disk.py [--quick]      exit code 1 where the limit is missed

What the demo stores after its first values is stored again and again, commit by commit and each in its second, and the
growth of the file is divided by the values in it. So the empty tables, which cost the same for ever, are not in it. The
limit is on the telemetry; the alarms of the demo's first minute, which has a year's worth of them, are shown beside it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from demo_data import commits
from figures import Figure, show

from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits

if TYPE_CHECKING:
    from demo_data import Commit

    from buffer.record import Record

BYTES_MAX = 20.0
SEED = 3
"""Another hospital than those that the dictionary was trained on."""

PLAYED_S, PLAYED_QUICK_S = 60.0, 20.0
FIRST_VALUES_S = 3.0
REPEATED = 30


@dataclass
class Second:
    """The clock of the journal: that of the commit."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class _Batch(msgspec.Struct):
    samples: list[msgspec.Raw] = []  # There are none in the record that begins the stream.


class _Body(msgspec.Struct):
    data: _Batch


_decode = msgspec.json.Decoder(_Body).decode


def values(record: Record) -> int:
    return len(_decode(record.body).data.samples)


async def store(folder: Path, stored: list[Commit], times: int) -> None:
    """All of it so many times, one after the other."""
    span_s = (stored[-1][0].recorded_ms - stored[0][0].recorded_ms) / 1000 + 1
    wall = Second()
    journal = await Journal.open(folder, Limits(2**30, 3600.0), wall=wall, cursors=["platform"])
    for turn in range(times):
        for commit in stored:
            wall.now = commit[0].recorded_ms / 1000 + turn * span_s
            await journal.append([Draft(r.stream, r.time_ms, r.topic, r.body) for r in commit])
    await journal.close()


def grown_bytes(stored: list[Commit]) -> float:
    """By how much the file grows with all of it once more."""
    sizes = []
    for times in (1, 1 + REPEATED):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(store(Path(folder), stored, times))
            sizes.append(Path(folder, "journal.db").stat().st_size)
    return (sizes[1] - sizes[0]) / REPEATED


def only(stored: list[Commit], stream: str) -> list[Commit]:
    of_stream = ([record for record in commit if record.stream == stream] for commit in stored)
    return [commit for commit in of_stream if commit]


def figures(*, quick: bool = False) -> list[Figure]:
    played_s = PLAYED_QUICK_S if quick else PLAYED_S
    stored = asyncio.run(commits(played_s, SEED))
    begin_ms = stored[0][0].recorded_ms + FIRST_VALUES_S * 1000
    steady = [commit for commit in stored if commit[0].recorded_ms >= begin_ms]
    telemetry = only(steady, "telemetry")
    count = sum(values(record) for commit in telemetry for record in commit)
    return [
        Figure("disk, the demo's telemetry", grown_bytes(telemetry) / count, "bytes a value", BYTES_MAX),
        Figure("the same, with all of its alarms and states", grown_bytes(steady) / count, "bytes a value"),
    ]


if __name__ == "__main__":
    sys.exit(show(figures(quick="--quick" in sys.argv)))
