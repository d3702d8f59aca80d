"""From event to record to bytes: the contract with every consumer of the platform."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from event_gallery import ALARM, AUDIT, BEGIN, DEVICE, META, STATUS, TELEMETRY, TIME

from agent import events, schemas
from agent.envelope import AsOf, Origin, draft, project, projected_topic, segment, splice, topic
from agent.events import Event
from buffer.record import Draft, Record

ORIGIN = Origin("h01", "gw-a1")
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
