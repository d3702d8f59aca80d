"""The journal as the event loop sees it, with its real threads and a real file."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from journal_desk import OpenJournal, Wall, drafts, until

from buffer.errors import JournalClosed
from buffer.journal import PENDING_BYTES_MAX, Journal
from buffer.ledger import Lane
from buffer.record import Draft
from buffer.tail import TAIL_BYTES_MAX

if TYPE_CHECKING:
    from pathlib import Path


async def bodies(journal: Journal, stream: str, **how: object) -> list[str]:
    arguments: dict[str, object] = {"after": 0, "limit": 10_000, **how}
    return [record.body.decode() for record in await journal.read(stream, **arguments)]  # type: ignore[arg-type] # as the test says


async def test_a_record_comes_back_as_it_was(open_journal: OpenJournal, wall: Wall) -> None:
    """Everything that was handed over is read back, with its place in the stream and when it was stored."""
    journal = await open_journal()
    await journal.append([Draft("alarm", 17, "alarm/pwr-lv/红", b"\x00\xff{}")])
    (record,) = await journal.read("alarm", 0, 10)
    assert (record.stream, record.epoch, record.sequence) == ("alarm", journal.epoch, 1)
    assert (record.time_ms, record.recorded_ms) == (17, int(wall.now * 1000))
    assert (record.topic, record.body) == ("alarm/pwr-lv/红", b"\x00\xff{}")


async def test_sequences_are_contiguous_across_a_reopen(open_journal: OpenJournal) -> None:
    """Each stream counts from 1 without a gap, and a restart goes on where it was in the same epoch."""
    journal = await open_journal()
    epoch = journal.epoch
    await journal.append(drafts("alarm", "a", "b") + drafts("telemetry", "t"))
    await journal.close()
    journal = await open_journal()
    await journal.append(drafts("telemetry", "u") + drafts("alarm", "c"))
    assert journal.epoch == epoch
    assert [r.sequence for r in await journal.read("alarm", 0, 10)] == [1, 2, 3]
    assert await bodies(journal, "alarm") == ["a", "b", "c"]
    assert [r.sequence for r in await journal.read("telemetry", 0, 10)] == [1, 2]


async def test_state_is_stored_deleted_and_loaded(open_journal: OpenJournal) -> None:
    """State comes back at the next start: the last value of each key, without those that were deleted."""
    journal = await open_journal()
    journal.append(drafts("alarm", "raise"), {"alarm/1": b"active", "alarm/2": b"active"})
    journal.append([], {"alarm/2": None, "n": b"1"})
    await journal.append([], {"n": b"2"})
    await journal.close()
    assert (await open_journal()).state == {"alarm/1": b"active", "n": b"2"}


async def test_reading_is_bounded_on_both_sides(open_journal: OpenJournal) -> None:
    """`after` and `before` are both excluded, `limit` cuts, and a stream that nobody wrote is empty."""
    journal = await open_journal()
    for at in range(0, 30, 3):
        journal.append(drafts("state", str(at + 1), str(at + 2), str(at + 3)))
    await journal.append([], {})
    assert await bodies(journal, "state", after=4, before=9) == ["5", "6", "7", "8"]
    assert await bodies(journal, "state", after=5, limit=2) == ["6", "7"]
    assert await bodies(journal, "state", after=30) == []
    assert await bodies(journal, "audit") == []


async def test_a_large_read_comes_in_portions(open_journal: OpenJournal) -> None:
    """One read never takes the whole backlog into memory, and the next one goes on where it ended."""
    journal = await open_journal()
    for _ in range(24):
        journal.append([Draft("telemetry", 0, "t", bytes(400_000))])
    await journal.append([], {})
    first = await journal.read("telemetry", 0, 1000)
    second = await journal.read("telemetry", first[-1].sequence, 1000)
    assert 0 < len(first) < 24
    assert second[0].sequence == first[-1].sequence + 1


async def test_one_commit_larger_than_a_chunk_stays_in_order(open_journal: OpenJournal) -> None:
    """Thousands of records in one append are split into chunks that nobody notices."""
    journal = await open_journal()
    many = [str(number) for number in range(3500)]
    await journal.append(drafts("telemetry", *many))
    assert await bodies(journal, "telemetry") == many
    assert await bodies(journal, "telemetry", after=998, limit=4) == ["998", "999", "1000", "1001"]


async def test_what_waits_is_committed_together(open_journal: OpenJournal) -> None:
    """Appends that come while a commit runs share the next one."""
    journal = await open_journal()
    await asyncio.gather(*[journal.append(drafts("telemetry", str(number))) for number in range(1000)])
    assert journal.stats().report.commits < 200
    assert len(await bodies(journal, "telemetry")) == 1000


async def test_a_producer_can_wait_for_room(open_journal: OpenJournal) -> None:
    """Beyond the bound `room` waits, while `append` still takes everything."""
    journal = await open_journal()
    body = bytes(PENDING_BYTES_MAX // 4)
    futures = [journal.append([Draft("telemetry", 0, "t", body)]) for _ in range(12)]
    assert journal.stats().pending_bytes >= PENDING_BYTES_MAX
    await journal.room()
    assert journal.stats().pending_bytes < PENDING_BYTES_MAX
    await asyncio.gather(*futures)
    assert journal.cursor("main")[0].unsettled == 12


async def test_news_wakes_every_listener(open_journal: OpenJournal) -> None:
    """Each listener wakes for records that are committed after what it has seen, and not for state alone."""
    journal = await open_journal()
    await journal.append(drafts("alarm", "old"))
    seen = journal.commits
    listeners = [asyncio.ensure_future(journal.news(seen)) for _ in range(3)]
    cancelled = asyncio.ensure_future(journal.news(seen))
    await journal.append([], {"key": b"value"})
    cancelled.cancel()
    assert not any(listener.done() for listener in listeners)
    await journal.append(drafts("alarm", "new"))
    assert await asyncio.gather(*listeners) == [journal.commits] * 3
    assert await journal.news(seen) == journal.commits


async def test_unsettled_records_are_there_again_after_a_reopen(open_journal: OpenJournal) -> None:
    """What was settled is remembered, out of order too; the rest waits."""
    journal = await open_journal()
    await journal.append(drafts("alarm", *"abcdefgh"))
    journal.settle("main", "alarm", [(3, 3), (1, 1), (6, 7)])
    await journal.close()
    journal = await open_journal()
    (position,) = journal.cursor("main")
    assert (position.low, position.spans, position.unsettled) == (1, ((3, 3), (6, 7)), 4)
    again = [r.body for r in await journal.read("alarm", position.low, 10) if not position.settled(r.sequence)]
    assert again == [b"b", b"d", b"e", b"h"]


async def test_settling_is_stored_without_another_commit(open_journal: OpenJournal, tmp_path: Path) -> None:
    """A quiet journal writes down what was settled by itself, so that a crash repeats at most a moment."""
    journal = await open_journal()
    await journal.append(drafts("alarm", "a", "b"))
    journal.settle("main", "alarm", [(1, 2)])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        await until(lambda: other.execute("SELECT low FROM cursor").fetchall() == [(2,)])


async def test_settlements_are_stored_with_the_next_record(
    open_journal: OpenJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flash bears one transaction a second and not two: they wait, however often the writer goes round meanwhile."""
    monkeypatch.setattr("buffer.writer.SETTLE_S", 3600.0)
    journal = await open_journal()
    await journal.append(drafts("alarm", "a", "b"))
    journal.settle("main", "alarm", [(1, 2)])
    for _ in range(2):
        beat = journal.stats().report.beat_mono
        await until(lambda beat=beat: journal.stats().report.beat_mono > beat)  # type: ignore[misc]  # bound on purpose
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        assert other.execute("SELECT low FROM cursor").fetchall() == []
        await journal.append(drafts("alarm", "c"))
        assert other.execute("SELECT low FROM cursor").fetchall() == [(2,)]


