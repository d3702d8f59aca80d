"""What is deleted and in which order, on a real file without the threads."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from journal_desk import MEBIBYTE, OpenJournal, OpenStore, Wall, drafts, until

from buffer.database import connect, connect_reader
from buffer.epoch import RENEWED, Previous
from buffer.ledger import Kept, Lane, Ledger
from buffer.record import Draft
from buffer.retention import EPOCHS_KEPT, Limits, Retention
from buffer.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from buffer.ledger import Span

SMALL = Limits(MEBIBYTE, keep_s=3600.0)
AWAITED, LACKED = 3, 5
"""Old epochs of which something is not settled, or lost."""

SOURCE = random.Random(7)  # Bodies that do not compress, so sizes are what they seem.


def fill(store: Store, stream: str, records: int, size: int = 20_000) -> None:
    """One chunk for each record."""
    for number in range(records):
        store.store([Draft(stream, number, "t", SOURCE.randbytes(size))], {})


def trim(store: Store, limits: Limits = SMALL) -> int:
    """Until there is nothing to do; how many steps that took."""
    retention = Retention(store, limits)
    steps = 0
    while retention.step():
        steps += 1
    return steps


def kept(store: Store, stream: str) -> list[Span]:
    """The runs of sequences that are on disk."""
    rows = store.connection.execute(
        "SELECT first_seq, last_seq FROM chunk WHERE lane = ? ORDER BY last_seq",
        (store.lane_ids[Lane(store.epoch, stream)],),
    ).fetchall()
    runs: list[Span] = []
    for first, last in rows:
        runs[-1:] = [(runs[-1][0], last)] if runs and runs[-1][1] == first - 1 else [*runs[-1:], (first, last)]
    return runs


def settle(store: Store, stream: str, *spans: Span, cursor: str = "main") -> None:
    store.ledger.settle(cursor, Lane(store.epoch, stream), spans)


def used_bytes(store: Store) -> int:
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    (free,) = store.connection.execute("PRAGMA freelist_count").fetchone()
    return int(pages - free) * 4096


def test_settled_records_stay_for_a_while(open_store: OpenStore, wall: Wall) -> None:
    """History is kept for `keep_s` after everybody has it, and goes after that; what nobody has stays."""
    store = open_store("main")
    fill(store, "alarm", 6, 10000)
    settle(store, "alarm", (1, 4))
    trim(store)
    assert kept(store, "alarm") == [(1, 6)]
    wall.now += 3601
    trim(store)
    assert kept(store, "alarm") == [(5, 6)]
    assert store.ledger.kept(Lane("e1", "alarm")).first == 5
    assert store.ledger.losses() == ()


@pytest.mark.parametrize("jump_s", [-40 * 365 * 86400.0, 40 * 365 * 86400.0])
def test_a_clock_that_jumps_costs_nothing_that_somebody_waits_for(
    open_store: OpenStore, wall: Wall, jump_s: float
) -> None:
    """Forward it may cost history that everybody has, backward not even that; sequences go on as they were."""
    store = open_store("main")
    fill(store, "alarm", 4, 100)
    settle(store, "alarm", (1, 4))
    wall.now += jump_s
    fill(store, "alarm", 2, 100)
    trim(store)
    assert kept(store, "alarm") == ([(5, 6)] if jump_s > 0 else [(1, 6)])
    assert store.ledger.losses() == ()
    store.finish()
    again = open_store("main")
    assert again.ledger.position("main", Lane("e1", "alarm")).unsettled == 2


def test_every_cursor_counts(open_store: OpenStore, wall: Wall) -> None:
    """A record that one uplink still waits for is not old, however old it is."""
    store = open_store("main", "second")
    fill(store, "alarm", 6, 10000)
    settle(store, "alarm", (1, 6))
    settle(store, "alarm", (1, 2), (5, 5), cursor="second")
    wall.now += 3601
    trim(store)
    assert kept(store, "alarm") == [(3, 4), (6, 6)]


def test_without_a_cursor_everything_is_history(open_store: OpenStore, wall: Wall) -> None:
    """With no uplink nobody waits, and age alone decides."""
    store = open_store()
    fill(store, "alarm", 3, 10000)
    wall.now += 3601
    fill(store, "alarm", 1, 10000)
    trim(store)
    assert kept(store, "alarm") == [(4, 4)]


def test_at_the_limit_settled_records_go_first(open_store: OpenStore) -> None:
    """Even those behind a backlog: the live range goes before the older range that still waits."""
    store = open_store("main")
    fill(store, "telemetry", 20)
    fill(store, "telemetry", 25)
    settle(store, "telemetry", (21, 45))
    trim(store)
    (backlog, *live) = kept(store, "telemetry")
    assert backlog[0] == 1
    assert backlog[1] >= 20
    assert sum(last - first + 1 for first, last in live) < 25
    assert store.ledger.losses() == ()
    assert used_bytes(store) <= SMALL.used_max_bytes


def test_at_the_limit_telemetry_goes_before_alarms(open_store: OpenStore) -> None:
    """The oldest unsettled telemetry is dropped and accounted for; no alarm is."""
    store = open_store("main", "second")
    fill(store, "alarm", 10)
    fill(store, "telemetry", 60)
    settle(store, "telemetry", (1, 2), cursor="second")
    trim(store)
    ((first, last),) = kept(store, "telemetry")
    assert last == 60
    assert first > 3
    assert kept(store, "alarm") == [(1, 10)]
    losses = {loss.cursor: (loss.reason, loss.first, loss.last, loss.records) for loss in store.ledger.losses()}
    assert losses == {
        "main": ("size_limit", 1, first - 1, first - 1),
        "second": ("size_limit", 3, first - 1, first - 3),
    }
    assert store.ledger.position("main", Lane("e1", "telemetry")).low == first - 1


def test_a_loss_is_one_range_that_grows_and_survives(open_store: OpenStore) -> None:
    """Dropping again extends the account in place; it is the same after a reopen."""
    store = open_store("main")
    fill(store, "telemetry", 50)
    trim(store)
    fill(store, "telemetry", 50)
    trim(store)
    (loss,) = store.ledger.losses()
    ((first, last),) = kept(store, "telemetry")
    assert (loss.first, loss.last, loss.records, last) == (1, first - 1, first - 1, 100)
    store.finish()
    again = open_store("main")
    assert again.ledger.losses() == (loss,)
    assert again.ledger.position("main", Lane("e1", "telemetry")).unsettled == 100 - loss.records


def test_alarms_are_dropped_only_when_nothing_else_is_left(open_store: OpenStore) -> None:
    """With a journal full of alarms the oldest go, the less important streams first."""
    store = open_store("main")
    fill(store, "critical", 10)
    fill(store, "telemetry", 10)
    fill(store, "alarm", 60)
    trim(store)
    assert kept(store, "telemetry") == []
    assert kept(store, "critical") == [(1, 10)]
    ((first, last),) = kept(store, "alarm")
    assert (first > 1, last) == (True, 60)


def test_an_unnamed_stream_goes_last(open_store: OpenStore) -> None:
    """What the drop order does not know is treated as the most important."""
    store = open_store("main")
    fill(store, "unknown", 5)
    fill(store, "critical", 60)
    trim(store)
    assert kept(store, "unknown") == [(1, 5)]


def test_older_epochs_go_first(open_store: OpenStore) -> None:
    """Within a stream, what is left of an older epoch is older."""
    store = open_store("main")
    fill(store, "telemetry", 25)
    store.begin_epoch("renewed")
    fill(store, "telemetry", 25)
    trim(store)
    assert kept(store, "telemetry") == [(1, 25)]
    assert 0 < store.ledger.kept(Lane("e1", "telemetry")).records < 25


def test_a_sequence_is_never_reused(open_store: OpenStore, wall: Wall) -> None:
    """Not even when everything before it has gone and the journal was reopened."""
    store = open_store("main")
    fill(store, "alarm", 5, 10000)
    settle(store, "alarm", (1, 5))
    wall.now += 3601
    trim(store)
    assert kept(store, "alarm") == []
    assert store.ledger.kept(Lane("e1", "alarm")) == Kept(next=6, first=6)
    store.finish()
    store = open_store("main")
    fill(store, "alarm", 1, 10000)
    assert kept(store, "alarm") == [(6, 6)]


def test_a_new_cursor_begins_where_nothing_is_missing(open_store: OpenStore) -> None:
    """An uplink that is added later starts at the newest run without a hole, so it is never stuck before one."""
    store = open_store("main")
    fill(store, "telemetry", 20)
    fill(store, "telemetry", 25)
    settle(store, "telemetry", (21, 45))
    trim(store)
    _, newest = kept(store, "telemetry")[-2:]
    store.finish()
    position = open_store("main", "second").ledger.position("second", Lane("e1", "telemetry"))
    assert (position.low, position.unsettled) == (newest[0] - 1, 45 - newest[0] + 1)


def test_the_file_shrinks_after_a_long_outage(open_store: OpenStore, tmp_path: Path, wall: Wall) -> None:
    """Space is given back to the file system once the backlog is gone."""
    store = open_store("main")
    large = Limits(64 * MEBIBYTE, keep_s=0.0)
    fill(store, "telemetry", 400)
    settle(store, "telemetry", (1, 400))
    store.checkpoint_if_due(0)
    before = (tmp_path / "journal.db").stat().st_size
    wall.now += 1
    steps = trim(store, large)
    store.finish()
    assert before > 8_000_000
    assert steps < 30
    assert (tmp_path / "journal.db").stat().st_size < before // 4


def test_a_file_that_cannot_shrink_is_left_as_it_is(tmp_path: Path, wall: Wall) -> None:
    """A file that was made without auto_vacuum, by whatever tool copied it, keeps its free pages for what comes."""
    path = tmp_path / "journal.db"
    with closing(connect(path, 1.0)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
    with closing(connect(path, 1.0)) as connection:
        store = Store(connection, Ledger(()), wall, lambda: "e1")
        fill(store, "telemetry", 100)
        wall.now += 3601
        trim(store)
        assert kept(store, "telemetry") == []


def test_trap_execute_vacuums_a_single_page(open_store: OpenStore) -> None:
    """The trap that `executescript` avoids: `execute` frees one page, whatever number it is given."""
    store = open_store("main")
    fill(store, "telemetry", 50)
    store.connection.execute("DELETE FROM chunk")
    pages = [store.connection.execute("PRAGMA page_count").fetchone()[0]]
    store.connection.execute("PRAGMA incremental_vacuum(100)").fetchall()
    pages.append(store.connection.execute("PRAGMA page_count").fetchone()[0])
    store.connection.executescript("PRAGMA incremental_vacuum(100)")
    pages.append(store.connection.execute("PRAGMA page_count").fetchone()[0])
    assert pages[0] - pages[1] == 1
    assert pages[1] - pages[2] == 100


def test_a_step_is_small(open_store: OpenStore) -> None:
    """However much there is to delete, one step deletes a little, so that an alarm never waits for it."""
    store = open_store("main")
    fill(store, "telemetry", 300)
    retention = Retention(store, SMALL)
    assert retention.step()
    first = store.ledger.kept(Lane("e1", "telemetry")).first
    assert 1 < first <= 60


def test_the_log_stays_bounded_under_a_reader(open_store: OpenStore, tmp_path: Path) -> None:
    """Reading all the time does not keep the write-ahead log from being moved into the file."""
    store = open_store("main")
    limits = Limits(16 * MEBIBYTE, keep_s=0.0)
    wal = tmp_path / "journal.db-wal"
    with closing(connect_reader(tmp_path / "journal.db")) as reader:
        for _ in range(400):
            fill(store, "telemetry", 1, 40_000)
            reader.execute("SELECT count(*) FROM chunk").fetchall()
            store.checkpoint_if_due(limits.checkpoint_bytes)
    assert wal.stat().st_size < 3 * limits.checkpoint_bytes


def test_a_log_that_a_reader_held_back_is_moved_later(open_store: OpenStore, tmp_path: Path) -> None:
    """A checkpoint that could not finish is tried again, not forgotten until the next few megabytes."""
    store = open_store("main")
    with closing(connect_reader(tmp_path / "journal.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunk").fetchall()
        fill(store, "telemetry", 50)
        store.checkpoint_if_due(MEBIBYTE)
        assert (tmp_path / "journal.db").stat().st_size < 100_000
        reader.execute("COMMIT")
    store.checkpoint_if_due(MEBIBYTE)
    assert (tmp_path / "journal.db").stat().st_size > 1_000_000


def test_a_limit_too_small_to_work_with_is_refused() -> None:
    """Below a megabyte the schema itself would be over the limit; the configuration says so first."""
    with pytest.raises(ValueError, match="the least is 1000000"):
        Limits(999_999, keep_s=0.0)


async def test_the_journal_trims_by_itself(open_journal: OpenJournal) -> None:
    """With its threads: a journal at its limit stays there, alarms and the account of the rest intact."""
    journal = await open_journal(limits=SMALL)
    telemetry, alarm = Lane(journal.epoch, "telemetry"), Lane(journal.epoch, "alarm")
    await journal.append(drafts("alarm", *"abc"))
    for number in range(120):
        await journal.append([Draft("telemetry", number, "t", SOURCE.randbytes(20_000))])
    await until(lambda: journal.stats().lanes[telemetry].stored_bytes < SMALL.used_max_bytes)
    await journal.close()
    stats = journal.stats()
    (loss,) = stats.losses
    assert (loss.first, loss.last, loss.records) == (1, loss.records, loss.records)
    assert stats.lanes[telemetry].first == loss.last + 1
    assert (stats.lanes[telemetry].next, loss.records + stats.lanes[telemetry].records) == (121, 120)
    assert stats.lanes[alarm].records == 3


def test_the_reserve_is_for_alarms_only(open_store: OpenStore) -> None:
    """However much telemetry waits, it leaves room for alarms, for which nothing has to be dropped then."""
    limits = Limits(4 * MEBIBYTE, keep_s=3600.0, reserve=0.25)
    store = open_store("main")
    fill(store, "state", 20)
    fill(store, "telemetry", 250)
    trim(store, limits)
    assert used_bytes(store) <= limits.used_max_bytes * 0.75
    kept_before = kept(store, "telemetry")
    fill(store, "critical", 15)
    fill(store, "audit", 5)
    trim(store, limits)
    assert used_bytes(store) > limits.used_max_bytes * 0.75
    assert (kept(store, "telemetry"), kept(store, "critical")) == (kept_before, [(1, 15)])
    assert kept(store, "state") == [(1, 20)]


def test_a_stream_keeps_to_its_share(open_store: OpenStore) -> None:
    """Its own oldest records go, for a reason of their own, while others may still grow."""
    limits = Limits(4 * MEBIBYTE, keep_s=3600.0, shares={"state": 0.2})
    store = open_store("main")
    fill(store, "telemetry", 20)
    fill(store, "state", 60)
    trim(store, limits)
    assert kept(store, "telemetry") == [(1, 20)]
    ((first, last),) = kept(store, "state")
    assert last == 60
    assert 0.1 < (last - first + 1) * 20_000 / limits.used_max_bytes < 0.2
    assert [(loss.lane.stream, loss.reason, loss.last) for loss in store.ledger.losses()] == [
        ("state", "share_limit", first - 1)
    ]


def test_a_small_share_is_a_share(open_store: OpenStore) -> None:
    """However small it is next to what is trimmed at once elsewhere: the newest of it stay."""
    limits = Limits(64 * MEBIBYTE, keep_s=3600.0, shares={"state": 0.01})
    assert limits.slack_bytes > limits.used_max_bytes * 0.01
    store = open_store("main")
    fill(store, "state", 60, 10_000)
    trim(store, limits)
    ((first, last),) = kept(store, "state")
    assert (first > 1, last) == (True, 60)
    assert last - first > 20


def test_a_stream_may_have_an_age_of_its_own(open_store: OpenStore, wall: Wall) -> None:
    """Settled telemetry may go after a day while alarms stay for a month."""
    store = open_store("main")
    for stream in ("alarm", "telemetry"):
        fill(store, stream, 3, 100)
        settle(store, stream, (1, 3))
    wall.now += 100
    trim(store, Limits(MEBIBYTE, keep_s=3600.0, ages_s={"telemetry": 50.0}))
    assert (kept(store, "alarm"), kept(store, "telemetry")) == ([(1, 3)], [])


def test_epochs_that_are_done_with_do_not_pile_up(open_store: OpenStore, wall: Wall) -> None:
    """A disk that comes and goes for years: of old epochs those stay that somebody waits for, or lacks something of."""
    store = open_store("main")
    names = []
    for number in range(EPOCHS_KEPT + 40):
        store.begin_epoch(RENEWED)
        names.append(store.epoch)
        fill(store, "alarm", 1, size=10)
        if number == LACKED:
            store.ledger.drop(Lane(store.epoch, "alarm"), 1, 1, "damaged")
        elif number != AWAITED:
            settle(store, "alarm", (1, 1))
    wall.now += 3601
    trim(store)
    left = [names[AWAITED], names[LACKED], *names[-EPOCHS_KEPT:]]
    assert [name for (name,) in store.connection.execute("SELECT name FROM epoch ORDER BY id")] == left
    assert [lane.epoch for lane in store.ledger.lanes()] == left
    assert store.connection.execute("SELECT count(*) FROM lane").fetchone() == (len(left),)
    store.ledger.settle("main", Lane(names[0], "alarm"), [(1, 1)])  # an acknowledgement of what was asked for again
    assert trim(store) == 0
    again = open_store("main")
    assert (again.epoch, again.previous) == (store.epoch, Previous(names[-2], {"alarm": 1}))
