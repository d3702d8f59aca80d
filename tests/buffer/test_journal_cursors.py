"""Uplinks that come and go while the journal is open, and other limits; with its real threads and a real file."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from journal_desk import MEBIBYTE, OpenJournal, Wall, drafts, until

from buffer.errors import JournalUnavailable
from buffer.ledger import Lane
from buffer.retention import Limits
from buffer.tail import TAIL_BYTES_MAX

if TYPE_CHECKING:
    from pathlib import Path

    from buffer.journal import Journal
    from buffer.record import Draft

BRIEF = Limits(64 * MEBIBYTE, keep_s=0.0)


def big(letter: str) -> list[Draft]:
    """So large that nothing joins it in its chunk."""
    return drafts("alarm", letter * (TAIL_BYTES_MAX + 1))


async def trimmed(journal: Journal, wall: Wall) -> None:
    """What everybody has settled goes, now and not in some seconds; that is the first alarm."""
    wall.now += 1
    journal.renew(BRIEF)
    await until(lambda: journal.stats().lanes[Lane(journal.epoch, "alarm")].first == 2)


async def test_an_uplink_that_is_added_begins_as_at_a_start(open_journal: OpenJournal, wall: Wall) -> None:
    """At the oldest record from which nothing is missing; what went before it is its loss, and it holds back the rest,
    also after another start.
    """
    journal = await open_journal(limits=BRIEF)
    alarm = Lane(journal.epoch, "alarm")
    for letter in "ab":
        await journal.append(big(letter))
    journal.settle("main", "alarm", [(1, 1)])
    await journal.append(big("c"))
    await trimmed(journal, wall)
    await journal.enlist("second")
    position = journal.position("second", alarm)
    assert (position.low, position.unsettled, position.sent) == (1, 2, 0)
    journal.settle("main", "alarm", [(2, 3)])
    journal.settle("second", "alarm", [(2, 2)])
    await journal.append(big("d"))
    await journal.close()
    journal = await open_journal(limits=BRIEF, cursors=["main", "second"])
    assert journal.position("second", alarm).unsettled == 2
    losses = [(loss.cursor, loss.reason, loss.first, loss.last) for loss in journal.stats().losses]
    assert losses == [("second", "before_uplink", 1, 1)]


async def test_an_uplink_that_is_dismissed_holds_nothing_back(
    open_journal: OpenJournal, tmp_path: Path, wall: Wall
) -> None:
    """Its account is gone at once, also from the file; should it ever come back, it is new."""
    journal = await open_journal(limits=BRIEF, cursors=["main", "old"])
    alarm = Lane(journal.epoch, "alarm")
    await journal.append(big("a"))
    journal.settle("main", "alarm", [(1, 1)])
    await journal.append(big("b"))
    journal.dismiss("old")
    assert [each.name for each in journal.stats().cursors] == ["main"]
    with pytest.raises(KeyError):
        journal.cursor("old")
    await trimmed(journal, wall)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        assert other.execute("SELECT DISTINCT name FROM cursor").fetchall() == [("main",)]
    await journal.enlist("old")
    assert journal.position("old", alarm).low == 1


async def test_without_its_disk_no_uplink_is_added_and_one_can_go(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Whoever asked hears of it, and nothing is kept for it; what went meanwhile is not there when the disk is back."""
    journal = await open_journal(cursors=["main", "old"])
    await journal.append(drafts("alarm", "a"))
    adding = asyncio.create_task(journal.enlist("new"))
    await asyncio.sleep(0)
    journal._fall_back("this test says so")
    with pytest.raises(JournalUnavailable, match="disk is away"):
        await adding
    with pytest.raises(JournalUnavailable, match="disk is away"):
        await journal.enlist("new")
    journal.dismiss("old")
    journal.append(drafts("alarm", "b"))
    await until(lambda: not journal.stats().away)
    assert [each.name for each in journal.stats().cursors] == ["main"]
    await journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        assert other.execute("SELECT DISTINCT name FROM cursor").fetchall() == [("main",)]


async def test_other_limits_count_at_once(open_journal: OpenJournal, wall: Wall) -> None:
    """What is older than it may be from now on goes, without another start."""
    journal = await open_journal(limits=Limits(64 * MEBIBYTE, keep_s=3600.0))
    alarm = Lane(journal.epoch, "alarm")
    await journal.append(big("a"))
    journal.settle("main", "alarm", [(1, 1)])
    wall.now += 60
    await journal.append(big("b"))
    assert journal.stats().lanes[alarm].first == 1
    journal.renew(Limits(32 * MEBIBYTE, keep_s=30.0))
    await until(lambda: journal.stats().lanes[alarm].first == 2)
    assert journal.stats().size_max_bytes == 32 * MEBIBYTE
