"""How a session begins and ends, and every way in which the other side can be no broker that wants us."""

from __future__ import annotations

import asyncio
import random
import resource
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from mqtt_peer import HOST, ScriptedBroker, certificate, farewell, free_port, until
from pace import in_time

from agent.uplink import session as session_module
from agent.uplink.problems import Problem, Refused, Unreachable
from agent.uplink.session import Login, Message, Session
from config.outward import Broker, Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mqtt_peer import Mosquitto

    from agent.uplink.client import MqttVersion

NO_FILES = Tls()
WILL = Message("root/status", b"{}", retain=True)


def a_session(
    port: int,
    version: MqttVersion = "5",
    keep_alive_s: int = 10,
    host: str = HOST,
    tls: bool = False,
    files: Tls = NO_FILES,
) -> Session:
    login = Login("gw-a1", "user", "secret", version, keep_alive_s, files)
    return Session(Broker(host, port, tls), login, WILL, asyncio.Event())


async def problem_of(session: Session) -> Problem:
    """Why it does not open."""
    try:
        with pytest.raises(Problem) as caught:
            await session.open()
    finally:
        session.close()
    return caught.value


async def until_lost(session: Session) -> Problem:
    """Step it until it ends."""
    while True:
        try:
            session.step()
        except Problem as problem:
            return problem
        finally:
            await asyncio.sleep(0.005)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ANSWER_S_MAX", 0.2)


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ("5", 0x86, "user and password"),
        ("5", 0x87, "does not let us in"),
        ("5", 0x84, "MQTT version"),
        ("5", 1, "MQTT version"),
        ("5", 0x85, "client id"),
        ("5", 0x9A, "retained"),
        ("3.1.1", 1, "instead of accepting MQTT 3.1.1"),
        ("3.1.1", 2, "client id"),
        ("3.1.1", 4, "user and password"),
        ("3.1.1", 5, "does not let us in"),
    ],
)
async def test_a_refusal_says_what_a_person_must_do(
    broker: ScriptedBroker, version: MqttVersion, code: int, words: str
) -> None:
    """Each reason code of CONNACK is a refusal in words, with the next step."""
    broker.connack_reason = code
    problem = await problem_of(a_session(broker.port, version))
    assert isinstance(problem, Refused)
    assert words in problem.what
    assert problem.todo


@pytest.mark.parametrize("code", [0x88, 0x89, 0x97])
async def test_a_busy_broker_is_tried_again_soon(broker: ScriptedBroker, code: int) -> None:
    """Nobody has to do anything about a broker that is only busy."""
    broker.connack_reason = code
    assert isinstance(await problem_of(a_session(broker.port)), Unreachable)


async def test_a_broker_without_qos_1_is_refused(broker: ScriptedBroker) -> None:
    """Without an acknowledgement nothing could ever be settled."""
    broker.connack_properties = b"\x24\x00"
    assert "QoS 1" in (await problem_of(a_session(broker.port))).what


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x00\x00\x00",
        b"\x20\x00",
        b"\x20\x02\x00\xee",
    ],
)
async def test_a_server_that_is_no_broker_is_told_from_one(
    broker: ScriptedBroker, impatient: None, greeting: bytes
) -> None:
    """Whatever it says, it ends in one sentence that asks for the right host and port."""
    broker.greeting = greeting
    problem = await problem_of(a_session(broker.port))
    assert "MQTT" in problem.what
    assert "host and port" in problem.todo


async def test_a_server_that_says_nothing_is_no_broker(broker: ScriptedBroker, impatient: None) -> None:
    """A connection is not a session."""
    broker.silent = True
    problem = await problem_of(a_session(broker.port))
    assert isinstance(problem, Unreachable)
    assert "no MQTT answer" in problem.what


async def test_a_closed_port_says_so() -> None:
    """Nobody listens there."""
    port = free_port()
    problem = await problem_of(a_session(port))
    assert isinstance(problem, Unreachable)
    assert problem.what == f"{HOST} refuses connections on port {port}"


@pytest.mark.parametrize("host", ["broker.invalid", "x" * 70 + ".invalid"])
async def test_an_unknown_host_says_so(host: str) -> None:
    """The name is named."""
    problem = await problem_of(a_session(1883, host=host))
    assert isinstance(problem, Unreachable)
    assert problem.what == f"the host name {host} is not known"


