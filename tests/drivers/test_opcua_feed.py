"""From samples to readings, without a server and without a clock."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opcua_peer import point, poll_of

from drivers.contract import Grade, Quality
from drivers.opcua.feed import Feed, spans

if TYPE_CHECKING:
    from collections.abc import Sequence

DOUBLE = 11
DUE_S = 2.0
T1970 = 116_444_736_000_000_000


def sample(handle: int, value: object, status: int = 0, ticks: int = 0) -> tuple[int, int, object, int, int]:
    return handle, DOUBLE, value, status, ticks


def feed_of(*sizes: int, interval_s: float = 1.0) -> Feed:
    return Feed([poll_of(*(point(f"p{n}") for n in range(size)), interval_s=interval_s) for size in sizes])


@given(st.sets(st.integers(0, 60)))
def test_spans_cover_exactly_what_changed(indexes: set[int]) -> None:
    """Half-open, in order, not touching each other."""
    found = spans(indexes)
    assert {index for start, stop in found for index in range(start, stop)} == indexes
    assert all(left[1] < right[0] for left, right in pairwise(found))


def test_nothing_is_shown_before_all_have_reported() -> None:
    """The first reading of a poll is whole; another poll does not wait for it."""
    feed = feed_of(2, 1)
    (first,) = feed.take([sample(0, 1.0), sample(2, 3.0)], 0, 0, DUE_S)
    assert first.values == (3.0,)
    (second,) = feed.take([sample(1, 2.0)], 0, 0.1, DUE_S)
    assert second.values == (1.0, 2.0)
    assert second.changed == ((0, 2),)


def test_a_point_that_never_reports_is_given_up() -> None:
    """After five seconds its poll goes on without it."""
    feed = feed_of(2)
    assert not list(feed.take([sample(0, 1.0)], 0, 100.0, DUE_S))
    assert not list(feed.take([], 0, 104.9, DUE_S))
    (reading,) = feed.take([], 0, 105.0, DUE_S)
    assert reading.values == (1.0, None)
    assert reading.flaws == {1: Quality(Grade.BAD, "not_connected", "no initial value")}


def test_an_old_reading_is_not_changed_by_a_new_one() -> None:
    """Readings are copies: what was handed over stays as it was."""
    feed = feed_of(2)
    (old,) = feed.take([sample(0, 1.0, 0, T1970 + 10_000_000), sample(1, 2.0, 0x8000_0000)], 0, 0, DUE_S)
    (new,) = feed.take([sample(0, 9.0, 0, T1970 + 20_000_000), sample(1, 3.0)], 0, 1, DUE_S)
    assert (old.values, set(old.flaws)) == ((1.0, None), {1})
    assert (new.values, set(new.flaws)) == ((9.0, 3.0), set())
    assert (dict(old.source_times), dict(new.source_times)) == ({0: 1.0}, {0: 2.0})


def test_a_clock_that_was_never_set_is_no_source_time() -> None:
    """The year 1601 is what a device without a clock sends."""
    (reading,) = feed_of(1).take([sample(0, 1.0, 0, 5)], 0, 0, DUE_S)
    assert not reading.source_times


def test_the_same_value_again_has_not_changed() -> None:
    """A server that repeats itself costs nothing downstream; a repeated flaw does neither."""
    feed = feed_of(1)
    list(feed.take([sample(0, 1.0, 0x4090_0000)], 0, 0, DUE_S))
    assert not list(feed.take([sample(0, 1.0, 0x4090_0000)], 0, 1, DUE_S))
    (reading,) = feed.take([sample(0, 1.0)], 0, 1, DUE_S)
    assert reading.changed == ((0, 1),)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=12))
def test_every_value_of_a_point_is_shown_in_its_order(changes: list[tuple[int, int]]) -> None:
    """However values are queued in one notification, the readings show the same steps of each point."""
    feed = feed_of(3)
    list(feed.take([sample(handle, -1.0) for handle in range(3)], 0, 0, DUE_S))
    readings = list(feed.take([sample(handle, float(value)) for handle, value in changes], 0, 0, DUE_S))
    for handle in range(3):
        sent = [-1.0, *(float(value) for place, value in changes if place == handle)]
        shown = [-1.0, *(reading.values[handle] for reading in readings)]
        assert _steps(shown) == _steps(sent)


def _steps(values: Sequence[object]) -> list[object]:
    return [value for place, value in enumerate(values) if place == 0 or value != values[place - 1]]


def test_8_many_values_of_many_points_are_as_many_readings_as_one_point_has_values() -> None:
    """A server that queues ten values of each of a thousand points gives ten readings, not ten thousand."""
    feed = feed_of(1000)
    list(feed.take([sample(handle, -1.0) for handle in range(1000)], 0, 0, DUE_S))
    queued = [sample(handle, float(value)) for handle in range(1000) for value in range(10)]
    readings = list(feed.take(queued, 0, 0, DUE_S))
    assert [reading.values[0] for reading in readings] == [float(value) for value in range(10)]
    assert all(reading.changed == ((0, 1000),) for reading in readings)


def test_9_the_time_of_a_value_is_that_of_its_source() -> None:
    """In seconds since 1970, to the millisecond at least."""
    (reading,) = feed_of(1).take([sample(0, 1.0, 0, 134_082_009_007_420_000)], 0, 0, DUE_S)
    assert reading.source_times[0] == pytest.approx(1_763_727_300.742)


@pytest.mark.parametrize(("interval_s", "life_s"), [(1.0, 5.0), (5.0, 5.0), (30.0, 30.0)])
def test_a_quiet_poll_proves_its_life_in_time(interval_s: float, life_s: float) -> None:
    """Keep-alives every 2 s: a reading in which nothing changed at least every 5 s, or every interval."""
    feed = feed_of(1, interval_s=interval_s)
    list(feed.take([sample(0, 1.0)], 0, 0, DUE_S))
    shown = [0.0]
    for tick in range(1, 100):
        mono = tick * DUE_S
        for reading in feed.take([], 0, mono, DUE_S):
            assert reading.changed == ()
            shown.append(mono)
    gaps = [later - earlier for earlier, later in pairwise(shown)]
    assert len(gaps) > 3
    assert max(gaps) <= life_s
    assert min(gaps) > life_s / 2


def test_a_handle_that_was_never_given_is_ignored() -> None:
    """A foreign notification is no value of ours, whatever its handle."""
    feed = feed_of(1)
    (reading,) = feed.take([sample(0x7FFF_FFFF, 66.0), sample(1, 66.0), sample(0, 1.0)], 0, 0, DUE_S)
    assert reading.values == (1.0,)


def test_the_worse_of_two_flaws_wins() -> None:
    """A value that is uncertain and outside its range keeps what the server said; a misfit is worse than both."""
    feed = Feed([poll_of(point("p", high=10.0), point("q", high=10.0))])
    text = (1, 12, "x", 0x4090_0000, 0)
    (reading,) = feed.take([sample(0, 99.0, 0x4090_0000), text], 0, 0, DUE_S)
    assert reading.values == (99.0, None)
    assert [reading.flaws[index].reason for index in (0, 1)] == ["last_known", "decode_error"]
