"""From event to record to bytes: the contract with every consumer of the platform."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from agent import events, schemas
from agent.envelope import AsOf, Origin, draft, project, projected_topic, segment, splice, topic
from agent.events import Event
from buffer.record import Draft, Record

ORIGIN = Origin("h01", "gw-a1")
NAMES = events.Names(zh="ICU-3 氧气压力低", en="ICU-3 oxygen pressure low")
PLACE = events.PlaceRef(site="h01", building="b2", floor="f05", space="icu-3")
TIME = 1_795_230_907.412

ALARM = events.AlarmTransition(
    alarm_id="medgas.area/icu-3/o2_p#low",
    occurrence_id="gw-a1/medgas.area/icu-3/o2_p#low/17",
    n=3,
    durable=True,
    action="deescalate",
    ended=False,
    prev_state="UNACK",
    state="UNACK",
    test=False,
    overlay=[],
    overlay_info=[],
    hidden=False,
    condition_known=True,
    colour="orange",
    peak_colour="red",
    priority=2,
    severity=700,
    response_level="II",
    kind="limit",
    signal="process",
    level="L",
    place=PLACE,
    system="medgas.area",
    device="icu-3",
    point="o2_p",
    value=315.0,
    unit="kPa",
    limit=320.0,
    deadband=5.0,
    q="good",
    qr="ok",
    ts_source=None,
    ts_gateway="2026-11-21T03:15:07.412Z",
    ts_cond="2026-11-21T03:15:02.398Z",
    ts_decided="2026-11-21T03:15:07.413Z",
    on_delay_ms=5000,
    retrigger_count=0,
    chatter_count=0,
    flood=False,
    ack=events.Ack(required=True),
    latched=False,
    shelvable=True,
    text=NAMES,
    advice=NAMES,
    rule_ver="r14",
    cfg_ver="2026.11.3",
)
TELEMETRY = events.TelemetryBatch(
    device="icu-3",
    system="medgas.area",
    meta_ver="1",
    t0="2026-11-21T03:15:07.412Z",
    samples=[
        events.Sample(p="o2_p", dt=0, v=float("nan"), why="change", q="bad", qr="sensor_fault", qraw="0x8000"),
        events.Sample(p="n2o_p", dt=5, v=401.5, why="interval"),
    ],
)
DEVICE = events.DeviceState(
    device="icu-3",
    system="medgas.area",
    place=PLACE,
    state="offline",
    prev_state="online",
    reason="no answer",
    since="2026-11-21T03:15:07.412Z",
    last_ok=None,
    protocol="modbus",
    rtt_ms=None,
    err_rate_pct=100.0,
    points_good=0,
    points_bad=12,
    profile=None,
)
META = events.DeviceMeta(
    device="icu-3",
    system="medgas.area",
    name=NAMES,
    place=PLACE,
    maker="",
    model="",
    profile=None,
    protocol="modbus",
    meta_ver="1",
    points=[events.PointMeta(id="o2_p", name=NAMES, unit="kPa", type="number", poll_s=1.0, states={})],
)
BEGIN = events.StreamBegin(
    stream="telemetry", epoch="7f3a9c20", prev_epoch="11111111", prev_last_seq=99, reason="restored"
)
AUDIT = events.Audit(
    actor=events.Actor(type="system", id="wardgate", role="system"),
    verb="clock_step",
    target="clock",
    before=None,
    after=None,
    reason="step of 3 s",
    result="done",
    code=None,
    prev_hash="",
    hash="00",
)
STATUS = events.GatewayStatus(
    state="online",
    epoch="7f3a9c20",
    since="2026-11-21T03:15:07.412Z",
    sw="0.1.0",
    cfg_ver="1",
    connection=4,
    last_seq={"critical": 12},
    live_from=None,
)
STORED = [
    Event(events.ALARM_TRANSITION, "critical", TIME, ALARM.alarm_id, ALARM),
    Event(events.TELEMETRY_BATCH, "telemetry", TIME, "medgas.area/icu-3", TELEMETRY, test=True),
    Event(events.DEVICE_STATE, "state", TIME, "medgas.area/icu-3", DEVICE),
    Event(events.STREAM_BEGIN, "telemetry", TIME, "telemetry", BEGIN),
    Event(events.AUDIT, "audit", TIME, "clock", AUDIT),
]
PROJECTED = [
    Event(events.GATEWAY_STATUS, "state", TIME, "gw-a1", STATUS),
    Event(events.DEVICE_STATE, "state", TIME, "medgas.area/icu-3", DEVICE),
    Event(events.DEVICE_META, "state", TIME, "medgas.area/icu-3", META),
]


def stored(drafted: Draft, sequence: int = 12345) -> Record:
    return Record(
        drafted.stream, "7f3a9c20", sequence, drafted.time_ms, drafted.time_ms + 43, drafted.topic, drafted.body
    )


def published(event: Event, origin: Origin = ORIGIN) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(splice(stored(draft(event, "synced")), origin))
    return parsed


@pytest.mark.parametrize("event", STORED, ids=lambda event: event.type)
def test_every_published_event_is_valid_by_its_generated_schema(event: Event) -> None:
    """What is spliced is one JSON object that a checker that is not ours accepts."""
    jsonschema.validate(published(event), schemas.record_schema(event.type))


@pytest.mark.parametrize("event", PROJECTED, ids=lambda event: event.type)
def test_every_projection_is_valid_by_its_generated_schema(event: Event) -> None:
    """A projection has no number, and says up to where each stream is in it."""
    projection = project(
        event, ORIGIN, "unsynced", AsOf(epoch="7f3a9c20", sequences={"state": 7}), "main-0000000000000005"
    )
    parsed = json.loads(projection.payload)
    jsonschema.validate(parsed, schemas.projection_schema(event.type))
    assert "sequence" not in parsed
    assert parsed["data"]["as_of"] == {"epoch": "7f3a9c20", "sequences": {"state": 7}}
    assert parsed["id"] == "gw-a1-7f3a9c20-now-main-0000000000000005"


def test_a_schema_refuses_what_is_not_an_event_of_its_type() -> None:
    """The schemas can fail: a missing field and a wrong sequence are both found."""
    good = published(STORED[0])
    for damage in ({"sequence": "12345"}, {"data": {"alarm_id": "x"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | damage, schemas.record_schema(events.ALARM_TRANSITION))


def test_the_envelope_carries_what_the_journal_added() -> None:
    """Source, id, times, sequence and epoch are those of the stored record; the prefix is the site's."""
    envelope = published(STORED[0], Origin("h01", "gw-a1", type_prefix="clinic."))
    del envelope["data"]
    assert envelope == {
        "specversion": "1.0",
        "source": "/site/h01/gw/gw-a1/stream/critical",
        "id": "gw-a1-7f3a9c20-critical-0000000000012345",
        "time": events.rfc3339(TIME),
        "recordedtime": events.rfc3339(TIME + 0.043),
        "sequence": "0000000000012345",
        "epoch": "7f3a9c20",
        "type": "clinic.alarm.transition.v1",
        "clockstate": "synced",
        "test": False,
        "datacontenttype": "application/json",
        "subject": "medgas.area/icu-3/o2_p#low",
        "dataschema": "/schemas/alarm.transition/1.0",
    }


