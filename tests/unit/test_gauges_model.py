"""Issue line 2: means, rates and counters against models that keep everything and compute the obvious."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from condition_bench import LOST
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.rules.gauges import COVERAGE_MIN, GOOD, SLOTS, Gauge, RateOfChange, RollingMean
from agent.rules.standstill import CounterCheck
from config.judgement import Counter

if TYPE_CHECKING:
    from collections.abc import Callable

PLAYED = settings(max_examples=100, deadline=None, derandomize=True)
WINDOW_S = 900.0
SLOT_S = WINDOW_S / SLOTS
VALUES = st.one_of(st.none(), st.floats(-1_000, 1_000))
RESTART = "restart"


@dataclass
class History:
    """Every stretch of time with the value that was known in it, and the gauge that saw the same."""

    make: Callable[[], Gauge]
    gauge: Gauge = field(init=False)
    stretches: list[tuple[float, float, float | None]] = field(default_factory=list)
    now: float = 100.0
    value: float | None = None

    def __post_init__(self) -> None:
        self.gauge = self.make()

    def play(self, story: list[tuple[float, float | str | None]]) -> None:
        """Take each value, and let time pass: confirmed where it is known."""
        for after_s, what in story:
            if isinstance(what, str):
                self._restart(after_s)
            else:
                self.value = what
                self.gauge.take(what, LOST if what is None else GOOD, self.now, self.now)
                self._pass(after_s)
                self.gauge.look(self.now, self.now)

    def _pass(self, after_s: float) -> None:
        self.stretches.append((self.now, self.now + after_s, self.value))
        self.now += after_s

    def _restart(self, after_s: float) -> None:
        stored = self.gauge.store(self.now)
        self.value = None
        self._pass(after_s)
        shift = 5_000.0  # the monotonic clock of the next start has nothing to do with this one
        self.gauge = self.make()
        self.gauge.restore(stored, after_s, self.now + shift)
        self.now += shift
        self.stretches = [(start + shift, end + shift, value) for start, end, value in self.stretches]

    def known(self, start: float) -> list[tuple[float, float, float]]:
        """What is known from `start` on."""
        return [
            (max(begin, start), end, value)
            for begin, end, value in self.stretches
            if end > start and value is not None and end > begin
        ]

    def answer(self) -> float | None:
        value, _ = self.gauge.look(self.now, self.now)
        assert not isinstance(value, str)
        return value


def stories(after_s: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[float, float | str | None]]]:
    return st.lists(st.tuples(after_s, st.one_of(VALUES, st.just(RESTART))), min_size=1, max_size=60)


@PLAYED
@given(stories(st.integers(1, 30).map(lambda slots: slots * SLOT_S)))
@example([(690.0, 5.0), (SLOT_S, RESTART), (SLOT_S, 7.0)])
def test_rolling_mean_is_the_mean_of_all_that_was_known(story: list[tuple[float, float | str | None]]) -> None:
    """Where changes fall on the edges of its slots it is exact, over gaps and restarts."""
    history = History(lambda: RollingMean(WINDOW_S))
    history.play(story)
    known = history.known(history.now - WINDOW_S)
    covered_s = sum(end - start for start, end, _ in known)
    if covered_s < COVERAGE_MIN * WINDOW_S - 1e-6:
        assert history.answer() is None
    else:
        mean = sum(value * (end - start) for start, end, value in known) / covered_s
        assert history.answer() == pytest.approx(mean, abs=1e-6)


@PLAYED
@given(stories(st.floats(0.1, 400.0)))
def test_rolling_mean_is_right_to_one_slot(story: list[tuple[float, float | str | None]]) -> None:
    """Wherever changes fall: what it does not know for sure is the share of its oldest slot."""
    history = History(lambda: RollingMean(WINDOW_S))
    history.play(story)
    known = history.known(history.now - WINDOW_S)
    covered_s = sum(end - start for start, end, _ in known)
    answer = history.answer()
    if covered_s < COVERAGE_MIN * WINDOW_S - SLOT_S:
        assert answer is None
    elif covered_s > COVERAGE_MIN * WINDOW_S + SLOT_S:
        mean = sum(value * (end - start) for start, end, value in known) / covered_s
        span = [value for _, _, value in history.known(history.now - WINDOW_S - SLOT_S)]
        assert answer == pytest.approx(mean, abs=2 * (max(span) - min(span)) * SLOT_S / (covered_s - SLOT_S) + 1e-6)


@PLAYED
@given(stories(st.floats(SLOT_S, 400.0)))
def test_rate_is_the_change_since_the_earliest_known_moment(story: list[tuple[float, float | str | None]]) -> None:
    """Inside the window, where that is three quarters of it ago; over gaps and restarts."""
    history = History(lambda: RateOfChange(60.0, WINDOW_S))
    history.play(story)
    known = history.known(history.now - WINDOW_S)
    span_s = history.now - known[0][0] if known else 0.0
    if history.value is None or span_s < COVERAGE_MIN * WINDOW_S - 1e-6:
        assert history.answer() is None
    else:
        assert history.answer() == pytest.approx((history.value - known[0][2]) / span_s * 60.0, abs=1e-6)


@settings(PLAYED, max_examples=30)
@given(st.lists(st.floats(0.1, 2.0), min_size=100, max_size=120), st.floats(0.5, 3.0))
def test_rate_keeps_little_and_stays_right_to_one_slot(steps: list[float], slope: float) -> None:
    """A value that rises evenly and is read often has its slope, however many readings there were."""
    history = History(lambda: RateOfChange(1.0, 60.0))
    history.play([(step, slope * (sum(steps[:at]))) for at, step in enumerate(steps)])
    if sum(steps) > 70.0:
        assert history.answer() == pytest.approx(slope, rel=0.1)
    assert len(history.gauge.store(history.now)) <= 2 * (2 * SLOTS + 4)


ROLLOVER = 65_536


@PLAYED
@given(st.integers(0, ROLLOVER - 1), st.lists(st.integers(0, ROLLOVER // 2 - 1), max_size=50))
def test_counter_that_only_grows_never_runs_backwards(start: int, steps: list[int]) -> None:
    """However often it begins again at 0."""
    check = CounterCheck(Counter("blue", backwards=True, rollover=float(ROLLOVER)))
    total = start
    check.take(total % ROLLOVER, GOOD, 0.0, 0.0)
    for at, step in enumerate(steps, 1):
        total += step
        check.take(total % ROLLOVER, GOOD, float(at), float(at))
        assert check.look(float(at), float(at)) == (False, GOOD)


@PLAYED
@given(
    st.floats(0, 60_000),
    st.lists(st.one_of(st.none(), st.integers(-500, 500).map(lambda step: step * 10)), max_size=50),
)
def test_counter_runs_backwards_from_a_step_back_to_the_next_step_forward(
    start: float, steps: list[int | None]
) -> None:
    """Bad readings between change nothing; steps within the band are none."""
    check = CounterCheck(Counter("blue", backwards=True, band=25.0))
    value, reference, is_back = start, start, False
    check.take(value, GOOD, 0.0, 0.0)
    for at, step in enumerate(steps, 1):
        if step is None:
            check.take(None, LOST, float(at), float(at))
            assert check.look(float(at), float(at)) == (None, LOST)
            continue
        value += step
        if abs(value - reference) > 25.0:
            is_back, reference = value < reference, value
        check.take(value, GOOD, float(at), float(at))
        assert check.look(float(at), float(at)) == (is_back, GOOD)
