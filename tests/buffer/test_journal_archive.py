"""Copies and looks back: backup while it runs, verify, restore, history by time."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from damage import bits
from journal_desk import MEBIBYTE, OpenJournal, Wall, drafts

from buffer.archive import restore, verify
from buffer.errors import JournalError, JournalLocked, JournalUnusable
from buffer.record import Draft
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from buffer.journal import Journal

LIMITS = Limits(256 * MEBIBYTE, 3600.0)
SOURCE = random.Random(3)


async def filled(journal: Journal, mebibytes: int) -> None:
    for number in range(mebibytes * 4):
        await journal.append([Draft("telemetry", number, "t", SOURCE.randbytes(MEBIBYTE // 4))])


async def test_a_backup_is_whole_and_holds_no_commit_up(tmp_path: Path, open_journal: OpenJournal) -> None:
    """Alarms that come while it is made are stored as quickly as ever, and it is a journal as of its end."""
    journal = await open_journal(limits=LIMITS)
    await filled(journal, 40)
    copy = tmp_path / "copy.db"
    backup = asyncio.create_task(journal.backup(copy))
    waits: list[float] = []
    while not backup.done():
        begun = time.perf_counter()
        await journal.append(drafts("alarm", f"a{len(waits)}"))
        waits.append(time.perf_counter() - begun)
    await backup
    assert len(waits) > 5
    assert sorted(waits)[-2] < 0.25
    verdict = verify(copy)
    assert verdict.faults == ()
    assert 160 < verdict.records <= 160 + len(waits)
    assert await journal.append(drafts("alarm", "later"))
    assert not {name for name in os.listdir(tmp_path) if ".part" in name}


async def test_who_starts_on_a_copy_begins_a_new_epoch(tmp_path: Path, open_journal: OpenJournal) -> None:
    """Put back by hand or by `restore`: what the platform has seen since then is not given a second time."""
    journal = await open_journal()
    epoch = journal.epoch
    await journal.append(drafts("alarm", "a1"), {"n": b"1"})
    await journal.backup(tmp_path / "copy.db")
    await journal.append(drafts("alarm", "a2"), {"n": b"2"})
    await journal.close()
    aside = restore(tmp_path, tmp_path / "copy.db", 1_763_700_000.0)
    assert aside is not None
    assert verify(aside).records == 2
    journal = await open_journal()
    assert journal.epoch != epoch
    assert (journal.previous and journal.previous.epoch, dict(journal.state)) == (epoch, {"n": b"1"})
    assert [record.body for record in await journal.read("alarm", 0, 10, epoch=epoch)] == [b"a1"]
    await journal.append(drafts("alarm", "a3"))
    again = journal.epoch
    await journal.close()
    assert (await open_journal()).epoch == again, "once is enough"


async def test_restore_is_refused_while_a_daemon_runs(tmp_path: Path, open_journal: OpenJournal) -> None:
    """Two would write to one file."""
    journal = await open_journal()
    await journal.backup(tmp_path / "copy.db")
    with pytest.raises(JournalLocked, match="stop it first"):
        restore(tmp_path, tmp_path / "copy.db", 0.0)


async def test_a_copy_that_is_of_no_use_is_not_put_back(tmp_path: Path, open_journal: OpenJournal) -> None:
    """A damaged one, or no journal at all; what was there stays."""
    journal = await open_journal(limits=LIMITS)
    await filled(journal, 1)
    copy, other = tmp_path / "copy.db", tmp_path / "other.db"
    await journal.backup(copy)
    await journal.close()
    bits(1, 100_000, 100_001)(copy, SOURCE)
    other.write_bytes(b"dear diary" * 1000)
    with pytest.raises(JournalUnusable, match="is damaged"):
        restore(tmp_path, copy, 0.0)
    with pytest.raises(JournalUnusable, match="is not a wardgate journal"):
        restore(tmp_path, other, 0.0)
    assert verify(tmp_path / "journal.db").records == 4


async def test_a_backup_that_cannot_be_written_harms_nothing(tmp_path: Path, open_journal: OpenJournal) -> None:
    """It says why, and the journal goes on."""
    journal = await open_journal()
    with pytest.raises(JournalError, match="cannot be written"):
        await journal.backup(tmp_path / "nowhere" / "copy.db")
    assert await journal.append(drafts("alarm", "a"))
    assert journal.stats().away == ""


async def test_verify_finds_what_the_start_cannot(tmp_path: Path, open_journal: OpenJournal) -> None:
    """A body that changed, and an index that lacks a row."""
    journal = await open_journal()
    for number in range(20):
        await journal.append(drafts("alarm", f"temperature {number}"))
    await journal.close()
    path = tmp_path / "journal.db"
    path.write_bytes(path.read_bytes().replace(b"temperature 7", b"temperature 8"))
    verdict = verify(path)
    assert (verdict.records, verdict.chunks) == (20, 20)
    assert [fault[:12] for fault in verdict.faults] == ["alarm/8 to 8"]
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'state')")
        other.commit()
    with pytest.raises(JournalUnusable):
        verify(path)


async def between(journal: Journal, stream: str, first: int, last: int) -> list[str]:
    return [record.body.decode() async for records in journal.history(stream, first, last) for record in records]


async def test_history_is_by_the_time_at_which_things_happened(open_journal: OpenJournal, wall: Wall) -> None:
    """Of all epochs, in many steps, with both ends as they should be."""
    journal = await open_journal()
    for number in range(100):
        await journal.append([Draft("alarm", number * 10 + at, "t", b"%d" % (number * 10 + at)) for at in range(10)])
    assert await between(journal, "alarm", 95, 312) == [str(number) for number in range(95, 312)]
    assert await between(journal, "alarm", 5000, 6000) == []
    assert await between(journal, "state", 0, 6000) == []
    await journal.close()
    journal = await open_journal(renew=True)
    await journal.append([Draft("alarm", 1000, "t", b"1000")])
    assert await between(journal, "alarm", 998, 1001) == ["998", "999", "1000"]


async def test_history_sees_what_is_in_memory_only(tmp_path: Path, open_journal: OpenJournal) -> None:
    """While the disk is away, what happened since then is part of it."""
    journal = await open_journal()
    await journal.append([Draft("alarm", 1, "t", b"1")])
    journal._fall_back("this test says so")
    await journal.append([Draft("alarm", 2, "t", b"2")])
    assert await between(journal, "alarm", 0, 10) == ["1", "2"]
