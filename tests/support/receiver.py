"""The platform's side in one object: a subscriber that shares nothing with the gateway but MQTT.

It runs in a thread of its own and writes every message to a file of JSON lines as it comes, duplicates included; what
the file proves is told by `accounting`. Its session outlives a broker that goes away, so what the broker took over for
it arrives later.
"""

from __future__ import annotations

import json
import time
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import MQTTMessage

HOST = "127.0.0.1"
SESSION_S = 3600
READY_S = 30.0


class Receiver:
    """Everything below `#`, from entering to leaving."""

    def __init__(self, file: Path, port: int, user: str | None = None, password: str | None = None) -> None:
        self.path = file
        self._port = port
        self._lock = Lock()
        self._ready = Event()
        self._messages: list[tuple[str, str]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="platform", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._file = self.path.open("a", encoding="utf-8")
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho gives it no types
        session.SessionExpiryInterval = SESSION_S
        self._client.connect(HOST, self._port, 5, clean_start=False, properties=session)
        self._client.loop_start()
        assert self._ready.wait(READY_S), "the broker does not let us subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._file.close()

    def seen(self, topic: str, payload: str = "") -> int:
        """How many messages came whose topic and payload hold these words."""
        with self._lock:
            return sum(topic in where and payload in what for where, what in self._messages)

    def farewells(self) -> int:
        """How often the gateway has said that it goes: nothing comes after that."""
        return self.seen("/status", '"state":"offline"')

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        """On disk before the broker has its acknowledgement: what was received stays received."""
        payload = message.payload.decode()
        line = {"t": time.time(), "topic": message.topic, "retain": message.retain, "payload": payload}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        with self._lock:
            self._messages.append((message.topic, payload))
