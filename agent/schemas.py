"""JSON Schemas of everything that is published, generated from the types in `agent.events`. Not used while running."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from agent.envelope import CONTENT_TYPE, AsOf, schema_path
from agent.events import (
    ALARM_SNAPSHOT,
    ALARM_TRANSITION,
    AUDIT,
    CMD_RESULT,
    COMMANDS,
    DEVICE_META,
    DEVICE_STATE,
    GATEWAY_HEALTH,
    GATEWAY_STATUS,
    STREAM_BEGIN,
    STREAM_WATERMARK,
    TELEMETRY_BATCH,
    AlarmSnapshot,
    AlarmTransition,
    Audit,
    Body,
    ClockState,
    CommandResult,
    DeviceMeta,
    DeviceState,
    GatewayStatus,
    StreamBegin,
    StreamWatermark,
    TelemetryBatch,
)
from agent.health_event import GatewayHealth

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
    GATEWAY_HEALTH: GatewayHealth,
    DEVICE_STATE: DeviceState,
    DEVICE_META: DeviceMeta,
    STREAM_WATERMARK: StreamWatermark,
    ALARM_SNAPSHOT: AlarmSnapshot,
    CMD_RESULT: CommandResult,
}
"""Unnumbered: what holds now. Status, state and meta are retained by the broker."""

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
    """The same for a projection of the present. Raises `KeyError`."""
    body = PROJECTIONS[event_type]
    data = msgspec.defstruct(f"{body.__name__}Now", [("as_of", AsOf)], bases=(body,), kw_only=True)
    return _schema(ProjectionEnvelope, data, event_type)


def command_schema(verb: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the payload of `cmd/{verb}`. Raises `KeyError`."""
    return _headed(COMMANDS[verb], f"/schemas/cmd.{verb}/1.0", f"cmd.{verb}")


def _schema(envelope: type[msgspec.Struct], data: type[msgspec.Struct], event_type: str) -> dict[str, Any]:
    whole = msgspec.defstruct(f"{data.__name__}Event", [("data", data)], bases=(envelope,), kw_only=True)
    return _headed(whole, schema_path(event_type), event_type)


def _headed(shape: type[msgspec.Struct], path: str, title: str) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": path,
        "title": title,
        **msgspec.json.schema(shape),
    }
