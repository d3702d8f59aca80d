"""Issue line 2: expressions over several points, and conditions that count only while another is true."""

from __future__ import annotations

import subprocess
import sys

import pytest
from condition_bench import LOST, OVER_RANGE, Room, alarm, told

from config.judgement import Computed, Formula, Input, Level, Limit, NoUpdate

HIGH = Limit((Level("H", 26.0, "yellow"),), 0.5)


def formula(text: str, *names: str) -> Formula:
    return Formula(text, text, tuple(Input(name, "or-1", name, name) for name in names))


def lost_without_generator(on_delay_s: float = 0.0) -> Room:
    computed = Computed(formula("lost && !generator", "lost", "generator"), "red")
    return Room(alarm(computed, point="", on_delay_s=on_delay_s), points=("lost", "generator"), kind="bool")


def in_use_only(on_delay_s: float = 0.0) -> Room:
    gate = formula("in_use > 0.0", "in_use")
    return Room(alarm(HIGH, when=gate, on_delay_s=on_delay_s), points=("t", "in_use"))


def test_2_expression_over_several_points_follows_each_of_them() -> None:
    """`supply_lost && !generator_running`: the alarm comes and goes with either; its value is that it is true."""
    room = lost_without_generator()
    assert room.read(value=True, point="generator") == []
    assert room.read(value=True, point="lost") == []
    seen = room.read(value=False, point="generator")
    assert told(seen) == [("raise", None)]
    assert (seen[0].kind, seen[0].value, seen[0].alarm_id) == ("expression", True, "or/or-1#key")
    assert told(room.read(value=False, point="lost")) == [("clear", None)]


def test_2_expression_has_an_on_delay() -> None:
    """Ten seconds without a generator."""
    room = lost_without_generator(on_delay_s=10.0)
    room.read(value=False, point="generator")
    room.read(value=True, point="lost")
    assert room.wait(9.0) == []
    assert told(room.wait(1.0)) == [("raise", None)]


def test_2_expression_over_a_bad_point_is_not_known() -> None:
    """The generator is lost: nobody knows, so nothing is raised, and what stands stays."""
    room = lost_without_generator()
    room.read(value=True, point="lost")
    assert room.read(None, LOST, point="generator") == []
    assert told(room.read(value=False, point="generator")) == [("raise", None)]
    assert room.read(None, LOST, point="generator") == []
    assert told(room.read(value=True, point="generator")) == [("clear", None)]


def test_2_expression_is_known_where_the_good_points_decide_it() -> None:
    """No supply is lost: whatever is not known of the generator, it is false."""
    room = lost_without_generator()
    room.read(value=False, point="generator")
    assert len(room.read(value=True, point="lost")) == 1
    room.read(None, LOST, point="generator")
    assert told(room.read(value=False, point="lost")) == [("clear", None)]


def test_2_expression_with_an_uncertain_point_may_raise_and_never_clears() -> None:
    """As with any other value."""
    room = Room(alarm(Computed(formula("t > sp + 3.0", "t", "sp"), "red"), point="t"))
    room.read(20.0, point="sp")
    seen = room.read(99.0, OVER_RANGE)
    assert told(seen) == [("raise", None)]
    assert (seen[0].value, seen[0].q) == (99.0, "uncertain")
    assert room.read(20.0, OVER_RANGE) == []
    assert told(room.read(20.0)) == [("clear", None)]


def test_2_expression_without_a_result_is_not_known() -> None:
    """A text that is no number gives nothing: what stands stays, and is said not to be known."""
    room = Room(alarm(Computed(formula("double(t) > 2.0", "t"), "red")), kind="string")
    assert len(room.read("3")) == 1
    assert room.read("three") == []
    (run,) = room.rules.runs.values()
    assert (run.state, run.known) == ("ACKED", False)
    assert told(room.read("1")) == [("clear", None)]


def test_2_gate_keeps_a_limit_from_counting() -> None:
    """A room that is not in use has no temperature alarm; its delay begins when it is used."""
    room = in_use_only(on_delay_s=60.0)
    room.read(0.0, point="in_use")
    room.read(30.0)
    assert room.wait(600.0) == []
    assert room.read(1.0, point="in_use") == []
    assert room.wait(59.0) == []
    assert told(room.wait(1.0)) == [("raise", "H")]
    assert told(room.read(0.0, point="in_use")) == [("clear", None)]


def test_2_the_devices_own_time_is_told_of_what_is_judged_otherwise_too() -> None:
    """It is that of the alarm's point; where it has none, there is none."""
    room = in_use_only()
    room.read(1.0, point="in_use")
    (event,) = room.read(30.0)
    assert (event.ts_gateway, event.ts_source) == ("1970-01-01T00:16:40.000Z", "1970-01-01T00:16:39.500Z")
    about_nothing = lost_without_generator()
    about_nothing.read(value=False, point="generator")
    (event,) = about_nothing.read(value=True, point="lost")
    assert event.ts_source is None


def test_2_gate_that_nobody_knows_is_open() -> None:
    """It may raise, because nobody knows that it may not; it clears nothing."""
    room = in_use_only()
    room.read(None, LOST, point="in_use")
    assert told(room.read(30.0)) == [("raise", "H")]
    assert room.read(20.0) == []
    assert told(room.read(1.0, point="in_use")) == [("clear", None)]


def test_2_nothing_is_judged_before_the_gate_was_asked_for_the_first_time() -> None:
    """After a start the room may be read before it is known whether it is in use: that raises nothing."""
    room = in_use_only()
    assert room.read(30.0) == []
    assert room.read(0.0, point="in_use") == []
    after = room.restarted()
    assert after.read(30.0) == []
    assert told(after.read(None, LOST, point="in_use")) == [("raise", "H")]


def test_2_gate_of_a_condition_that_is_about_time() -> None:
    """What is not in use may be silent."""
    room = Room(alarm(NoUpdate(60.0, "blue"), when=formula("in_use > 0.0", "in_use")), points=("t", "in_use"))
    room.read(0.0, point="in_use")
    room.read(20.0)
    room.read(None, LOST)
    assert room.wait(120.0) == []
    assert told(room.read(1.0, point="in_use")) == [("raise", None)]


def test_2_expression_that_stands_goes_on_after_a_restart() -> None:
    """It is not raised twice, and clears by what is read then."""
    before = lost_without_generator()
    before.read(value=False, point="generator")
    before.read(value=True, point="lost")
    after = before.restarted()
    assert after.read(value=True, point="lost") == []
    assert told(after.read(value=True, point="generator")) == [("clear", None)]


@pytest.mark.parametrize(("text", "loads"), [("lost", False), ("!lost", True)])
def test_2_the_engine_is_loaded_only_where_somebody_needs_it(text: str, loads: bool) -> None:
    """A point by itself is no expression yet."""
    code = (
        "import sys; from condition_bench import Room, alarm; from config.judgement import *\n"
        f"Room(alarm(Computed(Formula({text!r}, {text!r}, (Input('lost', 'or-1', 'lost', 'lost'),)), 'red'), point=''),"
        " points=('lost',), kind='bool')\n"
        "print('cel_expr_python.cel' in sys.modules)"
    )
    env = {"PYTHONPATH": ".:tests:tests/support:bench"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == f"{loads}\n"
