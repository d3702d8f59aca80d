"""An OPC UA device that is not the expected one is told, however it is read, and gives no data."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from asyncua import ua
from opcua_peer import TEXT, OpcuaPeer, driver_for, point

from agent.clock import ManualClock
from config.errors import ConfigProblem
from config.model import Device, Place
from drivers.contract import Grade, Poll, Quality
from drivers.opcua.driver import SubscribingOpcuaDriver
from drivers.opcua.settings import OpcuaAddress
from drivers.opcua.verify import AGAIN_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from drivers.contract import Reading
    from drivers.opcua.driver import PollingOpcuaDriver

MAKER = {"node": "nsu=urn:wardgate:test;s=maker", "value": "string", "equals": ["Panels & Co*"]}
WARM = {"point": "t", "low": -50, "high": 100}
MANUFACTURER_NAME = "i=2263"


@pytest.fixture(scope="module")
def server() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as running:
        asyncio.run(running.add({"t": ua.Variant(0.0), "dp": ua.Variant(12.0), "maker": ua.Variant("")}))
        yield running


@pytest.fixture
async def peer(server: OpcuaPeer) -> OpcuaPeer:
    """A panel as it should be."""
    await server.write("t", ua.Variant(21.5))
    await server.write("maker", ua.Variant("Panels & Co, type 4"))
    return server


def panel(*expect: dict[str, Any]) -> Device:
    address = OpcuaAddress.model_validate({"expect": expect or (MAKER, WARM)})
    return Device("or-1", TEXT, "or", "line", address, Place(), (point("t"), point("dp")), ())


@asynccontextmanager
async def driving(peer: OpcuaPeer, device: Device, **settings: Any) -> AsyncIterator[tuple[PollingOpcuaDriver, Poll]]:
    driver = driver_for(peer.url, devices=(device,), timeout_s=20.0, **settings)
    await driver.connect()
    try:
        yield driver, Poll(device, device.points, 1.0)
    finally:
        await driver.close()


def is_refused(given: Reading, what: str) -> bool:
    objection = Quality(Grade.BAD, "config_error", f"not the expected device ({what})")
    return list(given.values) == [None, None] and dict(given.flaws) == dict.fromkeys((0, 1), objection)


@pytest.mark.parametrize(
    ("node", "value", "what"),
    [
        ("maker", ua.Variant("Another"), "nsu=urn:wardgate:test;s=maker is Another"),
        ("t", ua.Variant(415.0), "t is 415"),
    ],
)
async def test_another_device_is_config_error_until_it_is_put_right(
    peer: OpcuaPeer, node: str, value: ua.Variant, what: str
) -> None:
    """Every point, with what gave it away; a device that was believed once is believed as long as it is connected."""
    await peer.write(node, value)
    async with driving(peer, panel(), mode="read") as (driver, poll):
        assert is_refused(await driver.read(poll), what)
        await peer.write("t", ua.Variant(21.5))
        await peer.write("maker", ua.Variant("Panels & Co, type 5"))
        assert list((await driver.read(poll)).values) == [21.5, 12.0]
        await peer.write("t", ua.Variant(415.0))
        assert list((await driver.read(poll)).values) == [415.0, 12.0]
        await driver.connect()
        assert is_refused(await driver.read(poll), "t is 415")


async def test_a_subscription_tells_it_and_shows_all_values_once_it_is_put_right(peer: OpcuaPeer) -> None:
    """The device is looked at again beside the subscription, although nothing of what was wrong is subscribed."""
    await peer.write("maker", ua.Variant("Another"))
    clock = ManualClock()
    async with driving(peer, panel(), clock=clock) as (driver, poll):
        assert isinstance(driver, SubscribingOpcuaDriver)
        async with aclosing(driver.changes([poll])) as readings:
            assert is_refused(await anext(readings), "nsu=urn:wardgate:test;s=maker is Another")
            await peer.write("t", ua.Variant(22.5))
            assert is_refused(await anext(readings), "nsu=urn:wardgate:test;s=maker is Another")
            await peer.write("maker", ua.Variant("Panels & Co, type 4"))
            clock.advance(AGAIN_S)
            async for reading in readings:
                if not reading.flaws:
                    break
    assert list(reading.values) == [22.5, 12.0]
    assert list(reading.changed) == [(0, 2)]


async def test_a_node_that_is_not_there_tells_another_device_unless_it_may_be_lacking(peer: OpcuaPeer) -> None:
    """That says as much as a wrong value."""
    missing = {"node": "nsu=urn:wardgate:test;s=nowhere", "low": 0}
    async with driving(peer, panel(missing), mode="read") as (driver, poll):
        assert is_refused(await driver.read(poll), "nsu=urn:wardgate:test;s=nowhere: 0x80340000")
    async with driving(peer, panel({**missing, "may_lack": True}), mode="read") as (driver, poll):
        assert list((await driver.read(poll)).values) == [21.5, 12.0]


async def test_what_a_server_says_of_its_maker_can_be_expected(peer: OpcuaPeer) -> None:
    """By the node that every server has for it."""
    named = {"node": MANUFACTURER_NAME, "value": "string", "equals": ["Maker of panels*"]}
    async with driving(peer, panel(named), mode="read") as (driver, poll):
        assert {flaw.reason for flaw in (await driver.read(poll)).flaws.values()} == {"config_error"}


async def test_a_value_of_which_its_server_is_not_sure_is_no_objection(peer: OpcuaPeer) -> None:
    """A broken sensor is a fault of one point, not another device."""
    broken = ua.DataValue(ua.Variant(999.0), ua.StatusCode(ua.UInt32(0x808C_0000)))
    await peer.write("t", broken)
    async with driving(peer, panel(WARM), mode="read") as (driver, poll):
        given = await driver.read(poll)
    assert (given.values[1], given.flaws[0].reason) == (12.0, "sensor_fault")


def test_what_is_expected_of_a_point_that_the_device_has_not_is_a_mistake() -> None:
    """It would prove nothing, in silence."""
    with pytest.raises(ConfigProblem, match="rh is no point of this device"):
        driver_for("opc.tcp://127.0.0.1:4840", devices=(panel({"point": "rh", "low": 0}),))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"low": 0}, "node: write either node, or point with the id of one of the device's points"),
        ({"node": "i=1", "point": "t", "low": 0}, "node: write either node, or point"),
        ({"node": "i=1", "alarm": "active", "value": "bool", "equals": [1]}, "alarms come and go and tell no device"),
        ({"node": "i=1"}, "equals: missing"),
    ],
)
def test_an_expectation_that_cannot_tell_is_refused(wrong: dict[str, Any], told: str) -> None:
    """It names one node, and what that has to hold."""
    with pytest.raises(ValueError, match=told):
        panel(wrong)
