"""From the bytes of one message to an event that the account can trust. Pure; knows the envelope and few bodies.

Fields that nobody here needs are not looked at, and unknown ones are allowed: a gateway may be newer than its consumer.
What is needed and wrong makes the message `Unreadable`: it is counted and put aside, never guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

ALARM_TRANSITION = "alarm.transition"
ALARM_SNAPSHOT = "alarm.snapshot"
STREAM_BEGIN = "stream.begin"
WATERMARK = "stream.watermark"
CMD_RESULT = "cmd.result"
GATEWAY_STATUS = "gateway.status"
GATEWAY_HEALTH = "gateway.health"

ROOT = "wardgate/v1"

_SCHEMA_PARTS = 4
_SEQUENCE_DIGITS_MAX = 18


class Unreadable(Exception):
    """This message is not an event of a gateway, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Whose sequence it is: one stream of one gateway in one epoch. `source` is the gateway's, without the stream."""

    source: str
    epoch: str
    stream: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `lane` and `sequence` are those of a record; a projection of the present has `lane` None.

    `kind` is the type without prefix and version (`alarm.transition`), `gateway` the source without its stream, `base`
    what stands before the gateway's relative topics, with its slash.
    """

    topic: str
    base: str
    payload: bytes
    id: str
    source: str
    gateway: str
    kind: str
    type: str
    time: str
    recorded: str
    subject: str
    test: bool
    data: dict[str, Any]
    lane: Lane | None = None
    sequence: int = 0


def read(topic: str, payload: bytes, root: str = ROOT) -> Event:
    """`root` is what stands before site and gateway in a topic. Raises `Unreadable`."""
    envelope = _json(payload)
    source = text(envelope, "source")
    gateway, _, stream = source.partition("/stream/")
    event: dict[str, Any] = {
        "topic": topic,
        "base": "/".join(topic.split("/")[: len(root.split("/")) + 2]) + "/",
        "payload": payload,
        "id": text(envelope, "id"),
        "source": source,
        "gateway": gateway,
        "kind": _kind(text(envelope, "dataschema")),
        "type": text(envelope, "type"),
        "time": text(envelope, "time"),
        "recorded": str(envelope.get("recordedtime", "")),
        "subject": str(envelope.get("subject", "")),
        "test": envelope.get("test") is True,
        "data": mapping(envelope, "data"),
    }
    if "sequence" not in envelope:
        return Event(**event)
    if not stream:
        raise Unreadable(f"`source` of a numbered event names no stream: {source[:100]}")
    lane = Lane(gateway, text(envelope, "epoch"), stream)
    return Event(**event, lane=lane, sequence=_sequence(text(envelope, "sequence")))


def _json(payload: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(payload.decode())
        if b"\\ud" in payload or b"\\uD" in payload:
            # Half of a surrogate pair is a letter that no database takes.
            json.dumps(envelope, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise Unreadable("no JSON object")
    return envelope


def _kind(schema: str) -> str:
    """`/schemas/alarm.transition/1.0` is `alarm.transition`: the prefix of `type` is a matter of configuration."""
    parts = schema.split("/")
    if len(parts) != _SCHEMA_PARTS or parts[1] != "schemas":
        raise Unreadable(f"`dataschema` is not one of a gateway: {schema[:100]}")
    return parts[2]


def _sequence(digits: str) -> int:
    if len(digits) > _SEQUENCE_DIGITS_MAX or not (digits.isascii() and digits.isdigit()) or int(digits) < 1:
        raise Unreadable(f"`sequence` is no number: {digits[:40]}")
    return int(digits)


def text(holder: dict[str, Any], name: str) -> str:
    """A text that is not empty. Raises `Unreadable`."""
    value = holder.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"`{name}` is missing or no text")
    return value


def number(holder: dict[str, Any], name: str) -> int:
    """A count. Raises `Unreadable`."""
    value = holder.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unreadable(f"`{name}` is missing or no count")
    return value


def number_or_none(holder: dict[str, Any], name: str) -> int | None:
    return None if holder.get(name) is None else number(holder, name)


def mapping(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """Raises `Unreadable`."""
    value = holder.get(name)
    if not isinstance(value, dict):
        raise Unreadable(f"`{name}` is missing or no object")
    return value


def mappings(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Raises `Unreadable`."""
    value = holder.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Unreadable(f"`{name}` is missing or no list of objects")
    return value


@dataclass(frozen=True, slots=True)
class AsOf:
    """Up to where a projection of the present has seen each stream of one epoch."""

    epoch: str
    sequences: dict[str, int]


def as_of(data: dict[str, Any]) -> AsOf:
    """Raises `Unreadable`."""
    body = mapping(data, "as_of")
    sequences = mapping(body, "sequences")
    return AsOf(text(body, "epoch"), {stream: number(sequences, stream) for stream in sequences})
