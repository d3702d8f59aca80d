"""The control API on a real Unix socket, through the real client."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import socket
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import uvloop
from pace import in_time

from agent.control.client import Client, DaemonUnreachable, NotDone, UnknownName
from agent.control.server import LIMITS, serve
from agent.control.socket_file import SocketBlocked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_desk import FakeDesk, Served

    from agent.control.desk import Desk


def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.005)


def raw(path: Path, request: bytes) -> tuple[int, dict[str, str]]:
    """One request as written here; the status code and the body of the answer."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.connect(str(path))
        peer.sendall(request)
        answer = b""
        while chunk := peer.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def post(target: str, body: bytes) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def open_once(desk: Desk, path: Path) -> None:
    async with serve(desk, path):
        pass


def test_the_status_arrives_whole(served: Served) -> None:
    """The client gets the snapshot exactly as the daemon has it."""
    assert Client(served.path).status() == served.desk.status()


def test_points_of_one_device(served: Served) -> None:
    """A device's points come with value and quality; an unknown device says which is near."""
    good, bad = Client(served.path).points("lv-main")
    assert (good.value, good.q) == (398.25, "good")
    assert (bad.value, bad.q, bad.qr, bad.qraw) == (None, "bad", "sensor_fault", "0x8000")
    with pytest.raises(UnknownName, match=r"no device 'lv-mian'; did you mean 'lv-main'\?"):
        Client(served.path).points("lv-mian")


def test_read_asks_for_the_named_points(served: Served) -> None:
    """Only the points that were asked for come back."""
    assert [one.point for one in Client(served.path).read("lv-main", ["u_ab"])] == ["u_ab"]
    assert len(Client(served.path).read("lv-main", ["u_ab"], orders=True)) == 4


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("gen-1", "127.77.0.12:1502 unit 10: no answer within 2 s; check its power"),
        ("ups-1", "127.77.0.13:1502: connection refused; check the port"),
    ],
)
def test_a_read_that_fails_says_where_and_what_to_do(served: Served, device: str, says: str) -> None:
    """A driver's error reaches the operator in its own words."""
    with pytest.raises(NotDone) as error:
        Client(served.path).read(device, [])
    assert str(error.value) == says


@pytest.mark.parametrize(
    ("request_bytes", "code", "error"),
    [
        (post("/v1/read", b"{"), 400, "the request is not understood"),
        (post("/v1/read", b'{"device":"lv-main","pionts":[]}'), 400, "unknown field `pionts`"),
        (post("/v1/read", b'{"device":"gen-1"}'), 504, "no answer within 2 s"),
        (post("/v1/read", b'{"device":"ups-1"}'), 502, "connection refused"),
        (post("/v1/read", b'{"device":"nope"}'), 404, "no device 'nope'"),
        (post("/v1/read", b" " * 70_000), 413, "Too Large"),
        (post("/v1/nothing", b""), 404, "Not Found"),
        (post("/v1/status", b""), 405, "Method Not Allowed"),
    ],
)
def test_errors_have_a_code_and_a_sentence(served: Served, request_bytes: bytes, code: int, error: str) -> None:
    """Every refusal is JSON with `error` and `hint` under a fitting status code."""
    got, body = raw(served.path, request_bytes)
    assert got == code
    assert error in body["error"]
    assert set(body) == {"error", "hint"}


def test_watch_gives_changes_as_they_come(served: Served) -> None:
    """The first batch is what stands, the next what changed; hanging up ends the daemon's side."""
    batches = Client(served.path).watch(["lv-main/u_ab"])
    assert [one.value for one in next(batches)] == [398.25, None]
    assert [one.value for one in next(batches)] == [401.5]
    assert served.desk.open_streams == 1
    batches.close()  # type: ignore[attr-defined]  # the iterator is a generator
    until(lambda: served.desk.open_streams == 0)


def test_tail_gives_one_envelope_a_line(served: Served) -> None:
    """Envelopes arrive as stored, whether or not they carry their own line end."""
    lines = Client(served.path).tail(["alarm"])
    assert [json.loads(next(lines))["type"] for _ in range(2)] == [
        "wardgate.alarm.transition.v1",
        "wardgate.telemetry.batch.v1",
    ]


@pytest.mark.parametrize("ask", [lambda c: next(c.watch(["lv-mian/u"])), lambda c: next(c.tail(["tele"]))])
def test_an_unknown_name_refuses_a_stream_at_once(served: Served, ask: Callable[[Client], object]) -> None:
    """A stream is not opened for a name that does not exist."""
    with pytest.raises(UnknownName, match="did you mean"):
        ask(Client(served.path))


def test_the_actor_comes_from_the_kernel(served: Served) -> None:
    """Who acknowledges is the owner of the connecting process; a second acknowledgement is refused with a reason."""
    client = Client(served.path)
    assert client.order("ack", "fire/fire-panel/zone3#fire", "seen").state == "ACKED"
    assert [(actor.type, actor.id) for actor in served.desk.actors] == [("user", getpass.getuser())]
    with pytest.raises(NotDone, match="acknowledged already; nothing to do"):
        client.order("ack", "fire/fire-panel/zone3#fire")
    with pytest.raises(UnknownName, match="no alarm 'x'"):
        client.order("ack", "x")


