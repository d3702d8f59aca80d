"""An OPC UA line through every trouble of a network and a server: found, said, and back in time with what is true now.

The line is run by its real caller, over a road that can be cut, closed or silent.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from asyncua import ua
from asyncua.server.internal_session import InternalSession
from mqtt_peer import HOST as ROAD_HOST
from opcua_peer import HOST, TEXT, OpcuaPeer, driver_for, point, until
from road import Road

from agent.clock import SystemClock
from agent.health import Health
from agent.poll import LineWorker
from config.model import Device, Line, Place
from drivers.contract import Grade, Reading
from drivers.opcua.settings import OpcuaAddress, OpcuaLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agent.events import Event

BACK_S_MAX = 10.0
"""What is promised: so long after a device has returned, at most, its values are there again."""
TIMEOUT_S = 0.8


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        yield peer


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence shows soon: found after 0.2 s and the timeout instead of 4 s and the timeout."""
    monkeypatch.setattr("drivers.opcua.requests.KEEP_ALIVE_S", 0.1)


class Site:
    """One line of the daemon, and everything that it said."""

    site = "h01"

    def __init__(self, url: str, *names: str) -> None:
        self.clock = SystemClock()
        self.health = Health()
        self.random = Random(1)
        self.said: list[Reading] = []
        points = tuple(point(name) for name in names)
        device = Device("or-1", TEXT, "or", "line", OpcuaAddress(), Place(), points, ())
        spec = OpcuaLine.model_validate({"url": url, "publishing": 0.05, "security": "none"})
        line = Line("line", TEXT, "opcua", spec, (device,), TIMEOUT_S, 1)
        settings: dict[str, Any] = {"timeout_s": TIMEOUT_S, "devices": (device,)}
        self.worker = LineWorker(line, driver_for(url, **settings), self)

    async def emit(self, item: Reading | Event) -> None:
        if isinstance(item, Reading):
            self.said.append(item)

    @property
    def shown(self) -> tuple[object, Grade]:
        """The value of the first point as the daemon knows it."""
        flaw = self.said[-1].flaws.get(0)
        return self.said[-1].values[0], flaw.grade if flaw else Grade.GOOD

    async def shows(self, value: float, within_s: float = BACK_S_MAX) -> float:
        """Wait until it is known and good; gives how long that took."""
        begun = time.monotonic()
        await until(lambda: self.said and self.shown == (value, Grade.GOOD), within_s)
        return time.monotonic() - begun


@asynccontextmanager
async def line(peer: OpcuaPeer, name: str) -> AsyncIterator[tuple[Site, Road]]:
    """A line that shows 1.0, and the road that it uses."""
    await peer.add({name: ua.Variant(1.0)})
    async with Road(peer.port, HOST) as road:
        site = Site(f"opc.tcp://{ROAD_HOST}:{road.port}/", name)
        running = asyncio.create_task(site.worker.run())
        try:
            await site.shows(1.0)
            yield site, road
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def lost(site: Site) -> None:
    """Wait until the line is known to be lost, and nothing of it passes for good any more."""
    await until(lambda: site.worker.state != "up" and site.shown[1] is not Grade.GOOD, BACK_S_MAX)


async def test_8_delay_costs_nothing(peer: OpcuaPeer) -> None:
    """A part of the patience: late, in order, and the line stays up."""
    async with line(peer, "delay") as (site, road):
        road.silence()
        await peer.write("delay", ua.Variant(2.0), ua.Variant(3.0))
        await asyncio.sleep(TIMEOUT_S / 4)
        road.flow()
        await site.shows(3.0)
        assert site.worker.state == "up"
        assert [reading.values[0] for reading in site.said if reading.changed] == [1.0, 2.0, 3.0]


async def test_8_loss_of_the_connection_is_made_good(peer: OpcuaPeer) -> None:
    """Torn in the middle: what changed meanwhile is there after the reconnect."""
    async with line(peer, "loss") as (site, road):
        road.tear()
        await peer.write("loss", ua.Variant(2.0))
        assert await site.shows(2.0) < BACK_S_MAX


