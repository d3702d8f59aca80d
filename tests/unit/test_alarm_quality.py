"""What each quality may do to an alarm: good raises and clears, uncertain may raise, bad leaves everything as it is."""

from __future__ import annotations

from typing import get_args

import pytest
from alarm_bench import Bench

from drivers.contract import Grade, Quality, Reason

LOW, NORMAL = 350.0, 400.0
GRADES: dict[Reason, Grade] = {
    "local_override": Grade.GOOD,
    "last_known": Grade.UNCERTAIN,
    "substituted": Grade.UNCERTAIN,
    "initial": Grade.UNCERTAIN,
    "sensor_uncalibrated": Grade.UNCERTAIN,
    "range_suspect": Grade.UNCERTAIN,
    "over_range": Grade.UNCERTAIN,
    "under_range": Grade.UNCERTAIN,
    "subnormal": Grade.UNCERTAIN,
    "insufficient_data": Grade.UNCERTAIN,
    "out_of_service": Grade.BAD,
    "sensor_fault": Grade.BAD,
    "device_fault": Grade.BAD,
    "config_error": Grade.BAD,
    "not_connected": Grade.BAD,
    "comm_lost": Grade.BAD,
    "busy": Grade.UNCERTAIN,
    "not_available": Grade.BAD,
    "decode_error": Grade.BAD,
    "denied": Grade.BAD,
}
"""`domain.md` 5.2, but for `ok`, which all other tests are about."""

NOT_JUDGED = {"last_known", "busy", "initial", "insufficient_data"}
"""These say that the value is not one of now, or not one at all."""


def qualities(*grades: Grade) -> list[Quality]:
    return [Quality(grade, reason) for reason, grade in GRADES.items() if grade in grades]


def name(quality: Quality) -> str:
    return quality.reason


def test_every_reason_has_its_row() -> None:
    """A new one has to be decided here."""
    assert {*GRADES, "ok"} == set(get_args(Reason))


@pytest.mark.parametrize("quality", qualities(Grade.GOOD), ids=name)
def test_3_a_good_value_with_a_reason_raises_and_clears(quality: Quality) -> None:
    """Somebody set it by hand at the device: it is what the device works with."""
    bench = Bench(ack=False)
    assert [body.action for body in bench.read(LOW, quality)] == ["raise"]
    assert [body.action for body in bench.read(NORMAL, quality)] == ["clear"]


@pytest.mark.parametrize("quality", qualities(Grade.UNCERTAIN), ids=name)
def test_3_an_uncertain_value_may_raise_and_never_clears(quality: Quality) -> None:
    """Beyond the range of its sensor, say; one that is not of now does neither."""
    bench = Bench(ack=False)
    told = bench.read(LOW, quality)
    is_judged = quality.reason not in NOT_JUDGED
    assert [(body.action, body.q, body.qr) for body in told] == [("raise", "uncertain", quality.reason)] * is_judged
    bench.read(LOW)
    assert bench.read(NORMAL, quality) == []
    assert bench.run.state == "ACKED"
    assert bench.snapshot().condition_known is is_judged


@pytest.mark.parametrize("quality", qualities(Grade.BAD), ids=name)
def test_3_a_bad_value_neither_raises_nor_clears(quality: Quality) -> None:
    """It is held as it was, and says that nobody knows; a value that is good again decides."""
    bench = Bench(ack=False)
    assert bench.read(None, quality) == []
    bench.read(LOW)
    assert bench.read(None, quality) == []
    snapshot = bench.snapshot()
    assert (snapshot.state, snapshot.condition_known, snapshot.q, snapshot.qr) == (
        "ACKED",
        False,
        "bad",
        quality.reason,
    )
    assert [body.action for body in bench.read(NORMAL)] == ["clear"]


@pytest.mark.parametrize("quality", qualities(Grade.BAD), ids=name)
def test_3_a_bad_value_raises_where_the_alarm_is_fail_safe(quality: Quality) -> None:
    """After its stale time, as lost source; a good value then says what it is."""
    bench = Bench(ack=False, fail_safe=True, stale_after_s=20.0)
    bench.read(None, quality)
    assert bench.wait(19.0) == []
    assert [(body.action, body.signal) for body in bench.wait(1.0)] == [("raise", "source_bad")]
    assert [(body.action, body.signal) for body in bench.read(LOW)] == [("cause_changed", "process")]


OVER, UNDER = Quality(Grade.UNCERTAIN, "over_range"), Quality(Grade.UNCERTAIN, "under_range")


@pytest.mark.parametrize(("quality", "level"), [(OVER, "H"), (UNDER, "LL")])
def test_3_a_sensor_beyond_its_range_raises_the_worst_level_of_that_side(quality: Quality, level: str) -> None:
    """Though it gives no number: none is told, and the other side neither comes nor goes because of it."""
    bench = Bench(ack=False)
    (told,) = bench.read(None, quality)
    assert (told.action, told.level, told.value, told.qr) == ("raise", level, None, quality.reason)
    assert told.condition_known
    bench.read(LOW)
    assert bench.run.level is not None
    assert bench.run.level.name == "L"
    bench.read(None, OVER)
    assert bench.run.state == "ACKED"
    assert [body.action for body in bench.read(NORMAL)][-1:] == ["clear"]


def test_3_a_sensor_beyond_its_range_serves_delays_and_survives_a_restart() -> None:
    """As any value that asks for the alarm does."""
    bench = Bench(ack=False, on_delay_s=5.0)
    assert bench.read(None, OVER) == []
    assert bench.wait(3.0) == []
    bench.save()
    after = bench.restarted()
    assert after.read(None, OVER) == []
    assert [(body.action, body.level) for body in after.wait(2.0)] == [("raise", "H")]


def test_a_first_value_far_from_every_limit_is_known() -> None:
    """What is told of an alarm at rest says that its condition is known, as after any other value."""
    bench = Bench()
    bench.read(410.0)
    (hidden,) = bench.shelve()
    assert (hidden.condition_known, hidden.value) == (True, 410.0)
