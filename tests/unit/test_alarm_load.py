"""How many alarms people are called for, and floods: everything is told at once, and marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from alarm_bench import ALARM, Bench

from agent.board import AlarmBoard
from agent.clock import Now
from agent.health import Health
from agent.load_view import load_view, note_flood
from agent.rules.load import AlarmLoad
from config.judgement import Level, Limit

if TYPE_CHECKING:
    from agent.events import AlarmTransition
    from agent.status import AlarmLoadView

HIGH = Limit((Level("H", 35.0, "yellow"),))
IN, OUT = 30.0, 36.0
MINUTE_S, DAY_S = 60.0, 86_400.0


@pytest.fixture
def bodies() -> list[AlarmTransition]:
    """A raise and its clear."""
    bench = Bench(HIGH, ack=False)
    return bench.read(OUT) + bench.read(IN)


def call(load: AlarmLoad, raised: AlarmTransition, at_s: float, name: str = ALARM) -> bool:
    return load.take(_changed(raised, alarm_id=name), at_s)


def _changed(body: AlarmTransition, **fields: object) -> AlarmTransition:
    return msgspec.structs.replace(body, **fields)


def test_4_more_than_ten_alarms_in_ten_minutes_are_a_flood_and_all_are_told_at_once() -> None:
    """The eleventh is the first that is marked; no raise and no clear waits for anything."""
    bench = Bench(HIGH, ack=False)
    for _ in range(12):
        assert [body.action for body in bench.read(OUT, after_s=20.0)] == ["raise"]
        assert [body.action for body in bench.read(IN, after_s=20.0)] == ["clear"]
    raises = [body.flood for body in bench.bodies if body.action == "raise"]
    assert raises == [False] * 10 + [True] * 2
    assert bench.snapshot().flood


def test_a_flood_lasts_until_there_are_fewer_than_five_in_ten_minutes(bodies: list[AlarmTransition]) -> None:
    """At five within ten minutes it goes on; with the fifth older than that it is over, and ten more are no flood."""
    raised, _ = bodies
    load = AlarmLoad()
    assert [call(load, raised, float(n)) for n in range(11)] == [False] * 10 + [True]
    assert load.floods(605.9), "five are left"
    assert not load.floods(606.0)
    assert not call(load, raised, 606.5)


def test_a_flood_is_a_condition_of_the_gateway_while_it_lasts(bodies: list[AlarmTransition]) -> None:
    """Status shows it with how many there were, and not any more when it is over."""
    raised, _ = bodies
    load, health = AlarmLoad(), Health()
    for n in range(11):
        call(load, raised, float(n))
    note_flood(load, health, "gw", Now(1_000.0, 11.0))
    (shown,) = health.views()
    assert (shown.code, shown.target, shown.detail) == ("alarm_flood", "gw", "11 alarms in ten minutes")
    note_flood(load, health, "gw", Now(2_000.0, 1_011.0))
    assert list(health.views()) == []


def test_what_calls_nobody_is_not_counted(bodies: list[AlarmTransition]) -> None:
    """Clears, acknowledgements, what is hidden and what is a test ask nothing of people."""
    raised, cleared = bodies
    load = AlarmLoad()
    for body in (cleared, _changed(raised, hidden=True), _changed(raised, test=True), _changed(raised, action="ack")):
        load.take(body, 1.0)
    assert load.per(3600, 1.0) == (0, 0)
    call(load, raised, 2.0)
    assert load.per(3600, 2.0) == (1, 1)


def test_4_alarms_per_ten_minutes_and_per_hour_with_their_peaks(bodies: list[AlarmTransition]) -> None:
    """Six in one quarter of an hour and two much later: what is past stays as the peak for a day."""
    raised, _ = bodies
    load = AlarmLoad()
    for minute in (0, 0, 1, 9, 12, 14, 200, 201):
        call(load, raised, minute * MINUTE_S)
    now = 201 * MINUTE_S
    assert load.per(600, now) == (2, 4)
    assert load.per(3600, now) == (2, 6)
    assert load.per(86_400, now) == (8, 8)
    assert load.per(86_400, now + DAY_S) == (0, 0), "a day later all of it is forgotten"


def test_4_shares_of_colours_and_the_worst_ten(bodies: list[AlarmTransition]) -> None:
    """Who calls most often comes first, and there are ten of them at most."""
    raised, _ = bodies
    load = AlarmLoad()
    for number in range(12):
        for _ in range(number + 1):
            call(load, raised, float(number), f"a-{number:02}")
    load.take(_changed(raised, colour="red"), 20.0)
    worst = load.worst(20.0)
    assert len(worst) == 10
    assert worst[0] == ("a-11", 12)
    assert worst[-1] == ("a-02", 3)
    assert load.colours(20.0) == {"yellow": 78, "red": 1}


def view(bench: Bench) -> AlarmLoadView:
    """As `wardgate alarms load` shows it; everything that was told is on disk."""
    board = AlarmBoard(bench.rules)
    return load_view(bench.rules, board.views(), Now(bench.wall, bench.mono))


def test_4_standing_stale_and_chattering_alarms_are_shown() -> None:
    """One that stands for more than a day is stale; one that is held on because it chatters is named."""
    bench = Bench(HIGH, ack=False)
    for _ in range(3):
        bench.read(IN, after_s=5.0)
        bench.read(OUT, after_s=5.0)
    found = view(bench)
    assert (found.standing, found.stale, found.chattering) == (1, [], [ALARM])
    assert (found.per_10_min, found.peak_10_min, found.flood) == (3, 3, False)
    assert found.share_pct == {"red": 0.0, "orange": 0.0, "yellow": 100.0, "blue": 0.0}
    assert [(one.alarm_id, one.count, one.share_pct) for one in found.worst] == [(ALARM, 3, 100.0)]
    bench.unchanged(after_s=DAY_S + 1)
    found = view(bench)
    assert (found.standing, found.stale, found.worst) == (1, [ALARM], [])


def test_what_is_hidden_does_not_stand_for_people() -> None:
    """A shelved alarm is none that somebody has to look at."""
    bench = Bench(HIGH)
    bench.read(OUT)
    bench.shelve()
    assert view(bench).standing == 0


def test_4_the_counts_survive_a_restart_and_go_on_to_age() -> None:
    """What called before a kill counts in its minute and its hour, under the same `since`; a flood is still one."""
    bench = Bench(HIGH, ack=False)
    for _ in range(11):
        bench.read(OUT, after_s=20.0)
        bench.read(IN, after_s=20.0)
    bench.save()
    since = view(bench).since
    after = bench.restarted(after_s=300.0)
    after.wait(0.0)
    after.rules.load.resume(Now(after.wall, after.mono))  # as when another configuration comes
    found = view(after)
    assert (found.since, found.flood, found.per_hour, found.peak_10_min) == (since, True, 11, 11)
    assert [(one.alarm_id, one.count) for one in found.worst] == [(ALARM, 11)]
    assert after.read(OUT)[0].flood
    after.unchanged(after_s=1_000.0)
    found = view(after)
    assert (found.flood, found.per_10_min, found.per_hour, found.per_day) == (False, 0, 12, 12)
    after.save()
    next_day = after.restarted(after_s=DAY_S + 4_000)
    next_day.wait(0.0)
    assert view(next_day).per_day == 0


def test_the_counts_are_stored_every_ten_seconds_and_at_an_orderly_end() -> None:
    """A flood is not made slower by being counted."""
    bench = Bench(HIGH, ack=False)
    bench.read(OUT)
    assert "load" in bench.rules.take_delays(Now(bench.wall, bench.mono))
    bench.read(IN, after_s=1.0)
    bench.read(OUT, after_s=1.0)
    assert "load" not in bench.rules.take_delays(Now(bench.wall, bench.mono))
    assert "load" in bench.rules.take_delays(Now(bench.wall, bench.mono), at_end=True)
    assert "load" not in bench.rules.take_delays(Now(bench.wall + 99.0, bench.mono + 99.0), at_end=True)
