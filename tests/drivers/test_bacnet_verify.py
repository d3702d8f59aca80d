"""A BACnet controller that was exchanged is told although it has the instance of the one before, and gives no data."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bacnet_peer import DEVICE, RawDevice, identifier, inputs, make_device, make_line, real, serving, text
from bacnet_reading import connected, until, with_inputs

from drivers.contract import Grade, Poll, Quality
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.bacnet.driver import BacnetDriver
    from drivers.contract import Reading

MODEL = {"object": "device", "property": "model-name", "value": "string", "equals": ["DDC-4*"]}
WARM = {"object": "analog-input,1", "low": -10, "high": 60}
MODEL_NAME = 70


def controller(model: str = "DDC-4100", value: float = 7.5) -> RawDevice:
    device = with_inputs(2)
    device.put(1, real(value))
    device.objects[identifier(DEVICE, 1001)][MODEL_NAME] = text(model)
    return device


@asynccontextmanager
async def reading(device: RawDevice, *expect: dict[str, Any]) -> AsyncIterator[tuple[BacnetDriver, Poll]]:
    async with serving(device):
        made = make_device(device.at, inputs(2), expect=expect or (MODEL, WARM))
        async with connected(make_line(made)) as driver:
            yield driver, Poll(made, made.points, 1.0)


def is_refused(given: Reading, what: str) -> bool:
    objection = Quality(Grade.BAD, "config_error", f"not the expected device ({what})")
    return list(given.values) == [None, None] and dict(given.flaws) == dict.fromkeys((0, 1), objection)


async def test_the_right_device_is_asked_once_and_then_believed() -> None:
    """Before the first value, and not again."""
    device = controller()
    async with reading(device) as (driver, poll):
        assert list((await driver.read(poll)).values) == [7.5, 2.5]
        asked = len(device.requests)
        await driver.read(poll)
        assert len(device.requests) == asked + 1


@pytest.mark.parametrize(
    ("device", "what"),
    [
        (controller(model="VAV-12"), "device model-name is VAV-12"),
        (controller(value=230.0), "analog-input,1 is 230"),
    ],
)
async def test_another_device_is_config_error_and_no_data_until_it_is_put_right(device: RawDevice, what: str) -> None:
    """Every point, with what gave it away."""
    async with reading(device) as (driver, poll):
        assert is_refused(await driver.read(poll), what)
        device.objects.update(controller().objects)
        assert list((await driver.read(poll)).values) == [7.5, 2.5]


async def test_a_device_without_the_object_is_another_one_unless_it_may_lack_it() -> None:
    """That it is not there says as much as a wrong value."""
    missing = {"object": "analog-input,9", "low": 0}
    async with reading(controller(), missing) as (driver, poll):
        assert is_refused(await driver.read(poll), "analog-input,9: object/unknown-object")
    async with reading(controller(), {**missing, "may_lack": True}) as (driver, poll):
        assert list((await driver.read(poll)).values) == [7.5, 2.5]


async def test_a_value_that_its_device_does_not_vouch_for_is_no_objection() -> None:
    """A broken sensor is a fault of one point, not another device."""
    device = controller()
    device.put(1, real(999.0), bits="0100")
    async with reading(device) as (driver, poll):
        given = await driver.read(poll)
    assert given.values[1] == 2.5
    assert given.flaws[0].reason == "device_fault"


async def test_a_device_that_was_exchanged_is_found_after_its_silence() -> None:
    """Another one may stand there, with the same number."""
    device = controller()
    async with reading(device) as (driver, poll):
        await driver.read(poll)
        device.answer = lambda _: []
        with pytest.raises(NoAnswer):
            await driver.read(poll)
        device.answer = lambda _: None
        device.objects.update(controller(model="VAV-12").objects)
        assert is_refused(await driver.read(poll), "device model-name is VAV-12")


async def test_an_examination_that_is_cancelled_proves_nothing() -> None:
    """The next read asks again."""
    device = controller(model="VAV-12")
    async with reading(device) as (driver, poll):
        device.answer = lambda request: [] if request.wanted() else None
        task = asyncio.create_task(driver.read(poll))
        async with asyncio.timeout(10):
            await until(device, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        device.answer = lambda _: None
        assert is_refused(await driver.read(poll), "device model-name is VAV-12")


def test_an_alarm_tells_no_device() -> None:
    """It comes and goes."""
    with pytest.raises(ValueError, match="alarms come and go and tell no device; name a property"):
        make_device(None, inputs(1), expect=[{"object": "analog-input,1", "event": "active", "equals": [1]}])
