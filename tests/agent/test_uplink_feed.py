"""Which record goes next, asked of the feed alone, over a real journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uplink_rig import alarm, audit, telemetry

from agent.uplink import feed as feed_module
from agent.uplink.feed import READ_RECORDS, Feed, Span
from buffer.journal import Journal
from buffer.ledger import Lane, Position
from buffer.record import Draft
from buffer.retention import Limits
from config.model import STREAMS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from uplink_rig import Rig

RATE = 105.0
"""Ten and a half records of burst: no rounding decides between ten and eleven."""


async def everything(feed: Feed, now: float = 0.0) -> list[tuple[str, int]]:
    """All that may go at one moment, in its order."""
    taken: list[tuple[str, int]] = []
    while True:
        await feed.fill()
        record = feed.take(STREAMS, now)
        if record is None:
            return taken
        taken.append((record.stream, record.sequence))


def telemetry_of(taken: list[tuple[str, int]]) -> list[int]:
    return [sequence for stream, sequence in taken if stream == "telemetry"]


async def test_what_is_settled_is_skipped(rig: Rig, journal: Journal) -> None:
    """Below the low-water mark and in every acknowledged range above it."""
    await rig.append(*(alarm() for _ in range(300)))
    journal.settle("main", "critical", [(1, 5), (10, 10), (50, 149), (300, 300)])
    taken = await everything(Feed(journal, "main", RATE, 0.0))
    assert [sequence for _, sequence in taken] == [*range(6, 10), *range(11, 50), *range(150, 300)]


async def test_a_record_is_handed_out_once(rig: Rig, journal: Journal) -> None:
    """Until it is given back; then it goes before what follows it."""
    await rig.append(*(alarm() for _ in range(40)))
    feed = Feed(journal, "main", RATE, 0.0)
    await feed.fill()
    first, second, third = (feed.take(STREAMS, 0.0) for _ in range(3))
    assert first
    assert second
    assert third
    feed.give_back(third)
    feed.give_back(first)
    taken = await everything(feed)
    assert [sequence for _, sequence in taken] == [1, *range(3, 41)]
    assert await everything(feed) == []


async def test_what_is_committed_later_is_found(rig: Rig, journal: Journal) -> None:
    """Also in a stream that had no record at the start."""
    feed = Feed(journal, "main", RATE, 0.0)
    assert feed.idle
    await rig.append(alarm(), audit())
    feed.refresh()
    assert not feed.idle
    assert await everything(feed) == [("critical", 1), ("audit", 1)]
    assert feed.idle


async def test_a_later_epoch_waits_for_the_earlier_one(tmp_path: Path) -> None:
    """Also where that is not all in memory yet: an alarm is not told to be over before it is told."""
    limits = Limits(2**24, 86_400.0)
    alarms = [Draft("critical", 0, "a", b"{}")] * (READ_RECORDS + 1)
    journal = await Journal.open(tmp_path, limits, wall=lambda: 0.0, cursors=["main"])
    await journal.append(alarms)
    first = journal.epoch
    await journal.close()
    journal = await Journal.open(tmp_path, limits, wall=lambda: 0.0, cursors=["main"], renew=True)
    await journal.append(alarms)
    feed = Feed(journal, "main", RATE, 0.0)
    await feed.fill()
    taken = [feed.take(STREAMS, 0.0) for _ in range(READ_RECORDS + 1)]
    assert [record and record.epoch for record in taken] == [first] * READ_RECORDS + [None]
    assert [sequence for _, sequence in await everything(feed)] == [READ_RECORDS + 1, *range(1, READ_RECORDS + 2)]
    await journal.close()


async def test_a_held_stream_does_not_stop_the_others(rig: Rig, journal: Journal) -> None:
    """And goes on where it was when it is released."""
    await rig.append(telemetry(), telemetry(), alarm())
    feed = Feed(journal, "main", RATE, 0.0)
    feed.hold("telemetry")
    assert await everything(feed) == [("critical", 1)]
    assert feed.idle
    feed.release("telemetry")
    assert await everything(feed) == [("telemetry", 1), ("telemetry", 2)]


async def test_a_held_stream_can_be_tried_again_although_nothing_was_at_hand(rig: Rig, journal: Journal) -> None:
    """What was refused was asked for again, and is over; the next alarm must not wait for another session."""
    await rig.append(alarm())
    journal.settle("main", "critical", [(1, 1)])
    feed = Feed(journal, "main", RATE, 0.0)
    feed.send_again(Lane(journal.epoch, "critical"), 1, 1)
    ((_, refused),) = await everything(feed)
    feed.hold("critical")
    await rig.append(alarm())
    feed.refresh()
    await feed.fill()
    feed.release("critical")
    probe = feed.take(["critical"], 0.0)
    assert probe is not None
    assert (refused, probe.sequence) == (1, 2)


async def test_a_small_backlog_is_sent_in_sequence(rig: Rig, journal: Journal) -> None:
    """No live point is announced where one sequence will do."""
    await rig.append(*(telemetry() for _ in range(feed_module.LIVE_FIRST_RECORDS)))
    feed = Feed(journal, "main", RATE, 0.0)
    assert feed.live_from is None
    assert telemetry_of(await everything(feed)) == list(range(1, feed_module.LIVE_FIRST_RECORDS + 1))


async def test_a_large_backlog_goes_beside_live_records_at_its_rate(
    rig: Rig, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New ones at once; the older ones when their time has come, and `due` says when that is."""
    monkeypatch.setattr(feed_module, "LIVE_FIRST_RECORDS", 10)
    await rig.append(*(telemetry() for _ in range(300)))
    feed = Feed(journal, "main", RATE, 0.0)
    assert feed.live_from == 301
    await rig.append(*(telemetry() for _ in range(5)))
    feed.refresh()
    assert telemetry_of(await everything(feed)) == [301, 302, 303, 304, 305, 1]
    assert feed.due == 1 / RATE + feed_module.BURST_S / 2
    assert await everything(feed, 0.5 / RATE) == []
    assert telemetry_of(await everything(feed, 1.0)) == list(range(2, 13))
    taken: list[int] = []
    for second in range(2, 40):
        taken += telemetry_of(await everything(feed, float(second)))
    assert taken == list(range(13, 301))
    assert feed.due is None


