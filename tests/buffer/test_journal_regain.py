"""The way back to the disk, cut off in the middle."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from journal_desk import MEBIBYTE, OpenStore, Wall, drafts

from buffer.journal import Journal
from buffer.memory import Memory
from buffer.regain import LAST_STEP_CHUNKS, Handover, regain
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIMITS = Limits(64 * MEBIBYTE, 3600.0)


class Killed(Exception):
    """Nothing happens after it."""


def cut_off(open_store: OpenStore, wall: Wall) -> int:
    """Have a process killed after the first part of what it had in memory is on disk; how many records it had."""
    store = open_store("main")
    store.store(drafts("alarm", "durable"), {"n": b"1"})
    live = store.ledger
    memory = Memory("volatile", live, LIMITS, wall)
    numbers = count()

    def more() -> None:
        for _ in range(LAST_STEP_CHUNKS + 10):
            memory.append(drafts("alarm", f"{next(numbers)}"), {})

    def hand_over(written: Mapping[str, int], last: bool) -> Handover:
        if written:
            raise Killed
        held = memory.since(written)
        if asked:
            more()  # The plant does not wait.
        asked.append(last)
        return Handover("volatile", held, {}, None)

    asked: list[bool] = []
    more()
    again = open_store("main")
    with pytest.raises(Killed):
        regain(again, live, hand_over, "")
    again.connection.close()
    store.connection.close()
    return next(numbers)


async def test_a_sequence_that_others_have_seen_is_never_given_away_again(
    tmp_path: Path, open_store: OpenStore, wall: Wall
) -> None:
    """What is on disk of the volatile epoch is kept, what is not is counted as lost, and a new epoch goes on."""
    had = cut_off(open_store, wall)
    journal = await Journal.open(tmp_path, LIMITS, wall=wall, cursors=["main"], new_epoch=lambda: "new")
    await journal.append(drafts("alarm", "later"))
    records = await journal.read("alarm", 0, 10_000, epoch="volatile")
    records += await journal.read("alarm", len(records), 10_000, epoch="volatile")
    (loss,) = journal.stats().losses
    positions = {position.lane.epoch: position.unsettled for position in journal.cursor("main")}
    assert (journal.epoch, journal.previous and journal.previous.epoch) == ("new", "volatile")
    assert [(record.sequence, record.body) for record in records] == [(n + 1, b"%d" % n) for n in range(len(records))]
    assert 0 < len(records) < had
    assert (loss.lane.epoch, loss.reason, loss.first, loss.last) == ("volatile", "memory_lost", len(records) + 1, had)
    assert positions == {"e1": 1, "volatile": len(records), "new": 1}
    await journal.close()
