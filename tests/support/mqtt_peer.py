"""The other side of the uplink for its tests: a broker that does what a script says, a real mosquitto, a subscriber."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


UNTIL_S_MAX = 60.0
"""Against what never happens; no promise of how soon it does."""


async def until(condition: Callable[[], object], within_s: float = UNTIL_S_MAX) -> None:
    """Wait for something that the other side brings about."""
    async with asyncio.timeout(within_s):
        while not condition():  # the other side knows nothing of this test
            await asyncio.sleep(0.005)


def varint(number: int) -> bytes:
    encoded = bytearray()
    while True:
        number, low = divmod(number, 128)
        encoded.append(low | (128 if number else 0))
        if not number:
            return bytes(encoded)


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


class Parser:
    """Takes one MQTT packet apart from its front."""

    def __init__(self, packet: bytes) -> None:
        self.rest = packet

    def take(self, length: int) -> bytes:
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def number(self, length: int = 2) -> int:
        return int.from_bytes(self.take(length), "big")

    def block(self) -> bytes:
        return self.take(self.number())

    def properties(self) -> bytes:
        length, shift = 0, 0
        while True:
            byte = self.number(1)
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self.take(length)


@dataclass(frozen=True)
class Connect:
    """What a client said of itself."""

    level: int
    flags: int
    keep_alive_s: int
    client_id: str
    will_topic: str
    will: bytes
    user: str
    password: str

    @classmethod
    def parse(cls, packet: bytes) -> Self:
        parser = Parser(packet)
        parser.block()
        level, flags, keep_alive_s = parser.number(1), parser.number(1), parser.number()
        five = level == 5
        if five:
            parser.properties()
        client_id = parser.block().decode()
        will_topic, will = "", b""
        if flags & 4:
            if five:
                parser.properties()
            will_topic, will = parser.block().decode(), parser.block()
        user = parser.block().decode() if flags & 128 else ""
        password = parser.block().decode() if flags & 64 else ""
        return cls(level, flags, keep_alive_s, client_id, will_topic, will, user, password)


@dataclass(frozen=True)
class Publish:
    """One message as it came, with the number of the connection that it came on; `mid` is 0 with QoS 0."""

    connection: int
    mid: int
    qos: int
    retain: bool
    dup: bool
    topic: str
    payload: bytes
    expiry_s: int | None = None

    @property
    def event(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.payload)
        return parsed

    @property
    def id(self) -> str:
        return str(self.event["id"])

    @property
    def numbered(self) -> bool:
        """Whether it is a record; all else says what holds now."""
        return "sequence" in self.event


def expiry(properties: bytes) -> int | None:
    """The Message Expiry Interval, if it is the first property or follows the content type."""
    parser = Parser(properties)
    while parser.rest:
        kind = parser.number(1)
        if kind == 2:
            return parser.number(4)
        assert kind == 3, f"unknown property {kind}"
        parser.block()
    return None


def farewell(reason: int) -> bytes:
    """A DISCONNECT of MQTT 5."""
    return bytes((0xE0, 2, reason, 0))


CUT = -1
"""As an answer: end the connection without a word."""

Answer = Callable[[Publish], int | None]


def accept(_: Publish) -> int | None:
    return 0


@dataclass
class ScriptedBroker:
    """Serves one client after the other. `answer` gives the reason code for a message, None for none, or `CUT`."""

    answer: Answer = accept
    connack_reason: int = 0
    connack_properties: bytes = b""
    suback_reason: int = 1
    greeting: bytes | None = None
    """Raw bytes instead of a CONNACK, before anything is read."""
    silent: bool = False
    """Takes everything and says nothing, not even to a ping."""
    tls: ssl.SSLContext | None = None
    port: int = 0
    connects: list[Connect] = field(default_factory=list)
    published: list[Publish] = field(default_factory=list)
    farewells: list[bytes] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    in_flight_max: int = 0
    _version: int = 5
    _sent: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _unanswered: int = 0
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def acknowledge(self, publish: Publish, reason: int = 0, *, then: bytes = b"") -> None:
        """Answer one message; `then` goes out in the same piece."""
        self._unanswered -= 1
        body = publish.mid.to_bytes(2, "big") + (bytes((reason, 0)) if self._version == 5 and reason else b"")
        self._writers[-1].write(b"\x40" + varint(len(body)) + body + then)

    def disconnect(self, reason: int) -> None:
        self._writers[-1].write(farewell(reason))

    def records(self, stream: str = "") -> list[Publish]:
        """What is numbered, of one stream or of all."""
        return [p for p in self.published if f"/stream/{stream}" in p.event["source"]]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        self._writers.append(writer)
        self._unanswered = 0
        if self.greeting is not None:
            writer.write(self.greeting)
        try:
            while True:
                await self._packet(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _packet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = (await reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = await reader.readexactly(length)
        if self.silent or self.greeting is not None:
            return
        if kind >> 4 == 1:
            self._connect(body, writer)
        elif kind >> 4 == 3:
            self._publish(kind, body)
        elif kind >> 4 == 8:
            self._subscribe(body, writer)
        elif kind >> 4 == 12:
            writer.write(b"\xd0\x00")
        elif kind >> 4 == 14:
            self.farewells.append(body)

    def _connect(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        connect = Connect.parse(body)
        self.connects.append(connect)
        self._version = connect.level
        properties = varint(len(self.connack_properties)) + self.connack_properties if connect.level == 5 else b""
        answer = bytes((0, self.connack_reason)) + properties
        writer.write(b"\x20" + varint(len(answer)) + answer)

    def _subscribe(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        parser = Parser(body)
        mid = parser.take(2)
        properties = b""
        if self._version == 5:
            parser.properties()
            properties = b"\x00"
        self.subscriptions.append(parser.block().decode())
        answer = mid + properties + bytes((self.suback_reason,))
        writer.write(b"\x90" + varint(len(answer)) + answer)

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish to the client with QoS 1."""
        self._sent += 1
        properties = b"\x00" if self._version == 5 else b""
        body = text(topic) + self._sent.to_bytes(2, "big") + properties + payload
        self._writers[-1].write(bytes((0x32 | retain,)) + varint(len(body)) + body)

    def _publish(self, kind: int, body: bytes) -> None:
        parser = Parser(body)
        qos, retain, dup = kind >> 1 & 3, bool(kind & 1), bool(kind & 8)
        topic, mid = parser.block().decode(), parser.number() if qos else 0
        expiry_s = expiry(parser.properties()) if self._version == 5 else None
        publish = Publish(len(self.connects), mid, qos, retain, dup, topic, parser.rest, expiry_s)
        self.published.append(publish)
        if not qos:
            return
        self._unanswered += 1
        self.in_flight_max = max(self.in_flight_max, self._unanswered)
        reason = self.answer(publish)
        if reason == CUT:
            self.cut()
            raise ConnectionResetError
        if reason is not None:
            self.acknowledge(publish, reason)


