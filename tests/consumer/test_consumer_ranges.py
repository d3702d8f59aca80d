"""Ranges behave as the set of numbers that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumer.ranges import Range, Ranges

spans = st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
span_lists = st.lists(spans, max_size=12)


def numbers(ranges: Ranges | list[Range]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(span_lists)
def test_adding_is_the_union_and_tells_what_is_new(added: list[Range]) -> None:
    """Count, membership and news agree with a set; ranges are sorted, apart and never adjacent."""
    ranges, known = Ranges(), set[int]()
    for span in added:
        fresh = numbers([span]) - known
        assert ranges.add(*span) == len(fresh)
        known |= fresh
    assert numbers(ranges) == known
    assert ranges.count == len(known)
    assert all(number in ranges for number in known)
    assert not any(number in ranges for number in set(range(60)) - known)
    ends = [end for span in ranges for end in span]
    assert all(later - earlier > 1 for earlier, later in zip(ends[1::2], ends[2::2], strict=False))
    assert ranges.first == min(known, default=None)
    assert ranges.last == max(known, default=None)


@given(span_lists, span_lists)
def test_minus_is_the_difference(ours: list[Range], theirs: list[Range]) -> None:
    """Nothing else goes, and the operands stay."""
    left, right = Ranges(ours), Ranges(theirs)
    rest = left.minus(right)
    assert numbers(rest) == numbers(ours) - numbers(theirs)
    assert rest.count == len(numbers(rest))
    assert numbers(left) == numbers(ours)


@given(span_lists, spans)
def test_within_is_the_intersection(ours: list[Range], bounds: Range) -> None:
    """Both bounds are included."""
    assert numbers(Ranges(ours).within(*bounds)) == numbers(ours) & numbers([bounds])


@given(span_lists, st.integers(1, 60))
def test_a_number_that_touches_makes_no_new_range(ours: list[Range], number: int) -> None:
    """What is told beforehand is what happens."""
    ranges = Ranges(ours)
    before, touches = len(ranges), ranges.touches(number)
    ranges.add(number, number)
    assert (len(ranges) <= before) == touches


def test_a_range_that_is_none_adds_nothing() -> None:
    """The last before the first is an empty range, as arithmetic makes them."""
    ranges = Ranges([(5, 4)])
    assert not ranges
    assert ranges.count == 0