async def test_tls_to_a_port_without_tls_says_so(broker: ScriptedBroker) -> None:
    """Never plaintext instead, and no socket is left open."""
    broker.greeting = b"\x20\x03\x00\x00\x00"
    problem = await problem_of(a_session(broker.port, tls=True))
    assert isinstance(problem, Refused)
    assert "TLS" in problem.what
    assert not broker.connects


@pytest.fixture
def serve_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ssl.SSLContext]:
    """What a server needs for TLS under a name, whose authority we may trust or not."""

    def serve(name: str, *, trusted: bool) -> ssl.SSLContext:
        chain, key = certificate(tmp_path, name)
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        return context

    return serve


async def test_with_tls_nothing_waits_in_what_is_decrypted_already(serve_tls: Callable[..., ssl.SSLContext]) -> None:
    """Two packets in one TLS record make the socket readable once: the second must not wait for the next."""
    async with ScriptedBroker(tls=serve_tls(HOST, trusted=True), answer=lambda _: None) as broker:
        session = a_session(broker.port, tls=True)
        await session.open()
        mid = session.publish(Message("t", b"{}"))
        while not broker.published:
            session.step()
            await asyncio.sleep(0.005)
        broker.acknowledge(broker.published[0], then=farewell(0x8B))
        await asyncio.sleep(0.02)
        assert session.step() == [(mid, 0)]
        with pytest.raises(Unreachable, match="shutting down"):
            session.step()
        session.close()


@pytest.mark.parametrize(("name", "trusted"), [(HOST, False), ("other.example", True)])
async def test_a_certificate_that_does_not_prove_the_broker_is_refused(
    serve_tls: Callable[..., ssl.SSLContext], name: str, trusted: bool
) -> None:
    """An unknown authority, or the name of another host: nothing of ours is sent, and no socket stays open."""
    async with ScriptedBroker(tls=serve_tls(name, trusted=trusted)) as broker:
        problem = await problem_of(a_session(broker.port, tls=True))
        assert isinstance(problem, Refused)
        assert "certificate" in problem.what
        assert not broker.connects