async def test_a_rejected_record_is_settled_and_counted(open_journal: OpenJournal) -> None:
    """What the other side will never take does not block the rest, and stays known as a loss with its reason."""
    journal = await open_journal()
    await journal.append(drafts("alarm", *"abcd"))
    journal.settle("main", "alarm", [(1, 1)], rejected={2: "packet_too_large", 4: "packet_too_large"})
    await journal.close()
    journal = await open_journal()
    (loss,) = journal.stats().losses
    assert (loss.cursor, loss.lane.stream, loss.reason) == ("main", "alarm", "packet_too_large")
    assert (loss.first, loss.last, loss.records) == (2, 4, 2)
    assert journal.cursor("main")[0].unsettled == 1


async def test_what_was_sent_is_counted_with_what_is_settled(open_journal: OpenJournal) -> None:
    """Both are stored in one transaction, so that a receiver's count and ours can be compared after any crash."""
    journal = await open_journal()
    await journal.append(drafts("alarm", *"abcdefgh"))
    journal.settle("main", "alarm", [(1, 2), (7, 7)], skipped=[(3, 4), (8, 8)], rejected={5: "packet_too_large"})
    await journal.close()
    journal = await open_journal()
    position = journal.position("main", Lane(journal.epoch, "alarm"))
    assert (position.low, position.sent) == (5, 2)
    assert (position.spans, position.counts) == (((7, 8),), (1,))
    assert sum(loss.records for loss in journal.stats().losses) == 1


