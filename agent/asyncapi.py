"""The AsyncAPI document of what a gateway says and hears over MQTT, from the types in `agent.events`. Not used running.

AsyncAPI 3.0, seen from the gateway: it sends events and receives commands. Its schemas are JSON Schema draft 07, the
one that every AsyncAPI tool reads; the files of `schema_files` are the same in 2020-12, one for each kind of message.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from agent.envelope import CONTENT_TYPE
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
)
from agent.schemas import PROJECTIONS, RECORDS, command_schema, projection_schema, record_schema

Json = dict[str, Any]
Kind = Literal["record", "now", "command"]

ROOT = "wardgate/v1/{site}/{gateway}/"
MQTT_BINDING = "0.2.0"

VERSION = "1.0.0"
"""Of the contract, not of the program: the first number is the one in the topics."""

ADDRESSES: dict[tuple[Kind, str], str] = {
    ("record", ALARM_TRANSITION): "alarm/{colour}/{system}/{device}",
    ("record", TELEMETRY_BATCH): "telemetry/{system}/{device}",
    ("record", DEVICE_STATE): "device/{system}/{device}/history",
    ("record", STREAM_BEGIN): "stream/{stream}",
    ("record", AUDIT): "audit",
    ("now", GATEWAY_STATUS): "status",
    ("now", GATEWAY_HEALTH): "health",
    ("now", DEVICE_STATE): "device/{system}/{device}/state",
    ("now", DEVICE_META): "device/{system}/{device}/meta",
    ("now", STREAM_WATERMARK): "watermark",
    ("now", ALARM_SNAPSHOT): "alarm-snapshot",
    ("now", CMD_RESULT): "cmd-result",
    **{("command", verb): f"cmd/{verb}" for verb in COMMANDS},
}
"""Below the root, by kind and by type or verb."""

RETAINED = frozenset({GATEWAY_STATUS, DEVICE_STATE, DEVICE_META})
"""Projections that the broker keeps for whoever comes later."""

_PARAMETERS = {
    "site": "The hospital, as in `gateway.yaml`, in `[a-z0-9_-]{1,40}`.",
    "gateway": "The gateway, as in `gateway.yaml`.",
    "system": "The system with `-` for `.`: `pwr-lv`.",
    "device": "The device.",
    "colour": "The highest colour that the occurrence has reached: `red`, `orange`, `yellow` or `blue`.",
    "stream": "`critical`, `alarm`, `state`, `audit` or `telemetry`.",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of message: what it is called here, where it goes, and its JSON Schema."""

    kind: Kind
    type: str

    @property
    def name(self) -> str:
        """`alarm.transition`, `confirm`: without the version."""
        return self.type.rpartition(".v")[0] or self.type

    @property
    def key(self) -> str:
        """A name for it in the document, unlike any other."""
        words = [self.kind, *self.name.split(".")]
        return words[0] + "".join(word.capitalize() for word in words[1:])

    @property
    def address(self) -> str:
        return ROOT + ADDRESSES[self.kind, self.type]

    @property
    def retained(self) -> bool:
        return self.kind == "now" and self.type in RETAINED

    def schema(self) -> Json:
        match self.kind:
            case "record":
                return record_schema(self.type)
            case "now":
                return projection_schema(self.type)
            case "command":
                return command_schema(self.type)


def subjects() -> list[Subject]:
    """Every kind of message that there is."""
    records = [Subject("record", event_type) for event_type in RECORDS]
    projections = [Subject("now", event_type) for event_type in PROJECTIONS]
    return records + projections + [Subject("command", verb) for verb in COMMANDS]


def schema_files() -> dict[str, Json]:
    """What `wardgate schema events` writes: a file for each kind of message, and the AsyncAPI document."""
    files = {f"{subject.kind}/{subject.name}.schema.json": subject.schema() for subject in subjects()}
    return {"asyncapi.json": document(), **files}


def text(described: Json) -> str:
    """As it is written into a file."""
    return json.dumps(described, ensure_ascii=False, indent=2) + "\n"


def document() -> Json:
    """The AsyncAPI document."""
    schemas: dict[str, Json] = {}
    messages = {subject.key: _message(subject, schemas) for subject in subjects()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "wardgate events",
            "version": VERSION,
            "description": "What an edge gateway says to the platform, and what the platform may say to it. "
            "The topic root `wardgate/v1` and the type prefix `wardgate.` are configurable.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {subject.key: _channel(subject) for subject in subjects()},
        "operations": {subject.key: _operation(subject) for subject in subjects()},
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _channel(subject: Subject) -> Json:
    names = [name for name in _PARAMETERS if f"{{{name}}}" in subject.address]
    return {
        "address": subject.address,
        "messages": {subject.key: {"$ref": f"#/components/messages/{subject.key}"}},
        "parameters": {name: {"description": _PARAMETERS[name]} for name in names},
    }


def _operation(subject: Subject) -> Json:
    qos = 0 if subject.type == GATEWAY_HEALTH else 1
    operation: Json = {
        "action": "receive" if subject.kind == "command" else "send",
        "channel": {"$ref": f"#/channels/{subject.key}"},
        "messages": [_message_ref(subject)],
        "bindings": {
            "mqtt": {
                "qos": qos,
                "retain": subject.retained,
                "bindingVersion": MQTT_BINDING,
            }
        },
    }
    if subject.kind == "command":
        answer = Subject("now", CMD_RESULT)
        operation["reply"] = {"channel": {"$ref": f"#/channels/{answer.key}"}, "messages": [_message_ref(answer)]}
    return operation


def _message_ref(subject: Subject) -> Json:
    return {"$ref": f"#/channels/{subject.key}/messages/{subject.key}"}


def _message(subject: Subject, schemas: dict[str, Json]) -> Json:
    """Its definitions go to the shared ones."""
    schema = subject.schema()
    for name, definition in schema["$defs"].items():
        shared = _draft_07(definition)
        if schemas.setdefault(name, shared) != shared:
            raise AssertionError(f"two different types are called {name}")
    return {
        "name": subject.type,
        "title": f"cmd/{subject.name}" if subject.kind == "command" else subject.name,
        "contentType": CONTENT_TYPE,
        "payload": _draft_07({"$ref": schema["$ref"]}),
    }


def _draft_07(schema: Any) -> Any:
    """The same in the older dialect: other places for definitions, another word for tuples."""
    if isinstance(schema, list):
        return [_draft_07(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    older = {name: _draft_07(value) for name, value in schema.items() if name != "prefixItems"}
    if "prefixItems" in schema:
        older["items"] = _draft_07(schema["prefixItems"])
        older["additionalItems"] = schema.get("items", True)
    if isinstance(schema.get("$ref"), str):
        older["$ref"] = schema["$ref"].replace("#/$defs/", "#/components/schemas/")
    return older
