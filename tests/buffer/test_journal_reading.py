"""Who may have the file open when."""

from __future__ import annotations

import asyncio
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from journal_desk import drafts

from buffer.errors import JournalUnavailable
from buffer.reading import Gate

if TYPE_CHECKING:
    from journal_desk import OpenJournal


def test_who_opens_the_file_waits_for_those_who_read_and_keeps_others_out() -> None:
    """Readers do not wait for each other, and none of them waits for who is alone: they are told to come again."""
    gate = Gate()
    is_alone, may_leave = Event(), Event()

    def open_anew() -> None:
        with gate.alone():
            is_alone.set()
            may_leave.wait()

    opening = Thread(target=open_anew)
    with gate.among_others(), gate.among_others():
        opening.start()
        assert not is_alone.wait(0.05)
    assert is_alone.wait(5)
    with pytest.raises(JournalUnavailable), gate.among_others():
        pass
    may_leave.set()
    opening.join()
    with gate.among_others():
        pass


async def test_looking_back_does_not_hinder_an_uplink(open_journal: OpenJournal) -> None:
    """Both ask at once, again and again, and both are answered."""
    journal = await open_journal()
    await journal.append(drafts("alarm", *map(str, range(200))))

    async def look_back() -> int:
        return sum([len(records) async for records in journal.history("alarm", 0, 10_000)])

    for _ in range(50):
        seen, records = await asyncio.gather(look_back(), journal.read("alarm", 0, 200))
        assert (seen, len(records)) == (200, 200)
