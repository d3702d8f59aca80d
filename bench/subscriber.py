"""An independent subscriber: counts what the broker delivers and when each value came. No code of the gateway in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage


class _Sample(msgspec.Struct):
    p: str
    v: float | None


class _Data(msgspec.Struct):
    device: str = ""
    samples: list[_Sample] = []


class _Envelope(msgspec.Struct):
    sequence: str
    data: _Data


_decode = msgspec.json.Decoder(_Envelope).decode


class Subscriber:
    """`arrived[device, counter]` is the wall time at which register 0 of that device first said `counter`."""

    def __init__(self, host: str, port: int) -> None:
        self.arrived: dict[tuple[int, int], float] = {}
        self.sequences: set[str] = set()
        self.samples = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="bench-subscriber")
        self._client.on_message = self._on_message
        self._client.connect(host, port)
        self._client.subscribe("wardgate/v1/+/+/telemetry/#", qos=1)
        self._client.loop_start()

    @property
    def devices(self) -> int:
        """How many devices have been heard of."""
        return len({device for device, _ in list(self.arrived)})

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        now = time.time()
        event = _decode(message.payload)
        if event.sequence in self.sequences:
            return
        self.sequences.add(event.sequence)
        self.samples += len(event.data.samples)
        device = int(event.data.device.removeprefix("m"))
        for sample in event.data.samples:
            if sample.p == "r0" and sample.v is not None:
                self.arrived.setdefault((device, int(sample.v)), now)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
