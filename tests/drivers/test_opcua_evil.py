"""Servers that lie on the wire: whatever comes, the driver ends with an error that it names, in time and in memory."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import pytest
from asyncua import ua
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opcua_certificates import certificate, write
from opcua_peer import HOST, SERVER_URI, OpcuaPeer, Secured, driver_for, point, poll_of

from config.model import Home
from drivers.errors import DriverError, Unreachable
from drivers.opcua import bounds, identity
from drivers.opcua.trust import TrustList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from drivers.opcua.driver import SubscribingOpcuaDriver

Lie = Literal[
    "cut",
    "stretch",
    "garble",
    "noise",
    "huge",
    "tiny",
    "twice",
    "swallow",
    "drip",
    "abort",
    "more",
    "other",
    "order",
]
TRUE = 21.5
TIMEOUT_S = 0.15
HEADER = 8


@dataclass(frozen=True)
class Evil:
    """What is done to the frame number `at` from the server, and where in it."""

    at: int
    lie: Lie
    place: int
    noise: bytes


lies = st.sampled_from(get_args(Lie))
evils = st.builds(Evil, st.integers(0, 14), lies, st.integers(0, 10_000), st.binary(max_size=64))


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpcuaPeer]:
    folder = tmp_path_factory.mktemp("server")
    cert, key = write(folder, "server", certificate("server", uri=SERVER_URI, host=HOST))
    policies = [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt]

    class Anybody:
        def get_user(self, *_: Any, **__: Any) -> Any:
            from asyncua.crypto.permission_rules import User, UserRole  # noqa: PLC0415 - the library's own type

            return User(role=UserRole.User)

    with OpcuaPeer(Secured(cert, key, policies, [ua.AnonymousIdentityToken], Anybody())) as peer:
        peer._wait(peer._add({"e.t": ua.Variant(TRUE), "e.b": ua.Variant(Value=True)}))
        yield peer


@pytest.fixture(scope="module")
def home(peer: OpcuaPeer, tmp_path_factory: pytest.TempPathFactory) -> Home:
    assert peer._secured
    root = tmp_path_factory.mktemp("gateway")
    TrustList(root).add(identity.parse(peer._secured.certificate.read_bytes(), "the server"))
    return Home("gw", root, root)


def spoilt(frame: bytes, evil: Evil) -> bytes:  # noqa: PLR0911 - one return for each lie
    """The frame as the liar sends it."""
    place = HEADER + evil.place % max(1, len(frame) - HEADER)
    if evil.lie == "cut":
        return sized(frame[:place])
    if evil.lie == "stretch":
        return sized(frame[:place] + evil.noise + frame[place:])
    if evil.lie == "garble":
        return frame[:place] + evil.noise[: len(frame) - place] + frame[place + len(evil.noise) :]
    if evil.lie == "noise":
        return evil.noise
    if evil.lie in {"huge", "tiny"}:
        return frame[:4] + struct.pack("<I", 0xFFFF_FF00 if evil.lie == "huge" else evil.place % 8) + frame[8:]
    if evil.lie == "twice":
        return frame * 2
    if evil.lie in {"abort", "more"}:
        return frame[:3] + (b"A" if evil.lie == "abort" else b"C") + frame[4:]
    if evil.lie == "other":
        return [b"ACK", b"ERR", b"OPN", b"MSG", b"CLO"][evil.place % 5] + frame[3:]
    if evil.lie == "order" and len(frame) > 24:
        return frame[:16] + struct.pack("<I", evil.place) + frame[20:]
    return b"" if evil.lie == "swallow" else frame


def sized(frame: bytes) -> bytes:
    return frame[:4] + struct.pack("<I", len(frame)) + frame[8:]


class Liar:
    """A relay that spoils one frame on its way from the server; its frames are counted over all connections."""

    def __init__(self, port: int, evil: Evil) -> None:
        self._port = port
        self._evil = evil
        self._frames = count()
        self._connections: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner = await asyncio.open_connection(HOST, self._port)
        ways = [asyncio.create_task(self._answer(inner_reader, writer)), asyncio.create_task(_ask(reader, inner))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            inner.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(HEADER)
            frame = head + await reader.readexactly(int.from_bytes(head[4:], "little") - HEADER)
            if next(self._frames) != self._evil.at:
                writer.write(frame)
            elif self._evil.lie == "drip":
                for byte in frame:
                    writer.write(bytes([byte]))
                    await writer.drain()
            else:
                writer.write(spoilt(frame, self._evil))

    async def close(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


@asynccontextmanager
async def liar(peer: OpcuaPeer, evil: Evil) -> AsyncIterator[str]:
    """The URL of a liar in front of the peer."""
    relay = Liar(peer.port, evil)
    server = await asyncio.start_server(relay.accept, HOST, 0)
    try:
        yield f"opc.tcp://{HOST}:{server.sockets[0].getsockname()[1]}/test"
    finally:
        server.close()
        await relay.close()


async def seen(peer: OpcuaPeer, home: Home, evil: Evil, security: str) -> list[tuple[object, ...]]:
    """Every reading that a driver gives over the liar, until it gives up or has some."""
    readings: list[tuple[object, ...]] = []
    poll = poll_of(point("e.t"), point("e.b", type="bool"))
    async with liar(peer, evil) as url:
        driver = cast("SubscribingOpcuaDriver", driver_for(url, home=home, timeout_s=TIMEOUT_S, security=security))
        try:
            with suppress(DriverError):
                async with asyncio.timeout(10):
                    await driver.connect()
                    readings.append(tuple((await driver.read(poll)).values))
                    async with aclosing(driver.changes([poll])) as changes:
                        readings += [tuple((await anext(changes)).values) for _ in range(2)]
        finally:
            await driver.close()
    return readings


@given(evils)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_12_a_lying_server_never_hangs_or_crashes_the_driver(peer: OpcuaPeer, home: Home, evil: Evil) -> None:
    """Frames cut, stretched, doubled, swallowed, garbled or dripping: only errors that say what happened, in time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.05)
        patch.setattr("drivers.opcua.feed.LIFE_S", 0.05)
        asyncio.run(seen(peer, home, evil, "none"))


