"""The way back to the disk, cut off in the middle."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from journal_desk import MEBIBYTE, OpenStore, Wall, drafts

from buffer.journal import Journal
from buffer.ledger import Lane
from buffer.memory import Memory
from buffer.reader import Reader
from buffer.regain import LAST_STEP_CHUNKS, Handover, regain
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from buffer.record import Record
    from buffer.store import Store, Stored

LIMITS = Limits(64 * MEBIBYTE, 3600.0)


class Killed(Exception):
    """Nothing happens after it."""


class Outage:
    """A process whose disk was away, with so many records in memory that they go to disk in more than one step."""

    def __init__(self, store: Store, wall: Wall) -> None:
        store.store(drafts("alarm", "durable"), {"n": b"1"})
        store.connection.close()
        self.live = store.ledger
        self.memory = Memory("volatile", self.live, LIMITS, wall)
        self.had = 0
        self.more()

    def more(self) -> None:
        for _ in range(LAST_STEP_CHUNKS + 10):
            self.memory.append(drafts("alarm", f"{self.had}"), {})
            self.had += 1

    def come_back(self, store: Store, *, cut_off: bool) -> Stored:
        """With more records while the first are written, because the plant does not wait."""
        asked = 0

        def hand_over(written: Mapping[str, int], last: bool) -> Handover:
            nonlocal asked
            asked += 1
            held = self.memory.since(written)
            if asked == 2:
                self.more()
            if asked == 3 and cut_off:
                raise Killed
            return Handover("volatile", held, {}, None)

        return regain(store, self.live, hand_over, "")


def alarms(store: Store) -> list[int]:
    """The numbers that are on disk of the volatile epoch."""
    with closing(Reader(store._path)) as reader:
        found: list[Record] = []
        while records := reader.read(Lane("volatile", "alarm"), len(found), 2**62, 1000):
            found += records
    assert [record.sequence for record in found] == list(range(1, len(found) + 1))
    return [int(record.body) for record in found]


def test_an_attempt_that_failed_half_way_is_taken_up(open_store: OpenStore, wall: Wall) -> None:
    """What the first one has written is not written again, and nothing between the two is left out."""
    outage = Outage(open_store("main"), wall)
    store = open_store("main")
    with pytest.raises(Killed):
        outage.come_back(store, cut_off=True)
    store.connection.close()
    store = open_store("main")
    outage.come_back(store, cut_off=False)
    assert alarms(store) == list(range(outage.had))
    assert outage.live.kept(Lane("volatile", "alarm")).records == outage.had


async def test_a_sequence_that_others_have_seen_is_never_given_away_again(
    tmp_path: Path, open_store: OpenStore, wall: Wall
) -> None:
    """What is on disk of the volatile epoch is kept, what is not is counted as lost, and a new epoch goes on."""
    outage = Outage(open_store("main"), wall)
    store = open_store("main")
    with pytest.raises(Killed):
        outage.come_back(store, cut_off=True)
    store.connection.close()
    had = outage.had
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


def test_a_stream_of_which_memory_kept_nothing_is_accounted_for(open_store: OpenStore, wall: Wall) -> None:
    """Its place is on disk with what was lost of it, although there is no record to write."""
    store = open_store("main")
    memory = Memory("volatile", store.ledger, Limits(MEBIBYTE, 3600.0, memory_max_bytes=5_000), wall)
    memory.append(drafts("telemetry", "t1", "t2"), {})
    for number in range(20):
        memory.append(drafts("alarm", f"{number}"), {})
    live = store.ledger
    store.connection.close()
    regain(open_store("main"), live, lambda written, _: Handover("volatile", memory.since(written), {}, None), "")
    store = open_store("main")
    lost = {loss.lane: (loss.reason, loss.first, loss.last) for loss in store.ledger.losses()}
    assert lost[Lane("volatile", "telemetry")] == ("memory_limit", 1, 2)
    assert store.ledger.kept(Lane("volatile", "telemetry")).next == 3
