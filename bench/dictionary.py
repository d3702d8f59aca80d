"""Train the dictionary that small chunks are compressed with (`buffer.dictionary`) on what the demo stores.

.venv/bin/python bench/dictionary.py ID FILE      takes four minutes

Only for a new one: what has shipped never changes. The days and the versions of the configuration in the data are made
other ones, so that it does not learn what is nowhere the same.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zstandard
from demo_data import commits

from buffer.chunk import SMALL_LEVEL, Entry, relative

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo_data import Commit

SEEDS = (1, 7)
PLAYED_S = 120.0
VARIANTS = 3
SIZE_BYTES = 16 * 1024
"""Measured: 8 KB makes the demo's chunks 1 % larger, 32 KB 3 % smaller."""

YEARS = 5
TIME = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
VERSION = re.compile(rb'(?<=")c-[0-9a-f]{8}(?=")')


class Elsewhere:
    """The same on another day, with another configuration."""

    def __init__(self, source: random.Random) -> None:
        self._later = timedelta(days=source.randrange(YEARS * 365), milliseconds=source.randrange(86_400_000))
        self._version = b"c-%08x" % source.randrange(2**32)

    def body(self, body: bytes) -> bytes:
        return VERSION.sub(self._version, TIME.sub(self._time, body))

    def _time(self, found: re.Match[bytes]) -> bytes:
        moved = datetime.fromisoformat(found[0].decode()) + self._later
        return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


def samples(stored: list[Commit], source: random.Random) -> Iterator[bytes | bytearray | memoryview]:
    """What would be compressed: each commit of each stream."""
    for commit in stored:
        for stream in {record.stream for record in commit}:
            for _ in range(VARIANTS):
                changed = Elsewhere(source)
                entries: list[Entry] = [
                    (record.recorded_ms, record.time_ms, record.topic, changed.body(record.body))
                    for record in commit
                    if record.stream == stream
                ]
                yield msgspec.msgpack.encode(relative(entries))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("id", type=int)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    source = random.Random(1)
    collected = [sample for seed in SEEDS for sample in samples(asyncio.run(commits(PLAYED_S, seed)), source)]
    trained = zstandard.train_dictionary(SIZE_BYTES, collected, dict_id=options.id, level=SMALL_LEVEL)
    options.file.write_bytes(trained.as_bytes())
    print(f"{options.file}: {len(trained)} bytes from {len(collected)} samples")


if __name__ == "__main__":
    main()
