"""What goes out of an alarm's own points around its beginning and end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import Now
from agent.events import AlarmTransition, Event, TelemetryBatch
from agent.evidence import SAMPLES_MAX, SLACK_S, SPAN_S_MAX, Evidence
from agent.telemetry import Telemetry
from config.files import AddressSpec, PointSpec
from config.judgement import Computed, Deviation, Formula, Input, Level, Limit, Offline
from config.model import Alarm, Device, Place, Point, Text
from config.model import Evidence as Wanted
from drivers.contract import Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Action, Sample

NAME = Text("点", "Point")
T0 = 1_763_700_000.0
LIMIT = Limit((Level("H", 240.0, "red"),))
PAYLOAD = Path(__file__).parents[2] / "docs" / "payloads" / "alarm-raise.json"
RAISED = msgspec.convert(json.loads(PAYLOAD.read_text(encoding="utf-8"))["data"], AlarmTransition)


def poll_of(*names: str, heartbeat_s: float = 300.0) -> Poll:
    points = tuple(
        Point(name, "m1", "pwr.lv", NAME, "number", "V", 1.0, PointSpec(), deadband=10.0, heartbeat_s=heartbeat_s)
        for name in names
    )
    return Poll(Device("m1", NAME, "pwr.lv", "line", AddressSpec(), Place(), points, ()), points, 1.0)


def alarm(name: str, *, wanted: Wanted | None = None, condition: Limit | Offline = LIMIT) -> Alarm:
    point = "" if isinstance(condition, Offline) else name
    return Alarm(f"a/{name}", "a", "m1", "pwr.lv", point, condition, NAME, NAME, evidence=wanted or Wanted())


def transition(name: str, action: Action = "raise", *, ended: bool = False) -> AlarmTransition:
    return msgspec.structs.replace(RAISED, alarm_id=f"a/{name}", action=action, ended=ended)


class Stage:
    """Telemetry and evidence, as the pipeline has them."""

    def __init__(self, poll: Poll, *alarms: Alarm, window_s: float = 1.0) -> None:
        self.poll = poll
        self.telemetry = Telemetry("c-1")
        self.evidence = Evidence(alarms, window_s)
        self.events: list[Event] = []

    def read(self, at: float, *values: float | None, changed: bool = True) -> None:
        flaws = {i: Quality(Grade.BAD, "comm_lost") for i, value in enumerate(values) if value is None}
        spans = ((0, len(values)),) if changed else ()
        reading = Reading(self.poll, T0 + at, at, values, flaws, spans)
        self.evidence.take(reading, self.telemetry.take(reading))

    def flush(self, at: float) -> list[TelemetryBatch]:
        closer = [event for batch in self.evidence.due(at) for event in self.telemetry.batches(*batch)]
        self.events += [*self.telemetry.flush(), *closer]
        return [event.body for event in closer if isinstance(event.body, TelemetryBatch)]

    def out(self, point: str) -> list[tuple[float, Sample]]:
        """Everything that went out of a point, by its time after the beginning."""
        bodies = [event.body for event in self.events if isinstance(event.body, TelemetryBatch)]
        found = [
            (round(datetime.fromisoformat(body.t0).timestamp() - T0 + each.dt / 1000, 3), each)
            for body in bodies
            for each in body.samples
            if each.p == point
        ]
        return sorted(found, key=lambda pair: pair[0])


def times(found: Iterable[tuple[float, Sample]]) -> list[float]:
    return [at for at, _ in found]


def test_8_the_points_of_an_alarm_are_there_at_full_rate_around_it() -> None:
    """Every reading from 60 s before to 60 s after, once; and no more than telemetry would say beyond."""
    stage = Stage(poll_of("u", "other"), alarm("u"))
    for at in range(400):
        stage.read(at, 230.0 + at % 3, 50.0)
        if at == 200:
            stage.evidence.turned(transition("u"), 200.2)
        stage.flush(at + 0.5)
    found = stage.out("u")
    assert times(found) == [0, *range(141, 261), 300]
    assert [(sample.v, sample.why) for at, sample in found if at in {150, 200, 250}] == [
        (230.0, "trigger"),
        (232.0, "trigger"),
        (231.0, "trigger"),
    ]
    assert times(stage.out("other")) == [0, 300], "it is nobody's"
    assert not stage.evidence.is_open


def test_an_alarm_of_the_first_reading_has_evidence_too() -> None:
    """And so has one whose other point was not read yet."""
    limit = Limit((Level("H", 5.0, "red"),), measure=Deviation("m1", "set"))
    stage = Stage(poll_of("u", "set"), alarm("u", condition=limit, wanted=Wanted(5.0, 5.0)))
    stage.evidence.turned(transition("u"), 0.0)
    for at in range(20):
        stage.read(at, 230.0, 20.0)
        stage.flush(at + 0.5)
    assert times(stage.out("u")) == times(stage.out("set")) == [0, 1, 2, 3, 4, 5]


def test_what_was_still_to_be_recorded_goes_on_after_a_restart() -> None:
    """For the rest of its time, by the clock on the wall; what turned long ago, or in the future, does not."""
    for since_s, last in ((20.0, 40), (61.0, 0), (-5.0, 0)):
        stage = Stage(poll_of("u"), alarm("u"))
        stage.evidence.resume("a/u", T0 - since_s, Now(T0, 0.0))
        for at in range(80):
            stage.read(at, 230.0)
            stage.flush(at + 0.5)
        assert max(times(stage.out("u"))) == last
        assert not stage.evidence.is_open


def test_what_did_not_change_is_there_as_well() -> None:
    """It was asked, and it said the same: that is what full rate means."""
    stage = Stage(poll_of("u"), alarm("u", wanted=Wanted(5.0, 0.0)))
    for at in range(20):
        stage.read(at, 230.0, changed=at == 0)
    stage.evidence.turned(transition("u"), 19.0)
    stage.flush(19.5)
    assert [(at, sample.v) for at, sample in stage.out("u")] == [(0, 230.0), *((at, 230.0) for at in range(15, 20))]


def test_a_bad_value_is_evidence_too() -> None:
    """With its quality and reason, and no value."""
    stage = Stage(poll_of("u"), alarm("u"))
    for at, value in enumerate((230.0, None, None, 231.0)):
        stage.read(at, value)
    stage.evidence.turned(transition("u"), 3.0)
    stage.flush(3.5)
    assert [(sample.v, sample.q, sample.qr, sample.why) for _, sample in stage.out("u")] == [
        (230.0, "good", "ok", "change"),
        (None, "bad", "comm_lost", "change"),
        (None, "bad", "comm_lost", "trigger"),
        (231.0, "good", "ok", "change"),
    ]


def test_all_points_that_a_condition_looks_at_are_its_own() -> None:
    """Of a deviation, both."""
    limit = Limit((Level("H", 5.0, "red"),), measure=Deviation("m1", "set"))
    stage = Stage(poll_of("u", "set"), alarm("u", condition=limit))
    for at in range(4):
        stage.read(at, 230.0, 20.0)
    reference = stage.evidence.turned(transition("u"), 3.0)
    stage.flush(3.5)
    assert times(stage.out("u")) == times(stage.out("set")) == [0, 1, 2, 3]
    assert reference is not None
    assert (reference.pre_s, reference.post_s, reference.ref) == (60, 60, "m1/u,m1/set")


def test_an_expression_looks_at_every_point_in_it() -> None:
    """Also in the one that decides whether the condition counts; each of them once."""
    inputs = tuple(Input(name, "m1", name, name) for name in ("u", "set"))
    computed = Computed(Formula("u > set", "u > set", inputs), "red")
    one = replace(alarm("u"), point="", condition=computed, when=Formula("set > 0", "set > 0", inputs[1:]))
    assert one.points == (("m1", "u"), ("m1", "set"))


@pytest.mark.parametrize(
    ("body", "refers"),
    [
        (transition("u"), True),
        (transition("u", "retrigger"), True),
        (transition("u", "clear"), True),
        (transition("u", "clear_latched"), True),
        (transition("u", "ack"), False),
        (transition("u", "ack", ended=True), True),
        (transition("u", "escalate"), False),
        (transition("gone"), False),
        (transition("unknown"), False),
        (transition("no"), False),
    ],
)
def test_8_raise_and_end_refer_to_the_samples_around_them(body: AlarmTransition, *, refers: bool) -> None:
    """What does not begin or end a condition does not, nor does an alarm without points or without evidence."""
    stage = Stage(
        poll_of("u", "no"), alarm("u"), alarm("gone", condition=Offline("red")), alarm("no", wanted=Wanted(0.0, 0.0))
    )
    assert (stage.evidence.turned(body, 1.0) is not None) is refers


def test_batches_are_of_telemetrys_size() -> None:
    """A long look back is several batches, each of which spans no more than a telemetry window may."""
    stage = Stage(poll_of("u"), alarm("u", wanted=Wanted(600.0, 0.0)))
    for at in range(700):
        stage.read(at, 230.0)
    stage.evidence.turned(transition("u"), 699.0)
    found = stage.flush(699.5)
    assert sum(len(batch.samples) for batch in found) == 599 - 1  # 300 and 600 were heartbeats
    assert max(sample.dt for batch in found for sample in batch.samples) <= SPAN_S_MAX * 1000


def test_a_flood_of_alarms_is_no_flood_of_samples() -> None:
    """So many at once and no more; the rest follows."""
    names = [f"p{number}" for number in range(400)]
    stage = Stage(poll_of(*names), *(alarm(name) for name in names))
    for at in range(60):
        stage.read(at, *(230.0 for _ in names))
    for name in names:
        stage.evidence.turned(transition(name), 59.0)
    sizes = [sum(len(batch.samples) for batch in stage.flush(59.0 + at / 10)) for at in range(5)]
    assert max(sizes) <= SAMPLES_MAX + 60
    assert sum(sizes) == 400 * 59


def test_what_is_remembered_is_bounded() -> None:
    """By the longest look back among the alarms of a poll; a poll that no alarm looks at is not remembered."""
    stage = Stage(poll_of("u", "v"), alarm("u", wanted=Wanted(10.0, 0.0)), alarm("v", wanted=Wanted(20.0, 0.0)))
    for at in range(1000):
        stage.read(at, 230.0, 230.0)
    (ring,) = stage.evidence._rings.values()
    assert ring is not None
    assert len(ring.entries) == 20 + 1 + SLACK_S + 1
    unwatched = Stage(poll_of("w"), alarm("u"))
    unwatched.read(1.0, 1.0)
    assert list(unwatched.evidence._rings.values()) == [None]


Turns = st.lists(st.integers(0, 199), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    turns=Turns, moves=st.lists(st.sampled_from([0.0, 1.0, 30.0]), min_size=200, max_size=200), pace=st.integers(1, 40)
)
def test_every_reading_around_a_turn_goes_out_exactly_once(turns: list[int], moves: list[float], pace: int) -> None:
    """Whatever the values do, however the turns overlap, and whenever it is flushed."""
    stage = Stage(poll_of("u"), alarm("u", wanted=Wanted(20.0, 15.0)), window_s=pace)
    value = 230.0
    for at in range(200):
        value += moves[at] * (-1) ** at
        stage.read(at, value, changed=bool(moves[at]) or at == 0)
        for _ in range(turns.count(at)):
            stage.evidence.turned(transition("u"), at)
        if at % pace == 0:
            stage.flush(at)
    stage.flush(200.0)
    stage.flush(300.0)
    counted = Counter(times(stage.out("u")))
    assert set(counted.values()) <= {1}
    around = {at for turn in turns for at in range(200) if turn - 20 < at <= turn + 15}
    assert around <= counted.keys()


@pytest.mark.parametrize("renewals", [(), (195.2,), (200.2, 230.2), (262.2,)])
def test_another_configuration_loses_no_evidence(renewals: tuple[float, ...]) -> None:
    """Of a poll that goes on: what was before, and what is still to come, is there once, as without it."""
    stage = Stage(poll_of("u", "other"), alarm("u"))
    for at in range(300):
        stage.read(at, 230.0 + at % 3, 50.0)
        if at == 200:
            stage.evidence.turned(transition("u"), 200.1)
        for when in renewals:
            if at == int(when):
                batches = stage.evidence.renew([alarm("u"), alarm("new")], {stage.poll}, when, 1.0)
                stage.events += [event for batch in batches for event in stage.telemetry.batches(*batch)]
        stage.flush(at + 0.5)
    assert times(stage.out("u")) == [0, *range(141, 261)]


def test_evidence_goes_on_with_the_poll_of_a_line_that_was_opened_anew() -> None:
    """What was under way goes on with the next poll of the same point, and nothing of the old one is kept."""
    stage = Stage(poll_of("u"), alarm("u"))
    for at in range(100):
        stage.read(at, 230.0 + at % 3)
    stage.evidence.turned(transition("u"), 99.1)
    batches = stage.evidence.renew([alarm("u")], set(), 99.2, 1.0)
    stage.events += [event for batch in batches for event in stage.telemetry.batches(*batch)]
    stage.poll = poll_of("u")
    for at in range(103, 200):
        stage.read(at, 230.0 + at % 3)
        stage.flush(at + 0.5)
    assert times(stage.out("u")) == [0, *range(40, 100), *range(103, 160)]
