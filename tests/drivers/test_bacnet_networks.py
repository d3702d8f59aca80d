"""Devices that are not in the gateway's subnet, on real networks: behind a BBMD, and behind BACnet routers.

BBMD, router and devices are the library's own; the namespaces keep them apart as cables and switches would.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from bacnet_peer import make_device, make_line, make_point
from bacpypes3.app import Application
from bacpypes3.comm import bind
from bacpypes3.ipv4.link import BBMDLinkLayer, NormalLinkLayer
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
from bacpypes3.pdu import IPv4Address
from network_spaces import Networks, networks

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Poll
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from drivers.contract import Reading

INSTANCE = 2002
ROUTED_NETWORK = 2001


@pytest.fixture
def nets() -> Iterator[Networks]:
    with networks() as made:
        yield made


async def opened(links: Sequence[Any]) -> None:
    """Wait until the library has its sockets, which it opens later; then it may leave the namespace."""
    await asyncio.gather(*(task for link in links for task in link.server._transport_tasks))


@asynccontextmanager
async def device(nets: Networks, space: str, at: str, value: float = 7.5) -> AsyncIterator[None]:
    """A device of the library with one analog input."""
    fields: dict[str, Any] = {"statusFlags": [0, 0, 0, 0], "eventState": "normal", "outOfService": False}
    with nets.inside(space):
        app = Application.from_object_list(
            [
                DeviceObject(objectIdentifier=("device", INSTANCE), objectName="far", vendorIdentifier=999),
                NetworkPortObject(at, objectIdentifier=("network-port", 1), objectName="port"),
                AnalogInputObject(
                    objectIdentifier=("analog-input", 1),
                    objectName="ai",
                    units="degreesCelsius",
                    covIncrement=0.1,
                    presentValue=value,
                    **fields,
                ),
            ]
        )
        await opened(list(app.link_layers.values()))
    try:
        yield
    finally:
        app.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def bbmd(nets: Networks, space: str, at: str) -> AsyncIterator[BBMDLinkLayer]:
    with nets.inside(space):
        link = BBMDLinkLayer(IPv4Address(at))
        link.bbmdBDT.append(IPv4Address(at))
        await opened([link])
    try:
        yield link
    finally:
        link._fdt_clock_handle.cancel()
        link.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def router(nets: Networks, space: str, near: str, far: str) -> AsyncIterator[None]:
    """A BACnet router between our network and number 2001."""
    network, element = NetworkServiceAccessPoint(), NetworkServiceElement()
    bind(element, network)
    with nets.inside(space):
        links = [NormalLinkLayer(IPv4Address(at)) for at in (near, far)]
        network.bind(links[0], 1, IPv4Address(near))
        network.bind(links[1], ROUTED_NETWORK, IPv4Address(far))
        await opened(links)
    try:
        yield
    finally:
        for link in links:
            link.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def gateway(nets: Networks, bind_to: str, through: str | None = None) -> AsyncIterator[tuple[BacnetDriver, Poll]]:
    made = make_device(None, [make_point("analog-input,1")], INSTANCE)
    driver = BacnetDriver(make_line(made, bind=bind_to, bbmd=through), ManualClock())
    with nets.inside("gateway"):
        await driver.connect()
    try:
        yield driver, Poll(made, made.points, 1.0)
    finally:
        await driver.close()


async def answer(driver: BacnetDriver, poll: Poll) -> Reading:
    """What it says; on a busy machine a search, which lasts a second, can be over before it was heard."""
    async with asyncio.timeout(60):
        while True:
            with suppress(NoAnswer):
                return await driver.read(poll)


def two_subnets(nets: Networks) -> None:
    """The gateway in 10.77.1.0/24, the field in 10.77.2.0/24, and an IP router, which passes no broadcast, between."""
    for name in ("gateway", "field", "between"):
        nets.add(name)
    nets.join(("gateway", "e0", "10.77.1.1/24"), ("between", "g0", "10.77.1.254/24"))
    nets.join(("field", "e0", "10.77.2.1/24"), ("between", "f0", "10.77.2.254/24"))
    nets.address("field", "e0", "10.77.2.2/24")
    nets.ip("gateway", "route", "add", "default", "via", "10.77.1.254")
    nets.ip("field", "route", "add", "default", "via", "10.77.2.254")
    nets.forward("between")


async def test_6_a_device_behind_a_bbmd_in_another_subnet_is_found_and_read(nets: Networks) -> None:
    """By foreign device registration, also after the BBMD was restarted and knows nobody any more."""
    two_subnets(nets)
    async with device(nets, "field", "10.77.2.2/24"), gateway(nets, "10.77.1.1/24", "10.77.2.1") as (driver, poll):
        async with bbmd(nets, "field", "10.77.2.1/24") as first:
            given = [await answer(driver, poll)]
            registered = [str(entry.fdAddress) for entry in first.bbmdFDT]
        async with bbmd(nets, "field", "10.77.2.1/24"):
            with nets.inside("gateway"):
                await driver.connect()
            given.append(await answer(driver, poll))
    assert [list(one.values) for one in given] == [[7.5]] * 2
    assert registered == ["10.77.1.1"]


async def test_without_registration_nothing_is_found_in_another_subnet(nets: Networks) -> None:
    """The control of the test above: it is the BBMD that lets the device be found."""
    two_subnets(nets)
    async with (
        device(nets, "field", "10.77.2.2/24"),
        bbmd(nets, "field", "10.77.2.1/24"),
        gateway(nets, "10.77.1.1/24") as (driver, poll),
    ):
        with pytest.raises(NoAnswer, match="did not answer Who-Is"):
            await driver.read(poll)


async def test_6_a_network_behind_a_router_is_read_also_when_the_router_moves(nets: Networks) -> None:
    """Its network is reached through whoever passed its last word on; nothing else has to be configured."""
    for name in ("gateway", "router", "field"):
        nets.add(name)
    nets.join(("gateway", "e0", "10.77.1.1/24"), ("router", "g0", "10.77.1.9/24"))
    nets.address("router", "g0", "10.77.1.10/24")
    nets.join(("router", "f0", "10.77.3.1/24"), ("field", "e0", "10.77.3.2/24"))
    async with device(nets, "field", "10.77.3.2/24"), gateway(nets, "10.77.1.1/24") as (driver, poll):
        async with router(nets, "router", "10.77.1.9/24", "10.77.3.1/24"):
            given = [await answer(driver, poll)]
            where = str(driver._met[poll.device].peer.address)
        with pytest.raises(NoAnswer):
            await driver.read(poll)
        async with router(nets, "router", "10.77.1.10/24", "10.77.3.1/24"):
            given.append(await answer(driver, poll))
    assert [list(one.values) for one in given] == [[7.5]] * 2
    assert where == f"{ROUTED_NETWORK}:10.77.3.2"
