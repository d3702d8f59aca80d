"""The driver reads batches from a real server, and holds the contract of all drivers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UASocketProtocol
from asyncua.ua.object_ids import ObjectIds
from opcua_peer import OpcuaPeer, driver_for, point, poll_of, signalled, until, with_status

from agent.clock import ManualClock
from drivers.contract import Driver, Grade, Quality, Subscribing
from drivers.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

V = ua.VariantType


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        yield peer


async def test_a_read_gives_every_point_in_order(peer: OpcuaPeer) -> None:
    """One batch: values in the order of the points, all claimed as changed, source times in epoch seconds."""
    before = datetime.now(UTC).timestamp()
    await peer.add({"a.t": ua.Variant(21.5), "a.n": ua.Variant(7, V.Int16), "a.on": ua.Variant(True)})
    poll = poll_of(point("a.on", type="bool"), point("a.t"), point("a.n", type="integer"))
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    reading = await driver.read(poll)
    await driver.close()
    assert list(reading.values) == [True, 21.5, 7]
    assert reading.changed == ((0, 3),)
    assert not reading.flaws
    assert all(before - 1 < at < before + 5 for at in reading.source_times.values())


async def test_an_unchanged_value_is_not_claimed_as_changed(peer: OpcuaPeer) -> None:
    """The second reading names only what differs from the first."""
    await peer.add({f"u.{n}": ua.Variant(float(n)) for n in range(4)})
    poll = poll_of(*(point(f"u.{n}") for n in range(4)))
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    await driver.read(poll)
    quiet = await driver.read(poll)
    await peer.write("u.2", ua.Variant(9.0))
    after = await driver.read(poll)
    await driver.close()
    assert quiet.changed == ()
    assert after.changed == ((2, 3),)
    assert after.values[2] == 9.0


async def test_after_a_failed_read_everything_has_changed(peer: OpcuaPeer) -> None:
    """The caller stamped bad readings meanwhile, so nothing may be called unchanged."""
    await peer.add({"f.t": ua.Variant(1.0)})
    poll = poll_of(point("f.t"))
    driver = driver_for(peer.url, mode="read", timeout_s=0.2)
    await driver.connect()
    await driver.read(poll)
    with peer.frozen(), pytest.raises(Unreachable):
        await driver.read(poll)
    assert (await driver.read(poll)).changed == ((0, 1),)
    await driver.close()


async def test_a_bad_node_spoils_only_itself(peer: OpcuaPeer) -> None:
    """An unknown node, an unknown namespace and a structure are flaws of their points; the neighbours are fine."""
    await peer.add({"b.t": ua.Variant(1.5), "b.list": ua.Variant([1.0, 2.0])})
    poll = poll_of(
        point("b.t"),
        point("b.nothing"),
        point("b.elsewhere", spec={"node": "nsu=urn:not:there;s=x"}),
        point("b.list"),
        point("b.build", spec={"node": f"i={ObjectIds.Server_ServerStatus_BuildInfo}"}),
    )
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    reading = await driver.read(poll)
    await driver.close()
    assert list(reading.values) == [1.5, None, None, None, None]
    assert reading.flaws == {
        1: Quality(Grade.BAD, "config_error", "0x80340000"),
        2: Quality(Grade.BAD, "config_error", "no namespace urn:not:there"),
        3: Quality(Grade.BAD, "decode_error", "Double[]"),
        4: Quality(Grade.BAD, "decode_error", "ExtensionObject"),
    }


@pytest.mark.parametrize(
    ("status", "value", "flaw"),
    [
        (0x0096_0000, 5.0, Quality(Grade.GOOD, "local_override", "0x00960000")),
        (0x4090_0000, 5.0, Quality(Grade.UNCERTAIN, "last_known", "0x40900000")),
        (0x808C_0000, None, Quality(Grade.BAD, "sensor_fault", "0x808C0000")),
        (0x808D_0000, None, Quality(Grade.BAD, "out_of_service", "0x808D0000")),
    ],
)
async def test_9_the_status_code_of_a_value_is_its_quality(
    peer: OpcuaPeer, status: int, value: float | None, flaw: Quality
) -> None:
    """What the server says of a value travels with it, with the code as it came; a bad value is none."""
    name = f"q.{status:08x}"
    await peer.add({name: ua.Variant(1.0)})
    await peer.write(name, with_status(ua.Variant(5.0), status))
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    reading = await driver.read(poll_of(point(name)))
    await driver.close()
    assert reading.values[0] == value
    assert reading.flaws == {0: flaw}


async def test_reading_more_nodes_than_the_server_takes_at_once(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is cut into requests that fit, and put together again in order."""
    monkeypatch.setattr("drivers.opcua.opening.NODES_PER_READ", 7)
    await peer.add({f"m.{n}": ua.Variant(float(n)) for n in range(30)})
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    reading = await driver.read(poll_of(*(point(f"m.{n}") for n in range(30))))
    await driver.close()
    assert list(reading.values) == [float(n) for n in range(30)]