def test_the_body_goes_through_untouched() -> None:
    """The data that is published is the data that was drafted, byte for byte."""
    drafted = draft(STORED[0], "synced")
    encoded = msgspec.json.encode(ALARM)
    assert encoded in drafted.body
    assert splice(stored(drafted), ORIGIN).endswith(b'"data":' + encoded + b"}")


def test_sending_again_gives_equal_bytes() -> None:
    """A record is the same message whenever it is sent, so a receiver can discard the second one."""
    record = stored(draft(STORED[1], "holdover"))
    assert splice(record, ORIGIN) == splice(record, Origin("h01", "gw-a1"))


def test_a_value_that_is_no_number_becomes_null_with_its_quality() -> None:
    """NaN never leaves the gateway; its reason does."""
    sample = published(STORED[1])["data"]["samples"][0]
    assert sample["v"] is None
    assert (sample["q"], sample["qr"], sample["qraw"]) == ("bad", "sensor_fault", "0x8000")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (STORED[0], "alarm/red/medgas-area/icu-3"),
        (STORED[1], "telemetry/medgas-area/icu-3"),
        (STORED[2], "device/medgas-area/icu-3/history"),
        (STORED[3], "stream/telemetry"),
        (STORED[4], "audit"),
    ],
)
def test_the_topic_comes_from_the_body(event: Event, expected: str) -> None:
    """An alarm that was red keeps its red topic, so who listens to red alone also sees the end."""
    assert topic(event.body) == draft(event, "synced").topic == expected


def test_projections_have_their_own_topics() -> None:
    """What holds now never shares a topic with the history of the same device."""
    assert [projected_topic(event) for event in PROJECTED] == [
        "status",
        "device/medgas-area/icu-3/state",
        "device/medgas-area/icu-3/meta",
    ]
    with pytest.raises(KeyError):
        projected_topic(STORED[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pwr.lv", "pwr-lv"),
        ("ICU 3/+#", "icu-3---"),
        ("a" * 60, "a" * 40),
        ("手术室", "---"),
        ("", "-"),
        ("a_b-c", "a_b-c"),
    ],
)
def test_a_topic_level_is_always_a_legal_one(text: str, expected: str) -> None:
    """No wildcard, slash or empty level can come out of an identifier."""
    assert segment(text) == expected


def test_an_identifier_that_needs_escaping_stays_inside_its_string() -> None:
    """A quotation mark in a site name does not break the JSON of every event."""
    envelope = published(STORED[0], Origin('h"01', "gw\\a", type_prefix='w"'))
    assert envelope["source"] == '/site/h"01/gw/gw\\a/stream/critical'
    assert envelope["id"].startswith("gw\\a-7f3a9c20-")
    assert envelope["type"] == 'w"alarm.transition.v1'