async def test_an_uplink_that_comes_late_is_told_what_it_missed(open_journal: OpenJournal, tmp_path: Path) -> None:
    """What was trimmed before it was configured is its loss, with a reason of its own, and was never sent."""
    journal = await open_journal()
    await journal.append(drafts("alarm", "a" * (TAIL_BYTES_MAX + 1)))
    await journal.append(drafts("alarm", "b"))
    await journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other, other:
        other.execute("DELETE FROM chunk WHERE first_seq = 1")
    for _ in range(2):
        journal = await open_journal(cursors=["main", "late"])
        position = journal.position("late", Lane(journal.epoch, "alarm"))
        assert (position.low, position.sent, position.unsettled) == (1, 0, 1)
        (loss,) = [loss for loss in journal.stats().losses if loss.cursor == "late"]
        assert (loss.reason, loss.first, loss.last, loss.records) == ("before_uplink", 1, 1, 1)
        await journal.close()


async def test_settling_what_is_not_there_is_a_mistake(open_journal: OpenJournal) -> None:
    """An unknown cursor or a sequence from the future is refused, and changes nothing."""
    journal = await open_journal()
    await journal.append(drafts("alarm", "a"))
    with pytest.raises(KeyError):
        journal.settle("other", "alarm", [(1, 1)])
    with pytest.raises(ValueError, match="alarm/2 is not stored yet"):
        journal.settle("main", "alarm", [(1, 2)])
    with pytest.raises(KeyError):
        journal.cursor("other")
    assert journal.cursor("main")[0].low == 0


async def test_a_cursor_that_is_no_longer_configured_is_forgotten(open_journal: OpenJournal) -> None:
    """It starts anew at what is kept if its uplink ever comes back."""
    journal = await open_journal(cursors=["main", "old"])
    await journal.append(drafts("alarm", "a", "b"))
    journal.settle("old", "alarm", [(1, 2)], rejected={})
    await journal.close()
    journal = await open_journal(cursors=["main"])
    assert [cursor.name for cursor in journal.stats().cursors] == ["main"]
    await journal.close()
    journal = await open_journal(cursors=["main", "old"])
    assert journal.cursor("old")[0].unsettled == 2


async def test_a_new_epoch_names_the_one_before(open_journal: OpenJournal) -> None:
    """Sequences start again at 1, the chain is known, and the older epoch is still delivered."""
    journal = await open_journal()
    old = journal.epoch
    await journal.append(drafts("alarm", "a", "b", "c") + drafts("telemetry", "t"))
    journal.settle("main", "alarm", [(1, 2)])
    journal.settle("main", "telemetry", [(1, 1)])
    assert journal.previous is None
    await journal.close()

    names = iter([old, "fresh"])
    journal = await open_journal(renew=True, new_epoch=lambda: next(names))
    assert journal.epoch == "fresh"
    assert journal.previous is not None
    assert (journal.previous.epoch, journal.previous.last) == (old, {"alarm": 3, "telemetry": 1})
    await journal.append(drafts("alarm", "first"))
    assert [(p.lane.epoch, p.low, p.unsettled) for p in journal.cursor("main")] == [(old, 2, 1), ("fresh", 0, 1)]
    assert await bodies(journal, "alarm", epoch=old, after=2) == ["c"]
    assert await bodies(journal, "alarm") == ["first"]
    journal.settle("main", "alarm", [(3, 3)], epoch=old)
    assert [p.lane.epoch for p in journal.cursor("main")] == ["fresh"]


