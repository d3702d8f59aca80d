"""A gateway as its consumer sees it, made by hand: events with numbers, watermarks, answers to commands.

Knows the contract of the wire only, and shares no code with either side.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from consumer import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from paho.mqtt.client import MQTTMessage

HOST = "127.0.0.1"
SOURCE = "/site/h01/gw/gw-1"
BASE = "wardgate/v1/h01/gw-1/"
TIME = "2026-11-21T03:15:07.412Z"
WITHIN_S = 60.0

Json = dict[str, Any]


def encode(event: Json) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def envelope(kind: str, data: Json, source: str = SOURCE) -> Json:
    return {
        "specversion": "1.0",
        "source": source,
        "id": f"gw-1-{kind}",
        "time": TIME,
        "type": f"wardgate.{kind}.v1",
        "clockstate": "synced",
        "test": False,
        "datacontenttype": "application/json",
        "subject": "thing",
        "dataschema": f"/schemas/{kind}/1.0",
        "data": data,
    }


def record(
    stream: str, sequence: int, *, epoch: str = "e1", kind: str = "telemetry.batch", data: Json | None = None
) -> bytes:
    """One numbered event."""
    event = envelope(kind, data if data is not None else {"device": "d"}, f"{SOURCE}/stream/{stream}")
    event |= {"sequence": f"{sequence:016d}", "epoch": epoch, "recordedtime": TIME}
    event["id"] = f"gw-1-{epoch}-{stream}-{sequence:016d}"
    return encode(event)


def begin(stream: str, epoch: str, previous: str | None, last: int | None) -> bytes:
    data = {"stream": stream, "epoch": epoch, "prev_epoch": previous, "prev_last_seq": last, "reason": "renewed"}
    return record(stream, 1, epoch=epoch, kind="stream.begin", data=data)


def alarm(alarm_id: str, raised: int, n: int, *, state: str = "UNACK", ended: bool = False) -> Json:
    """The body of a transition, as far as a consumer looks at it."""
    return {
        "alarm_id": alarm_id,
        "occurrence_id": f"gw-1/{alarm_id}/{raised}",
        "n": n,
        "state": state,
        "ended": ended,
        "colour": "red",
        "ts_gateway": TIME,
        "text": {"zh": "氧气压力低", "en": "oxygen low"},
    }


def projection(kind: str, data: Json, *, epoch: str = "e1", as_of: dict[str, int] | None = None) -> bytes:
    return encode(envelope(kind, {"as_of": {"epoch": epoch, "sequences": as_of or {}}, **data}))


def mark(stream: str, complete_to: int, **other: Any) -> Json:
    """One stream of a watermark; without `count`, that of an uplink without a filter."""
    missing: list[Json] = other.get("missing", [])
    body = {
        "stream": stream,
        "epoch": "e1",
        "complete_to": complete_to,
        "count": complete_to - sum(each["records"] for each in missing),
        "confirmed_to": None,
        "live_from": None,
        "backlog": 0,
        "missing": missing,
    }
    return body | other


def lost(first: int, last: int, records: int | None = None, reason: str = "full") -> Json:
    return {"first": first, "last": last, "records": last - first + 1 if records is None else records, "reason": reason}


def watermark(*marks: Json, uplink: str = "platform") -> bytes:
    return projection("stream.watermark", {"uplink": uplink, "reason": "interval", "streams": list(marks)})


def snapshot(*alarms: Json, part: int = 1, of: int = 1, epoch: str = "e1", as_of: dict[str, int]) -> bytes:
    return projection("alarm.snapshot", {"part": part, "of": of, "alarms": list(alarms)}, epoch=epoch, as_of=as_of)


def status(state: str = "online", connection: int = 1) -> bytes:
    return projection("gateway.status", {"state": state, "connection": connection})


def result(command: Json, verb: str, *, code: str | None = None, **args: Any) -> bytes:
    data = {
        "cmd_id": command["cmd_id"],
        "verb": verb,
        "uplink": "platform",
        "result": "done" if code is None else "refused",
        "code": code,
        "message": "do something else",
        "args": args,
    }
    return projection("cmd.result", data)


def read(payload: bytes, topic: str = BASE + "any") -> events.Event:
    return events.read(topic, payload)


@dataclass
class Gateway:
    """Publishes to a real broker and answers commands. `kept` is what it can send again, by stream and sequence.

    `streams` counts what was made, `handed` says up to where the broker has it, or so the gateway believes.
    """

    port: int
    kept: dict[tuple[str, int], bytes] = field(default_factory=dict)
    confirmed: dict[str, set[int]] = field(default_factory=dict)
    commands: list[tuple[str, Json]] = field(default_factory=list)
    streams: dict[str, int] = field(default_factory=dict)
    handed: dict[str, int] = field(default_factory=dict)
    lost: dict[str, list[Json]] = field(default_factory=dict)
    alarms: list[Json] = field(default_factory=list)

    def __enter__(self) -> Self:
        client = Client(CallbackAPIVersion.VERSION2, client_id="gw-1", protocol=MQTTProtocolVersion.MQTTv5)
        client.on_connect = lambda client, *_: client.subscribe(BASE + "cmd/+", qos=1)
        ready = threading.Event()
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._on_command
        client.connect(HOST, self.port)
        client.loop_start()
        assert ready.wait(WITHIN_S)
        self._client = client
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def make(self, stream: str, count: int) -> Iterator[tuple[int, bytes]]:
        """The next records of a stream, kept for a resend."""
        for _ in range(count):
            sequence = self.streams[stream] = self.streams.get(stream, 0) + 1
            payload = self.kept[stream, sequence] = record(stream, sequence)
            yield sequence, payload

    def send(self, payloads: Iterable[bytes], relative: str = "telemetry/pwr-lv/d") -> None:
        """Returns when the broker has them."""
        for payload in payloads:
            self._client.publish(BASE + relative, payload, qos=1).wait_for_publish(WITHIN_S)
            if b'"sequence"' in payload:
                lane, sequence = read(payload).lane, read(payload).sequence
                assert lane is not None
                self.handed[lane.stream] = sequence

    def say_watermark(self) -> None:
        self.send([self._watermark()], "watermark")

    def _watermark(self) -> bytes:
        return watermark(*(mark(name, last, missing=self.lost.get(name, [])) for name, last in self.handed.items()))

    def _on_command(self, client: Client, _: Any, message: MQTTMessage) -> None:
        verb = message.topic.rpartition("/")[2]
        command = json.loads(message.payload)
        self.commands.append((verb, command))
        args = command["args"]
        told: Json = {}
        if verb == "confirm":
            for stream, ranges in args["ranges"].items():
                for first, last in ranges:
                    self.confirmed.setdefault(stream, set()).update(range(first, last + 1))
        elif verb == "resend":
            again = range(args["from"], args["to"] + 1)
            found = [self.kept[args["stream"], each] for each in again if (args["stream"], each) in self.kept]
            for payload in found:
                client.publish(BASE + "telemetry/pwr-lv/d", payload, qos=1)
            gone = [each for each in again if (args["stream"], each) not in self.kept]
            told = {"resent": len(found), "dropped": [lost(each, each, reason="full") for each in gone]}
        client.publish(BASE + "cmd-result", result(command, verb, **told), qos=1)
        if verb == "snapshot":
            as_of = dict(self.handed)
            client.publish(BASE + "alarm-snapshot", snapshot(*self.alarms, as_of=as_of), qos=1)
        if verb in {"snapshot", "ping", "resend"}:
            client.publish(BASE + "watermark", self._watermark(), qos=1)
