"""The times in an alarm event: when the value first asked for it, when it was read, when the rule decided."""

from __future__ import annotations

from alarm_bench import OXYGEN, Bench

from agent.clock import Now
from agent.events import AlarmTransition, rfc3339
from agent.rules import Step, step
from config.judgement import Limit, Mean
from drivers.contract import Reading


def stamps(body: AlarmTransition) -> tuple[str, str, str]:
    return body.ts_cond, body.ts_gateway, body.ts_decided


def at(*walls: float) -> tuple[str, ...]:
    return tuple(rfc3339(wall) for wall in walls)


def late(bench: Bench, value: float, *, waited_s: float, source: float | None = None) -> Step:
    """A reading that waited in the queue before the rules took it."""
    times = {} if source is None else {0: source}
    reading = Reading(bench.poll, bench.wall, bench.mono, (value,), {}, ((0, 1),), times)
    return step(bench.rules, reading, Now(bench.wall + waited_s, bench.mono + waited_s))


def test_10_a_reading_that_waited_was_read_when_it_was_read() -> None:
    """The queue's time is between read and decided; the device's own time stands beside them."""
    bench = Bench(wall=1_000.0)
    (event,) = late(bench, 350.0, waited_s=0.7, source=999.5).events
    assert isinstance(event.body, AlarmTransition)
    assert stamps(event.body) == at(1_000.0, 1_000.0, 1_000.7)
    assert event.body.ts_source == rfc3339(999.5)


def test_10_after_an_on_delay_the_value_was_read_when_it_was_last_confirmed() -> None:
    """It began at 1000, was confirmed at 1004, and decided by time alone at 1005."""
    bench = Bench(on_delay_s=5.0)
    bench.read(350.0)
    bench.unchanged(after_s=4.0)
    (raised,) = bench.wait(1.0)
    assert stamps(raised) == at(1_000.0, 1_004.0, 1_005.0)


def test_10_a_clear_names_when_the_value_came_back() -> None:
    """Not when the off-delay was served."""
    bench = Bench(off_delay_s=10.0)
    bench.read(350.0)
    bench.read(400.0, after_s=20.0)
    bench.unchanged(after_s=8.0)
    (cleared,) = bench.wait(2.0)
    assert cleared.action == "clear"
    assert stamps(cleared) == at(1_020.0, 1_028.0, 1_030.0)


def test_10_of_what_people_do_the_value_is_as_old_as_its_last_reading() -> None:
    """An acknowledgement reads nothing; a restart and a snapshot tell the same times."""
    bench = Bench()
    bench.read(350.0)
    bench.unchanged(after_s=30.0)
    bench.wait(0.5)
    (acked,) = bench.ack()
    assert stamps(acked) == at(1_030.5, 1_030.0, 1_030.5)
    assert stamps(bench.snapshot()) == stamps(acked)
    assert stamps(bench.restarted(after_s=60.0).snapshot()) == stamps(acked)


def test_10_a_mean_is_stamped_by_the_last_reading_too() -> None:
    """What judges because time passed has looked at nothing newer."""
    bench = Bench(Limit(OXYGEN.levels, measure=Mean(900.0)))
    bench.read(350.0)
    raised: list[AlarmTransition] = []
    while not raised:
        raised = bench.unchanged(after_s=10.0) or bench.wait(3.0)
    (event,) = raised
    assert event.ts_gateway in at(bench.wall, bench.wall - 3.0)
    assert event.ts_decided == rfc3339(bench.wall)
