"""Ends without a goodbye: processes that are killed, and a disk that refuses."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import journal_child
import pytest
from journal_desk import OpenJournal, drafts

from buffer.errors import JournalError, JournalLocked
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buffer.journal import Journal

ROUNDS = 10


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The script in a process of its own, killed at the end whatever happens."""
    command = [sys.executable, journal_child.__file__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


def announced(lines: list[str]) -> int:
    """The last number that the child said was on disk."""
    numbers = [int(line.split()[1]) for line in lines if line.startswith("done ") and line.endswith("\n")]
    return max(numbers, default=0)


def killed_after(folder: Path, seed: str, seconds: float) -> int:
    """Let a child write for a while and kill it; what it had announced by then."""
    with child("write", str(folder), seed) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(seconds)  # Nothing is waited for: the moment of the kill is the random part of this test.
        process.kill()
        lines += process.stdout.readlines()
    return announced(lines)


async def stored(journal: Journal) -> dict[str, list[tuple[int, str]]]:
    """Sequence and the readable part of each body, by stream; checks that no sequence is missing."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for stream in journal_child.STREAMS:
        after = 0
        while records := await journal.read(stream, after, 1000):
            found[stream] += [(r.sequence, r.body[:40].split(b":", 2)[1].decode()) for r in records]
            after = records[-1].sequence
        assert [sequence for sequence, _ in found[stream]] == list(range(1, len(found[stream]) + 1))
    return found


async def test_nothing_that_was_done_is_lost_to_kill_9(
    tmp_path: Path, open_journal: OpenJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed ten times while it writes: all that was announced is there, in order, with its state, and stays so."""
    seed = random.randrange(10**6)
    with capsys.disabled():
        print(f"\n  kill -9: seed {seed}", end=" ")  # noqa: T201 - to run it again with the same seed
    source = random.Random(seed)
    earlier: dict[str, list[tuple[int, str]]] = defaultdict(list)
    repeated = 0
    for number in range(ROUNDS):
        done = await asyncio.to_thread(killed_after, tmp_path, f"{seed}/{number}", source.uniform(0.01, 0.15))
        journal = await open_journal(limits=Limits(2**30, 3600.0))
        now = await stored(journal)
        count = int(journal.state["n"])
        repeated += sum(position.unsettled for position in journal.cursor("main"))
        await journal.close()
        assert count >= done > 0
        assert sorted(int(n) for rows in now.values() for _, n in rows) == list(range(count))
        for stream, rows in now.items():
            assert rows[: len(earlier[stream])] == earlier[stream]
            assert [int(n) for _, n in rows] == sorted(int(n) for _, n in rows)
        earlier = now
    assert repeated > 0


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """One sentence that names the process, and nothing is disturbed; when the first is gone the next may have it."""
    with child("hold", str(tmp_path)) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        with child("hold", str(tmp_path)) as second:
            said, _ = second.communicate(timeout=10)
        assert said == (
            f"another wardgate (process {first.pid}) already uses the journal in {tmp_path}; "
            "stop it first, or give this one a journal.path of its own\n"
        )
        assert first.poll() is None
    with child("hold", str(tmp_path)) as third:
        assert third.stdout is not None
        assert third.stdout.readline() == "open\n"


async def test_a_second_open_in_the_same_process_is_refused(open_journal: OpenJournal) -> None:
    """Two journals in one process would be two writers as well."""
    journal = await open_journal()
    with pytest.raises(JournalLocked, match="already uses the journal"):
        await open_journal()
    await journal.append(drafts("alarm", "a"))


async def test_a_disk_that_refuses_is_said_and_nothing_done_is_lost(tmp_path: Path, open_journal: OpenJournal) -> None:
    """A real write error is said in words, and nobody is told of a record on disk that is not; the others are there."""
    with child("full", str(tmp_path), "300000") as process:
        said, _ = await asyncio.to_thread(process.communicate, timeout=20)
    *lines, last = said.splitlines(keepends=True)
    assert last.startswith("the journal cannot be written (disk I/O error)")
    journal = await open_journal()
    found = await stored(journal)
    assert sum(len(rows) for rows in found.values()) == int(journal.state["n"]) >= announced(lines) > 0


async def test_a_mistake_of_ours_ends_the_writing(tmp_path: Path, open_journal: OpenJournal) -> None:
    """What SQLite cannot be asked is not tried again: who waits and who comes later get the error, and so do stats."""
    log = tmp_path / "journal.db-wal"
    journal = await open_journal()
    await journal.append(drafts("alarm", "a"))
    failure = asyncio.ensure_future(journal.failure())
    with pytest.raises(JournalError, match="cannot be written any more"):
        await journal.append([], {"key": [1]})  # type: ignore[dict-item] # on purpose
    with pytest.raises(JournalError, match="cannot be written any more"):
        await journal.append(drafts("alarm", "b"))
    journal.append(drafts("telemetry", "nobody waits for this one"))
    assert "cannot be written any more" in journal.stats().error
    assert "cannot be written any more" in str(await failure)
    with pytest.raises(JournalError, match="cannot be written any more"):
        await journal.news(journal.commits)
    await journal.room()
    assert [r.body for r in await journal.read("alarm", 0, 10)] == [b"a"]
    size = log.stat().st_size
    await journal.close()
    assert log.stat().st_size == size > 0, "not even a checkpoint, which would sync again"
    journal = await open_journal()
    assert [r.body for r in await journal.read("alarm", 0, 10)] == [b"a"]
