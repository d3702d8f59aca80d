"""An independent subscriber: what really left the gateway and passed the broker, seen from outside.

It shares nothing with the uplink but the MQTT library. Its session outlives a pulled broker, so what is sent while it
is away comes later. paho is used here for the demo only; the product's own MQTT client is `agent.uplink`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from paho.mqtt.client import ConnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

SESSION_S = 3600
KEEP_ALIVE_S = 5
RETAINED_ON_FIRST_SUBSCRIPTION = 1
SUBSCRIBED_WITHIN_S = 10.0


class _Batch(msgspec.Struct):
    samples: list[msgspec.Raw] = []


class _Envelope(msgspec.Struct):
    type: str = ""
    data: _Batch = msgspec.field(default_factory=_Batch)


_decoder = msgspec.json.Decoder(_Envelope)


def values_in(payload: bytes) -> int:
    """How many values an event carries; 0 for all but telemetry."""
    try:
        return len(_decoder.decode(payload).data.samples)
    except msgspec.DecodeError:
        return 0


@contextlib.asynccontextmanager
async def subscribed(host: str, port: int, on_event: Callable[[bytes], None]) -> AsyncIterator[None]:
    """Everything below every topic root, from here to the end of the block; `on_event` runs in this event loop."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id="wardgate-demo", protocol=MQTTProtocolVersion.MQTTv5)

    def on_connect(client: Client, _data: Any, _flags: ConnectFlags, _code: ReasonCode, _more: object) -> None:
        # Retained messages only once: a broker that comes back must not make the past look new.
        client.subscribe("#", options=SubscribeOptions(qos=1, retainHandling=RETAINED_ON_FIRST_SUBSCRIPTION))

    def on_subscribe(*_: object) -> None:
        loop.call_soon_threadsafe(ready.set)

    def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.payload:
            loop.call_soon_threadsafe(on_event, bytes(message.payload))

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.reconnect_delay_set(min_delay=1, max_delay=1)
    session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's, without types
    session.SessionExpiryInterval = SESSION_S
    await asyncio.to_thread(client.connect, host, port, KEEP_ALIVE_S, clean_start=False, properties=session)
    client.loop_start()
    try:
        async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
            await ready.wait()
        yield
    finally:
        client.disconnect()
        client.loop_stop()
