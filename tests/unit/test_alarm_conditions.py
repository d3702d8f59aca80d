"""Issue line 2: conditions that are more than a value beyond a limit, each with deadband and delays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from condition_bench import LAST_KNOWN, LOST, OVER_RANGE, Room, alarm, told

from config.judgement import (
    Bits,
    Condition,
    Counter,
    Deviation,
    Level,
    Limit,
    Mean,
    NoUpdate,
    Offline,
    Rate,
    State,
    Stuck,
)
from drivers.contract import Grade, Quality

BEYOND = Quality(Grade.UNCERTAIN, "over_range")
HIGH = (Level("H", 30.0, "yellow"),)
QUARTER_S = 900.0


def room(condition: Condition, *, on_delay_s: float = 0.0, point: str = "t") -> Room:
    return Room(alarm(condition, on_delay_s=on_delay_s, point=point))


# --- bits ---------------------------------------------------------------------------------------------------------


def test_2_bit_of_a_word() -> None:
    """On while the bit is set, whatever the others are."""
    found = room(Bits(0b1000, "orange"))
    assert found.read(0b0111) == []
    assert told(found.read(0b1111)) == [("raise", None)]
    assert found.read(0b1000) == []
    assert told(found.read(0b0000)) == [("clear", None)]


def test_2_any_of_several_bits_and_a_bit_that_must_be_set() -> None:
    """One of the bits is enough; inverted, one that is missing is enough."""
    assert len(room(Bits(0b0110, "red")).read(0b0100)) == 1
    inverted = room(Bits(0b0110, "red", inverted=True))
    assert inverted.read(0b0110) == []
    assert told(inverted.read(0b0010)) == [("raise", None)]


# --- means --------------------------------------------------------------------------------------------------------


def mean(deadband: float = 0.0) -> Limit:
    return Limit(HIGH, deadband, Mean(QUARTER_S))


def test_2_rolling_mean_raises_on_the_mean_not_on_the_value() -> None:
    """A short peak above the limit is nothing; the mean above it raises, with the mean as the value."""
    found = room(mean())
    found.read(20.0)
    assert found.hold(QUARTER_S) == []
    assert found.read(40.0) == []
    seen = found.hold(QUARTER_S)
    assert told(seen) == [("raise", "H")]
    assert seen[0].kind == "mean"
    assert seen[0].value == pytest.approx(30.0, abs=0.6)


def test_2_rolling_mean_of_a_value_that_never_rests() -> None:
    """Each reading is another one, as with every real sensor: each holds until the next."""
    found = Room(alarm(mean()))
    seen = [event for at in range(900) for event in found.read(35.0 + at % 2, after_s=1.0)]
    assert told(seen) == [("raise", "H")]


def test_2_rolling_mean_needs_three_quarters_of_its_window() -> None:
    """With less it is not known; the value alone, however high, raises nothing."""
    found = room(mean())
    found.read(99.0)
    assert found.hold(0.74 * QUARTER_S) == []
    assert told(found.hold(0.03 * QUARTER_S)) == [("raise", "H")]


def test_2_rolling_mean_does_not_clear_while_too_little_is_known() -> None:
    """The device is lost: after a while the mean is not known any more, and the alarm stays."""
    found = room(mean())
    found.read(40.0)
    assert told(found.hold(QUARTER_S)) == [("raise", "H")]
    found.read(None, LOST)
    assert found.wait(2 * QUARTER_S) == []
    (run,) = found.rules.runs.values()
    assert (run.known, run.quality.reason) == (False, "insufficient_data")
    found.read(20.0)
    assert found.hold(0.7 * QUARTER_S) == []
    assert told(found.hold(0.1 * QUARTER_S)) == [("clear", None)]


def test_2_rolling_mean_has_a_deadband_and_an_on_delay() -> None:
    """It clears at the limit less the deadband, and the delay counts while the mean is above."""
    found = Room(alarm(mean(5.0), on_delay_s=60.0))
    found.read(31.0)
    assert found.hold(0.75 * QUARTER_S + 50) == []
    assert told(found.hold(30.0)) == [("raise", "H")]
    found.read(28.0)
    assert found.hold(2 * QUARTER_S) == []
    found.read(24.0)
    assert told(found.hold(2 * QUARTER_S)) == [("clear", None)]


def test_2_rolling_mean_survives_a_restart() -> None:
    """What was counted before the stop counts after it; the stop itself is a gap."""
    before = room(mean())
    before.read(40.0)
    before.hold(0.7 * QUARTER_S)
    after = before.restarted(after_s=0.05 * QUARTER_S)
    after.read(40.0)
    assert told(after.hold(0.15 * QUARTER_S)) == [("raise", "H")]


def test_2_rolling_mean_forgets_in_a_restart_what_left_the_window() -> None:
    """After a long stop it begins anew."""
    before = room(mean())
    before.read(40.0)
    before.hold(0.7 * QUARTER_S)
    after = before.restarted(after_s=2 * QUARTER_S)
    after.read(40.0)
    assert after.hold(0.7 * QUARTER_S) == []


def test_2_uncertain_values_are_no_good_coverage() -> None:
    """A mean over values beyond their range is not known."""
    found = room(mean())
    found.read(99.0, OVER_RANGE)
    assert found.hold(2 * QUARTER_S) == []


def test_2_fail_safe_alarm_on_a_mean_waits_for_its_window() -> None:
    """That there is not enough of it yet is no lost source; a lost source is one."""
    found = Room(replace(alarm(mean()), fail_safe=True, stale_after_s=60.0))
    found.read(20.0)
    assert found.hold(600.0) == []
    found.read(None, LOST)
    seen = found.wait(900.0)
    assert [(event.action, event.signal) for event in seen] == [("raise", "source_bad")]


# --- rates --------------------------------------------------------------------------------------------------------


def rate(deadband: float = 0.0) -> Limit:
    return Limit((Level("L", -2.0, "orange"), Level("H", 2.0, "yellow")), deadband, Rate(60.0, 120.0))


def test_2_rate_of_change_raises_on_a_fast_rise_and_on_a_fast_fall() -> None:
    """5 degrees in two minutes are 2.5 a minute; the event tells the rate."""
    found = room(rate())
    found.read(20.0)
    found.hold(120.0)
    seen = found.read(25.0, after_s=1)
    assert told(seen) == [("raise", "H")]
    assert seen[0].kind == "rate"
    assert seen[0].value == pytest.approx(2.5)
    found.hold(300.0)
    assert told(found.read(19.0)) == [("raise", "L")]


def test_2_rate_of_change_clears_by_time_alone() -> None:
    """The value stays where it jumped to: once the jump has left the window, the rate is nothing."""
    found = room(rate())
    found.read(20.0)
    found.hold(120.0)
    found.read(30.0)
    assert found.hold(110.0) == []
    assert told(found.hold(20.0)) == [("clear", None)]


def test_2_rate_of_change_is_not_known_across_a_gap() -> None:
    """A value that returns elsewhere after a long silence has not jumped."""
    found = room(rate())
    found.read(20.0)
    found.hold(200.0)
    found.read(None, LOST)
    found.wait(300.0)
    assert found.read(60.0) == []
    assert found.hold(200.0) == []


def test_2_rate_of_change_survives_a_restart() -> None:
    """The history before the stop is still the base."""
    before = room(rate())
    before.read(20.0)
    before.hold(150.0)
    after = before.restarted(after_s=2.0)
    assert told(after.read(26.0)) == [("raise", "H")]


# --- deviation ----------------------------------------------------------------------------------------------------


def test_2_deviation_from_a_set_point() -> None:
    """The difference is judged, whichever of the two moves, and told as the value."""
    found = room(Limit((Level("L", -3.0, "yellow"), Level("H", 3.0, "yellow")), 1.0, Deviation("or-1", "sp")))
    assert found.read(22.0) == []
    assert found.read(21.0, point="sp") == []
    seen = found.read(18.0, point="sp")
    assert told(seen) == [("raise", "H")]
    assert (seen[0].kind, seen[0].value) == ("deviation", 4.0)
    assert found.read(20.5) == []
    assert told(found.read(20.0)) == [("clear", None)]


def test_2_deviation_from_a_set_point_that_is_lost_is_not_known() -> None:
    """It neither raises nor clears."""
    found = room(Limit(HIGH, measure=Deviation("or-1", "sp")))
    found.read(0.0, point="sp")
    found.read(None, LOST, point="sp")
    assert found.read(99.0) == []
    assert told(found.read(0.0, point="sp")) == [("raise", "H")]


def test_3_deviation_knows_its_side_only_where_the_own_point_alone_is_beyond_its_range() -> None:
    """Not where the set point is: then neither the size nor the side of the difference is known."""
    sides = (Level("L", -3.0, "yellow"), Level("H", 3.0, "yellow"))
    found = room(Limit(sides, measure=Deviation("or-1", "sp")))
    found.read(22.0)
    assert found.read(None, BEYOND, point="sp") == []
    assert found.read(None, BEYOND) == []
    assert told(found.read(22.0, point="sp")) == [("raise", "H")]


def test_3_what_is_measured_over_time_has_no_side() -> None:
    """A rate or a mean is not known of a sensor that is beyond its range."""
    for condition in (rate(), Limit(HIGH, measure=Mean(900.0))):
        found = room(condition)
        found.read(20.0)
        found.hold(1_000.0)
        assert found.read(None, BEYOND) == []


def test_2_deviation_from_a_number() -> None:
    """A fixed set value."""
    found = room(Limit((Level("H", 2.0, "yellow"),), measure=Deviation(value=21.0)))
    assert found.read(22.9) == []
    assert told(found.read(23.0)) == [("raise", "H")]


# --- no update, stuck, counters, offline --------------------------------------------------------------------------


def test_2_no_update_raises_when_nobody_confirms_the_value() -> None:
    """An unchanged reading is an update; a lost device is none. The value that is told is the bad one."""
    found = room(NoUpdate(300.0, "blue"))
    found.read(20.0)
    assert found.hold(1_000.0) == []
    found.read(20.0, LAST_KNOWN)
    assert found.wait(200.0) == []
    found.read(None, LOST)
    seen = found.wait(100.0)
    assert told(seen) == [("raise", None)]
    assert (seen[0].kind, seen[0].value, seen[0].q) == ("no_update", None, "bad")
    assert told(found.read(20.0)) == [("clear", None)]


def test_2_no_update_counts_from_the_last_confirmation() -> None:
    """The device was heard of last 10 s before its loss was noticed."""
    found = room(NoUpdate(60.0, "blue"))
    found.read(20.0)
    found.confirm(after_s=10)
    assert found.read(None, LOST, after_s=10) == []
    assert found.wait(49.0) == []
    assert len(found.wait(1.0)) == 1


def test_2_no_update_of_a_point_that_was_never_read() -> None:
    """It counts from the first time that the gateway had to say so."""
    found = room(NoUpdate(60.0, "blue"))
    found.read(None, LOST)
    assert len(found.wait(60.0)) == 1


def test_2_stuck_value_raises_after_its_time_and_clears_when_it_moves() -> None:
    """Small movements within the band are none; the value itself is told."""
    found = room(Stuck(3_600.0, "blue", band=0.1))
    found.read(20.0)
    found.read(20.05, after_s=1_800)
    assert found.hold(1_790.0) == []
    seen = found.hold(20.0)
    assert told(seen) == [("raise", None)]
    assert (seen[0].kind, seen[0].value) == ("stuck", 20.05)
    assert told(found.read(20.2)) == [("clear", None)]


def test_2_stuck_counts_only_time_in_which_the_value_is_good() -> None:
    """A gap stops the count and does not reset it."""
    found = room(Stuck(600.0, "blue"))
    found.read(20.0)
    found.hold(500.0)
    found.read(None, LOST)
    assert found.wait(5_000.0) == []
    found.read(20.0)
    assert found.hold(90.0) == []
    assert len(found.hold(20.0)) == 1


def test_2_stuck_goes_on_after_a_restart() -> None:
    """What was counted is stored; at most the last minute of it is lost."""
    before = room(Stuck(600.0, "blue"))
    before.read(20.0)
    before.hold(590.0)
    after = before.restarted(after_s=5_000)
    after.read(20.0)
    assert len(after.hold(80.0)) == 1


def test_2_counter_that_stands_still() -> None:
    """It has to grow within its time."""
    found = room(Counter("yellow", still_s=600.0))
    found.read(1_000.0)
    found.hold(500.0)
    found.read(1_001.0)
    assert found.hold(590.0) == []
    assert told(found.hold(20.0)) == [("raise", None)]
    assert told(found.read(1_002.0)) == [("clear", None)]


def test_2_counter_that_runs_backwards() -> None:
    """From a step back until the next step forward."""
    found = room(Counter("yellow", backwards=True))
    found.read(1_000.0)
    assert told(found.read(999.0)) == [("raise", None)]
    assert found.read(999.0) == []
    assert told(found.read(1_000.0)) == [("clear", None)]


def test_2_what_was_counted_is_stored_with_the_transition_that_it_caused() -> None:
    """So a kill right after it does not make the alarm clear: the counter has not gone forward yet."""
    before = room(Counter("yellow", backwards=True))
    before.read(1_000.0)
    before.read(999.0)
    assert set(before.transaction) == {"alarm/or/or-1/t#key", "judge/or/or-1/t#key"}
    before.stored = dict(before.transaction)
    after = before.restarted()
    assert after.read(999.0) == []
    assert told(after.read(1_000.0)) == [("clear", None)]


def test_2_counter_that_rolls_over_does_not_run_backwards() -> None:
    """From the end of its range to the beginning is a step forward."""
    found = room(Counter("yellow", backwards=True, rollover=65_536.0))
    found.read(65_530.0)
    assert found.read(4.0) == []
    assert told(found.read(3.0)) == [("raise", None)]


def test_2_device_offline_is_an_alarm_of_the_device() -> None:
    """It belongs to no point, and clears when the device answers again."""
    found = Room(alarm(Offline("orange"), point=""))
    assert found.device_is("online") == []
    seen = found.device_is("offline")
    assert told(seen) == [("raise", None)]
    assert (seen[0].alarm_id, seen[0].point, seen[0].kind) == ("or/or-1#key", "", "offline")
    assert told(found.device_is("degraded")) == [("clear", None)]


def test_2_device_offline_has_an_on_delay() -> None:
    """A short absence raises nothing."""
    found = Room(alarm(Offline("orange"), point="", on_delay_s=30.0))
    found.device_is("offline")
    assert found.wait(29.0) == []
    assert told(found.wait(1.0)) == [("raise", None)]


@pytest.mark.parametrize(
    "condition",
    [
        Bits(1, "red"),
        State((99,), "red"),
        Stuck(60.0, "red"),
        Counter("red", still_s=60.0),
        Limit(HIGH, 1.0, Mean(900.0)),
    ],
    ids=lambda condition: condition.kind,
)
def test_2_a_value_that_nobody_knows_is_never_judged(condition: Condition) -> None:
    """Neither bad nor last-known values raise anything, however long."""
    for quality in (LOST, LAST_KNOWN):
        found = room(condition)
        found.read(99.0 if quality is LAST_KNOWN else None, quality)
        assert found.wait(5_000.0) == []


def test_2_an_unchanged_point_costs_no_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that says that nothing changed asks no judge."""
    found = room(rate())
    found.read(20.0)
    monkeypatch.setattr(found.rules.judges, "ask", lambda *_, **__: pytest.fail("asked"))
    assert found.confirm() == []
