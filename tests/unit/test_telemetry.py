"""Thinning and batching of readings: what goes out, when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.events import Sample, TelemetryBatch
from agent.telemetry import BATCH_BYTES_MAX, SAMPLES_MAX, Telemetry
from config.files import AddressSpec, PointSpec
from config.model import Device, Place, Point, Text
from drivers.contract import Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.model import PointType
    from drivers.contract import Value

NAME = Text("点", "Point")
T0 = 1_763_694_907.412
LOST = Quality(Grade.BAD, "comm_lost", "timeout")


def poll_of(count: int, *, deadband: float = 0.0, heartbeat_s: float = 300.0, kind: PointType = "number") -> Poll:
    points = tuple(
        Point(f"p{n}", "m1", "pwr.lv", NAME, kind, "V", 1.0, PointSpec(), deadband=deadband, heartbeat_s=heartbeat_s)
        for n in range(count)
    )
    return Poll(Device("m1", NAME, "pwr.lv", "line", AddressSpec(), Place(), points, ()), points, 1.0)


def reading(
    poll: Poll,
    values: Sequence[Value],
    after_s: float = 0.0,
    flaws: Mapping[int, Quality] | None = None,
    changed: Sequence[tuple[int, int]] | None = None,
) -> Reading:
    spans = ((0, len(values)),) if changed is None else changed
    return Reading(poll, T0 + after_s, 100.0 + after_s, values, flaws or {}, spans)


def batches(telemetry: Telemetry) -> list[TelemetryBatch]:
    return [event.body for event in telemetry.flush() if isinstance(event.body, TelemetryBatch)]


def samples(telemetry: Telemetry) -> list[Sample]:
    return [sample for batch in batches(telemetry) for sample in batch.samples]


def test_first_values_all_go_out_then_only_what_changed() -> None:
    """One batch per device; `dt` counts milliseconds from the first reading in it."""
    telemetry, poll = Telemetry("c-1"), poll_of(3)
    telemetry.take(reading(poll, [1.0, 2.0, 3.0]))
    telemetry.take(reading(poll, [1.0, 2.5, 3.0], 0.25))
    (batch,) = batches(telemetry)
    assert (batch.device, batch.system, batch.t0) == ("m1", "pwr.lv", "2025-11-21T03:15:07.412Z")
    assert [(s.p, s.dt, s.v, s.why) for s in batch.samples] == [
        ("p0", 0, 1.0, "change"),
        ("p1", 0, 2.0, "change"),
        ("p2", 0, 3.0, "change"),
        ("p1", 250, 2.5, "change"),
    ]
    assert not telemetry.is_pending


def test_deadband_counts_from_the_value_that_went_out() -> None:
    """Small steps that add up are sent when their sum reaches the deadband."""
    telemetry, poll = Telemetry("c-1"), poll_of(1, deadband=1.0)
    for step, value in enumerate([10.0, 10.4, 10.8, 11.0, 11.5, 10.1]):
        telemetry.take(reading(poll, [value], step))
    assert [sample.v for sample in samples(telemetry)] == [10.0, 11.0]


def test_a_point_outside_the_changed_spans_is_not_looked_at() -> None:
    """Spans are believed: that is what makes an unchanged block cost nothing."""
    telemetry, poll = Telemetry("c-1"), poll_of(3)
    telemetry.take(reading(poll, [1.0, 2.0, 3.0]))
    telemetry.take(reading(poll, [9.0, 9.0, 9.0], 1, changed=((1, 2),)))
    assert [sample.p for sample in samples(telemetry)] == ["p0", "p1", "p2", "p1"]


def test_heartbeat_sends_an_unchanged_value() -> None:
    """A value that never moves is still sent once in its heartbeat, and says why."""
    telemetry, poll = Telemetry("c-1"), poll_of(1, heartbeat_s=60)
    telemetry.take(reading(poll, [5.0]))
    for second in range(1, 130):
        telemetry.take(reading(poll, [5.0], second, changed=()))
    assert [(sample.dt, sample.why) for sample in samples(telemetry)] == [
        (0, "change"),
        (60_000, "interval"),
        (120_000, "interval"),
    ]


def test_a_change_of_quality_is_a_change() -> None:
    """Lost, still lost, back: two samples after the first, the bad one null with its reason."""
    telemetry, poll = Telemetry("c-1"), poll_of(1, deadband=1.0)
    telemetry.take(reading(poll, [5.0]))
    telemetry.take(reading(poll, [None], 1, {0: LOST}))
    telemetry.take(reading(poll, [None], 2, {0: LOST}))
    telemetry.take(reading(poll, [5.0], 3))
    assert [(s.v, s.q, s.qr, s.qraw) for s in samples(telemetry)] == [
        (5.0, "good", "ok", ""),
        (None, "bad", "comm_lost", "timeout"),
        (5.0, "good", "ok", ""),
    ]


def test_a_good_sample_does_not_spell_out_its_quality() -> None:
    """On the wire only what is not plainly good is said; null is said."""
    assert msgspec.json.encode(Sample("p", 0, None, "change", "bad", "comm_lost")) == (
        b'{"p":"p","dt":0,"v":null,"why":"change","q":"bad","qr":"comm_lost"}'
    )
    assert msgspec.json.encode(Sample("p", 0, 1.5, "change")) == b'{"p":"p","dt":0,"v":1.5,"why":"change"}'


def test_batches_are_cut_at_five_hundred_samples_and_64_kib() -> None:
    """No sample is lost by the cut, and order is kept."""
    telemetry, poll = Telemetry("c-1"), poll_of(SAMPLES_MAX + 1)
    telemetry.take(reading(poll, [float(n) for n in range(SAMPLES_MAX + 1)]))
    assert [len(batch.samples) for batch in batches(telemetry)] == [SAMPLES_MAX, 1]
    telemetry, poll = Telemetry("c-1"), poll_of(100, kind="string")
    telemetry.take(reading(poll, ["x" * 2_000] * 100))
    cut = batches(telemetry)
    assert all(len(msgspec.json.encode(batch)) <= BATCH_BYTES_MAX for batch in cut)
    assert [sample.p for batch in cut for sample in batch.samples] == [f"p{n}" for n in range(100)]
