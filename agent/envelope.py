"""From event to record, and from record to the CloudEvents bytes and topic that a broker gets. Pure.

Two steps, because the sequence is known only when a record is stored. `draft` encodes everything that is known at once;
`splice` writes what the journal added (source, id, times, sequence, epoch) in front of those bytes without decoding
them, so sending, sending again and sending to a second platform cost the same few microseconds and give equal bytes.

A drafted body is a complete JSON object that begins with its `type`, without the configurable prefix: that is spliced
in too. What is known only later (sent, acknowledged) is in no event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from agent.events import (
    ALARM_SNAPSHOT,
    CMD_RESULT,
    DEVICE_META,
    DEVICE_STATE,
    GATEWAY_HEALTH,
    GATEWAY_STATUS,
    STREAM_WATERMARK,
    AlarmTransition,
    Audit,
    Body,
    ClockState,
    DeviceMeta,
    DeviceState,
    Event,
    StreamBegin,
    TelemetryBatch,
)
from buffer.record import Draft, Record

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE = "application/json"

_TYPE_HEAD = b'{"type":"'
_DATA_HEAD = b"{"
_SEGMENT_LENGTH_MAX = 40


@dataclass(frozen=True, slots=True)
class Origin:
    """Who is speaking. `topic_root` and `type_prefix` are the configurable starts of topics and event types."""

    site: str
    gateway: str
    topic_root: str = "wardgate/v1"
    type_prefix: str = "wardgate."

    @property
    def root(self) -> str:
        """What stands in front of every relative topic, with its slash."""
        return f"{self.topic_root}/{segment(self.site)}/{segment(self.gateway)}/"


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where a projection of the present has seen each stream: a consumer applies what is newer."""

    epoch: str
    sequences: dict[str, int]


class _Known(msgspec.Struct, frozen=True):
    """The part of the envelope that is known when the event happens, in wire order."""

    type: str
    clockstate: ClockState
    test: bool
    datacontenttype: str
    subject: str
    dataschema: str
    data: Body | msgspec.Raw


