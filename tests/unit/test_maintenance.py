"""Maintenance: alarms of what is worked on are hidden or marked, until an end that always comes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from alarm_bench import HERE, Bench

from agent.rules import MaintenanceCommand, Refused
from agent.rules.windows import NEVER, Window
from config.duty import MaintenanceWindow, Scope

SHANGHAI = ZoneInfo("Asia/Shanghai")
SYSTEM = Scope(system=frozenset({"or"}))
OTHER = Scope(device=frozenset({"or-2"}))


def test_7_alarms_are_hidden_by_design_and_tell_how_they_stand_at_the_end() -> None:
    """What began meanwhile calls when it is over."""
    bench = Bench()
    (event,) = bench.maintain(600)
    assert (event.action, event.state, event.overlay, event.ended) == ("overlay", "NORM", ["DSUPR"], True)
    (info,) = event.overlay_info
    assert (info.by, info.reason, info.until) == ("maintenance/1", "works", "1970-01-01T00:26:40.000Z")
    (event,) = bench.read(350.0)
    assert (event.action, event.hidden, event.test) == ("raise", True, False)
    assert bench.wait(599) == []
    (event,) = bench.wait(1)
    assert (event.action, event.state, event.hidden) == ("unhide_raise", "UNACK", False)
    assert bench.rules.maintenance.entries == {}


def test_what_was_and_is_over_ends_with_it() -> None:
    """Raised and returned behind the curtain, it is no alarm afterwards."""
    bench = Bench()
    bench.maintain(600)
    bench.read(350.0)
    bench.read(410.0)
    (event,) = bench.end_maintenance()
    assert (event.action, event.state, event.ended) == ("unhide", "NORM", True)


def test_7_what_must_never_be_hidden_goes_out_as_a_test() -> None:
    """Marked while it lasts; at the end the present state comes without the mark."""
    bench = Bench(shelvable=False)
    assert bench.maintain(600) == []
    (event,) = bench.read(310.0)
    assert (event.action, event.hidden, event.test) == ("raise", False, True)
    assert bench.wait(400) == [], "nobody is late to acknowledge a test"
    (event,) = bench.end_maintenance()
    assert (event.action, event.state, event.test) == ("unhide_raise", "UNACK", False)
    assert [body.action for body in bench.wait(60)] == ["ack_overdue"]


def test_a_test_that_is_over_leaves_no_alarm() -> None:
    """Raised and returned as a test, it ends when the test does, and says that it is no test any more."""
    bench = Bench(shelvable=False)
    bench.maintain(600)
    bench.read(310.0)
    bench.read(410.0)
    (event,) = bench.end_maintenance()
    assert (event.action, event.state, event.ended, event.test) == ("unhide", "NORM", True, False)


def test_an_alarm_that_nothing_was_said_of_says_nothing_after_a_test() -> None:
    """At rest throughout, or standing throughout: both ends of the test are quiet."""
    for value in (410.0, 350.0):
        bench = Bench(shelvable=False)
        bench.read(value)
        assert bench.maintain(600) + bench.end_maintenance() == []


def test_an_alarm_that_stood_before_a_test_and_ended_in_it_is_told() -> None:
    """Whoever ignores tests would hold it for ever."""
    bench = Bench(shelvable=False, ack=False)
    bench.read(310.0)
    bench.maintain(600)
    (cleared,) = bench.read(410.0)
    assert (cleared.ended, cleared.test) == (True, True)
    (event,) = bench.end_maintenance()
    assert (event.action, event.ended, event.test) == ("unhide", True, False)


def test_7_the_fire_test_hides_nothing() -> None:
    """Even what could be hidden is only marked."""
    bench = Bench()
    assert bench.maintain(600, is_test=True) == []
    (event,) = bench.read(350.0)
    assert (event.hidden, event.test) == (False, True)


def test_nothing_else_is_touched() -> None:
    """Another device, and the same one of another system, stay live."""
    bench = Bench()
    with pytest.raises(Refused) as caught:
        bench.maintain(600, OTHER)
    assert caught.value.code == "unknown"
    assert bench.maintain(600, SYSTEM)[0].hidden


def test_two_at_once_show_the_alarm_when_both_are_over() -> None:
    """The overlay is one; the later end counts."""
    bench = Bench()
    bench.read(350.0)
    assert len(bench.maintain(600)) == 1
    assert bench.maintain(1200, SYSTEM) == []
    assert bench.wait(600) == []
    assert [body.action for body in bench.wait(600)] == ["unhide_raise"]


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (MaintenanceCommand("maintenance-start", "li", "", HERE, 2e3), "malformed", "without why"),
        (MaintenanceCommand("maintenance-start", "li", "works", HERE), "malformed", "without an end"),
        (MaintenanceCommand("maintenance-start", "li", "works", HERE, 999.0), "malformed", "is over"),
        (MaintenanceCommand("maintenance-start", "li", "works", HERE, 1e6), "forbidden", "7 days at most"),
        (MaintenanceCommand("maintenance-start", "li", "works", until=2e3), "unknown", "no alarm is meant"),
        (MaintenanceCommand("maintenance-end", "li", id="7"), "unknown", "there is no maintenance 7; there is none"),
    ],
)
def test_what_cannot_be_is_refused(command: MaintenanceCommand, code: str, words: str) -> None:
    """Without why, without an end, for too long, of nothing."""
    bench = Bench()
    with pytest.raises(Refused, match=words) as caught:
        bench.order(command)
    assert caught.value.code == code
    assert bench.rules.maintenance.entries == {}


def test_it_goes_on_after_a_restart_and_says_nothing_twice() -> None:
    """Killed in the midst of it; the end is that which was asked for."""
    before = Bench()
    before.maintain(600)
    before.read(350.0)
    after = before.restarted(after_s=300)
    assert after.wait(0) == []
    assert after.read(350.0) == []
    assert after.wait(299) == []
    assert [body.action for body in after.wait(1)] == ["unhide_raise"]
    assert after.restarted().wait(0) == []


def test_it_ends_with_a_gateway_that_does_not_know_the_time() -> None:
    """Better an alarm too many than one that stays hidden for years."""
    before = Bench()
    before.maintain(600)
    before.read(350.0)
    after = before.restarted(clock_known=False)
    assert [body.action for body in after.wait(0)] == ["unhide_raise"]
    assert after.rules.maintenance.entries == {}


def test_a_test_that_ended_while_the_gateway_was_down_is_told() -> None:
    """The mark goes with the first step."""
    before = Bench(shelvable=False)
    before.maintain(600)
    before.read(310.0)
    after = before.restarted(after_s=3600)
    assert [(body.action, body.test) for body in after.wait(0)] == [("unhide_raise", False)]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()


FIRST_SATURDAY = MaintenanceWindow(
    "monthly", SYSTEM, 9 * 60 + 30, 7200.0, "test", weekdays=frozenset({5}), weeks=frozenset({1})
)
LAST_DAY = MaintenanceWindow("n", SYSTEM, 0, 60.0, "t", days=frozenset({31}))


@pytest.mark.parametrize(
    ("rule", "now", "current", "following"),
    [
        (FIRST_SATURDAY, "2026-11-21T10:00", None, "2026-12-05T09:30"),
        (FIRST_SATURDAY, "2026-12-05T09:30", "2026-12-05T09:30", "2027-01-02T09:30"),
        (FIRST_SATURDAY, "2026-12-05T11:29", "2026-12-05T09:30", "2027-01-02T09:30"),
        (FIRST_SATURDAY, "2026-12-05T11:30", None, "2027-01-02T09:30"),
        (MaintenanceWindow("n", SYSTEM, 1380, 7200.0, "t"), "2026-12-05T00:30", "2026-12-04T23:00", "2026-12-05T23:00"),
        (LAST_DAY, "2026-11-21T10:00", None, "2026-12-31T00:00"),
    ],
)
def test_a_window_comes_on_its_days(rule: MaintenanceWindow, now: str, current: str | None, following: str) -> None:
    """In local time, over midnight too."""
    window = Window(rule, SHANGHAI)
    assert window.current(at(now)) == (at(current) if current else None)
    assert window.next_start(at(now)) == at(following)


def test_a_window_that_never_comes_is_waited_for_no_longer_than_forever() -> None:
    """No month has 32 days: the search for one ends."""
    rule = MaintenanceWindow("n", SYSTEM, 0, 60.0, "t", days=frozenset({32}))
    assert Window(rule, SHANGHAI).next_start(0.0) == NEVER


def test_7_a_window_begins_and_ends_by_itself_each_time() -> None:
    """Three days, three times; the reason is the configuration's."""
    daily = MaintenanceWindow("nightly", SYSTEM, 60, 3600.0, "cleaning")
    bench = Bench(windows=(daily,))
    bench.wait(0)
    seen = [body for _ in range(3 * 24) for body in bench.wait(3600)]
    assert [body.action for body in seen] == ["overlay", "unhide"] * 3
    assert {info.reason for body in seen for info in body.overlay_info} == {"cleaning"}
    assert {info.by for body in seen for info in body.overlay_info} == {"maintenance/nightly"}


def test_a_window_that_was_ended_early_stays_ended() -> None:
    """Until it comes again; a restart in the midst of it changes nothing."""
    bench = Bench(windows=(MaintenanceWindow("nightly", SYSTEM, 0, 3600.0, "cleaning"),), wall=100.0)
    assert [body.action for body in bench.wait(0)] == ["overlay"]
    assert [body.action for body in bench.end_maintenance("nightly")] == ["unhide"]
    assert bench.wait(60) == []
    after = bench.restarted()
    assert after.wait(60) == []
    assert [body.action for body in after.wait(86_400)] == ["overlay"]


def test_a_gateway_that_starts_within_a_window_heeds_it() -> None:
    """It came while nobody was there."""
    bench = Bench(windows=(MaintenanceWindow("nightly", SYSTEM, 0, 3600.0, "cleaning"),), wall=1_800.0)
    (event,) = bench.wait(0)
    assert event.overlay_info[0].until == "1970-01-01T01:00:00.000Z"
