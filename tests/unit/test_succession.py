"""Another configuration while alarms run: what is the same goes on as if nothing had happened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from alarm_bench import ALARM, LAST_KNOWN, LOST, OVER_RANGE, OXYGEN, Bench
from condition_bench import Room, alarm
from derived_bench import Pump, formula, point
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import Now
from agent.events import AlarmTransition
from agent.rules import DeviceChange, NewConfiguration, Refused, Rules, Tick, step
from config.judgement import (
    Computed,
    Condition,
    Counter,
    Deviation,
    Faulty,
    Formula,
    Level,
    Limit,
    Mean,
    NoUpdate,
    Offline,
    Rate,
    Stuck,
)
from config.model import Derived

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.judgement import Condition
    from drivers.contract import Quality


LOW, NORMAL = 350.0, 410.0
HOT = Limit((Level("H", 30.0, "red"),))


def renew_room(room: Room, *, kept: tuple[str, ...] = ("t", "sp")) -> list[AlarmTransition]:
    """The same configuration once more; the polls of `kept` points go on."""
    other = Room(*room.device.alarms, points=tuple(room.polls), kind=room.device.points[0].type)
    config = replace(other.config, version="c-2")
    polls = frozenset(room.polls[name] for name in kept)
    outcome = step(room.rules, NewConfiguration(config, polls, room.stored), Now(room.wall, room.mono))
    room.stored |= outcome.states
    room.next_due = outcome.next_due
    return [event.body for event in outcome.events]  # type: ignore[misc]  # alarms only


def test_a_renewal_says_nothing_of_what_is_the_same() -> None:
    """A standing alarm stands, acknowledged as it was, known as it was; what comes next has the new version."""
    bench = Bench(realarm_s=3600.0)
    bench.read(LOW)
    bench.ack()
    bench.unchanged(after_s=5.0)
    before = bench.snapshot()
    assert bench.renewed(realarm_s=3600.0) == []
    assert replace_version(bench.snapshot()) == replace_version(before)
    (cleared,) = bench.read(NORMAL)
    assert (cleared.action, cleared.n, cleared.cfg_ver) == ("clear", before.n + 1, "c-2")


def replace_version(body: AlarmTransition) -> dict[str, object]:
    return {name: getattr(body, name) for name in body.__struct_fields__ if name not in ("cfg_ver", "rule_ver")}


@pytest.mark.parametrize("renewals", [1, 3])
def test_a_running_delay_loses_and_gains_nothing(renewals: int) -> None:
    """It is served at the same moment as without a renewal."""
    bench = Bench(on_delay_s=10.0)
    bench.read(NORMAL)
    bench.read(LOW)
    for _ in range(renewals):
        bench.unchanged(after_s=3.0)
        assert bench.renewed(on_delay_s=10.0) == []
    left_s = 10.0 - 3.0 * renewals
    assert bench.wait(left_s - 0.01) == []
    assert [body.action for body in bench.wait(0.01)] == ["raise"]


def test_a_delay_on_a_line_that_is_opened_anew_waits_for_its_value() -> None:
    """Nobody confirms it meanwhile, so that time does not count."""
    bench = Bench(on_delay_s=10.0)
    bench.read(LOW)
    bench.unchanged(after_s=4.0)
    assert bench.renewed(on_delay_s=10.0, kept=False) == []
    assert bench.wait(60.0) == []
    assert bench.read(LOW) == []
    assert [body.action for body in bench.wait(6.0)] == ["raise"]


def test_another_limit_is_judged_at_once() -> None:
    """On the value that is known, without waiting for the next one."""
    bench = Bench()
    bench.read(LOW)
    bench.condition = Limit((Level("L", 340.0, "yellow"),), 5.0)
    assert [(body.action, body.cfg_ver) for body in bench.renewed()] == [("clear", "c-2")]


def test_a_removed_alarm_ends_and_its_numbers_are_not_used_again() -> None:
    """Its end is told; when it comes back it is another occurrence, even after a restart."""
    bench = Bench()
    (raised,) = bench.read(LOW)
    (removed,) = bench.renewed(without=True)
    assert (removed.action, removed.ended, removed.state, removed.hidden) == ("removed", True, "NORM", False)
    assert (removed.occurrence_id, removed.n, removed.colour) == (raised.occurrence_id, raised.n + 1, raised.colour)
    assert (ALARM in bench.rules, bench.read(LOW)) == (False, [])
    (again,) = bench.renewed()
    assert (again.action, again.occurrence_id) == ("raise", f"gw/{ALARM}/2")
    bench.renewed(without=True)
    assert bench.restarted().read(LOW)[0].occurrence_id == f"gw/{ALARM}/3"


def test_a_timer_of_people_goes_on() -> None:
    """Whoever has to acknowledge is late at the same moment."""
    bench = Bench()
    bench.read(LOW)
    bench.wait(1000.0)
    assert bench.renewed() == []
    assert bench.wait(799.0) == []
    assert [body.action for body in bench.wait(1.0)] == ["ack_overdue"]


def test_a_lost_source_goes_on_being_lost() -> None:
    """A fail-safe alarm is raised at the same moment as without a renewal."""
    bench = Bench(fail_safe=True, stale_after_s=30.0)
    bench.read(NORMAL)
    bench.read(None, LOST)
    bench.wait(20.0)
    assert bench.renewed(fail_safe=True, stale_after_s=30.0) == []
    assert bench.wait(9.9) == []
    assert [body.signal for body in bench.wait(0.1)] == ["source_bad"]


def _quarter(room: Room, value: Callable[[float], float]) -> list[AlarmTransition]:
    """A quarter of an hour of readings, one each ten seconds."""
    return [body for at in range(90) for body in room.read(value(at * 10.0), after_s=10.0)]


TIMED: dict[str, tuple[Condition, Callable[[float], float]]] = {
    "mean": (Limit((Level("H", 30.0, "red"),), measure=Mean(900.0)), lambda at: 20.0 + at / 60.0),
    "rate": (Limit((Level("H", 0.5, "red"),), measure=Rate(60.0, 60.0)), lambda at: 20.0 + max(0.0, at - 600.0) / 60.0),
    "stuck": (Stuck(700.0, "red"), lambda _: 20.0),
    "no_update": (NoUpdate(3000.0, "red"), lambda at: 20.0 + at),
    "expression": (Computed(formula("t > 25.0", "t", device="or-1"), "red"), lambda at: 20.0 + at / 100.0),
}


@pytest.mark.parametrize("name", TIMED)
def test_what_is_measured_over_time_goes_on_without_a_gap(name: str) -> None:
    """With renewals all the time, between two readings, the same is told at the same moments with the same values."""
    condition, value = TIMED[name]
    plain, renewed = Room(alarm(condition)), Room(alarm(condition))
    for at in range(270):
        seen = plain.read(value(at * 10.0), after_s=6.0) + plain.wait(4.0)
        found = renewed.read(value(at * 10.0), after_s=6.0) + renewed.wait(4.0) + renew_room(renewed)
        assert [replace_version(body) for body in found] == [replace_version(body) for body in seen]
    assert plain.rules.runs.keys() == renewed.rules.runs.keys()
    run = "or/or-1/t#key"
    assert renewed.rules.runs[run].occurrence == plain.rules.runs[run].occurrence
    assert plain.rules.runs[run].occurrence == (0 if name == "no_update" else 1)


def test_a_gate_that_is_shut_stays_shut() -> None:
    """While the points of it are known one after the other, nothing is raised."""
    room = Room(alarm(HOT, when=formula("sp > 0.0", "sp", device="or-1")))
    room.read(0.0, point="sp")
    assert room.read(40.0) == []
    assert renew_room(room) == []
    assert [body.action for body in room.read(1.0, point="sp")] == ["raise"]


def test_a_device_that_is_offline_is_not_lost_once_more() -> None:
    """Its alarm stands as it did, and ends when it comes back."""
    room = Room(alarm(Offline("red"), point=""))
    assert [body.action for body in room.device_is("offline")] == ["raise"]
    assert renew_room(room) == []
    assert [body.action for body in room.device_is("online")] == ["clear"]


def test_what_adds_up_goes_on_without_a_gap() -> None:
    """Run hours count through a renewal, between two readings too."""
    hours = point("hours", derived=Derived("run_hours", formula("run", "run")))
    gap = point("gap", derived=Derived("gap", of="hours"))
    pump = Pump(hours, gap)
    pump.read(value=True, of="run")
    pump.confirm(of="run", after_s=1800.0)
    pump.wall, pump.mono = pump.wall + 600.0, pump.mono + 600.0
    config = replace(Pump(hours, gap).config, version="c-2")
    new = NewConfiguration(config, frozenset(pump.polls.values()), pump.stored)
    assert step(pump.rules, new, Now(pump.wall, pump.mono)).derived == []
    pump.confirm(of="run", after_s=1200.0)
    assert (pump.value("hours"), pump.value("gap")) == ((1.0, "ok"), (0.0, "ok"))


def test_maintenance_that_is_on_goes_on() -> None:
    """What it hides stays hidden, until it ends."""
    bench = Bench(OXYGEN)
    bench.maintain(for_s=600.0)
    bench.read(LOW)
    assert bench.renewed() == []
    assert bench.run.overlay == ["DSUPR"]
    assert [body.action for body in bench.wait(600.0)] == ["unhide_raise"]


def test_a_device_of_another_line_is_not_taken_for_known() -> None:
    """What was known of a device whose line is opened anew is open again."""
    room = Room(alarm(Offline("red"), point=""))
    room.device_is("offline")
    assert renew_room(room, kept=()) == []
    assert room.rules.conditions == {}
    outcome = step(room.rules, DeviceChange("or-1", "online"), Now(room.wall, room.mono))
    assert [event.body.action for event in outcome.events] == ["clear"]  # type: ignore[attr-defined]  # alarms only


def test_an_alarm_that_was_taken_away_while_the_gateway_was_down_ends() -> None:
    """With the first step, as it was last told; one that was at rest is not told of."""
    bench = Bench()
    (raised,) = bench.read(LOW)
    without = replace(bench.config, version="c-2", lines=())
    rules = Rules.build(without, bench.stored, gone=[bench.alarm, replace(bench.alarm, id="or/or-1/o2_p#other")])
    outcome = step(rules, Tick(), Now(bench.wall + 60.0, 7.0))
    (event,) = outcome.events
    body = event.body
    assert isinstance(body, AlarmTransition)
    assert (body.action, body.ended, body.cfg_ver) == ("removed", True, "c-2")
    assert (body.occurrence_id, body.n) == (raised.occurrence_id, raised.n + 1)
    assert set(outcome.states) == {f"alarm/{ALARM}"}
    bench.stored |= outcome.states
    again = Rules.build(without, bench.stored, gone=[bench.alarm])
    assert step(again, Tick(), Now(bench.wall + 90.0, 7.0)).events == []


KINDS = st.fixed_dictionaries(
    {
        "ack": st.booleans(),
        "latching": st.booleans(),
        "fail_safe": st.booleans(),
        "shelvable": st.booleans(),
        "stale_after_s": st.sampled_from([10.0, 30.0]),
        "on_delay_s": st.sampled_from([0.0, 7.0]),
        "off_delay_s": st.sampled_from([0.0, 7.0]),
        "realarm_s": st.sampled_from([None, 60.0]),
    }
)
VALUES = st.sampled_from([410.0, 362.0, 350.0, 310.0, 500.0])
QUALITIES = st.sampled_from([None, None, None, OVER_RANGE, LAST_KNOWN, LOST])
AFTER_S = st.sampled_from([0.0, 1.0, 5.0, 31.0, 700.0])
ORDERS = st.sampled_from(["ack", "reset", "shelve", "unshelve", "take_out", "put_back", "maintain", "end_maintenance"])
STORIES = st.lists(
    st.one_of(st.tuples(VALUES, QUALITIES, AFTER_S), st.tuples(st.just(None), st.none(), AFTER_S), ORDERS), max_size=30
)


def play(bench: Bench, what: tuple[float | None, Quality | None, float] | str) -> list[AlarmTransition] | str:
    """What is said, or why not."""
    if isinstance(what, str):
        try:
            said: list[AlarmTransition] = getattr(bench, what)()
        except Refused as refused:
            return str(refused)
        return said
    value, quality, after_s = what
    if value is None:
        return bench.wait(after_s)
    return bench.read(None if quality is LOST else value, quality, after_s=after_s)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(KINDS, STORIES)
def test_renewals_after_every_step_change_nothing(
    kind: dict[str, Any], story: list[tuple[float | None, Quality | None, float] | str]
) -> None:
    """Whatever happens to whatever alarm: the same is said at the same moments, and it stands the same."""
    plain, renewed = Bench(**kind), Bench(**kind)
    for what in story:
        seen, found = play(plain, what), play(renewed, what)
        if isinstance(seen, str) or isinstance(found, str):
            assert found == seen
        else:
            assert [replace_version(body) for body in found] == [replace_version(body) for body in seen]
        assert renewed.renewed(**kind) == []
        assert replace_version(renewed.snapshot()) == replace_version(plain.snapshot())
        assert renewed.run.next_due() == plain.run.next_due()


CONDITIONS = (
    *(condition for condition, _ in TIMED.values()),
    Limit((Level("H", 5.0, "red"),), 1.0, Deviation("or-1", "sp")),
    Counter("red", still_s=100.0, backwards=True),
    Offline("red"),
    Faulty("red"),
)
GATES = (None, formula("sp > 20.0", "sp", device="or-1"))
DEEDS = st.one_of(
    st.tuples(st.sampled_from(["t", "sp"]), st.sampled_from([19.0, 20.0, 26.0, 60.0]), QUALITIES),
    st.tuples(st.just("same"), st.sampled_from(["t", "sp"]), st.sampled_from([1.0, 20.0, 200.0])),
    st.tuples(st.just("wait"), st.none(), st.sampled_from([1.0, 20.0, 400.0])),
    st.tuples(st.just("device"), st.none(), st.sampled_from(["online", "degraded", "offline"])),
)


def do(room: Room, deed: tuple[str, Any, Any]) -> list[AlarmTransition]:
    name, what, how = deed
    if name == "wait":
        return room.wait(how)
    if name == "device":
        return room.device_is(how)
    if name == "same":
        return room.confirm(point=what, after_s=how) if room.rules.watches else []
    return room.read(None if how is LOST else what, how, point=name, after_s=1.0)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.kind)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(gate=st.sampled_from(GATES), delay_s=st.sampled_from([0.0, 7.0]), story=st.lists(DEEDS, max_size=40))
def test_renewals_change_nothing_of_what_is_measured(
    condition: Condition, gate: Formula | None, delay_s: float, story: list[tuple[str, Any, Any]]
) -> None:
    """Whatever is looked at, and whatever shuts it: the same is said at the same moments."""
    point = "" if isinstance(condition, Offline | Faulty) else "t"
    made = alarm(condition, point=point, when=gate, on_delay_s=delay_s)
    plain, renewed = Room(made), Room(made)
    for deed in story:
        seen, found = do(plain, deed), do(renewed, deed)
        assert [replace_version(body) for body in found] == [replace_version(body) for body in seen]
        assert renew_room(renewed) == []
