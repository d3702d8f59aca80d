"""A swapped or wrong device is told, and gives no data."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from modbus_peer import Peer, Request, device, line, peer, point, poll

from agent.clock import ManualClock
from drivers.contract import Grade, Quality
from drivers.errors import NoAnswer
from drivers.modbus.driver import ModbusDriver

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from modbus_peer import Script

    from config.model import Device

MODEL = {"register": 89, "equals": [15272]}
FREQUENCY = {"register": 3109, "type": "f32", "low": 45, "high": 65, "equals": [0]}


class Meter:
    """A meter with a model number, a frequency, and perhaps a name of its own."""

    def __init__(self, model: int = 15272, frequency: float = 50.0, vendor: str | None = None) -> None:
        self.model, self.frequency, self.vendor = model, frequency, vendor
        self.refuses = False

    def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answer(request))

    def answer(self, request: Request) -> bytes:
        if request.function == 0x2B:
            return self.identification(request)
        if request.start == 89:
            return request.exception(2) if self.refuses else request.data(struct.pack(">H", self.model))
        if request.start == 3109:
            return request.data(struct.pack(">f", self.frequency))
        return request.addresses()

    def identification(self, request: Request) -> bytes:
        if self.vendor is None:
            return request.exception(1)
        name = self.vendor.encode()
        return request.frame(b"\x2b\x0e\x01\x01\x00\x00\x01\x00" + bytes((len(name),)) + name)


def meter(**address: Any) -> Device:
    return device(point("a", 7), point("b", 1000), **{"expect": [MODEL, FREQUENCY], **address})


@asynccontextmanager
async def driving(script: Script, of: Device, timeout_s: float = 2.0) -> AsyncIterator[tuple[Peer, ModbusDriver]]:
    async with peer(script) as served:
        driver = ModbusDriver(line(served.port, of, timeout_s=timeout_s), ManualClock())
        await driver.connect()
        try:
            yield served, driver
        finally:
            await driver.close()


async def test_the_right_device_is_asked_once_and_then_believed() -> None:
    """Two questions at the start of a connection, none later."""
    asked = poll(meter())
    async with driving(Meter(), asked.device) as (served, driver):
        assert list((await driver.read(asked)).values) == [7, 1000]
        assert [request.start for request in served.requests] == [89, 3109, 7, 1000]
        await driver.read(asked)
        assert [request.start for request in served.requests[4:]] == [7, 1000]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"model": 9}, "holding 89 u16 is 9"),
        ({"frequency": 3e-39}, "holding 3109 f32 is 3e-39"),
        ({"frequency": 230.0}, "holding 3109 f32 is 230"),
    ],
)
async def test_4_a_wrong_device_is_config_error_and_not_data(wrong: dict[str, Any], what: str) -> None:
    """Every point, with what gave it away; the registers are not even asked for. Put right, it is read."""
    asked = poll(meter())
    async with driving(Meter(**wrong), asked.device) as (served, driver):
        reading = await driver.read(asked)
        assert list(reading.values) == [None, None]
        objection = Quality(Grade.BAD, "config_error", f"not the expected device ({what})")
        assert reading.flaws == {0: objection, 1: objection}
        assert 7 not in [request.start for request in served.requests]
        served.script = Meter()
        healed = await driver.read(asked)
        assert (list(healed.values), dict(healed.flaws)) == ([7, 1000], {})


async def test_a_device_that_lacks_the_register_is_another_one() -> None:
    """A refusal is an answer too."""
    asked = poll(meter())
    served = Meter()
    served.refuses = True
    async with driving(served, asked.device) as (_, driver):
        reading = await driver.read(asked)
    assert reading.flaws[0].raw == "not the expected device (holding 89 u16: exception 2)"


@pytest.mark.parametrize("code", [1, 2])
async def test_a_device_that_may_lack_the_register_is_believed_without_it(code: int) -> None:
    """Where older models do, or the map is in doubt; another value there is an objection all the same."""
    asked = poll(meter(expect=[{**MODEL, "may_lack": True}]))

    def lacking(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(request.exception(code) if request.start == 89 else request.addresses())

    async with driving(lacking, asked.device) as (_, driver):
        assert list((await driver.read(asked)).values) == [7, 1000]
    async with driving(Meter(model=9), asked.device) as (_, driver):
        assert (await driver.read(asked)).flaws[0].reason == "config_error"


@pytest.mark.parametrize("frequency", [0.0, float("nan")])
async def test_a_meter_without_mains_is_still_the_meter(frequency: float) -> None:
    """What cannot be told now is no objection: in a power failure the alarm must come through."""
    asked = poll(meter())
    async with driving(Meter(frequency=frequency), asked.device) as (_, driver):
        assert list((await driver.read(asked)).values) == [7, 1000]


async def test_4_a_swapped_device_is_found_after_its_silence() -> None:
    """Silence and a new connection are the moments at which a device can become another one."""
    asked = poll(meter())
    async with driving(Meter(), asked.device, timeout_s=0.25) as (served, driver):
        await driver.read(asked)
        served.script = lambda *_: None
        with pytest.raises(NoAnswer):
            await driver.read(asked)
        served.script = Meter(model=1)
        assert (await driver.read(asked)).flaws[0].reason == "config_error"


async def test_a_silent_device_is_no_answer_while_it_is_examined() -> None:
    """One timeout, as for any read."""
    asked = poll(meter())
    async with driving(lambda *_: None, asked.device, timeout_s=0.25) as (served, driver):
        with pytest.raises(NoAnswer, match="no answer"):
            await driver.read(asked)
        assert len(served.requests) == 1


@pytest.mark.parametrize(("vendor", "reason"), [("Schneider Electric", None), ("Acme", "config_error"), (None, None)])
async def test_4_fc43_identification_is_compared_at_the_start(vendor: str | None, reason: str | None) -> None:
    """With the patterns of the profile; a device that does not know the function is not objected to."""
    asked = poll(meter(expect=[], identification={"vendor": "Schneider*"}))
    async with driving(Meter(vendor=vendor), asked.device) as (_, driver):
        reading = await driver.read(asked)
    assert (reading.flaws[0].reason if reading.flaws else None) == reason


async def test_a_device_that_ignores_function_43_costs_one_timeout_once() -> None:
    """Then it is not asked that any more."""
    asked = poll(meter(expect=[], identification={"vendor": "Schneider*"}))

    def ignores(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.function != 0x2B:
            writer.write(request.addresses())

    async with driving(ignores, asked.device, timeout_s=0.25) as (served, driver):
        assert list((await driver.read(asked)).values) == [7, 1000]
        await driver.connect()
        await driver.read(asked)
    assert sum(request.function == 0x2B for request in served.requests) == 1


def test_a_check_that_cannot_tell_anything_is_refused() -> None:
    """It needs a number or a range."""
    with pytest.raises(ValueError, match=r"equals: missing; write equals: \[15272\], or low and high"):
        meter(expect=[{"register": 1}])
