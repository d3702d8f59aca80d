"""JSON Schemas of everything that is published, generated from the types in `agent.events`. Not used while running."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from agent.envelope import CONTENT_TYPE, AsOf, schema_path
from agent.events import (
    ALARM_TRANSITION,
    AUDIT,
    DEVICE_META,
    DEVICE_STATE,
    GATEWAY_STATUS,
    STREAM_BEGIN,
    TELEMETRY_BATCH,
    AlarmTransition,
    Audit,
    Body,
    ClockState,
    DeviceMeta,
    DeviceState,
    GatewayStatus,
    StreamBegin,
    TelemetryBatch,
)

RECORDS: dict[str, type[Body]] = {
    ALARM_TRANSITION: AlarmTransition,
    TELEMETRY_BATCH: TelemetryBatch,
    DEVICE_STATE: DeviceState,
    STREAM_BEGIN: StreamBegin,
    AUDIT: Audit,
}
"""Numbered, journaled, sent until acknowledged."""

PROJECTIONS: dict[str, type[Body]] = {
    GATEWAY_STATUS: GatewayStatus,
    DEVICE_STATE: DeviceState,
    DEVICE_META: DeviceMeta,
}
"""Unnumbered and retained: what holds now."""

_Time = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
_Sequence = Annotated[str, msgspec.Meta(pattern=r"^\d{16}$")]
_Id = Annotated[str, msgspec.Meta(pattern=r"^.+-\d{16}$")]


class _Common(msgspec.Struct, kw_only=True):
    specversion: Annotated[str, msgspec.Meta(pattern=r"^1\.0$")]
    source: Annotated[str, msgspec.Meta(pattern="^/site/")]
    id: _Id
    time: _Time
    type: str
    clockstate: ClockState
    test: bool
    datacontenttype: Annotated[str, msgspec.Meta(pattern=f"^{CONTENT_TYPE}$")]
    subject: str
    dataschema: str


class RecordEnvelope(_Common, kw_only=True):
    """A stored event: `sequence` counts without gaps per source and epoch."""

    recordedtime: _Time
    sequence: _Sequence
    epoch: str


class ProjectionEnvelope(_Common, kw_only=True):
    """Something that holds now; `data.as_of` says up to where each stream is in it."""


def record_schema(event_type: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a whole event of this type as it is published. Raises `KeyError`."""
    return _schema(RecordEnvelope, RECORDS[event_type], event_type)


def projection_schema(event_type: str) -> dict[str, Any]:
    """The same for a retained projection. Raises `KeyError`."""
    body = PROJECTIONS[event_type]
    data = msgspec.defstruct(f"{body.__name__}Now", [("as_of", AsOf)], bases=(body,), kw_only=True)
    return _schema(ProjectionEnvelope, data, event_type)


def _schema(envelope: type[msgspec.Struct], data: type[msgspec.Struct], event_type: str) -> dict[str, Any]:
    whole = msgspec.defstruct(f"{data.__name__}Event", [("data", data)], bases=(envelope,), kw_only=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_path(event_type),
        "title": event_type,
        **msgspec.json.schema(whole),
    }
