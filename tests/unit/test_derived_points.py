"""Issue line 2: derived points are points like any other, count nothing that nobody knew, and survive restarts."""

from __future__ import annotations

import pytest
from condition_bench import LOST, OVER_RANGE
from derived_bench import NAME, Pump, formula, point
from hypothesis import given, settings
from hypothesis import strategies as st

from config.judgement import Computed, Level, Limit
from config.model import Alarm, Derived

PLAYED = settings(max_examples=100, deadline=None, derandomize=True)
HOUR = 3600.0
RATIO = point("ratio", derived=Derived("expression", formula("p / 400.0", "p")), low=0.0, high=1.0)
ENERGY = point("energy", derived=Derived("energy", formula("p", "p")))
GAP = point("gap", derived=Derived("gap", of="energy"))
HOURS = point("hours", derived=Derived("run_hours", formula("run", "run")))
STARTS = point("starts", "integer", Derived("starts", formula("run", "run")))


def test_2_derived_expression_is_computed_when_its_points_change() -> None:
    """In the same step; an unchanged reading confirms it and computes nothing."""
    pump = Pump(RATIO)
    pump.read(200.0)
    assert pump.value("ratio") == (0.5, "ok")
    assert [(each.time, each.changed) for each in pump.readings] == [(1_000.0, [(0, 1)])]
    pump.confirm(after_s=10)
    assert [(each.time, each.changed) for each in pump.readings] == [(1_010.0, [])]


def test_2_derived_expression_has_the_quality_of_its_points() -> None:
    """Bad is bad for the same reason, uncertain uncertain; beyond its own range it is uncertain too."""
    pump = Pump(RATIO)
    pump.read(100.0, OVER_RANGE)
    assert pump.value("ratio") == (0.25, "range_suspect")
    pump.read(None, LOST)
    assert pump.value("ratio") == (None, "comm_lost")
    pump.read(800.0)
    assert pump.value("ratio") == (2.0, "range_suspect")


def test_2_derived_from_derived_and_from_another_poll() -> None:
    """Each is computed once, after what it needs."""
    both = point("both", "bool", Derived("expression", formula("ratio > 0.5 && run", "ratio", "run")))
    pump = Pump(both, RATIO)
    pump.read(300.0)
    assert pump.value("both")[0] is None
    pump.read(value=True, of="run")
    assert pump.value("both") == (True, "ok")
    pump.read(100.0)
    assert (pump.value("both"), pump.value("ratio")) == ((False, "ok"), (0.25, "ok"))
    assert [each.changed for each in pump.readings] == [[(0, 1), (1, 2)]]


def alarm(name: str, condition: Limit | Computed) -> Alarm:
    return Alarm(f"water/pump/{name}#a", "a", "pump", "water", name, condition, NAME, NAME, ack_required=False)


def test_2_alarms_on_derived_points() -> None:
    """In the step that computed them."""
    pump = Pump(RATIO, alarms=(alarm("ratio", Limit((Level("H", 0.8, "red"),))),))
    pump.read(100.0)
    pump.read(399.0)
    assert [(event.action, event.value) for event in pump.events] == [("raise", 0.9975)]


def test_2_nothing_is_judged_on_half_of_what_a_reading_changed() -> None:
    """An expression over a point and what is computed from it never sees the one new and the other old."""
    never = Computed(formula("p > 100.0 && ratio < 0.1", "p", "ratio"), "red")
    pump = Pump(RATIO, alarms=(alarm("p", never),))
    pump.read(10.0)
    pump.read(300.0)
    assert pump.events == []


def test_2_energy_adds_up_while_the_power_is_confirmed() -> None:
    """An hour at 10 and half an hour at 20 are 20, whether the value is read anew or confirmed."""
    pump = Pump(ENERGY, GAP)
    pump.read(10.0)
    for _ in range(360):
        pump.confirm(after_s=10)
    pump.read(20.0)
    pump.read(20.0, after_s=HOUR / 2)
    assert pump.value("energy") == (pytest.approx(20.0), "ok")
    assert pump.value("gap") == (0.0, "ok")