async def test_identify_says_what_the_server_is(peer: OpcuaPeer) -> None:
    """Vendor, model and firmware come from the build information."""
    driver = driver_for(peer.url)
    await driver.connect()
    identity = await driver.identify(poll_of(point("x")).device)
    await driver.close()
    assert (identity.vendor, identity.model) == ("FreeOpcUa", "FreeOpcUa Python Server")
    assert identity.firmware


async def test_times_come_from_the_given_clock(peer: OpcuaPeer) -> None:
    """A reading is stamped by the clock that the driver was built with."""
    await peer.add({"c.t": ua.Variant(1.0)})
    driver = driver_for(peer.url, mode="read", clock=ManualClock(wall=111.0, mono=22.0))
    await driver.connect()
    reading = await driver.read(poll_of(point("c.t")))
    await driver.close()
    assert (reading.time, reading.mono) == (111.0, 22.0)


async def test_building_a_driver_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constructor makes neither a socket nor a task."""
    made: list[object] = []
    monkeypatch.setattr("socket.socket", lambda *arguments, **_: made.append(arguments))
    tasks = asyncio.all_tasks()
    driver_for("opc.tcp://127.0.31.1:1/none")
    assert asyncio.all_tasks() == tasks
    assert not made


def test_only_a_line_that_subscribes_looks_like_it() -> None:
    """The caller asks by `isinstance` whether it may listen; with `mode: read` it must poll."""
    subscribing: object = driver_for("opc.tcp://127.0.31.1:1/none")
    reading: object = driver_for("opc.tcp://127.0.31.1:1/none", mode="read")
    assert isinstance(subscribing, Subscribing)
    assert not isinstance(reading, Subscribing)


async def test_close_is_allowed_at_any_time(peer: OpcuaPeer) -> None:
    """Before connect, after a failed connect, and twice."""
    nowhere = driver_for("opc.tcp://127.0.31.1:1/none")
    await nowhere.close()
    with pytest.raises(Unreachable, match=r"opc\.tcp://127\.0\.31\.1:1/none"):
        await nowhere.connect()
    await nowhere.close()
    driver = driver_for(peer.url)
    await driver.connect()
    await driver.close()
    await driver.close()


async def test_reading_without_a_connection_is_unreachable(peer: OpcuaPeer) -> None:
    """A read before connect or after close says so instead of failing oddly."""
    driver: Driver = driver_for(peer.url)
    with pytest.raises(Unreachable, match="not connected"):
        await driver.read(poll_of(point("x")))


async def test_a_driver_connects_again_after_a_loss(peer: OpcuaPeer) -> None:
    """A cut connection is Unreachable at the next read; connect makes it good."""
    await peer.add({"r.t": ua.Variant(4.0)})
    driver, poll = driver_for(peer.url, mode="read"), poll_of(point("r.t"))
    await driver.connect()
    await driver.read(poll)
    await peer.drop()
    with pytest.raises(Unreachable):
        await driver.read(poll)
    await driver.connect()
    assert (await driver.read(poll)).values == (4.0,)
    await driver.close()


async def test_a_server_that_goes_and_returns(peer: OpcuaPeer) -> None:
    """While it is away connect is Unreachable, afterwards all is as before."""
    await peer.add({"g.t": ua.Variant(4.0)})
    driver, poll = driver_for(peer.url, mode="read"), poll_of(point("g.t"))
    await driver.connect()
    await peer.vanish()
    try:
        with pytest.raises(Unreachable):
            await driver.read(poll)
        with pytest.raises(Unreachable):
            await driver.connect()
    finally:
        await peer.return_()
    await driver.connect()
    assert (await driver.read(poll)).values == (4.0,)
    await driver.close()


async def test_a_read_that_is_cancelled_leaves_nothing_behind(peer: OpcuaPeer) -> None:
    """Cancelled in the middle of a read, then closed: no task and no connection stays."""
    await peer.add({"x.t": ua.Variant(4.0)})
    driver, poll = driver_for(peer.url, mode="read"), poll_of(point("x.t"))
    await driver.connect()
    with peer.frozen():
        with signalled(UASocketProtocol, "send_request") as asked:
            reading = asyncio.create_task(driver.read(poll))
            await asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await driver.close()
    await until(lambda: not peer.listener.clients)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_connect_that_is_cancelled_leaves_nothing_behind(peer: OpcuaPeer) -> None:
    """The library unwinds a failed connect, but not a cancelled one: its socket stayed open."""
    driver = driver_for(peer.url)
    with peer.frozen():
        with signalled(Client, "send_hello") as asked:
            connecting = asyncio.create_task(driver.connect())
            await asked.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
    await driver.close()
    await until(lambda: not peer.listener.clients)
    assert asyncio.all_tasks() == {asyncio.current_task()}
