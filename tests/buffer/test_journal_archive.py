"""Copies and looks back: backup while it runs, verify, restore, history by time."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from contextlib import closing
from itertools import count
from threading import Event
from typing import TYPE_CHECKING

import pytest
from damage import behind_the_index, bits, copy_of
from journal_desk import MEBIBYTE, OpenJournal, OpenStore, Wall, drafts, until
from pace import in_time

from buffer.archive import copy, past, restore, verify
from buffer.errors import JournalClosed, JournalError, JournalLocked, JournalUnavailable, JournalUnusable
from buffer.journal import Journal
from buffer.ledger import Lane
from buffer.record import Draft
from buffer.retention import Limits
from buffer.tail import TAIL_BYTES_MAX

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(256 * MEBIBYTE, 3600.0)
SOURCE = random.Random(3)
TIMES = count()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def filled(journal: Journal, mebibytes: int) -> None:
    for _ in range(mebibytes * 4):
        await journal.append([Draft("telemetry", next(TIMES), "t", SOURCE.randbytes(MEBIBYTE // 4))])


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
    assert in_time(sorted(waits)[-2], 0.25)
    verdict = verify(copy)
    assert verdict.faults == ()
    assert 160 < verdict.records <= 160 + len(waits)
    assert await journal.append(drafts("alarm", "later"))
    assert names(tmp_path) == ["copy.db", "journal.db", "journal.db-shm", "journal.db-wal", "journal.lock"]


async def test_a_backup_of_a_journal_that_is_trimmed_meanwhile(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Deleting and shrinking go on, and the copy is a journal all the same."""
    journal = await open_journal(limits=Limits(24 * MEBIBYTE, 0.0))
    await filled(journal, 20)
    first = journal.ledger.kept(Lane(journal.epoch, "telemetry")).first
    backup = asyncio.create_task(journal.backup(tmp_path / "copy.db"))
    while not backup.done():
        await filled(journal, 1)
    await backup
    assert journal.ledger.kept(Lane(journal.epoch, "telemetry")).first > first
    verdict = verify(tmp_path / "copy.db", None)
    assert (verdict.faults, verdict.whole) == ((), True)


def busy(journal: Journal) -> Event:
    """Keeps the writer's thread from its next job until it is set."""
    gate = Event()

    def wait(*_: object) -> None:
        gate.wait(10)

    journal._writer.put_job(wait)
    return gate


async def test_a_backup_does_not_hold_up_the_end(open_journal: OpenJournal, tmp_path: Path) -> None:
    """It is given up, and nothing of it stays."""
    journal = await open_journal()
    await filled(journal, 1)
    gate = busy(journal)
    backup = asyncio.create_task(journal.backup(tmp_path / "copy.db"))
    await asyncio.sleep(0)
    end = asyncio.create_task(journal.close())
    await until(lambda: journal._writer._stopping)
    gate.set()
    await end
    with pytest.raises(JournalClosed):
        await backup
    with pytest.raises(JournalClosed):
        await journal.backup(tmp_path / "copy.db")
    assert names(tmp_path) == ["journal.db", "journal.lock"]


