"""A journal in a process of its own, asked over its standard input; so that its disk can be made to fail.

    python journal_remote.py FOLDER MEMORY_BYTES SIZE_BYTES

One JSON question a line, `[method, arguments]`, and one answer. `Remote` is the side of the tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buffer.errors import JournalError, JournalUnavailable
from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import MEMORY_BYTES, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from buffer.epoch import Begun

CURSOR = "main"
STREAMS = ("critical", "alarm", "telemetry")


def begin(begun: Begun) -> list[Draft]:
    before = f"{begun.previous.epoch}/{begun.previous.last}" if begun.previous else ""
    return [Draft(stream, 0, "begin", f"begin {begun.reason} {before}".encode()) for stream in STREAMS]


class Desk:
    """What can be asked."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def append(self, stream: str, bodies: Sequence[str], state: Mapping[str, str]) -> list[object]:
        """Whether it is on disk, and how many seconds that took."""
        begun = time.monotonic()
        drafts = [Draft(stream, 1, "t", body.encode()) for body in bodies]
        durable = await self._journal.append(drafts, {key: value.encode() for key, value in state.items()})
        return [durable, time.monotonic() - begun]

    async def pour(self, count: int, size: int) -> int:
        """So many large telemetry records; how many of them went to disk."""
        done = []
        for _ in range(count):
            await self._journal.room()
            done.append(self._journal.append([Draft("telemetry", 1, "t", os.urandom(size))]))
        return sum(await asyncio.gather(*done))

    async def read(self) -> list[list[object]]:
        """Epoch, stream, sequence, whether durable, and body of everything that an uplink would get."""
        found: list[list[object]] = []
        for position in self._journal.cursor(CURSOR):
            lane, after = position.lane, 0
            while records := await self._journal.read(lane.stream, after, 1000, epoch=lane.epoch):
                after = records[-1].sequence
                found += [
                    [
                        lane.epoch,
                        lane.stream,
                        record.sequence,
                        record.durable,
                        record.body[:60].decode(errors="replace"),
                    ]
                    for record in records
                    if not position.settled(record.sequence)
                ]
        return found

    async def read_what_answers(self) -> list[str]:
        """Bodies of every lane that can be read now, and how many seconds it took to find out."""
        begun = time.monotonic()
        found: list[str] = []
        for position in self._journal.cursor(CURSOR):
            with suppress(JournalUnavailable):
                lane = position.lane
                records = await self._journal.read(lane.stream, 0, 1000, epoch=lane.epoch)
                found += [record.body.decode() for record in records]
        return [f"{time.monotonic() - begun}", *found]

    async def settle(self, stream: str, last: int, epoch: str) -> None:
        self._journal.settle(CURSOR, stream, [(1, last)], epoch=epoch)

    async def stats(self) -> dict[str, object]:
        stats = self._journal.stats()
        return {
            "epoch": stats.epoch,
            "away": stats.away,
            "error": stats.error,
            "memory_records": stats.memory_records,
            "memory_bytes": stats.memory_bytes,
            "incident": stats.incident.reason if stats.incident else None,
            "lost": sum(loss.records for loss in stats.losses),
            "unsettled": sum(position.unsettled for position in self._journal.cursor(CURSOR)),
            "state": {key: value.decode() for key, value in self._journal.state.items()},
        }

    async def close(self) -> dict[str, object]:
        await self._journal.close()
        return await self.stats()


async def serve(folder: Path, memory_bytes: int, size_bytes: int) -> None:
    limits = Limits(size_bytes, 3600.0, memory_max_bytes=memory_bytes)
    try:
        journal = await Journal.open(folder, limits, wall=time.time, cursors=[CURSOR], begin=begin)
    except JournalError as error:
        print(json.dumps(str(error)), flush=True)  # noqa: T201 - this is how it answers
        return
    desk = Desk(journal)
    print(json.dumps("open"), flush=True)  # noqa: T201 - as above
    while line := await asyncio.to_thread(sys.stdin.readline):
        method, arguments = json.loads(line)
        print(json.dumps(await getattr(desk, method)(*arguments)), flush=True)  # noqa: T201 - as above


class Remote:
    """The same methods, from afar. `disk` says what fails from now on, see `tests/faults/disk.c`."""

    def __init__(self, process: asyncio.subprocess.Process, control: Path, log: Path) -> None:
        self.process = process
        self._control = control
        self._log = log

    def disk(self, *rules: str) -> None:
        fresh = self._control.with_suffix(".new")
        fresh.write_text("\n".join(rules))
        fresh.rename(self._control)

    def calls(self) -> list[str]:
        """What concerned the disk since the rules came, oldest first: operation, descriptor, errno."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    async def answer(self) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        return json.loads(line)

    async def ask(self, method: str, *arguments: object) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, arguments]).encode() + b"\n")
        return await self.answer()

    async def append(self, stream: str, *bodies: str, **state: str) -> bool:
        durable, _ = await self.ask("append", stream, bodies, state)
        return bool(durable)

    async def bodies(self) -> dict[tuple[str, str], list[str]]:
        """Of every lane, without the first records of epochs; fails where a sequence is missing or double."""
        found: dict[tuple[str, str], list[str]] = {}
        for epoch, stream, sequence, _, body in await self.ask("read"):
            lane = found.setdefault((epoch, stream), [])
            assert sequence == len(lane) + 1, (epoch, stream, sequence)
            lane.append(body)
        return {lane: [body for body in bodies if not body.startswith("begin")] for lane, bodies in found.items()}

    async def back(self) -> str:
        """Wait until the disk is back; the new epoch."""
        async with asyncio.timeout(20):
            while (stats := await self.ask("stats"))["away"]:
                await asyncio.sleep(0.02)
        return str(stats["epoch"])


@asynccontextmanager
async def remote(
    folder: Path, library: Path | None = None, *rules: str, memory_bytes: int = MEMORY_BYTES, size_bytes: int = 2**30
) -> AsyncIterator[Remote]:
    """A journal in its own process, killed at the end. With a `library` its disk fails by `rules`."""
    control, log = folder / "disk.control", folder / "disk.log"
    control.write_text("\n".join(rules))
    log.unlink(missing_ok=True)
    disk = {"LD_PRELOAD": library, "DISK_CONTROL": control, "DISK_LOG": log, "DISK_PATH": "journal.db"}
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        str(folder / "journal"),
        str(memory_bytes),
        str(size_bytes),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            **({key: str(value) for key, value in disk.items()} if library else {}),
        },
    )
    try:
        yield Remote(process, control, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined] # or its pipes are still open when the loop ends


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