_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4096)
def segment(text: str) -> str:
    """One level of a topic, `[a-z0-9_-]{1,40}`: `pwr.lv` becomes `pwr-lv`."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_SEGMENT_LENGTH_MAX] or "-"


def schema_path(event_type: str) -> str:
    """`alarm.transition.v1` becomes `/schemas/alarm.transition/1.0`."""
    name, _, version = event_type.rpartition(".v")
    return f"/schemas/{name}/{version}.0"


def draft(event: Event, clock_state: ClockState) -> Draft:
    """The record of an event, without epoch and sequence."""
    return Draft(event.stream, _milliseconds(event.time), topic(event.body), _known(event, clock_state, event.body))


def topic(body: Body) -> str:
    """Where the record of this body goes, relative to the root of the gateway."""
    return _TOPICS[type(body)](body)


def splice(record: Record, origin: Origin) -> bytes:
    """The CloudEvents JSON of a stored record: the same bytes whenever it is sent."""
    head, tail = _frame(origin, record.stream, record.epoch)
    sequence = b"%016d" % record.sequence
    return b"".join(
        (
            head,
            sequence,
            b'","time":"',
            _rfc3339(record.time_ms),
            b'","recordedtime":"',
            _rfc3339(record.recorded_ms),
            b'","sequence":"',
            sequence,
            tail,
            memoryview(record.body if record.durable else _volatile(record.body))[len(_TYPE_HEAD) :],
        )
    )


def volatile(event: Event) -> Event:
    """The same event, saying that it was seen before it was on disk."""
    if not isinstance(event.body, AlarmTransition):
        return event
    return replace(event, body=msgspec.structs.replace(event.body, durable=False))


def _volatile(body: bytes) -> bytes:
    """The same for a body that is encoded already. A quote within a text is escaped, so this can only be the field."""
    return body.replace(b'"durable":true', b'"durable":false', 1)


@dataclass(frozen=True, slots=True)
class Projection:
    """Something that holds now: unnumbered, never journaled. `topic` is relative."""

    topic: str
    payload: bytes


def project(event: Event, origin: Origin, clock_state: ClockState, as_of: AsOf, unique: str) -> Projection:
    """The present as an event. `unique` makes the id: it must not repeat while the epoch in `as_of` stands."""
    body = event.body
    data = msgspec.Raw(b'{"as_of":' + _encode(as_of) + b"," + _encode(body)[len(_DATA_HEAD) :])
    known = _known(event, clock_state, data)
    head = (
        f'{{"specversion":"1.0","source":{_json(_source(origin))},'
        f'"id":{_json(f"{origin.gateway}-{as_of.epoch}-now-{unique}")},'
        f'"time":"{_rfc3339(_milliseconds(event.time)).decode()}","type":"{origin.type_prefix}'
    )
    return Projection(projected_topic(event), head.encode() + known[len(_TYPE_HEAD) :])


def projected_topic(event: Event) -> str:
    """Where a projection goes, relative to the root of the gateway. Raises `KeyError` for what is never projected."""
    name = _PROJECTED[event.type]
    if isinstance(event.body, DeviceState | DeviceMeta):
        return f"device/{segment(event.body.system)}/{segment(event.body.device)}/{name}"
    return name


_PROJECTED = {
    DEVICE_STATE: "state",
    DEVICE_META: "meta",
    GATEWAY_STATUS: "status",
    GATEWAY_HEALTH: "health",
    STREAM_WATERMARK: "watermark",
    ALARM_SNAPSHOT: "alarm-snapshot",
    CMD_RESULT: "cmd-result",
}


def _known(event: Event, clock_state: ClockState, data: Body | msgspec.Raw) -> bytes:
    return _encode(
        _Known(event.type, clock_state, event.test, CONTENT_TYPE, event.subject, schema_path(event.type), data)
    )


def _milliseconds(wall_s: float) -> int:
    """By way of microseconds, so that the envelope and the times in the body agree in their last digit."""
    return round(wall_s * 1_000_000) // 1000


@lru_cache(maxsize=256)
def _frame(origin: Origin, stream: str, epoch: str) -> tuple[bytes, bytes]:
    """What is before and behind the numbers of every record of one stream in one epoch."""
    source = _json(f"{_source(origin)}/stream/{stream}")
    identity = _json(f"{origin.gateway}-{epoch}-{stream}-")[:-1]
    head = f'{{"specversion":"1.0","source":{source},"id":{identity}'
    return head.encode(), f'","epoch":{_json(epoch)},"type":{_json(origin.type_prefix)[:-1]}'.encode()


def _source(origin: Origin) -> str:
    return f"/site/{origin.site}/gw/{origin.gateway}"


def _json(text: str) -> str:
    return _encode(text).decode()


def _rfc3339(time_ms: int) -> bytes:
    second, millisecond = divmod(time_ms, 1000)
    return b"%b.%03dZ" % (_second(second), millisecond)


@lru_cache(maxsize=1024)
def _second(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _alarm_topic(body: AlarmTransition) -> str:
    return f"alarm/{body.peak_colour}/{segment(body.system)}/{segment(body.device)}"


def _telemetry_topic(body: TelemetryBatch) -> str:
    return f"telemetry/{segment(body.system)}/{segment(body.device)}"


def _device_topic(body: DeviceState) -> str:
    return f"device/{segment(body.system)}/{segment(body.device)}/history"


def _stream_topic(body: StreamBegin) -> str:
    return f"stream/{segment(body.stream)}"


def _audit_topic(_: Audit) -> str:
    return "audit"


_TOPICS: dict[type[Body], Callable[..., str]] = {
    AlarmTransition: _alarm_topic,
    TelemetryBatch: _telemetry_topic,
    DeviceState: _device_topic,
    StreamBegin: _stream_topic,
    Audit: _audit_topic,
}