async def test_8_network_loss_partition_and_return(peer: OpcuaPeer) -> None:
    """Nobody gets through for a while: said, not shown as good, and back in time with the present value."""
    async with line(peer, "partition") as (site, road):
        road.close()
        await lost(site)
        await peer.write("partition", ua.Variant(2.0))
        assert site.shown[0] in {1.0, None}
        assert [condition.code for condition in site.health.views()] == ["line_down"]
        road.open()
        assert await site.shows(2.0) < BACK_S_MAX
        assert not list(site.health.views())
        whole = next(reading for reading in reversed(site.said) if reading.changed)
        assert whole.changed == ((0, 1),)


async def test_8_black_hole_is_found_and_the_client_replaced(peer: OpcuaPeer) -> None:
    """Packets vanish, the socket stays open: found by silence, and the next connection is a new one."""
    async with line(peer, "hole") as (site, road):
        first = site.worker._driver._session._client  # type: ignore[attr-defined]  # the driver's inside is what counts
        road.silence()
        await lost(site)
        await peer.write("hole", ua.Variant(2.0))
        road.flow()
        assert await site.shows(2.0) < BACK_S_MAX
        assert site.worker._driver._session._client is not first  # type: ignore[attr-defined]  # see above


async def test_8_a_frozen_server_recovers(peer: OpcuaPeer) -> None:
    """It hangs with its connections open, then goes on: the line was lost in between, and returns by itself."""
    async with line(peer, "frozen") as (site, _):
        with peer.frozen():
            await lost(site)
        await peer.write("frozen", ua.Variant(2.0))
        assert await site.shows(2.0) < BACK_S_MAX


async def test_8_restart_of_the_server_is_reconciled(peer: OpcuaPeer) -> None:
    """Gone and back without any memory of its clients: subscriptions are made again, values are read anew."""
    async with line(peer, "restart") as (site, _):
        await peer.vanish()
        await lost(site)
        subscriptions = peer.server.iserver.subscription_service.subscriptions
        for subscription in tuple(subscriptions.values()):
            await peer.run(subscription.stop())
        subscriptions.clear()
        await peer.write("restart", ua.Variant(2.0))
        await peer.return_()
        assert await site.shows(2.0) < BACK_S_MAX
        await peer.write("restart", ua.Variant(3.0))
        await site.shows(3.0)


async def test_8_loss_of_the_session_is_made_good(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server forgets the session and keeps the connection: everything is made again."""
    monkeypatch.setattr("drivers.opcua.session.PROBE_S_MAX", 0.05)
    async with line(peer, "session") as (site, _):
        original = InternalSession.read
        before = site.worker._driver._session  # type: ignore[attr-defined]  # the driver's inside is what counts

        async def forgotten(self: InternalSession, params: ua.ReadParameters) -> Any:
            if site.worker._driver._session is before:  # type: ignore[attr-defined]  # see above
                raise ua.uaerrors.BadSessionIdInvalid
            return await original(self, params)

        monkeypatch.setattr(InternalSession, "read", forgotten)
        await until(lambda: site.worker._driver._session not in {before, None})  # type: ignore[attr-defined]  # see above
        await peer.write("session", ua.Variant(2.0))
        assert await site.shows(2.0) < BACK_S_MAX


async def test_8_loss_of_a_subscription_is_made_good(peer: OpcuaPeer) -> None:
    """The server drops it and says so: the line begins anew, and no change is missing at the end."""
    async with line(peer, "subscription") as (site, _):
        service = peer.server.iserver.subscription_service
        for subscription in tuple(service.subscriptions.values()):  # other tests left some that nobody listens to
            await peer.run(subscription.enqueue_statuschange(ua.StatusCode(ua.UInt32(0x800A_0000))))
        await peer.write("subscription", ua.Variant(2.0))
        assert await site.shows(2.0) < BACK_S_MAX


async def test_8_trouble_that_comes_again_and_again_leaves_nothing_behind(peer: OpcuaPeer) -> None:
    """Five torn connections: one session and one subscription are left at the server, and no task here."""
    async with line(peer, "again") as (site, road):
        for value in range(2, 7):
            road.tear()
            await peer.write("again", ua.Variant(float(value)))
            await site.shows(float(value))
            site.worker._attempts = 0
        await until(lambda: len(peer.listener.clients) == 1)
    await until(lambda: not peer.listener.clients)
    names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
    assert not {name for name in names if name.startswith("opcua")}