async def test_stats_tell_what_is_kept_and_what_waits(open_journal: OpenJournal, wall: Wall) -> None:
    """Depth for each stream and uplink, sizes, and how long the oldest record has been waiting."""
    journal = await open_journal()
    stored_ms = int(wall.now * 1000)
    await journal.append(drafts("alarm", "a", "b") + drafts("telemetry", "t"))
    wall.now += 60
    await journal.append(drafts("alarm", "c"))
    journal.settle("main", "telemetry", [(1, 1)])
    await until(lambda: bool(journal.stats().report.oldest_ms))
    stats = journal.stats()
    kept = {lane.stream: (kept.first, kept.next, kept.records) for lane, kept in stats.lanes.items()}
    assert kept == {"alarm": (1, 4, 3), "telemetry": (1, 2, 1)}
    assert [(c.name, c.unsettled, c.oldest_ms) for c in stats.cursors] == [("main", 3, stored_ms)]
    assert (stats.report.commits, stats.pending_bytes, stats.losses, stats.error) == (2, 0, (), "")
    assert stats.report.file_bytes > 0
    assert 0 < stats.report.commit_s <= stats.report.commit_s_max


async def test_the_writer_shows_that_it_is_alive(open_journal: OpenJournal) -> None:
    """Its heartbeat moves at least every second, with nothing to do; the watchdog feeds on it."""
    journal = await open_journal()
    await until(lambda: journal.stats().report.beat_mono > 0)
    beat = journal.stats().report.beat_mono
    await until(lambda: journal.stats().report.beat_mono > beat)
    assert 0 < journal.stats().report.beat_mono - beat < 5.0


async def test_what_was_handed_over_belongs_to_the_journal(open_journal: OpenJournal) -> None:
    """A caller may use its list and its state again as soon as `append` has returned."""
    journal = await open_journal()
    batch, state = drafts("alarm", "a"), {"key": b"value"}
    done = journal.append(batch, state)
    batch.clear()
    state.clear()
    await done
    assert await bodies(journal, "alarm") == ["a"]
    await journal.close()
    assert (await open_journal()).state == {"key": b"value"}


async def test_closing_stores_what_is_queued(open_journal: OpenJournal) -> None:
    """Whatever was appended before `close` is on disk after it, whether or not somebody waited."""
    journal = await open_journal()
    for number in range(500):
        journal.append(drafts("telemetry", str(number)))
    await journal.close()
    journal = await open_journal()
    assert len(await bodies(journal, "telemetry")) == 500


async def test_a_closed_journal_says_so(open_journal: OpenJournal) -> None:
    """After `close`, which is allowed twice, every use is refused in words, and a listener is let go."""
    journal = await open_journal()
    listener = asyncio.ensure_future(journal.news(0))
    failure = asyncio.ensure_future(journal.failure())
    await asyncio.sleep(0)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalClosed, match="the journal is closed"):
        await journal.append(drafts("alarm", "late"))
    with pytest.raises(JournalClosed):
        await journal.read("alarm", 0, 1)
    with pytest.raises(JournalClosed):
        await listener
    assert not failure.done()
    failure.cancel()


async def test_a_cancelled_wait_does_not_undo_the_append(open_journal: OpenJournal) -> None:
    """Giving up waiting is not giving up storing."""
    journal = await open_journal()
    journal.append(drafts("alarm", "a")).cancel()
    await journal.append(drafts("alarm", "b"))
    assert await bodies(journal, "alarm") == ["a", "b"]