async def test_the_backlog_of_an_older_epoch_is_a_backlog_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restore the new epoch is live from its first record."""
    monkeypatch.setattr(feed_module, "LIVE_FIRST_RECORDS", 10)
    await rig.append(*(telemetry() for _ in range(20)))
    await rig.reopen(renew=True)
    feed = Feed(rig.journal, "main", RATE, 0.0)
    assert feed.live_from == 1
    await rig.append(telemetry(), telemetry())
    feed.refresh()
    assert telemetry_of(await everything(feed)) == [1, 2, 1]
    assert telemetry_of(await everything(feed, 100.0)) == list(range(2, 13))


async def test_what_was_trimmed_is_passed_over(rig: Rig, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer of the journal ends that run instead of asking for it for ever."""
    await rig.append(*(telemetry() for _ in range(5)))
    feed = Feed(journal, "main", RATE, 0.0)

    async def nothing(*_: object, **__: object) -> list[object]:
        return []

    monkeypatch.setattr(journal, "read", nothing)
    assert await everything(feed) == []
    assert feed.idle
    monkeypatch.undo()
    await rig.append(telemetry())
    feed.refresh()
    assert telemetry_of(await everything(feed)) == [6]


@given(
    settled=st.sets(st.integers(1, 60)),
    after=st.integers(0, 60),
    end=st.integers(1, 61),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_runs_cover_exactly_what_is_open(settled: set[int], after: int, end: int) -> None:
    """Whatever is settled in whatever ranges: the runs name every other sequence once, in order."""
    low = 0
    while low + 1 in settled:
        low += 1
    spans: list[tuple[int, int]] = []
    for sequence in sorted(settled - set(range(low + 1))):
        if spans and spans[-1][1] == sequence - 1:
            spans[-1] = (spans[-1][0], sequence)
        else:
            spans.append((sequence, sequence))
    span = Span(Position(Lane("e", "telemetry"), low, tuple(spans), 61), 1, end)
    span.after = after
    covered: list[int] = []
    while span.more:
        first, last = span.next_run()
        covered += range(first, last + 1)
        span.after = max(span.after, last)
        assert last >= first or not span.more
    assert covered == [sequence for sequence in range(after + 1, end) if sequence not in settled]