async def test_small_messages_are_not_collected(broker: ScriptedBroker) -> None:
    """Without TCP_NODELAY each acknowledgement costs 40 ms."""
    session = a_session(broker.port)
    await session.open()
    sock = session._client.socket()
    assert isinstance(sock, socket.socket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    session.close()


async def test_a_stalled_event_loop_does_not_take_the_link_for_dead(mosquitto: Mosquitto) -> None:
    """The answer to the ping is there, only unread: it is read before the keep-alive is judged."""
    session = a_session(mosquitto.port, keep_alive_s=1)
    await session.open()
    while session.step() == [] and not session._client._ping_t:
        await asyncio.sleep(0.01)
    time.sleep(1.2)  # noqa: ASYNC251  # the stall
    session._tick()
    assert session.step() == []
    session.close()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_who_we_are_is_in_the_connect(broker: ScriptedBroker, version: MqttVersion) -> None:
    """A clean start with client id, user, password, and a will with QoS 1 that is retained."""
    session = a_session(broker.port, version)
    await session.open()
    session.close(politely=True)
    (connect,) = broker.connects
    assert connect.level == (5 if version == "5" else 4)
    assert connect.flags == 0b1110_1110
    assert (connect.client_id, connect.user, connect.password) == ("gw-a1", "user", "secret")
    assert (connect.will_topic, connect.will) == (WILL.topic, WILL.payload)


@pytest.mark.parametrize("polite", [True, False])
async def test_only_a_polite_end_says_good_bye(broker: ScriptedBroker, polite: bool) -> None:
    """Without it the broker must send the will."""
    session = a_session(broker.port)
    await session.open()
    session.close(politely=polite)
    await asyncio.sleep(0.05)
    assert len(broker.farewells) == polite


async def test_the_last_acknowledgements_come_before_the_end(broker: ScriptedBroker) -> None:
    """What the broker took before it went away is settled."""
    session = a_session(broker.port)
    await session.open()
    broker.answer = lambda _: None
    mids = [session.publish(Message("t", b"{}")) for _ in range(2)]
    while len(broker.published) < len(mids):
        session.step()
        await asyncio.sleep(0.005)
    broker.acknowledge(broker.published[0])
    broker.disconnect(0x8B)
    await asyncio.sleep(0.02)
    assert session.step() == [(mids[0], 0)]
    with pytest.raises(Unreachable, match="shutting down"):
        session.step()
    session.close()


async def test_another_client_with_our_id_is_named(broker: ScriptedBroker) -> None:
    """Two gateways with one client id throw each other out: a person must act."""
    session = a_session(broker.port)
    await session.open()
    broker.disconnect(0x8E)
    problem = await until_lost(session)
    session.close()
    assert isinstance(problem, Refused)
    assert "client id" in problem.todo


async def test_a_silent_link_is_found_within_the_keep_alive(broker: ScriptedBroker) -> None:
    """Nothing is ever sent by us, and the socket stays open: only the missing ping answers show it."""
    session = a_session(broker.port, keep_alive_s=2)
    await session.open()
    broker.silent = True
    loop = asyncio.get_running_loop()
    begun = loop.time()
    problem = await until_lost(session)
    session.close()
    assert "silent" in problem.what
    assert in_time(loop.time() - begun, 2 + 2 * session_module.TICK_S)


async def test_a_live_link_outlasts_the_keep_alive(broker: ScriptedBroker) -> None:
    """Pings are answered, so nothing happens."""
    session = a_session(broker.port, keep_alive_s=1)
    await session.open()
    for _ in range(16):
        await asyncio.sleep(0.1)
        assert session.step() == []
    session.close()


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_ends_a_session_and_nothing_else(broker: ScriptedBroker, seed: int) -> None:
    """Random bytes in the place of packets never raise anything but a problem, nor do they acknowledge anything."""
    session = a_session(broker.port)
    await session.open()
    draw = random.Random(seed)
    for _ in range(200):
        kind = draw.choice([0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0])
        body = draw.randbytes(draw.randrange(12))
        broker._writers[-1].write(bytes((kind, len(body))) + body)
    broker._writers[-1].close()
    try:
        while True:
            assert session.step() == []
            await asyncio.sleep(0)
    except Problem:
        session.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """More open files than `select` can watch."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(socket.socket())
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_thousand_open_sockets_are_no_obstacle(many_files: None) -> None:
    """Paho's own loop waits with `select`, which fails from descriptor 1,024 on; a large site has that many lines."""
    async with ScriptedBroker() as broker:
        session = a_session(broker.port)
        await session.open()
        mid = session.publish(Message("t", b"{}"))
        acks: list[tuple[int, int]] = []
        async with asyncio.timeout(60):
            while not acks:
                await asyncio.sleep(0.005)
                acks = session.step()
        session.close()
    assert acks == [(mid, 0)]


async def test_a_session_that_was_given_up_while_dialling_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow name server must not bring a second client with our id to the broker later."""
    asked = asyncio.Event()
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()
    original = socket.create_connection

    def slow(*arguments: object, **options: object) -> socket.socket:
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)
        return original(*arguments, **options)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(socket, "create_connection", slow)
    async with ScriptedBroker() as broker:
        session = a_session(broker.port)
        opening = asyncio.create_task(session.open())
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        session.close()
        go_on.set()
        await asyncio.to_thread(dialling_is_over)
        await until(lambda: broker._writers)
    assert not broker.connects  # all that came in has been read to its end


def dialling_is_over() -> None:
    for thread in threading.enumerate():
        if thread.name == "uplink-dial":
            thread.join()


async def test_a_mistake_while_dialling_is_not_lost_in_its_thread(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the task that opens the session, and the trace is that of the thread."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    traces: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda caught: traces.append(caught.exc_type))
    monkeypatch.setattr(Session, "_look_at_broker", broken)
    session = a_session(broker.port)
    with pytest.raises(RuntimeError, match="without an outcome"):
        await session.open()
    session.close()
    await asyncio.to_thread(dialling_is_over)  # the trace comes when the thread ends, after its outcome
    assert traces == [ZeroDivisionError]
