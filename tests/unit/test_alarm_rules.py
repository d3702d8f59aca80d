"""The rules as a whole: readings, commands and ticks in, events out, on a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alarm_bench import LAST_KNOWN, LOST, OVER_RANGE, Bench

from agent.clock import Now
from agent.rules import AlarmCommand, Refused
from config.judgement import Level, Limit, State

if TYPE_CHECKING:
    from agent.events import AlarmTransition
    from drivers.contract import Quality


def actions(events: list[AlarmTransition]) -> list[tuple[str, str, str | None]]:
    return [(event.action, event.state, event.level) for event in events]


def test_a_value_inside_the_limits_says_nothing() -> None:
    """Between the limits there is no event and nothing due."""
    bench = Bench()
    assert bench.read(410.0) == []
    assert bench.read(412.0, after_s=1) == []
    assert bench.next_due is None


def test_levels_of_one_alarm_escalate_and_deescalate_in_one_occurrence() -> None:
    """L, LL and back are one occurrence; the events number themselves from 1."""
    bench = Bench()
    seen = bench.read(350.0) + bench.read(310.0) + bench.read(340.0) + bench.read(400.0) + bench.ack()
    assert actions(seen) == [
        ("raise", "UNACK", "L"),
        ("escalate", "UNACK", "LL"),
        ("deescalate", "UNACK", "L"),
        ("clear", "RTNUN", None),
        ("ack", "NORM", None),
    ]
    assert [event.n for event in seen] == [1, 2, 3, 4, 5]
    assert {event.occurrence_id for event in seen} == {"gw/or/or-1/o2_p#pressure/1"}
    assert [event.ended for event in seen] == [False, False, False, False, True]
    assert [event.colour for event in seen[:3]] == ["yellow", "red", "yellow"]
    assert [event.peak_colour for event in seen] == ["yellow", "red", "red", "red", "red"]


def test_a_new_occurrence_gets_a_new_identifier() -> None:
    """The raise counter goes on after the end of an occurrence."""
    bench = Bench(ack=False)
    first = bench.read(350.0) + bench.read(400.0)
    second = bench.read(350.0)
    assert actions(first) == [("raise", "ACKED", "L"), ("clear", "NORM", None)]
    assert second[0].occurrence_id.endswith("/2")
    assert second[0].n == 1


@pytest.mark.parametrize(("value", "cleared"), [(361.0, False), (364.9, False), (365.0, True)])
def test_the_deadband_holds_the_alarm(value: float, cleared: bool) -> None:
    """A low alarm at 360 with deadband 5 clears at 365, not before."""
    bench = Bench(ack=False)
    bench.read(350.0)
    assert bool(bench.read(value)) is cleared


@pytest.mark.parametrize(("value", "raised"), [(360.0, True), (360.1, False), (480.0, True), (479.9, False)])
def test_the_limit_itself_is_in_alarm(value: float, raised: bool) -> None:
    """High is on at or above its limit, low at or below."""
    assert bool(Bench().read(value)) is raised


def test_the_on_delay_is_served_by_time_not_by_samples() -> None:
    """One reading and a tick raise after the delay; the event names when the condition began."""
    bench = Bench(on_delay_s=5.0)
    assert bench.read(350.0) == []
    assert bench.next_due == 55.0
    assert bench.wait(4.9) == []
    seen = bench.wait(0.1)
    assert actions(seen) == [("raise", "UNACK", "L")]
    assert seen[0].ts_cond == "1970-01-01T00:16:40.000Z"
    assert seen[0].on_delay_ms == 5000


def test_a_short_excursion_within_the_on_delay_is_forgotten() -> None:
    """Back inside the limits, the delay starts from nothing."""
    bench = Bench(on_delay_s=5.0)
    bench.read(350.0)
    bench.read(400.0, after_s=4)
    assert bench.read(350.0, after_s=1) == []
    assert bench.wait(4.9) == []
    assert len(bench.wait(0.1)) == 1


def test_each_level_serves_its_own_delay() -> None:
    """Falling through L to LL raises L when L is served, then LL when LL is."""
    bench = Bench(on_delay_s=5.0)
    bench.read(350.0)
    bench.read(310.0, after_s=2)
    assert actions(bench.wait(3)) == [("raise", "UNACK", "L")]
    assert actions(bench.wait(2)) == [("escalate", "UNACK", "LL")]


def test_bad_quality_pauses_the_on_delay_and_does_not_reset_it() -> None:
    """Only known-good time counts: 3 s before and 2 s after the gap serve 5 s."""
    bench = Bench(on_delay_s=5.0)
    bench.read(350.0)
    bench.unchanged(after_s=3)
    assert bench.read(None, LOST, after_s=1) == []
    assert bench.wait(60) == []
    assert bench.read(350.0) == []
    assert bench.wait(1.9) == []
    assert len(bench.wait(0.1)) == 1


@pytest.mark.parametrize("quality", [LOST, OVER_RANGE, LAST_KNOWN])
def test_only_good_quality_clears(quality: Quality) -> None:
    """Bad, uncertain and last-known values leave a raised alarm as it is."""
    bench = Bench(ack=False)
    bench.read(350.0)
    value = None if quality is LOST else 400.0
    assert bench.read(value, quality) == []
    assert bench.wait(100) == []
    assert actions(bench.read(400.0)) == [("clear", "NORM", None)]


def test_uncertain_raises_but_last_known_does_not() -> None:
    """An over-range value may raise an alarm; a value that nobody confirms may not."""
    assert len(Bench().read(500.0, OVER_RANGE)) == 1
    assert Bench().read(500.0, LAST_KNOWN) == []


def test_the_off_delay_holds_the_alarm() -> None:
    """The condition must be gone for the whole off-delay."""
    bench = Bench(off_delay_s=10.0, ack=False)
    bench.read(350.0)
    bench.read(400.0)
    bench.read(350.0, after_s=9)
    bench.read(400.0)
    assert bench.wait(9.9) == []
    assert actions(bench.wait(0.1)) == [("clear", "NORM", None)]


def test_state_alarm_follows_its_values() -> None:
    """A state alarm is on while the value is one of those listed."""
    bench = Bench(State(("fault", "offline"), "orange"), ack=False)
    assert bench.read("normal") == []
    assert actions(bench.read("fault")) == [("raise", "ACKED", None)]
    assert bench.read("offline") == []
    assert actions(bench.read("normal")) == [("clear", "NORM", None)]


def test_return_and_again_is_the_same_occurrence() -> None:
    """Until somebody acknowledges, a second excursion retriggers the first occurrence."""
    bench = Bench()
    seen = bench.read(350.0) + bench.read(400.0) + bench.read(350.0)
    assert actions(seen)[-1] == ("retrigger", "UNACK", "L")
    assert seen[-1].occurrence_id == seen[0].occurrence_id
    assert seen[-1].retrigger_count == 1


def test_latching_needs_acknowledgement_and_reset() -> None:
    """A latched alarm ends only by a reset after the acknowledgement."""
    bench = Bench(latching=True)
    seen = bench.read(350.0) + bench.read(400.0)
    with pytest.raises(Refused, match="latched and acknowledged"):
        bench.order(AlarmCommand("reset", bench.alarm.id, "duty"))
    seen += bench.ack() + bench.order(AlarmCommand("reset", bench.alarm.id, "duty"))
    assert [event.state for event in seen] == ["UNACK", "LTUNK", "LTACK", "NORM"]


def test_acknowledging_nothing_is_refused() -> None:
    """An alarm at rest, and one that does not exist, each get a sentence."""
    with pytest.raises(Refused, match="nothing to acknowledge"):
        Bench().ack()
    with pytest.raises(Refused, match="there is no alarm x#y"):
        Bench().order(AlarmCommand("ack", "x#y", "duty"))


def test_1_a_restart_goes_on_in_the_same_state_and_announces_nothing_twice() -> None:
    """Restored from what was stored, the same value gives no second raise; the counter goes on."""
    before = Bench()
    before.read(310.0)
    after = Bench(stored=before.stored, wall=2_000.0)
    assert after.read(310.0) == []
    seen = after.read(400.0) + after.ack() + after.read(350.0)
    assert actions(seen) == [("clear", "RTNUN", None), ("ack", "NORM", None), ("raise", "UNACK", "L")]
    assert [event.n for event in seen] == [2, 3, 1]
    assert seen[-1].occurrence_id.endswith("/2")


def test_1_a_running_delay_survives_a_restart_as_what_remains() -> None:
    """3 s of 5 were served before the stop; 2 s remain after it, however long it took."""
    before = Bench(on_delay_s=5.0)
    before.read(350.0)
    before.read(349.0, after_s=3)
    after = Bench(on_delay_s=5.0, stored=before.rules.take_delays(Now(before.wall, before.mono)), wall=9_000.0)
    after.read(350.0)
    assert after.wait(1.9) == []
    assert len(after.wait(0.1)) == 1


def test_1_a_wall_clock_jump_moves_no_delay() -> None:
    """Delays count monotonic time."""
    bench = Bench(on_delay_s=5.0)
    bench.read(350.0)
    bench.wall += 86_400
    assert bench.wait(4.9) == []
    assert len(bench.wait(0.1)) == 1


def test_an_overdue_acknowledgement_is_said_at_each_step_of_its_colour() -> None:
    """Red after one, three and five minutes, and then no more; the acknowledgement ends it."""
    bench = Bench()
    bench.read(310.0)
    seen = [bench.wait(seconds) for seconds in (59, 1, 119, 1, 120, 600)]
    assert [len(each) for each in seen] == [0, 1, 0, 1, 1, 0]
    assert {body.action for each in seen for body in each} == {"ack_overdue"}
    late = Bench()
    late.read(310.0)
    late.ack()
    assert late.wait(600) == []


def test_an_escalation_starts_the_time_to_acknowledge_anew() -> None:
    """Yellow for 20 minutes, then red: one minute from then; back to yellow, its own half hour counts from the call."""
    bench = Bench()
    bench.read(350.0)
    bench.read(310.0, after_s=1200)
    assert [body.action for body in bench.wait(60)] == ["ack_overdue"]
    bench.read(340.0)
    assert bench.wait(1700) == []
    assert [body.action for body in bench.wait(100)] == ["ack_overdue"]


def test_the_time_to_acknowledge_keeps_its_remainder_over_a_restart() -> None:
    """A checkpoint each ten seconds is what a kill costs of it at most; while the gateway is down nobody is late."""
    before = Bench()
    before.read(310.0)
    before.wait(40)
    before.save()
    after = before.restarted(after_s=86_400)
    assert after.wait(0) == []
    after.read(310.0)
    assert after.wait(19.9) == []
    assert [body.action for body in after.wait(0.1)] == ["ack_overdue"]


def test_a_delay_is_saved_with_every_window_while_it_runs() -> None:
    """Though nothing changes at the point: 4 s of 5 were served by an unchanged value before the kill."""
    before = Bench(on_delay_s=5.0)
    before.read(350.0)
    before.save()
    before.unchanged(after_s=4)
    before.wait(0)
    before.save()
    after = before.restarted()
    after.read(350.0)
    assert after.wait(0.9) == []
    assert [body.action for body in after.wait(0.1)] == ["raise"]


def test_an_alarm_that_nobody_ends_calls_again() -> None:
    """An hour after its acknowledgement, and an hour after the next one."""
    bench = Bench(realarm_s=3600.0)
    bench.read(350.0)
    for _ in range(2):
        bench.ack()
        assert bench.wait(3599) == []
        (event,) = bench.wait(1)
        assert (event.action, event.state, event.ack.by) == ("realarm", "UNACK", None)


def test_an_alarm_without_acknowledgement_never_asks_for_one() -> None:
    """Escalated, hidden and shown again it stays as good as acknowledged."""
    bench = Bench(ack=False, realarm_s=60.0)
    seen = bench.read(350.0) + bench.read(310.0) + bench.shelve() + bench.unshelve() + bench.wait(3600)
    assert [(body.action, body.state) for body in seen] == [
        ("raise", "ACKED"),
        ("escalate", "ACKED"),
        ("overlay", "ACKED"),
        ("unhide_raise", "ACKED"),
    ]


def test_bad_quality_holds_an_alarm_unless_it_is_fail_safe() -> None:
    """One that must not be missed is raised when nobody has known for its time; back again it is judged as it is."""
    assert Bench().read(None, LOST) == []
    bench = Bench(fail_safe=True, stale_after_s=30.0, ack=False)
    bench.read(410.0)
    assert bench.read(None, LOST) == []
    assert bench.wait(29) == []
    (raised,) = bench.wait(1)
    assert (raised.action, raised.signal, raised.level, raised.colour) == ("raise", "source_bad", None, "red")
    assert bench.read(410.0, OVER_RANGE) == []
    (cleared,) = bench.read(410.0)
    assert (cleared.action, cleared.ended, cleared.occurrence_id) == ("clear", True, raised.occurrence_id)


def test_a_lost_source_that_comes_back_in_alarm_goes_on_as_the_same_occurrence() -> None:
    """After its delay the cause is the process; until then it stands because of the source."""
    bench = Bench(fail_safe=True, stale_after_s=30.0, on_delay_s=5.0)
    bench.read(None, LOST)
    bench.wait(30)
    bench.ack()
    assert bench.read(350.0) == []
    (changed,) = bench.wait(5)
    assert (changed.action, changed.state, changed.signal, changed.level) == ("cause_changed", "ACKED", "process", "L")
    assert changed.n == 3


def test_a_short_loss_of_the_source_is_forgotten() -> None:
    """The time starts anew with each loss."""
    bench = Bench(fail_safe=True, stale_after_s=30.0)
    for _ in range(3):
        bench.read(None, LOST, after_s=1)
        assert bench.wait(29) == []
        bench.read(410.0)


def test_a_level_that_the_configuration_lost_does_not_hold_its_alarm() -> None:
    """After the change the alarm clears at the first good value."""
    before = Bench(ack=False)
    before.read(350.0)
    only_red = Limit((Level("LL", 320.0, "red"),))
    after = Bench(only_red, ack=False, stored=before.stored)
    assert actions(after.read(350.0)) == [("clear", "NORM", None)]
