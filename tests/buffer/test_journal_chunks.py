"""How records lie in rows: together where they are small and follow each other, compressed with what has shipped."""

from __future__ import annotations

import asyncio
import hashlib
import random
from threading import Event
from typing import TYPE_CHECKING

import pytest
from journal_desk import MEBIBYTE, OpenJournal, OpenStore, Wall

from buffer.chunk import Packer, Unpacker, entries_of
from buffer.dictionary import DATA, NEWEST, for_compression
from buffer.errors import JournalDamaged
from buffer.ledger import Lane
from buffer.migrations import READER
from buffer.reader import START, Reader
from buffer.record import Draft, Record
from buffer.regain import cut
from buffer.retention import Limits, Retention
from buffer.tail import TAIL_BYTES_MAX, TAIL_MS_MAX

if TYPE_CHECKING:
    from pathlib import Path

    from buffer.store import Store

LANE = Lane("e1", "alarm")


def put(store: Store, *numbers: int) -> None:
    """Each in a transaction of its own."""
    for number in numbers:
        store.store([Draft("alarm", 1000 * number, f"alarm/{number}", b'{"n":%d}' % number)], {})


def rows(store: Store) -> list[tuple[int, int]]:
    return store.connection.execute("SELECT first_seq, last_seq FROM chunk ORDER BY last_seq").fetchall()


def read(path: Path) -> list[Record]:
    reader = Reader(path)
    try:
        return reader.read(LANE, 0, 2**62, 1000)
    finally:
        reader.close()


def test_small_commits_share_a_row(open_store: OpenStore, tmp_path: Path, wall: Wall) -> None:
    """Each record keeps the time at which it was stored itself, and the totals are those of the rows."""
    store = open_store("main")
    for number in range(1, 21):
        put(store, number)
        wall.now += 1
    assert rows(store) == [(1, 20)]
    found = read(tmp_path / "journal.db")
    assert [record.body for record in found] == [b'{"n":%d}' % number for number in range(1, 21)]
    assert [(r.time_ms, r.topic) for r in found] == [(1000 * n, f"alarm/{n}") for n in range(1, 21)]
    assert [record.recorded_ms - found[0].recorded_ms for record in found] == [1000 * n for n in range(20)]
    kept = store.ledger.kept(LANE)
    totals = store.connection.execute("SELECT sum(raw_bytes), sum(length(blob)) FROM chunk").fetchone()
    assert (kept.next, kept.records, kept.raw_bytes, kept.stored_bytes) == (21, 20, *totals)