def test_a_reset_that_means_nothing_is_refused(served: Served) -> None:
    """The reason is the daemon's, word for word."""
    with pytest.raises(NotDone, match="once it is latched and acknowledged"):
        Client(served.path).order("reset", "fire/fire-panel/zone3#fire")


def test_peer_credentials_under_uvloop(desk: FakeDesk, socket_path: Path) -> None:
    """The loop hides the socket's options; the actor is known there too."""

    async def acknowledge() -> None:
        async with serve(desk, socket_path):
            await asyncio.to_thread(Client(socket_path).order, "ack", "fire/fire-panel/zone3#fire")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(acknowledge())
    assert [actor.id for actor in desk.actors] == [getpass.getuser()]


def test_one_user_cannot_take_all_places(served: Served) -> None:
    """One more connection than a user may have is closed at once; when one leaves, the next is served."""
    held = []
    for _ in range(LIMITS.per_source):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(60)
        peer.connect(str(served.path))
        peer.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peer.recv(4).startswith(b"HTTP")
        held.append(peer)
    with pytest.raises(DaemonUnreachable):
        Client(served.path).status()
    held.pop().close()

    def is_served() -> bool:
        with suppress(DaemonUnreachable):
            return Client(served.path).status().site == "h01"
        return False

    until(is_served)
    for peer in held:
        peer.close()


def test_a_stop_ends_streams_and_removes_the_socket(served: Served) -> None:
    """A watcher does not hold up the daemon's end, and learns of it."""
    batches = Client(served.path).watch()
    next(batches)
    next(batches)
    before = time.monotonic()
    served.__exit__()
    assert in_time(time.monotonic() - before, 3)
    assert not served.path.exists()
    with pytest.raises((StopIteration, DaemonUnreachable)):
        next(batches)


def test_the_socket_is_for_owner_and_group_only(served: Served) -> None:
    """Mode 0660: other users of the machine cannot connect."""
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o660


async def test_a_stale_socket_is_replaced(desk: FakeDesk, socket_path: Path) -> None:
    """What a killed daemon left behind does not stop the next one."""
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(socket_path))
    dead.close()
    async with serve(desk, socket_path):
        assert (await asyncio.to_thread(Client(socket_path).status)).gateway == "gw-a1"


async def test_a_second_daemon_is_refused(desk: FakeDesk, socket_path: Path) -> None:
    """A socket that somebody answers on is left alone, and goes on answering."""
    async with serve(desk, socket_path):
        with pytest.raises(SocketBlocked, match="another wardgate already answers on"):
            await open_once(desk, socket_path)
        assert (await asyncio.to_thread(Client(socket_path).status)).gateway == "gw-a1"


def test_a_file_in_the_way_is_not_removed(desk: FakeDesk, socket_path: Path) -> None:
    """Only a dead socket is ever removed."""
    socket_path.write_text("precious")
    with pytest.raises(SocketBlocked, match="exists and is not a socket"):
        asyncio.run(open_once(desk, socket_path))
    assert socket_path.read_text() == "precious"


async def test_a_missing_folder_and_a_long_path_are_said_plainly(desk: FakeDesk, socket_path: Path) -> None:
    """The sentence names the folder to create, or the length to stay below."""
    with pytest.raises(SocketBlocked, match=r"create the folder .*/none or set another control_socket"):
        await open_once(desk, socket_path.parent / "none" / "control.sock")
    with pytest.raises(SocketBlocked, match="longer than 107 bytes"):
        await open_once(desk, socket_path.parent / ("x" * 107))


def test_a_socket_that_was_taken_over_is_left_alone(served: Served) -> None:
    """A daemon that ends removes its own socket, never its successor's."""
    served.path.unlink()
    served.path.write_text("the next one")
    served.__exit__()
    assert served.path.read_text() == "the next one"


def test_nobody_there_is_said_with_the_next_step(socket_path: Path) -> None:
    """No socket, a dead one, and one that hangs are three different sentences."""
    with pytest.raises(DaemonUnreachable, match=r"start it .`wardgate run`, `systemctl start wardgate`."):
        Client(socket_path).status()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.bind(str(socket_path))
        with pytest.raises(DaemonUnreachable, match="it has stopped"):
            Client(socket_path).status()
        peer.listen()
        with pytest.raises(DaemonUnreachable, match="it may be stuck"):
            Client(socket_path, timeout_s=0.1).status()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_by_the_file(served: Served) -> None:
    """The kernel refuses who is neither owner nor in the group; the client says what to do."""
    served.path.parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            Client(served.path).status()
        except DaemonUnreachable as error:
            os._exit(0 if "join the group" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
