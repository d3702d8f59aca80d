"""What was settled, against a plain set of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from buffer import ledger as ledger_module
from buffer.ledger import Kept, Lane, Ledger, Mark, Position, Span

if TYPE_CHECKING:
    import pytest

LANE = Lane("e1", "telemetry")
SPANS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair))), max_size=30)


def settled(mark: Mark) -> set[int]:
    return set(range(1, mark.low + 1)).union(*(range(first, last + 1) for first, last in mark.spans))


def ledger_with(records: int, *cursors: str) -> Ledger:
    ledger = Ledger(cursors)
    ledger.put(LANE, Kept(records + 1, 1, records))
    return ledger


@given(SPANS)
def test_a_mark_is_a_set_of_numbers(spans: list[Span]) -> None:
    """In any order and overlap: the same numbers as a set, each counted once, kept in the shortest form."""
    mark, model = Mark(), set[int]()
    for first, last in spans:
        new = set(range(first, last + 1)) - model
        assert mark.add(first, last) == len(new)
        model |= new
        assert settled(mark) == model
        edges = [mark.low, *(edge for span in mark.spans for edge in span)]
        assert all(
            second[0] > one[1] + 1 for one, second in zip([(0, mark.low), *mark.spans], mark.spans, strict=False)
        )
        assert edges == sorted(edges)


@given(st.lists(st.tuples(SPANS.filter(bool).map(lambda spans: spans[0]), st.booleans()), max_size=30))
def test_a_mark_counts_what_was_sent(steps: list[tuple[Span, bool]]) -> None:
    """Of what is settled, up to `low` and in each span: what was new when it was sent, whatever was skipped or lost."""
    mark, known, sent = Mark(), set[int](), set[int]()
    for (first, last), was_sent in steps:
        new = set(range(first, last + 1)) - known
        mark.add(first, last, sent=was_sent)
        known |= new
        sent |= new if was_sent else set()
        assert mark.sent == len([number for number in sent if number <= mark.low])
        assert mark.counts == [len(sent & set(range(first, last + 1))) for first, last in mark.spans]


@given(SPANS, SPANS)
def test_intersection_is_that_of_sets(left: list[Span], right: list[Span]) -> None:
    """What two cursors have both settled is what both sets hold."""
    marks = (Mark(), Mark())
    for mark, spans in zip(marks, (left, right), strict=True):
        for first, last in spans:
            mark.add(first, last)
    common = marks[1].intersect(marks[0].intersect([(1, 100)]))
    assert settled(Mark(0, common)) == settled(marks[0]) & settled(marks[1])


@given(SPANS)
def test_a_position_knows_each_sequence(spans: list[Span]) -> None:
    """`settled` and `unsettled` agree with the account."""
    mark = Mark()
    for first, last in spans:
        mark.add(first, last)
    position = Position(LANE, mark.low, tuple(mark.spans), 61)
    assert {number for number in range(1, 61) if position.settled(number)} == settled(mark)
    assert position.unsettled == 60 - len(settled(mark))


def test_spans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a span is not learned, which only repeats it; what joins a known one still is."""
    monkeypatch.setattr(ledger_module, "SPANS_MAX", 3)
    mark = Mark()
    assert [mark.add(number, number) for number in (3, 5, 7, 9)] == [1, 1, 1, 0]
    assert mark.spans == [(3, 3), (5, 5), (7, 7)]
    assert mark.add(8, 8) == 1
    assert mark.add(1, 2) == 2
    assert (mark.low, mark.spans) == (3, [(5, 5), (7, 8)])


def test_a_dropped_range_is_lost_for_those_who_waited() -> None:
    """One open range for each cursor, lane and reason, grown in place, counting only what was not settled."""
    ledger = ledger_with(100, "main", "second")
    ledger.settle("second", LANE, [(1, 30)])
    ledger.settle("main", LANE, [(5, 6)])
    ledger.drop(LANE, 1, 10, "size_limit")
    ledger.drop(LANE, 11, 20, "size_limit")
    (loss,) = ledger.losses()
    assert (loss.cursor, loss.first, loss.last, loss.records) == ("main", 1, 20, 18)
    assert (ledger.position("main", LANE).low, ledger.position("second", LANE).low) == (20, 30)


def test_only_what_changed_is_written() -> None:
    """Settling the same again changes nothing."""
    ledger = ledger_with(10, "main", "second")
    assert not ledger.dirty
    ledger.settle("main", LANE, [(1, 4)])
    ledger.set_aside("main", LANE, 5, "refused")
    marks, losses = ledger.take_dirty([LANE])
    assert [(name, mark.low) for name, _, mark in marks] == [("main", 5)]
    assert [(loss.reason, loss.records) for loss in losses] == [("refused", 1)]
    ledger.settle("main", LANE, [(2, 3)])
    ledger.set_aside("main", LANE, 5, "refused")
    assert not ledger.dirty
    assert ledger.losses()[0].records == 1


def test_lanes_that_are_done_with_are_not_looked_at() -> None:
    """Of older epochs only what still holds something for this cursor counts; of the present one every lane does."""
    ledger = Ledger(["main", "second"])
    lanes = [Lane(epoch, stream) for epoch in ("e1", "e2", "e3") for stream in ("alarm", "telemetry")]
    for lane in lanes:
        ledger.put(lane, Kept(4, 1, 3))
    for lane in lanes[:2] + lanes[4:]:
        ledger.settle("main", lane, [(1, 3)])
    ledger.settle("main", lanes[2], [(1, 1), (3, 3)])
    assert [(each.lane, each.unsettled) for each in ledger.positions("main", "e3")] == [
        (lanes[2], 1),
        (lanes[3], 3),
        (lanes[4], 0),
        (lanes[5], 0),
    ]
    assert [each.lane for each in ledger.positions("second", "e3")] == lanes
