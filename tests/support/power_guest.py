"""The first and only program of the virtual machine that loses its power: opens the journal, tells what it finds, and
writes until the machine is gone. Started by `power_machine`, as process 1.

    python power_guest.py write|look DISK

Each line that it says is a JSON list: `["mounted"]`, `["opened", findings]`, `["done", count]` when so many records are
on disk, `["settling", stream, last]` before what is up to `last` may be trimmed. Record N is the same whoever makes it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from buffer.journal import Journal
from buffer.ledger import Lane
from buffer.record import Draft
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

STREAMS = ("critical", "alarm", "telemetry")
CURSOR = "main"
LIMITS = Limits(2_000_000, 3600.0)
"""So small that trimming, checkpoints and shrinking go on all the time."""

LAG = 5
"""So many records of each stream are always left unsettled."""

MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
"""The driver of a disk whose cache is emptied when it is told to, and by nothing else."""

FINIT_MODULE = 313  # Number of the system call on x86-64.


def draft(number: int) -> Draft:
    """Some are empty, some do not compress, some are larger than a page."""
    source = random.Random(number)
    stream = source.choice(STREAMS)
    return Draft(stream, number, "t", f"{stream}:{number}:".encode() + source.randbytes(source.choice((0, 50, 5_000))))


def digest(bodies: Iterable[bytes]) -> str:
    return sha256(b"".join(sha256(body).digest() for body in bodies)).hexdigest()


def say(*words: object) -> None:
    """In one call, so that a line is there as a whole or not at all."""
    os.write(1, f"{json.dumps(words)}\n".encode())


async def bodies(journal: Journal, stream: str) -> tuple[int, list[bytes]]:
    """Of everything that is kept, with the sequence of the first; a hole among them ends it."""
    found: list[bytes] = []
    first = after = journal.stats().lanes[Lane(journal.epoch, stream)].first - 1
    while records := await journal.read(stream, after, 1000):
        for record in records:
            if record.sequence != after + 1:
                return first + 1, found
            after += 1
            found.append(record.body)
    return first + 1, found


async def findings(journal: Journal) -> dict[str, object]:
    stats = journal.stats()
    streams = {}
    for lane, kept in stats.lanes.items():
        first, found = await bodies(journal, lane.stream)
        streams[lane.stream] = {"first": first, "next": kept.next, "read": len(found), "digest": digest(found)}
    return {
        "epochs": sorted({lane.epoch for lane in stats.lanes} | {journal.epoch}),
        "count": int(journal.state.get("n", b"0")),
        "incident": None if stats.incident is None else stats.incident.what,
        "lost": sum(loss.records for loss in stats.losses),
        "streams": streams,
    }


async def write(journal: Journal, source: random.Random) -> None:
    """Up to four appends at a time, told of as soon as they are done, settled a little later; for ever."""
    number = int(journal.state.get("n", b"0"))
    while True:
        waiting = []
        for _ in range(source.randint(1, 4)):
            batch = [draft(number + at) for at in range(source.randint(1, 6))]
            number += len(batch)
            waiting.append((journal.append(batch, {"n": b"%d" % number}), number))
        for future, reached in waiting:
            if not await future:
                raise RuntimeError(journal.stats().away)
            say("done", reached)
        settle(journal)


def settle(journal: Journal) -> None:
    for position in journal.cursor(CURSOR):
        last = position.next - 1 - LAG
        if last > position.low:
            say("settling", position.lane.stream, last)
            journal.settle(CURSOR, position.lane.stream, [(position.low + 1, last)])


async def run(what: str, folder: Path) -> None:
    journal = await Journal.open(folder, LIMITS, wall=time.time, cursors=[CURSOR])
    say("opened", await findings(journal))
    if what == "write":
        await write(journal, random.Random())
    await journal.close()
    say("closed")


def mount(device: str, folder: str, kind: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    Path(folder).mkdir(exist_ok=True)
    if libc.mount(device.encode(), folder.encode(), kind.encode(), 0, b""):
        raise OSError(ctypes.get_errno(), f"cannot mount {device}")


def load_modules() -> None:
    for name in MODULES:
        with Path(f"/modules/{name}.ko").open("rb") as file:
            if ctypes.CDLL(None, use_errno=True).syscall(FINIT_MODULE, file.fileno(), b"", 0):
                raise OSError(ctypes.get_errno(), f"cannot load {name}")


def main(what: str, disk: str) -> None:
    try:
        load_modules()
        mount("none", "/dev", "devtmpfs")
        mount("none", "/proc", "proc")
        mount(disk, "/disk", "ext4")
        say("mounted")
        folder = Path("/disk/journal")
        folder.mkdir(exist_ok=True)
        asyncio.run(run(what, folder))
    except BaseException:  # noqa: BLE001 - process 1 has nobody who would tell what it died of
        say("failed", traceback.format_exc())
    os.sync()
    time.sleep(3600)  # If process 1 ended the kernel would panic; whoever started the machine ends it.


if __name__ == "__main__":
    main(*sys.argv[1:])
