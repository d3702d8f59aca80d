"""What operators may do to an alarm, and what is refused them, each with its reason."""

from __future__ import annotations

import pytest
from alarm_bench import ALARM, LOST, Bench

from agent.rules import AlarmCommand, Refused
from config.judgement import Level, Limit

YELLOW = Limit((Level("L", 360.0, "yellow"),), deadband=5.0)
HOUR_S = 3600.0


def refusal(bench: Bench, command: AlarmCommand) -> tuple[str, str]:
    """Its code and its sentence; nothing was said of it."""
    before = bench.snapshot()
    with pytest.raises(Refused) as caught:
        bench.order(command)
    assert bench.snapshot() == before
    return caught.value.code, str(caught.value)


def shelve(for_s: float | None = 600.0, reason: str = "works") -> AlarmCommand:
    return AlarmCommand("shelve", ALARM, "duty", reason, until=None if for_s is None else 1_000.0 + for_s)


def test_a_shelved_alarm_says_who_why_and_until_when() -> None:
    """As an alarm that stands, and as one at rest."""
    for value, state in ((350.0, "UNACK"), (410.0, "NORM")):
        bench = Bench()
        bench.read(value)
        (event,) = bench.order(shelve())
        assert (event.action, event.state, event.hidden, event.overlay) == ("overlay", state, True, ["SHLVD"])
        (info,) = event.overlay_info
        assert (info.by, info.reason, info.until) == ("duty", "works", "1970-01-01T00:26:40.000Z")


def test_shelving_ends_by_the_clock_on_the_wall() -> None:
    """Also where that is set forward; a standing alarm calls then."""
    bench = Bench()
    bench.read(350.0)
    bench.shelve(600)
    assert bench.next_due is not None
    assert bench.next_due - bench.mono == pytest.approx(600)
    assert bench.wait(599) == []
    (event,) = bench.wait(1)
    assert (event.action, event.state, event.hidden) == ("unhide_raise", "UNACK", False)
    bench.shelve(600)
    bench.wall += 601
    assert [body.action for body in bench.wait(0)] == ["unhide_raise"]


def test_a_clock_that_is_set_back_does_not_prolong_it() -> None:
    """It was asked for ten minutes: it lasts no longer from then."""
    bench = Bench()
    bench.read(350.0)
    bench.shelve(600)
    bench.wall -= 1e6
    assert bench.wait(0) == []
    assert bench.wait(599) == []
    assert [body.action for body in bench.wait(1)] == ["unhide_raise"]


@pytest.mark.parametrize(("clock_known", "actions"), [(True, []), (False, ["unhide_raise"])])
def test_nobody_stays_shelved_by_a_gateway_that_does_not_know_the_time(clock_known: bool, actions: list[str]) -> None:
    """After a start with a clock that nobody set it ends at once; else it goes on to its end."""
    before = Bench()
    before.read(350.0)
    before.shelve(600)
    after = before.restarted(after_s=60, clock_known=clock_known)
    assert [body.action for body in after.wait(0)] == actions
    assert after.run.is_hidden is clock_known


@pytest.mark.parametrize(
    ("condition", "for_s", "words"),
    [
        (YELLOW, 8 * HOUR_S + 60, "480 min at most"),
        (None, 31 * 60, "30 min at most, because it can become red"),
    ],
)
def test_shelving_for_too_long_is_forbidden(condition: Limit | None, for_s: float, words: str) -> None:
    """Eight hours; half an hour for what can become red, whatever it is now."""
    bench = Bench(condition) if condition else Bench()
    code, why = refusal(bench, shelve(for_s))
    assert (code, words in why) == ("forbidden", True)


@pytest.mark.parametrize(("condition", "longest_s"), [(YELLOW, 8 * HOUR_S), (None, 1800.0)])
def test_without_a_time_it_is_shelved_for_as_long_as_may_be(condition: Limit | None, longest_s: float) -> None:
    """The end is always there."""
    bench = Bench(condition) if condition else Bench()
    bench.order(shelve(None))
    assert bench.run.shelving is not None
    assert bench.run.shelving.until == 1_000.0 + longest_s


