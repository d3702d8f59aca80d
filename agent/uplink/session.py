"""One session with one broker: a paho client that is made for it and thrown away with it.

Always true:
- A session never connects again. paho sends what it still holds after a reconnect of its own, and the journal sends the
  same records too: everything twice. A new client per session leaves the journal as the only queue.
- Everything but dialling (names and TLS block, so they have a thread) happens in `open`, `publish`, `step` and `close`,
  called by one task; the event loop only says when to. So a mistake in here ends that task and is not lost in a thread.
- `step` raises the `Problem` that ended the session, after the last acknowledgement before it was handed out.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.uplink.certificates import load, peer_validity
from agent.uplink.client import NotMqtt, PahoClient
from agent.uplink.problems import (
    Problem,
    broken,
    ended,
    from_dialling,
    from_reason,
    lost,
    no_answer,
    no_mqtt,
    not_accepted,
)

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, SocketLike
    from paho.mqtt.reasoncodes import ReasonCode

    from agent.uplink.certificates import Credentials, Validity
    from agent.uplink.client import MqttVersion
    from config.outward import Broker, Tls

DIAL_S_MAX = 10.0
"""Longest wait for name, TCP and TLS together."""

ADDRESS_S_MAX = 5.0
"""Longest wait for one address of the broker."""

ANSWER_S_MAX = 5.0
"""Longest wait for CONNACK."""

TICK_S = 0.5
"""How often the keep-alive is looked after."""

RECEIVE_MAXIMUM_DEFAULT = 65_535
PACKET_BYTES_DEFAULT = 268_435_455
_SILENT = 0x8D
_GARBLED = 0x82
_NO_QOS_1 = 0x9B


@dataclass(frozen=True, slots=True)
class Message:
    """A topic and what is published there. `expiry_s`: how long a broker may keep it for others; None for ever.

    With `at_most_once` (QoS 0) nobody acknowledges it: what is lost will be said anew.
    """

    topic: str
    payload: bytes
    retain: bool = False
    expiry_s: int | None = None
    at_most_once: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are for the broker. A silent link is found within `keep_alive_s`; `tls` is for brokers with TLS only."""

    client_id: str
    user: str | None
    password: str | None
    version: MqttVersion
    keep_alive_s: int
    tls: Tls


