"""One MQTT 5 session with the broker, by paho: made for one connection and thrown away with it.

Always true:
- A message is acknowledged by `acknowledge` only, so what was not stored comes again. Packet ids belong to their
  connection: an acknowledgement can never reach the wrong one, because no link outlives its connection.
- The broker keeps the session, and what comes meanwhile, for `session_s` after the connection is gone.
- No thread: everything happens in the caller's calls.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, SocketLike
    from paho.mqtt.reasoncodes import ReasonCode

    from consumer.requests import Message

KEEP_ALIVE_S = 10
DIAL_S_MAX = 5.0
ANSWER_S_MAX = 5.0
RECEIVE_MAXIMUM = 1000
"""So many messages may be on their way to us; stored together, then acknowledged together."""

BATCH_BYTES_MAX = 8_388_608
_TAKEN_OVER = 0x8E
_FAILURE = 0x80


class Lost(Exception):
    """There is no session, or not any more; trying again may help."""


class Refused(Lost):
    """The broker, or its certificate, says no: a person must act."""


class TakenOver(Lost):
    """Somebody else came with our client id. Coming back would only throw him out in turn."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to connect, and as whom. With `tls`, the certificate's chain and name are always checked."""

    host: str
    port: int
    client_id: str
    user: str | None = None
    password: str | None = None
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    session_s: int = 0
    """0: a session that ends with the connection, and begins anew."""

    @property
    def address(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as it came; `mid` is what to acknowledge, 0 for nothing."""

    topic: str
    payload: bytes
    mid: int


class _Client(Client):
    """paho's, with a socket that is closed when its TLS handshake fails, and that sends at once."""

    def _create_socket(self) -> SocketLike:
        sock = socket.create_connection((self._host, self._port), self._connect_timeout)
        try:
            # Otherwise each acknowledgement waits for the one before to be acknowledged in turn.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context: ssl.SSLContext | None = self._ssl_context
            return sock if context is None else context.wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise


class Link:
    """Use as a context; entering connects and subscribes. Every method raises `Lost`."""

    def __init__(self, broker: Broker, filters: list[str]) -> None:
        self.resumed = False
        self.refused_topic: str | None = None
        self._broker = broker
        self._filters = filters
        self._arrived: list[Arrived] = []
        self._arrived_bytes = 0
        self._published: dict[int, str] = {}
        self._ready = False
        self._lost: Lost | None = None
        self._client = self._make_client()

    def __enter__(self) -> Self:
        try:
            self._dial()
            self._wait_ready()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._client.disconnect()
        self._close()

    def _wait_ready(self) -> None:
        until_s = time.monotonic() + ANSWER_S_MAX
        while not self._ready:
            if time.monotonic() > until_s:
                raise Lost(f"{self._broker.address} gives no MQTT answer; check that this is a broker's address")
            self._turn(0.1)

    def receive(self, wait_s: float) -> list[Arrived]:
        """What came, at once when something did; nothing after `wait_s`."""
        self._turn(wait_s)
        seen = 0
        while seen < len(self._arrived) < RECEIVE_MAXIMUM and self._arrived_bytes < BATCH_BYTES_MAX:
            seen = len(self._arrived)
            self._turn(0)
        arrived, self._arrived, self._arrived_bytes = self._arrived, [], 0
        return arrived

    def acknowledge(self, arrived: list[Arrived]) -> None:
        for message in arrived:
            if message.mid:
                self._client.ack(message.mid, 1)
        self._check(MQTTErrorCode.MQTT_ERR_SUCCESS)

    def publish(self, message: Message) -> None:
        sent = self._client.publish(message.topic, message.payload, qos=1)
        self._published[sent.mid] = message.topic
        self._check(sent.rc)

    def _make_client(self) -> Client:
        broker = self._broker
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = DIAL_S_MAX
        client.username_pw_set(broker.user, broker.password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    def _dial(self) -> None:
        broker = self._broker
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho gives it no types
        session.SessionExpiryInterval = broker.session_s
        session.ReceiveMaximum = RECEIVE_MAXIMUM
        try:
            if broker.tls:
                self._client.tls_set_context(_context(broker))
            self._client.connect(
                broker.host, broker.port, KEEP_ALIVE_S, clean_start=broker.session_s == 0, properties=session
            )
        except ssl.SSLCertVerificationError as error:
            raise Refused(
                f"the certificate of {broker.host} is not trusted ({error.verify_message}); check --ca and the name"
            ) from error
        except (OSError, UnicodeError) as error:
            what = getattr(error, "strerror", None) or error
            raise Lost(f"cannot connect to {broker.address} ({what}); check the address and the network") from error

    def _turn(self, wait_s: float) -> None:
        self._check(self._client.loop(wait_s))

    def _check(self, code: MQTTErrorCode) -> None:
        if self._lost is not None:
            raise self._lost
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Lost(f"the connection to {self._broker.address} is gone")

    def _close(self) -> None:
        """What paho leaves to the collector: sockets."""
        self._client._sock_close()  # noqa: SLF001  # there is no public way that says nothing to the broker
        self._client._reset_sockets()  # noqa: SLF001  # its own pair for waking its thread

    # Called by paho, inside `loop`.

    def _on_connect(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, __: Properties | None
    ) -> None:
        if reason.is_failure:
            self._lost = Refused(
                f"{self._broker.address} does not let us in ({reason.getName().lower()}); check user and password"
            )
            return
        self.resumed = flags.session_present
        client.subscribe([(each, SubscribeOptions(qos=1, noLocal=True)) for each in self._filters])

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        denied = [each for each, reason in zip(self._filters, reasons, strict=False) if reason.value >= _FAILURE]
        if denied:
            self._lost = Refused(
                f"{self._broker.address} does not let us subscribe to {denied[0]}; give us read rights"
            )
        self._ready = True

    def _on_message(self, _: Any, __: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        mid = message.mid if message.qos else 0
        self._arrived.append(Arrived(topic, bytes(message.payload), mid))
        self._arrived_bytes += len(message.payload)

    def _on_publish(self, _: Any, __: Any, mid: int, reason: ReasonCode, ___: Properties | None) -> None:
        topic = self._published.pop(mid, None)
        if reason.is_failure:
            self.refused_topic = topic

    def _on_disconnect(self, _: Any, __: Any, flags: DisconnectFlags, reason: ReasonCode, ___: Any) -> None:
        if self._lost is not None:
            return
        if flags.is_disconnect_packet_from_server and reason.value == _TAKEN_OVER:
            self._lost = TakenOver(f"another client came with our client id {self._broker.client_id}; use --client-id")
        else:
            self._lost = Lost(f"{self._broker.address} ended the connection ({reason.getName().lower()})")


def _context(broker: Broker) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=broker.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.cert is not None:
        context.load_cert_chain(broker.cert, broker.key)
    return context
