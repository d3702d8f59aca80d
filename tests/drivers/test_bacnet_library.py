"""The driver against devices of the library itself, with the library's own client as the second opinion."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvloop
from bacnet_peer import free_port, loopback, make_device, make_line, make_point
from bacpypes3.app import Application
from bacpypes3.local.analog import AnalogInputObject
from bacpypes3.local.binary import BinaryInputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.multistate import MultiStateValueObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.local.object import Object
from bacpypes3.object import CharacterStringValueObject
from bacpypes3.pdu import Address

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Grade, Poll, Quality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from config.model import Point

COMMON = {"statusFlags": [0, 0, 0, 0], "eventState": "normal", "outOfService": False}


class LocalText(Object, CharacterStringValueObject):
    """The library has no local object of this type of its own."""


def application(instance: int, at: str, *objects: Any) -> Application:
    return Application.from_object_list(
        [
            DeviceObject(objectIdentifier=("device", instance), objectName="device", vendorIdentifier=999),
            NetworkPortObject(at, objectIdentifier=("network-port", 1), objectName="port"),
            *objects,
        ]
    )


def analog(number: int, value: float, **more: Any) -> AnalogInputObject:
    fields = {**COMMON, "units": "degreesCelsius", "covIncrement": 0.1, "presentValue": value, **more}
    return AnalogInputObject(objectIdentifier=("analog-input", number), objectName=f"ai {number}", **fields)


@asynccontextmanager
async def library_device(instance: int, *objects: Any) -> AsyncIterator[str]:
    """A device of the library for as long as the block lasts; gives its address."""
    host = loopback()
    at = f"{host}:{free_port(host)}"
    app = application(instance, f"{host}/32:{at.split(':')[1]}", *objects)
    try:
        for link in app.link_layers.values():
            await link.server._local_transport_ready.wait()
        yield at
    finally:
        app.close()


async def read_once(at: str, points: list[Point], instance: int = 1001) -> tuple[list[Any], dict[int, Quality]]:
    made = make_device(at, points, instance=instance, batch=100)
    driver = BacnetDriver(make_line(made, timeout_s=3.0), ManualClock())
    await driver.connect()
    try:
        given = await driver.read(Poll(made, made.points, 1.0))
    finally:
        await driver.close()
    return list(given.values), dict(given.flaws)


async def kinds_of_objects() -> None:
    objects = (
        analog(1, 7.25),
        analog(2, 8.5, outOfService=True, statusFlags=[0, 0, 0, 1]),
        analog(3, 9.5, statusFlags=[0, 1, 0, 0], reliability="open-loop"),
        BinaryInputObject(
            objectIdentifier=("binary-input", 1), objectName="run", polarity="normal", presentValue="active", **COMMON
        ),
        MultiStateValueObject(
            objectIdentifier=("multi-state-value", 1), objectName="mode", numberOfStates=5, presentValue=3, **COMMON
        ),
        LocalText(
            objectIdentifier=("characterstring-value", 1),
            objectName="floor",
            presentValue="地下二层",
            statusFlags=[0, 0, 0, 0],
        ),
    )
    points = [
        *(make_point(f"analog-input,{number}") for number in (1, 2, 3)),
        make_point("binary-input,1", "bool"),
        make_point("multi-state-value,1", "enum", states={3: "running"}),
        make_point("characterstring-value,1", "string"),
    ]
    async with library_device(1001, *objects) as at:
        values, flaws = await read_once(at, points)
    assert values == [7.25, None, None, True, "running", "地下二层"]
    assert flaws == {
        1: Quality(Grade.BAD, "out_of_service", "status-flags out-of-service"),
        2: Quality(Grade.BAD, "sensor_fault", "reliability open-loop"),
    }


async def test_7_objects_of_every_kind_are_read() -> None:
    """Analog, binary, multistate and text, with their flags."""
    await kinds_of_objects()


def test_the_driver_runs_on_uvloop_too() -> None:
    """The daemon uses it where the platform has it; its sockets behave differently in detail."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(kinds_of_objects())


async def test_our_values_are_those_of_the_librarys_client() -> None:
    """Both read the same objects of the same device: the same numbers, ours in several requests."""
    numbers = range(1, 91)
    objects = [analog(number, number * 1.37) for number in numbers]
    async with library_device(1001, *objects) as at:
        values, flaws = await read_once(at, [make_point(f"analog-input,{number}") for number in numbers])
        host = loopback()
        client = application(9, f"{host}/32:{free_port(host)}")
        wanted = [part for number in numbers for part in (f"analog-input,{number}", ["present-value"])]
        theirs = await client.read_property_multiple(Address(at), wanted)  # type: ignore[arg-type] # as its manual says
        client.close()
    assert values == [float(value) for _, _, _, value in theirs]
    assert flaws == {}


async def test_several_devices_share_the_socket() -> None:
    """Answers of two devices that are asked at the same time are not mixed up."""
    async with library_device(1, analog(1, 1.5)) as first, library_device(2, analog(1, 2.5)) as second:
        devices = [
            make_device(at, [make_point("analog-input,1")], instance=number) for number, at in ((1, first), (2, second))
        ]
        driver = BacnetDriver(make_line(*devices, timeout_s=3.0), ManualClock())
        await driver.connect()
        for _ in range(5):
            given = await asyncio.gather(*(driver.read(Poll(one, one.points, 1.0)) for one in devices))
            assert [list(one.values) for one in given] == [[1.5], [2.5]]
        await driver.close()