class Session:
    """`wake` is set whenever `step` has something to do. `receive_maximum` and `packet_bytes_max` hold once open, as do
    `credentials` and `broker_validity` with TLS. Without a will the broker says nothing when this session breaks.
    """

    def __init__(self, broker: Broker, login: Login, will: Message | None, wake: asyncio.Event) -> None:
        self.receive_maximum = RECEIVE_MAXIMUM_DEFAULT
        self.packet_bytes_max = PACKET_BYTES_DEFAULT
        self.credentials: Credentials | None = None
        self.broker_validity: Validity | None = None
        self._broker = broker
        self._login = login
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._acks: list[tuple[int, int]] = []
        self._heard: list[Message] = []
        self.deaf = False
        self._open = False
        self._problem: Problem | None = None
        self._awaits_input = False
        self._awaits_room = False
        self._timer: asyncio.TimerHandle | None = None
        self._tick_due = False
        self._client = self._make_client(will)
        self._properties: dict[int | None, Properties] = {}

    async def open(self) -> None:
        """Dial and wait until the broker accepts. Raises `Problem`; call `close` after it all the same."""
        await self._dial()
        self._client.on_socket_close = self._on_socket_close
        self._tick()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                while True:
                    self.step()
                    if self._open:
                        return
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            raise no_answer(ANSWER_S_MAX) from None

    def publish(self, message: Message) -> int:
        """Hand a message to the client; returns its packet id, which `step` will give back with QoS 1."""
        return self._client.publish(
            message.topic,
            message.payload,
            qos=0 if message.at_most_once else 1,
            retain=message.retain,
            properties=self._properties_for(message.expiry_s) if self._login.version == "5" else None,
        ).mid

    def subscribe(self, topic: str) -> None:
        """Ask for what is published there from now on; `heard` gives it. `deaf` is true once the broker has refused."""
        if self._login.version == "5":
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self._client.subscribe(topic, options=options)
        else:
            self._client.subscribe(topic, qos=1)

    def heard(self) -> list[Message]:
        """What has come in since the last call."""
        heard, self._heard = self._heard, []
        return heard

    def _properties_for(self, expiry_s: int | None) -> Properties:
        if expiry_s not in self._properties:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho gives it no types
            properties.ContentType = "application/json"
            if expiry_s is not None:
                properties.MessageExpiryInterval = expiry_s
            # paho packs them anew for each message, which costs more than the rest of the packet.
            packed: bytes = properties.pack()  # type: ignore[no-untyped-call]  # paho gives it no types
            object.__setattr__(properties, "pack", lambda: packed)
            self._properties[expiry_s] = properties
        return self._properties[expiry_s]

    def step(self) -> list[tuple[int, int]]:
        """Read, write and look after the keep-alive; returns packet ids with their reason codes (MQTT 5 numbers).

        Raises `Problem` when the session is over.
        """
        if self._problem is None:
            self._turn()
        acks, self._acks = self._acks, []
        if self._problem is not None:
            if not acks:
                raise self._problem
            self._wake.set()
        return acks

    def close(self, *, politely: bool = False) -> None:
        """End it, at any time, twice if need be. Politely means with a word to the broker, who then drops the will."""
        if self._timer is not None:
            self._timer.cancel()
        self._fail(lost("the session was closed here"))
        if politely and self._client.is_connected():
            self._client.disconnect()
        self._client.drop()

    def _make_client(self, will: Message | None) -> PahoClient:
        client = PahoClient(self._login.client_id, self._login.version, self._on_acknowledged)
        client.connect_timeout = ADDRESS_S_MAX
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.username_pw_set(self._login.user, self._login.password)
        return client

    async def _dial(self) -> None:
        """In a daemon thread of its own: a name server that is gone must not hold up the end of the process."""
        dialled: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._dial_here, args=(dialled,), name="uplink-dial", daemon=True).start()
        try:
            async with asyncio.timeout(DIAL_S_MAX):
                await dialled
        except TimeoutError:
            raise self._from_dialling(TimeoutError()) from None

    def _dial_here(self, dialled: asyncio.Future[None]) -> None:
        # Stands where a mistake of ours ends this thread, so that it ends the task too.
        outcome: Exception | None = RuntimeError("dialling ended without an outcome")
        try:
            outcome = self._dialling_problem()
        finally:
            try:
                self._loop.call_soon_threadsafe(self._dialled, dialled, outcome)
            except RuntimeError:  # the event loop is closed: nobody waits any more
                self._client.drop()

    def _dialling_problem(self) -> Problem | None:
        # paho would tell a broker that answers only every second ping for alive; half the time finds it in the whole.
        keep_alive_s = max(1, self._login.keep_alive_s // 2)
        options: dict[str, Any] = {"clean_start": True} if self._login.version == "5" else {}
        try:
            self._prove_ourselves()
            self._client.connect(self._broker.host, self._broker.port, keep_alive_s, **options)
            self._look_at_broker()
        except Problem as refused:
            return refused
        except (OSError, UnicodeError) as error:
            return self._from_dialling(error)
        return None

    def _prove_ourselves(self) -> None:
        """With the files as they are now: renewed ones need no restart. Raises `Refused`."""
        if self._broker.tls:
            self.credentials = load(self._login.tls)
            self._client.use_tls(self.credentials.context, self._login.tls.server_name)

    def _look_at_broker(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, ssl.SSLSocket):
            self.broker_validity = peer_validity(sock.getpeercert() or {})

    def _from_dialling(self, error: OSError | UnicodeError) -> Problem:
        with_cert = self._login.tls.cert is not None
        return from_dialling(error, self._broker.host, self._broker.port, with_cert=with_cert)

    def _dialled(self, dialled: asyncio.Future[None], problem: Exception | None) -> None:
        if dialled.done():
            self._client.drop()
        elif problem is not None:
            dialled.set_exception(problem)
        else:
            dialled.set_result(None)

    def _turn(self) -> None:
        if not self._awaits_input or self._tick_due:
            self._read()
        if self._tick_due:
            self._tick_due = False
            self._client.loop_misc()
        if self._client.want_write() and not self._awaits_room:
            self._client.loop_write()
        self._listen()

    def _read(self) -> None:
        self._client.loop_read()
        # What TLS has decrypted already does not make the socket readable again.
        while (sock := self._client.socket()) is not None and getattr(sock, "pending", int)():
            self._client.loop_read()

    def _listen(self) -> None:
        """Be woken once by input, and by room to write where something waits for it."""
        sock = self._client.socket()
        if sock is None:
            return
        if not self._awaits_input:
            self._awaits_input = True
            self._loop.add_reader(sock.fileno(), self._on_input, sock.fileno())
        if self._client.want_write() and not self._awaits_room:
            self._awaits_room = True
            self._loop.add_writer(sock.fileno(), self._on_room, sock.fileno())

    def _on_input(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._awaits_input = False
        self._wake.set()

    def _on_room(self, descriptor: int) -> None:
        self._loop.remove_writer(descriptor)
        self._awaits_room = False
        self._wake.set()

    def _tick(self) -> None:
        self._tick_due = True
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self._wake.set()

    def _fail(self, problem: Problem) -> None:
        """The first reason counts: what follows from it says less."""
        if self._problem is None:
            self._problem = problem

    # Called by paho, inside `_turn`.

    def _on_acknowledged(self, mid: int, reason: int) -> None:
        self._acks.append((mid, reason))

    def _on_message(self, _: Any, __: Any, message: MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):  # A topic that is no text is none that we asked for.
            self._heard.append(Message(message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        self.deaf = any(reason.is_failure for reason in reasons)

    def _on_connect(
        self, _: Any, __: Any, ___: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._fail(from_reason(reason.value, reason.getName()))
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._fail(from_reason(_NO_QOS_1, "QoS not supported"))
            return
        self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT)
        self.packet_bytes_max = getattr(properties, "MaximumPacketSize", PACKET_BYTES_DEFAULT)
        self._open = True

    def _on_disconnect(self, _: Any, __: Any, flags: DisconnectFlags, reason: ReasonCode, ___: Any) -> None:
        error = self._client.socket_error
        if flags.is_disconnect_packet_from_server:
            self._fail(from_reason(reason.value, reason.getName()))
        elif isinstance(error, NotMqtt):
            self._fail(no_mqtt("the other side answers, but not with MQTT"))
        elif isinstance(error, ssl.SSLError) and not self._open:
            self._fail(self._from_dialling(error))
        elif reason.value == _SILENT:
            self._fail(lost(f"the link went silent: nothing came for {self._client.keepalive} s"))
        elif reason.value == _GARBLED:
            self._fail(
                no_mqtt(f"the other side ended the connection instead of accepting MQTT {self._login.version}")
                if not self._open
                else lost("the broker sent what is not MQTT")
            )
        elif not self._open:
            self._fail(not_accepted(with_tls=self._broker.tls, with_cert=self._login.tls.cert is not None))
        else:
            self._fail(ended() if error is None else broken(f"the connection broke ({error.strerror or error})"))

    def _on_socket_close(self, _: Any, __: Any, sock: SocketLike) -> None:
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())