async def test_a_backup_is_given_up_when_the_disk_goes_away(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Nobody waits for ever."""
    journal = await open_journal()
    gate = busy(journal)
    backup = asyncio.create_task(journal.backup(tmp_path / "copy.db"))
    await asyncio.sleep(0)
    journal._fall_back("this test says so")
    with pytest.raises(JournalUnavailable, match="disk is away"):
        await backup
    with pytest.raises(JournalUnavailable, match="disk is away"):
        await journal.backup(tmp_path / "copy.db")
    gate.set()


def test_a_copy_that_is_broken_off_leaves_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    """And whoever broke it off hears of it as it was."""
    store = open_store()
    store.store(drafts("alarm", *map(str, range(5000))), {})

    def go_on() -> None:
        raise JournalClosed("this test says so")

    with pytest.raises(JournalClosed):
        copy(store.connection, tmp_path / "copy.db", go_on)
    assert names(tmp_path) == ["journal.db", "journal.db-shm", "journal.db-wal"]


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.lock", "journal.db.new"])
async def test_a_backup_does_not_take_the_journals_own_place(
    open_journal: OpenJournal, tmp_path: Path, name: str
) -> None:
    """Not even by mistake."""
    journal = await open_journal()
    with pytest.raises(JournalError, match="a name of the journal's own"):
        await journal.backup(tmp_path / name)
    assert await journal.append(drafts("alarm", "a"))


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


async def test_a_journal_that_was_killed_is_put_aside_with_its_log(tmp_path: Path, open_journal: OpenJournal) -> None:
    """The next start takes the copy for what it is, not for a journal that has lost its log."""
    journal = await open_journal()
    await journal.append(drafts("alarm", "a1"))
    await journal.backup(tmp_path / "copy.db")
    await journal.append(drafts("alarm", "a2"))
    killed = copy_of(tmp_path, tmp_path.with_name(f"{tmp_path.name}-killed"))
    aside = restore(killed.parent, tmp_path / "copy.db", 0.0)
    assert aside is not None
    assert aside.with_name(aside.name + "-wal").exists()
    again = await Journal.open(killed.parent, LIMITS, wall=Wall(), cursors=["main"])
    assert again.stats().incident is None
    assert [record.body for record in await again.read("alarm", 0, 10, epoch=journal.epoch)] == [b"a1"]
    await again.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
async def test_what_root_puts_back_belongs_to_the_daemon(tmp_path: Path, open_journal: OpenJournal) -> None:
    """The owner of the folder gets it."""
    journal = await open_journal()
    await journal.backup(tmp_path / "copy.db")
    folder = tmp_path / "other"
    folder.mkdir()
    os.chown(folder, 12345, 12346)
    restore(folder, tmp_path / "copy.db", 0.0)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()}
    assert owners == {(12345, 12346)}


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
    bodies = [random.Random(number).randbytes(TAIL_BYTES_MAX) for number in range(20)]
    for body in bodies:
        await journal.append([Draft("alarm", 0, "t", body)])
    await journal.close()
    path = tmp_path / "journal.db"
    path.write_bytes(path.read_bytes().replace(bodies[7][1000:1100], bytes(100)))
    verdict = verify(path)
    assert (verdict.records, verdict.chunks, verdict.whole) == (20, 20, True)
    assert [fault[:12] for fault in verdict.faults] == ["alarm/8 to 8"]
    behind_the_index(path, "UPDATE chunk SET last_seq = last_seq - 5, first_seq = first_seq - 5 WHERE id = 12")
    faults = verify(path).faults
    assert "alarm/11 to 11: there twice, or not in order" in faults
    assert faults[0].startswith("the file: ")
    behind_the_index(path, "UPDATE chunk SET lane = 77 WHERE id = 3")
    assert "chunk 3: it belongs to no stream" in verify(path).faults
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'state')")
        other.commit()
    with pytest.raises(JournalUnusable):
        verify(path)


async def test_verify_ends_in_time_and_says_what_it_has_not_seen(tmp_path: Path, open_journal: OpenJournal) -> None:
    """What is newest comes first; with no limit it looks at everything."""
    journal = await open_journal(limits=LIMITS)
    await filled(journal, 2)
    path = tmp_path / "journal.db"
    verdict = verify(path, 0.0)
    assert (verdict.whole, verdict.chunks, verdict.faults) == (False, 1, ())
    verdict = verify(path, None)
    assert (verdict.whole, verdict.chunks, verdict.faults) == (True, 8, ())


async def test_a_slow_reader_does_not_let_the_log_grow(tmp_path: Path, open_journal: OpenJournal) -> None:
    """A look back that is never finished holds nothing open, here and from another process's connection."""
    journal = await open_journal(limits=LIMITS)
    await filled(journal, 8)
    looking = journal.history("telemetry", 0, 2**40)
    elsewhere = past(tmp_path / "journal.db", ["telemetry"], 0, 2**40, lambda _: None)
    assert await anext(looking)
    assert next(elsewhere)
    largest = 0
    for _ in range(48):
        await filled(journal, 1)
        largest = max(largest, (tmp_path / "journal.db-wal").stat().st_size)
    assert 2 * MEBIBYTE < largest < 16 * MEBIBYTE
    assert sum([len(records) async for records in looking]) == 224 - 16
    assert sum(1 for _ in elsewhere) == 224 - 1


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
