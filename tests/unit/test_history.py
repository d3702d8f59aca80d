"""Telemetry looked back on: samples as they were stored, and thinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from agent.history import Gaps, Reading, Thinner, plain, samples, transitions
from buffer.record import Record

if TYPE_CHECKING:
    from agent.events import QualityName, Value
    from agent.status import HistoryRow

TOPIC = "telemetry/pwr-lv/m1"


def record(t0: str, *values: dict[str, object], topic: str = TOPIC) -> Record:
    body = {"type": "telemetry.batch.v1", "data": {"device": "m1", "t0": t0, "samples": list(values)}}
    return Record("telemetry", "e1", 1, 0, 0, topic, json.dumps(body).encode())


def raise_of_the_docs() -> Record:
    path = Path(__file__).parents[2] / "docs" / "payloads" / "alarm-raise.json"
    return Record("alarm", "e1", 1, 0, 0, "alarm/x", path.read_bytes().replace(b'"wardgate.alarm', b'"alarm'))


def thinned(every_s: float, *readings: tuple[float, Value, QualityName]) -> list[HistoryRow]:
    thinner = Thinner(every_s, 600.0)
    return [*thinner.take(Reading(*each) for each in readings), *thinner.end()]


def test_samples_are_those_of_the_point_and_the_device() -> None:
    """With their own times, values and qualities; what others sent is left out."""
    found = samples(
        [
            record("2026-11-21T00:00:00.000Z", {"p": "u", "dt": 1500, "v": 1.5}, {"p": "i", "dt": 0, "v": 9}),
            record("2026-11-21T00:00:00.000Z", {"p": "u", "dt": 0, "v": 7}, topic="telemetry/pwr-lv/m2"),
            record("2026-11-21T00:01:00.000Z", {"p": "u", "dt": 0, "v": None, "q": "bad"}),
        ],
        "m1",
        "u",
    )
    assert found == [Reading(1795219201.5, 1.5, "good"), Reading(1795219260.0, None, "bad")]
    assert [(row.time, row.last, row.q) for row in plain(found)] == [
        ("2026-11-21T00:00:01.500Z", 1.5, "good"),
        ("2026-11-21T00:01:00.000Z", None, "bad"),
    ]


def test_a_mean_is_weighted_by_time() -> None:
    """A value stands until the next one comes, also across the edge of a stretch."""
    first, second = thinned(60, (0.0, 10.0, "good"), (45.0, 30.0, "good"), (90.0, 50.0, "good"))
    assert (first.count, first.min, first.max, first.mean, first.last) == (2, 10.0, 30.0, 15.0, 30.0)
    assert (second.count, second.min, second.max, second.mean) == (1, 50.0, 50.0, 40.0)


def test_a_gap_is_a_gap() -> None:
    """No row where there was no sample, and an old value is not taken for one that still stands."""
    rows = thinned(60, (0.0, 10.0, "good"), (3600.0, 20.0, "good"))
    assert [(row.time[11:19], row.mean) for row in rows] == [("00:00:00", 10.0), ("01:00:00", 20.0)]


def test_bad_values_are_counted_but_not_calculated_with() -> None:
    """The worst quality of a stretch shows, and its numbers are those that were known."""
    (row,) = thinned(60, (0.0, 10.0, "good"), (10.0, 999.0, "bad"), (20.0, 10.0, "good"), (50.0, 12.0, "uncertain"))
    assert (row.q, row.count, row.min, row.max) == ("bad", 4, 10.0, 12.0)
    assert row.mean == (10 * 10 + 30 * 10 + 10 * 12) / 50


def test_states_have_no_mean() -> None:
    """Texts and booleans have a last value and nothing else."""
    (row,) = thinned(60, (0.0, True, "good"), (5.0, "open", "good"))
    assert (row.last, row.count, row.min, row.max, row.mean) == ("open", 2, None, None, None)


def gaps(from_s: float, to_s: float, *times: float) -> list[tuple[str, str]]:
    found = Gaps(from_s, hold_s=300.0)
    seen = [*found.take(Reading(time_s, 1.0, "good") for time_s in times), *found.end(to_s)]
    return [(gap.begin[11:19], gap.end[11:19]) for gap in seen]


def test_gaps_are_told() -> None:
    """At the beginning, in the middle and at the end, wherever a sample no longer stands for what came."""
    assert gaps(0, 600, 10, 300, 600) == []
    assert gaps(0, 3600, 0, 300, 1000, 1200, 3400) == [("00:05:00", "00:16:40"), ("00:20:00", "00:56:40")]
    assert gaps(0, 3600, 1000, 1300) == [("00:00:00", "00:16:40"), ("00:21:40", "01:00:00")]
    assert gaps(0, 3600) == [("00:00:00", "01:00:00")]


def test_transitions_are_those_of_the_alarm() -> None:
    """Other events are no transitions, and other alarms are not asked for."""
    telemetry = record("2026-11-21T00:00:00.000Z", {"p": "u", "dt": 0, "v": 1})
    raised = raise_of_the_docs()
    (one,) = transitions([telemetry, raised], None)
    assert (one.alarm_id, one.action, one.n) == ("pwr.lv/lv-main/u_ab#supply-lost", "raise", 1)
    assert transitions([raised], "other") == []
    assert transitions([raised], one.alarm_id) == [one]
