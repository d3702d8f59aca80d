"""OPC UA against node-opcua: a server that shares no code with ours or with our library."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from opcua_peer import HOST, driver_for, free_port, point, poll_of

from config.model import Home
from drivers.errors import Refused
from drivers.opcua import identity
from drivers.opcua.conditions import HIDDEN, LEVELS
from drivers.opcua.endpoints import POLICIES
from drivers.opcua.trust import TrustList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from drivers.contract import Counting, Reading
    from drivers.opcua.driver import SubscribingOpcuaDriver

MODULES = Path("build/interop").absolute()
SERVER = Path(__file__).with_name("opcua_server.mjs")


class NodeServer:
    """The process, its certificate, and what it is told."""

    def __init__(self, folder: Path) -> None:
        node = shutil.which("node")
        assert node, "node is not installed"
        assert (MODULES / "node_modules/node-opcua").is_dir(), "make interop installs it"
        port = free_port()
        self.url = f"opc.tcp://{HOST}:{port}/or"
        self._process = subprocess.Popen(
            [node, str(SERVER), str(MODULES), HOST, str(port), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        hello = self._line("certificate")
        self.certificate, self.namespace = Path(hello["certificate"]), hello["namespace"]

    def tell(self, **asked: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        self._line("done")

    def _line(self, key: str) -> dict[str, Any]:
        """The next line that is ours; the library writes there, too."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{") and key in (said := json.loads(line)):
                return cast("dict[str, Any]", said)
        raise AssertionError("the server ended")

    def close(self) -> None:
        self._process.kill()
        with self._process:  # waits, and closes the pipes
            pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeServer]:
    server = NodeServer(tmp_path_factory.mktemp("node"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def home(server: NodeServer, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A gateway and a server that trust each other."""
    root = tmp_path_factory.mktemp("gateway")
    home = Home("h01-gw-1", root, root / "state")
    TrustList(home.state).add(identity.parse(server.certificate.read_bytes(), server.certificate))
    identity.own(identity.folder(home.state), home.name, 1_790_000_000)
    server.tell(trust=str(identity.folder(home.state) / identity.CERTIFICATE))
    return home


@asynccontextmanager
async def connected(server: NodeServer, home: Home, **settings: Any) -> AsyncIterator[SubscribingOpcuaDriver]:
    driver = driver_for(server.url, home=home, timeout_s=10.0, **{"security": "encrypt", **settings})
    try:
        await driver.connect()
        yield cast("SubscribingOpcuaDriver", driver)
    finally:
        await driver.close()


def node(name: str, **more: Any) -> dict[str, Any]:
    return {"spec": {"node": f"ns=1;s={name}", **more}}


@pytest.mark.parametrize("security", ["sign", "encrypt"])
@pytest.mark.parametrize("policy", POLICIES)
async def test_9_every_policy_with_a_user(
    server: NodeServer, home: Home, monkeypatch: pytest.MonkeyPatch, policy: str, security: str
) -> None:
    """A value is read over each, logged in by name and password."""
    monkeypatch.setenv("WG_PASSWORD", "correct horse")
    server.tell(set=21.5)
    user = {"user": "gateway", "password": {"env": "WG_PASSWORD"}}
    async with connected(server, home, policy=policy, security=security, **user) as driver:
        reading = await driver.read(poll_of(point("t", **node("room.t"))))
    assert reading.values == (21.5,)


async def test_9_a_wrong_password_is_refused(server: NodeServer, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the status of the server and the next step."""
    monkeypatch.setenv("WG_PASSWORD", "wrong battery")
    with pytest.raises(Refused, match="see user and password") as raised:
        async with connected(server, home, user="gateway", password={"env": "WG_PASSWORD"}):
            pass
    assert "battery" not in str(raised.value)


async def test_9_a_gateway_that_the_server_does_not_trust(server: NodeServer, tmp_path: Path) -> None:
    """The refusal says what to do, however the library puts it."""
    stranger = Home("stranger", tmp_path, tmp_path / "state")
    TrustList(stranger.state).add(identity.parse(server.certificate.read_bytes(), server.certificate))
    with pytest.raises(Refused, match="wardgate opcua certificate"):
        async with connected(server, stranger):
            pass


async def test_8_changes_paths_and_percent_deadband(server: NodeServer, home: Home) -> None:
    """Subscribed by path; 2 % of a range of 50 keeps changes below 1.0 in the server."""
    server.tell(set=20.0)
    path = {"node": f"nsu={server.namespace};/room/t"}
    points = point("t", spec=path), point("calm", spec={**path, "server_deadband": "2%"})
    async with connected(server, home) as driver, aclosing(driver.changes([poll_of(*points)])) as readings:
        first = await anext(readings)
        server.tell(set=20.5)
        second = await _changed(readings)
        server.tell(set=22.5)
        third = await _until(readings, (22.5, 22.5))
    assert first.values == (20.0, 20.0)
    assert second.values == (20.5, 20.0)
    assert third.values == (22.5, 22.5)


async def test_8_never_a_silent_drop_a_queue_that_overflows_in_the_server(
    server: NodeServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue of two, and values that come faster than they are sent: the loss is marked by the server, and counted."""
    monkeypatch.setattr("drivers.opcua.requests.QUEUE_MAX", 2)
    hurried = point("t", **node("room.t", sampling="50ms"))
    async with (
        connected(server, home, publishing="2s") as driver,
        aclosing(driver.changes([poll_of(hurried)])) as readings,
    ):
        await anext(readings)
        for number in range(30):
            server.tell(set=20 + number / 10)
            await asyncio.sleep(0.06)  # as often as the server looks, and far more often than it sends
        async with asyncio.timeout(60):
            marked = await anext(reading async for reading in readings if reading.flaws)
        assert marked.flaws[0].reason == "insufficient_data"
        assert marked.flaws[0].raw.endswith("1 overflows")
        assert marked.values[0] is not None
        assert cast("Counting", driver).counts()["overflows"] >= 1


async def test_9_alarms_of_the_server(server: NodeServer, home: Home) -> None:
    """A limit alarm: raised, more severe, and over; and what stands is told at the next connect."""
    server.tell(set=20.0)
    source = node("room.t", alarm="active", value="bool")
    severity = node("room.t", alarm="severity", value="integer", condition="TooWarm")
    level = node("room.t", alarm="level")
    poll = poll_of(
        point("a", type="bool", **source),
        point("s", type="integer", **severity),
        point("l", type="enum", states=LEVELS, **level),
    )
    async with connected(server, home) as driver, aclosing(driver.changes([poll])) as readings:
        calm = await anext(readings)
        server.tell(set=35.0)
        high = await _changed(readings)
        server.tell(set=45.0)
        higher = await _changed(readings)
    async with connected(server, home) as driver, aclosing(driver.changes([poll])) as readings:
        still = await anext(readings)
        server.tell(set=20.0)
        over = await _until(readings, (False, 0, "normal"))
    assert calm.values == (False, 0, "normal")
    assert (high.values[0], high.values[2]) == (True, "high")
    assert (higher.values[0], higher.values[2]) == (True, "high_high")
    assert still.values == higher.values
    assert over.values == (False, 0, "normal")


async def test_9_alarms_that_the_server_hides(server: NodeServer, home: Home) -> None:
    """Shelved, suppressed, out of service: active all the time, and hidden; then shown again."""
    server.tell(set=35.0)
    active, hidden = node("room.t", alarm="active", value="bool"), node("room.t", alarm="hidden")
    poll = poll_of(point("a", type="bool", **active), point("h", type="enum", states=HIDDEN, **hidden))
    async with connected(server, home) as driver, aclosing(driver.changes([poll])) as readings:
        assert (await anext(readings)).values == (True, "no")
        for way in ("shelved", "suppressed", "out_of_service", "no"):
            server.tell(hide=way)
            await _until(readings, (True, way))
    server.tell(set=20.0)


async def test_9_arrays_structures_and_names(server: NodeServer, home: Home) -> None:
    """As this server describes them."""
    points = (
        point("z", **node("room.zones", part="[1]")),
        point("d", type="string", **node("room.duty")),
        point("r", **node("room.range", part="High")),
    )
    async with connected(server, home) as driver, aclosing(driver.changes([poll_of(*points)])) as readings:
        first = await anext(readings)
    assert first.values == (2.5, "operating", 7.5), first.flaws


async def _changed(readings: Any) -> Reading:
    async with asyncio.timeout(10):
        while not (reading := await anext(readings)).changed:
            pass
        return cast("Reading", reading)


async def _until(readings: Any, values: tuple[object, ...]) -> Reading:
    async with asyncio.timeout(10):
        while (reading := await anext(readings)).values != values:
            pass
        return cast("Reading", reading)