def password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file."""
    salt, rounds = b"twelve bytes", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"{user}:$7${rounds}${b64encode(salt).decode()}${b64encode(digest).decode()}\n"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for one host name or address that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / f"{name}.crt", folder / f"{name}.key"
    chain.write_bytes(signed.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain, secret


class Mosquitto:
    """A real mosquitto on a free port, with its own configuration and nothing kept on disk."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        access = () if any("allow_anonymous" in line for line in lines) else ("allow_anonymous true",)
        # Started by root it would become another user, who may not read what a test wrote.
        base = (f"listener {self.port} {HOST}", "user root", "persistence false", "log_dest stderr")
        settings = (*base, *access, *lines)
        self._config.write_text("\n".join(settings) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        assert program, "mosquitto is not installed: apt-get install mosquitto"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._config], stdout=log, stderr=log)  # noqa: ASYNC220
        await until(self._listens)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0


@dataclass
class Received:
    topic: str
    payload: bytes
    retain: bool

    @property
    def event(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.payload)
        return parsed


class Subscriber:
    """Another program's view of a broker: `mosquitto_sub` would do, but is in a package of its own."""

    def __init__(self, port: int, topic: str = "#") -> None:
        self.messages: list[Received] = []
        self._topic = topic
        self._socket = socket.create_connection((HOST, port), 5)
        self._thread = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        hello = text("MQTT") + bytes((4, 2, 0, 0)) + text(f"subscriber-{id(self)}")
        self._socket.sendall(b"\x10" + varint(len(hello)) + hello)
        request = b"\x00\x01" + text(self._topic) + b"\x01"
        self._socket.sendall(b"\x82" + varint(len(request)) + request)
        assert self._read()[0] >> 4 == 2
        while self._read()[0] >> 4 != 9:
            pass
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def on(self, suffix: str) -> list[Received]:
        return [message for message in self.messages if message.topic.endswith(suffix)]

    def publish(self, topic: str, payload: bytes) -> None:
        """With QoS 0: whether it arrives, the test sees."""
        body = text(topic) + payload
        self._socket.sendall(b"\x30" + varint(len(body)) + body)

    def _read(self) -> tuple[int, bytes]:
        kind = self._exactly(1)[0]
        length, shift = 0, 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = self._exactly(length)
        if kind >> 4 == 3:
            parser = Parser(body)
            topic = parser.block().decode()
            if kind & 6:
                mid = parser.take(2)
                self._socket.sendall(b"\x40\x02" + mid)
            self.messages.append(Received(topic, parser.rest, bool(kind & 1)))
        return kind, body

    def _exactly(self, length: int) -> bytes:
        taken = b""
        while len(taken) < length:
            more = self._socket.recv(length - len(taken))
            if not more:
                raise EOFError
            taken += more
        return taken

    def _listen(self) -> None:
        try:
            while True:
                self._read()
        except (EOFError, OSError):
            return


StartMosquitto = Callable[..., Awaitable[Mosquitto]]
