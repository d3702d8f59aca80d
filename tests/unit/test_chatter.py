"""Alarms that come and go too often: people are called at once, and the end waits until it is one."""

from __future__ import annotations

import pytest
from alarm_bench import LOST, Bench

from config.judgement import Level, Limit

HIGH = Limit((Level("HH", 40.0, "orange"), Level("H", 35.0, "yellow")))
IN, OUT, FAR_OUT = 30.0, 36.0, 41.0


def flicker(bench: Bench, cycles: int, every_s: float = 10.0) -> None:
    """It comes and goes so often."""
    for _ in range(cycles):
        bench.read(OUT, after_s=every_s / 2)
        bench.read(IN, after_s=every_s / 2)


def said(bench: Bench) -> list[tuple[str, int]]:
    return [(body.action, body.chatter_count) for body in bench.bodies]


def test_4_a_chattering_alarm_keeps_its_raise_and_its_clear_waits_for_a_minute() -> None:
    """The third beginning within a minute comes at once too; then it has to stay away for 60 s."""
    bench = Bench(HIGH, ack=False)
    flicker(bench, 3)
    assert said(bench) == [("raise", 0), ("clear", 0), ("raise", 0), ("clear", 0), ("raise", 3)]
    assert bench.run.chatters
    assert bench.wait(59.0) == []
    (cleared,) = bench.wait(1.0)
    assert (cleared.action, cleared.chatter_count, cleared.ended) == ("clear", 3, True)
    assert not bench.run.chatters


def test_beginnings_that_are_held_back_are_counted() -> None:
    """While it is held on nobody is told of more of them, and the clear says how many there were."""
    bench = Bench(HIGH, ack=False)
    flicker(bench, 3)
    told = len(bench.bodies)
    flicker(bench, 20)
    assert len(bench.bodies) == told
    (cleared,) = bench.wait(60.0)
    assert cleared.chatter_count == 23


def test_a_new_spell_is_counted_anew_and_its_raise_is_not_delayed() -> None:
    """After the end the alarm is as any other: it comes and goes at once until it chatters again."""
    bench = Bench(HIGH, ack=False)
    flicker(bench, 5)
    bench.wait(60.0)
    assert [(body.action, body.chatter_count) for body in bench.read(OUT, after_s=1.0)] == [("raise", 0)]
    assert [(body.action, body.chatter_count) for body in bench.read(IN, after_s=1.0)] == [("clear", 0)]


def test_three_beginnings_in_more_than_a_minute_are_no_chatter() -> None:
    """At 31 s from one to the next each clear is told at once."""
    bench = Bench(HIGH, ack=False)
    flicker(bench, 6, every_s=31.0)
    assert said(bench) == [("raise", 0), ("clear", 0)] * 6


def test_a_level_that_chatters_is_held_and_the_other_is_not() -> None:
    """HH that comes and goes above a standing H escalates at once and de-escalates late."""
    bench = Bench(HIGH, ack=False)
    bench.read(OUT)
    for _ in range(3):
        bench.read(FAR_OUT, after_s=5.0)
        bench.read(OUT, after_s=5.0)
    assert [body.action for body in bench.bodies] == ["raise", *["escalate", "deescalate"] * 2, "escalate"]
    assert [body.action for body in bench.wait(60.0)] == ["deescalate"]
    assert [body.action for body in bench.read(IN)] == ["clear"]


def test_bad_quality_does_not_serve_the_wait_of_a_chattering_alarm() -> None:
    """Only time in which the value is known to be back counts."""
    bench = Bench(HIGH, ack=False)
    flicker(bench, 3)
    bench.unchanged(after_s=30.0)
    bench.read(None, LOST, after_s=1.0)
    assert bench.wait(600.0) == []
    bench.read(IN)
    assert bench.wait(29.0) == []
    assert [body.action for body in bench.wait(2.0)] == ["clear"]


def test_a_longer_off_delay_stays_as_it_is_written() -> None:
    """Chatter never makes an alarm end earlier."""
    bench = Bench(HIGH, ack=False, off_delay_s=4.0)
    for _ in range(3):
        bench.read(OUT, after_s=5.0)
        bench.read(IN, after_s=5.0)
        bench.wait(4.0)
    assert bench.run.chatters
    slow = bench.restarted(off_delay_s=300.0)
    slow.read(IN)
    assert slow.wait(200.0) == []


def test_a_restart_goes_on_with_chatter_and_with_what_is_left_of_the_wait() -> None:
    """Count and hold are stored with the alarm; the minute goes on with its remainder."""
    bench = Bench(HIGH, ack=False)
    flicker(bench, 4)
    bench.unchanged(after_s=40.0)
    bench.save()
    again = bench.restarted(after_s=5.0)
    again.wait(0.0)
    assert again.run.chatters
    assert again.read(IN) == []
    assert again.wait(19.0) == []
    (cleared,) = again.wait(1.0)
    assert (cleared.action, cleared.chatter_count) == ("clear", 4)


@pytest.mark.parametrize("settings", [{"life_safety": True}, {"system": "fire"}])
def test_life_safety_and_fire_are_never_held(settings: dict[str, object]) -> None:
    """They clear at once however often they come and go."""
    bench = Bench(HIGH, ack=False, **settings)  # type: ignore[arg-type]  # names are those of the alarm
    flicker(bench, 10, every_s=2.0)
    assert said(bench) == [("raise", 0), ("clear", 0)] * 10
