"""A process of its own that writes to a journal until it is killed. Started by the tests, never imported by them.

    python journal_child.py write FOLDER SEED     prints `done N` for each append that is on disk
    python journal_child.py hold FOLDER           prints `open` or why not, then keeps it open
    python journal_child.py full FOLDER BYTES     no file may grow beyond BYTES: prints `done N`, then why it went on in
                                                  memory, and ends

Record N of a run has the body `STREAM:N`; the state `n` is how many there are, so both tell the same or one is lost.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
import time
from pathlib import Path

from buffer.errors import JournalError
from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits

STREAMS = ("critical", "alarm", "telemetry")


def say(text: str) -> None:
    """Reaches the pipe before anything else happens, so that a kill cannot take it back."""
    os.write(1, f"{text}\n".encode())


def some(source: random.Random, begin: int) -> list[Draft]:
    """A few records in random streams, numbered on from `begin`; bodies of very different size."""
    found = []
    for number in range(begin, begin + source.randint(1, 6)):
        stream = source.choice(STREAMS)
        padding = source.randbytes(source.choice((0, 50, 2_000)))
        found.append(Draft(stream, number, "t", f"{stream}:{number}:".encode() + padding))
    return found


async def write(folder: Path, seed: str) -> None:
    """Up to four appends at a time, settled as they are done, for ever or until the disk is away."""
    source = random.Random(seed)
    journal = await Journal.open(folder, Limits(2**30, 3600.0), wall=time.time, cursors=["main"])
    number = int(journal.state.get("n", b"0"))
    while True:
        waiting = []
        for _ in range(source.randint(1, 4)):
            drafts = some(source, number)
            number += len(drafts)
            waiting.append((journal.append(drafts, {"n": str(number).encode()}), number))
        for future, reached in waiting:
            if not await future:
                say(journal.stats().away)
                return
            say(f"done {reached}")
        for position in journal.cursor("main"):
            if position.next > position.low + 3:
                span = (position.low + 1, position.low + 2)
                journal.settle("main", position.lane.stream, [span], epoch=position.lane.epoch)


async def hold(folder: Path) -> None:
    await Journal.open(folder, Limits(2**30, 3600.0), wall=time.time)
    say("open")
    await asyncio.Event().wait()


def main(what: str, folder: str, *more: str) -> None:
    try:
        if what == "hold":
            asyncio.run(hold(Path(folder)))
        if what == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(more[0]), int(more[0])))
        asyncio.run(write(Path(folder), more[0]))
    except JournalError as error:
        say(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