def test_a_row_takes_no_more_once_it_is_large(open_store: OpenStore) -> None:
    """More than that would be compressed again and again for nothing."""
    store = open_store("main")
    for _ in range(20):
        store.store([Draft("alarm", 0, "t", bytes(TAIL_BYTES_MAX // 4))], {})
    sizes = [size for (size,) in store.connection.execute("SELECT raw_bytes FROM chunk")]
    assert len(sizes) < 10
    assert TAIL_BYTES_MAX / 2 < max(sizes) <= TAIL_BYTES_MAX + 100


@pytest.mark.parametrize("jump_s", [TAIL_MS_MAX / 1000 + 1, -1])
def test_a_row_takes_no_record_of_another_time(open_store: OpenStore, wall: Wall, jump_s: float) -> None:
    """Retention knows a row by the time at which it was begun."""
    store = open_store("main")
    put(store, 1)
    wall.now += jump_s
    put(store, 2)
    assert rows(store) == [(1, 1), (2, 2)]


def test_a_row_that_was_trimmed_is_not_grown(open_store: OpenStore, tmp_path: Path) -> None:
    """What comes next is stored all the same."""
    store = open_store("main")
    put(store, 1, 2)
    store.ledger.settle("main", LANE, [(1, 2)])
    retention = Retention(store, Limits(MEBIBYTE, keep_s=-1.0))
    while retention.step():
        pass
    assert rows(store) == []
    put(store, 3, 4)
    assert [record.sequence for record in read(tmp_path / "journal.db")] == [3, 4]


def test_a_row_that_vanished_is_damage_and_no_silent_loss(open_store: OpenStore) -> None:
    """A row that is to grow must be there; the transaction fails, so nobody is told that it is stored."""
    store = open_store("main")
    put(store, 1)
    store.connection.execute("DELETE FROM chunk")
    with pytest.raises(JournalDamaged, match="is gone"):
        put(store, 2)


def test_a_restart_begins_a_new_row(open_store: OpenStore, tmp_path: Path) -> None:
    """What is in a row of an earlier process is not looked at again."""
    store = open_store("main")
    put(store, 1)
    store.finish()
    put(store := open_store("main"), 2)
    assert rows(store) == [(1, 1), (2, 2)]
    assert [record.sequence for record in read(tmp_path / "journal.db")] == [1, 2]


def test_the_newest_row_is_read_from_memory(open_store: OpenStore, tmp_path: Path) -> None:
    """The same records as from the file, within the same limits; not those of older rows."""
    store = open_store("main")
    store.store([Draft("alarm", 0, "t", bytes(TAIL_BYTES_MAX + 1))], {})
    put(store, 2, 3, 4, 5)
    tail = store.tails[LANE]
    assert tail.records(LANE, 0, 100, 100) is None
    reader = Reader(tmp_path / "journal.db")
    for after, before, limit in ((1, 100, 100), (2, 100, 2), (2, 4, 100), (4, 5, 100), (5, 100, 100), (9, 100, 100)):
        assert tail.records(LANE, after, before, limit) == reader.read(LANE, after, before, limit)
    reader.close()


async def test_what_was_just_stored_does_not_wait_for_a_long_read(open_journal: OpenJournal) -> None:
    """An alarm gets through while an uplink drains a backlog."""
    journal = await open_journal()
    is_over = Event()
    reading = asyncio.get_running_loop().run_in_executor(journal._reading._threads["reader"], is_over.wait)
    try:
        async with asyncio.timeout(60):
            await journal.append([Draft("alarm", 0, "t", b"1")])
            assert [record.body for record in await journal.read("alarm", 0, 10)] == [b"1"]
            assert await journal.read("alarm", 1, 10) == []
    finally:
        is_over.set()
        await reading


def test_how_long_a_record_waits_is_its_own_time(open_store: OpenStore, wall: Wall) -> None:
    """The others of its row may be settled long since."""
    store = open_store("main")
    for number in range(1, 4):
        put(store, number)
        wall.now += 10
    store.ledger.settle("main", LANE, [(1, 2)])
    assert store.oldest_ms() == {"main": round((wall.now - 10) * 1000)}


def test_what_nobody_was_told_of_is_cut_from_its_row(open_store: OpenStore, tmp_path: Path) -> None:
    """A commit that was given up may be on disk nevertheless, in one row with records that were told."""
    store = open_store("main")
    put(store, 1, 2, 3, 4)
    assert cut(store, store.lane_ids[LANE], 3)
    assert rows(store) == [(1, 2)]
    assert [record.body for record in read(tmp_path / "journal.db")] == [b'{"n":1}', b'{"n":2}']
    assert cut(store, store.lane_ids[LANE], 3)
    assert rows(store) == [(1, 2)]


def test_cutting_a_damaged_row_says_that_more_is_lost(open_store: OpenStore) -> None:
    """Then what was told of it must be accounted for."""
    store = open_store("main")
    put(store, 1, 2)
    store.connection.execute("UPDATE chunk SET blob = zeroblob(40)")
    assert not cut(store, store.lane_ids[LANE], 2)
    assert rows(store) == []


@pytest.mark.parametrize("size", [10, 3000, 100_000])
def test_chunks_of_every_size_come_back(size: int) -> None:
    """Small ones and large ones are compressed in different ways."""
    source = random.Random(size)
    entries = entries_of([Draft("a", n - 5, f"t/{n}", source.randbytes(size) + bytes(size)) for n in range(9)], 10**12)
    chunk = Packer().pack(entries)
    assert Unpacker().unpack(chunk.blob, chunk.raw_bytes, 9, chunk.recorded_ms) == entries


def test_an_unknown_dictionary_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release with a new one raises `min_reader`, so that others never come to see its id."""
    chunk = Packer().pack([(0, 0, "t", b"body")])
    blob = chunk.blob.replace(NEWEST.to_bytes(2, "little"), (NEWEST + 1).to_bytes(2, "little"), 1)
    with pytest.raises(JournalDamaged, match=f"dictionary that does not exist .{NEWEST + 1}"):
        Unpacker().unpack(blob, chunk.raw_bytes, 1, 0)


def test_what_has_shipped_never_changes() -> None:
    """Journals need it for as long as they are kept. A new dictionary is a new file, and a new reader."""
    shipped = {number: hashlib.sha256(data).hexdigest()[:16] for number, data in DATA.items()}
    assert (shipped, READER) == ({40_001: "1241fce550c1e734"}, 3)
    assert for_compression(NEWEST, 1).dict_id() == NEWEST


def test_a_look_back_meets_each_record_once(open_store: OpenStore, tmp_path: Path) -> None:
    """Also where the row that it has just read grows before it goes on."""
    store = open_store("main")
    put(store, 1, 2)
    reader = Reader(tmp_path / "journal.db")
    first, place = reader.history("alarm", 0, 10_000, START)
    put(store, 3, 4)
    assert place is not None
    second, _ = reader.history("alarm", 0, 10_000, place)
    reader.close()
    assert [record.sequence for record in first + second] == [1, 2, 3, 4]