def test_what_must_never_be_hidden_is_refused() -> None:
    """Nobody shelves it."""
    code, why = refusal(Bench(shelvable=False), shelve())
    assert (code, why) == ("forbidden", f"{ALARM} must never be hidden; it cannot be shelved")


def test_an_order_without_its_reason_is_refused() -> None:
    """Shelving and taking out of service, each with what is missing; and a time that is over."""
    assert refusal(Bench(), shelve(reason=" "))[1] == "shelving without why; say it"
    assert refusal(Bench(), shelve(-1.0))[0] == "malformed"
    order = AlarmCommand("out-of-service", ALARM, "duty", "works", owner="Li")
    assert refusal(Bench(), order)[1] == "out of service without the number of the work order; say it"
    order = AlarmCommand("out-of-service", ALARM, "duty", "works", work_order="W-1")
    assert refusal(Bench(), order)[1] == "out of service without who is responsible; say it"


def test_what_is_not_hidden_cannot_be_shown() -> None:
    """Both verbs say so."""
    for verb, words in (("unshelve", "is not shelved"), ("in-service", "is not out of service")):
        code, why = refusal(Bench(), AlarmCommand(verb, ALARM, "duty"))  # type: ignore[arg-type]  # from a tuple
        assert (code, why) == ("wrong_state", f"{ALARM} {words}")


def test_out_of_service_lasts_until_it_is_put_back_and_is_to_be_reviewed() -> None:
    """Work order, owner and the day of review are in the event; a review begins another seven days."""
    bench = Bench()
    bench.read(350.0)
    (event,) = bench.take_out()
    (info,) = event.overlay_info
    assert (info.overlay, info.work_order, info.owner, info.by) == ("OOSRV", "W-17", "Li", "duty")
    assert (info.since, info.review) == ("1970-01-01T00:16:40.000Z", "1970-01-08T00:16:40.000Z")
    assert bench.wait(8 * 86_400) == []
    (event,) = bench.take_out()
    assert event.overlay_info[0].since == info.since
    assert event.overlay_info[0].review == "1970-01-16T00:16:40.000Z"
    assert [body.action for body in bench.put_back()] == ["unhide_raise"]


def test_a_fire_point_is_never_taken_out_of_service() -> None:
    """That is done at the panel, and told by it."""
    order = AlarmCommand("out-of-service", ALARM, "duty", "works", work_order="W-1", owner="Li")
    assert refusal(Bench(system="fire"), order)[0] == "forbidden"


def test_a_latch_is_not_released_while_nobody_knows_whether_it_is_over() -> None:
    """Neither with a lost source, nor while the value asks for the alarm again."""
    bench = Bench(latching=True, on_delay_s=5.0)
    bench.read(350.0)
    bench.wait(5)
    bench.read(410.0)
    bench.ack()
    for value, quality in ((None, LOST), (350.0, None)):
        bench.read(value, quality)
        _, why = refusal(bench, AlarmCommand("reset", ALARM, "duty"))
        assert why.endswith("once its condition is known to be over")
    bench.read(410.0)
    assert [body.action for body in bench.reset()] == ["reset"]


def test_the_platform_acknowledges_in_its_own_name() -> None:
    """The scope of an acknowledgement tells where it came from."""
    bench = Bench()
    bench.read(350.0)
    (event,) = bench.order(AlarmCommand("ack", ALARM, "zhang", "seen", scope="platform"))
    assert (event.ack.by, event.ack.scope, event.ack.comment) == ("zhang", "platform", "seen")


def test_an_order_for_no_alarm_is_refused() -> None:
    """With the code that says so."""
    with pytest.raises(Refused) as caught:
        Bench().order(AlarmCommand("ack", "x#y", "duty"))
    assert caught.value.code == "unknown"


def test_a_refusal_takes_nothing_with_it_that_was_due() -> None:
    """Shelving that ended at the very moment of a refused order is told with the next step."""
    bench = Bench()
    bench.read(350.0)
    bench.shelve(600)
    bench.wall += 600
    bench.mono += 600
    with pytest.raises(Refused):
        bench.reset()
    assert [body.action for body in bench.wait(0)] == ["unhide_raise"]