def test_2_energy_declares_its_gaps() -> None:
    """What was not confirmed adds nothing, is told in seconds, and while it lasts the sum is uncertain."""
    pump = Pump(ENERGY, GAP)
    pump.read(10.0)
    pump.confirm(after_s=HOUR)
    pump.read(None, LOST, after_s=100.0)
    assert pump.value("energy") == (pytest.approx(10.0), "insufficient_data")
    pump.confirm(after_s=500.0)
    pump.read(10.0, after_s=400.0)
    assert pump.value("energy") == (pytest.approx(10.0), "ok")
    assert pump.value("gap") == (pytest.approx(1_000.0), "ok")
    pump.confirm(after_s=HOUR)
    assert pump.value("energy") == (pytest.approx(20.0), "ok")


def test_2_energy_survives_a_restart_and_the_stop_is_a_gap() -> None:
    """The sum goes on; for the time between nobody knows."""
    before = Pump(ENERGY, GAP)
    before.read(10.0)
    before.confirm(after_s=HOUR)
    after = before.restarted(after_s=600.0)
    after.read(10.0)
    assert after.value("energy") == (pytest.approx(10.0), "ok")
    assert after.value("gap") == (pytest.approx(600.0), "ok")
    after.confirm(after_s=HOUR)
    assert after.value("energy") == (pytest.approx(20.0), "ok")


def test_2_run_hours_count_while_it_runs() -> None:
    """Standing still counts nothing, and is no gap."""
    pump = Pump(HOURS)
    pump.read(value=True, of="run")
    pump.confirm(of="run", after_s=HOUR)
    pump.read(value=False, of="run")
    pump.confirm(of="run", after_s=HOUR)
    assert pump.value("hours") == (pytest.approx(1.0), "ok")


def test_2_starts_count_from_false_to_true() -> None:
    """The first state that is seen is no start; over a gap there was one at least."""
    pump = Pump(STARTS)
    for value in (True, False, True, True, False):
        pump.read(value, of="run", after_s=1)
    assert pump.value("starts") == (1, "ok")
    pump.read(None, LOST, of="run")
    assert pump.value("starts") == (1, "insufficient_data")
    pump.read(value=True, of="run")
    assert pump.value("starts") == (2, "ok")


def test_2_starts_survive_a_restart() -> None:
    """It stood before and runs after: that is a start. It ran before and runs after: that is none."""
    before = Pump(STARTS)
    before.read(value=False, of="run")
    after = before.restarted()
    after.read(value=True, of="run")
    again = after.restarted()
    again.read(value=True, of="run")
    assert again.value("starts") == (1, "ok")


@PLAYED
@given(
    st.lists(
        st.tuples(
            st.floats(0.5, 900), st.one_of(st.floats(-50, 500), st.none()), st.sampled_from(["change", "confirm"])
        ),
        max_size=40,
    )
)
def test_2_energy_agrees_with_a_simple_model(story: list[tuple[float, float | None, str]]) -> None:
    """Every stretch that began with a known value and was confirmed at its end counts; the others are gap."""
    pump = Pump(ENERGY, GAP)
    pump.read(5.0)
    value: float | None = 5.0
    total = gap_s = 0.0
    for after_s, new, how in story:
        is_confirmed = how == "confirm" or new is not None
        if value is not None and is_confirmed:
            total += value * after_s / HOUR
        else:
            gap_s += after_s
        if how == "confirm":
            pump.confirm(after_s=after_s)
        else:
            value = new
            pump.read(new, None if new is not None else LOST, after_s=after_s)
    assert pump.value("energy")[0] == pytest.approx(total, abs=1e-5)
    assert pump.value("gap")[0] == pytest.approx(gap_s, abs=1e-5)