@given(evils)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_12_never_a_value_that_was_not_sent(peer: OpcuaPeer, home: Home, evil: Evil) -> None:
    """With security, no spoilt byte gets through: what is read is what the server holds, or nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.05)
        patch.setattr("drivers.opcua.feed.LIFE_S", 0.05)
        readings = asyncio.run(seen(peer, home, evil, "encrypt"))
    assert set(readings) <= {(TRUE, True)}


async def _flood(*, frame: bytes, times: int) -> int:
    """Bytes of memory that a driver takes while a server sends this after the hello."""
    acknowledge = struct.pack("<4sIIIIII", b"ACKF", 28, 0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(65_536)
            writer.write(acknowledge)
            await reader.read(65_536)
            for _ in range(times):
                writer.write(frame)
                await writer.drain()
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(serve, HOST, 0)
    url = f"opc.tcp://{HOST}:{server.sockets[0].getsockname()[1]}/"
    tracemalloc.start()
    try:
        with pytest.raises(Unreachable):
            await driver_for(url, timeout_s=1.0).connect()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        server.close()


async def test_12_a_frame_of_four_gigabytes_is_not_collected() -> None:
    """A server announces it and sends on and on: the connection ends at the announcement."""
    head = struct.pack("<4sI", b"MSGF", 0xFFFF_FFF0)
    peak = await _flood(frame=head + b"\0" * 60_000, times=500)
    assert peak < 8 * bounds.FRAME_BYTES_MAX


async def test_12_a_message_without_end_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that all say that more will come, with nothing in them: their number is bounded."""
    monkeypatch.setattr(bounds, "FRAMES_MAX", 50)
    channel = struct.pack("<4sII", b"OPNC", 0, 0) + struct.pack("<i", 47)
    channel += b"http://opcfoundation.org/UA/SecurityPolicy#None" + struct.pack("<ii", -1, -1)
    frames = b"".join(sized(channel + struct.pack("<II", number, 2)) for number in range(1, 200))
    peak = await _flood(frame=frames, times=1)
    assert peak < 8 * bounds.FRAME_BYTES_MAX
