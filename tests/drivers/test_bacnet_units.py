"""What a device says of its points themselves: engineering units and the texts of its states."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    READ_PROPERTY_MULTIPLE,
    UNRECOGNIZED_SERVICE,
    RawDevice,
    Request,
    enumerated,
    flags,
    identifier,
    make_device,
    make_line,
    make_point,
    real,
    result,
    serving,
    text,
    unsigned,
)
from bacpypes3.basetypes import EngineeringUnits

from agent.clock import ManualClock
from drivers.bacnet import units
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Grade, Poll, Quality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bacnet_peer import Reply

    from config.model import Point
    from drivers.contract import Reading

UNITS, PRESENT_VALUE, STATUS_FLAGS, STATE_TEXT, ACTIVE_TEXT, INACTIVE_TEXT = 117, 85, 111, 110, 4, 46
KILOPASCALS, PSI, KELVIN, NO_UNITS = 54, 56, 63, 95
GALLONS_PER_MINUTE, MICROSIEMENS, CYCLES_PER_MINUTE = 89, 190, 26
PSI_DOUBT = Quality(Grade.UNCERTAIN, "config_error", "the device says pounds-force-per-square-inch")


@asynccontextmanager
async def reading(device: RawDevice, *points: Point) -> AsyncIterator[Callable[[], Awaitable[Reading]]]:
    async with serving(device):
        made = make_device(device.at, points)
        driver = BacnetDriver(make_line(made), ManualClock())
        await driver.connect()
        poll = Poll(made, made.points, 1.0)
        try:
            yield lambda: driver.read(poll)
        finally:
            await driver.close()


def measuring(unit: int | None) -> RawDevice:
    """Input 1 has a unit; input 2 is a bare number."""
    device = RawDevice()
    device.put(1, real(400.0))
    device.put(2, real(1.0))
    if unit is not None:
        device.objects[identifier(0, 1)][UNITS] = enumerated(unit)
    return device


def asked_units(device: RawDevice) -> int:
    return sum(numbers == [UNITS] for request in device.requests for _, numbers in request.wanted())


@pytest.mark.parametrize(
    ("said", "point", "doubted"),
    [
        (KILOPASCALS, make_point("analog-input,1", unit="kPa"), False),
        (PSI, make_point("analog-input,1", unit="kPa"), True),
        (PSI, make_point("analog-input,1", unit="MPa"), True),
        (PSI, make_point("analog-input,1", unit="kPa", scale=6.894757), False),
        (KELVIN, make_point("analog-input,1", unit="Cel", offset=-273.15), False),
        (KELVIN, make_point("analog-input,1", unit="Cel"), True),
        (GALLONS_PER_MINUTE, make_point("analog-input,1", unit="L/s"), True),
        (MICROSIEMENS, make_point("analog-input,1", unit="uS/cm"), False),
        (CYCLES_PER_MINUTE, make_point("analog-input,1", unit="{rev}/min"), False),
        (PSI, make_point("analog-input,1", unit="kPa", device_unit="pounds-force-per-square-inch"), False),
        (KILOPASCALS, make_point("analog-input,1", unit="kPa", device_unit="pounds-force-per-square-inch"), True),
        (NO_UNITS, make_point("analog-input,1", unit="kPa"), False),
        (None, make_point("analog-input,1", unit="kPa"), False),
        (300, make_point("analog-input,1", unit="kPa"), False),
        (PSI, make_point("analog-input,1", unit="{count}"), False),
        (PSI, make_point("analog-input,1"), False),
    ],
)
async def test_7_engineering_units_are_held_against_the_configured_ones(
    said: int | None, point: Point, *, doubted: bool
) -> None:
    """A value in another unit is given with doubt; what nobody says, or somebody converts, is not doubted."""
    device = measuring(said)
    async with reading(device, point, make_point("analog-input,2")) as read:
        given = await read()
    assert given.values[0] is not None
    assert (0 in given.flaws) == doubted
    assert not doubted or given.flaws[0].reason == "config_error"
    assert 1 not in given.flaws


async def test_a_corrected_unit_is_noticed_and_an_agreed_one_is_asked_once() -> None:
    """The doubt ends with the next poll although the value is the same; then nobody asks any more."""
    device = measuring(PSI)
    async with reading(device, make_point("analog-input,1", unit="kPa")) as read:
        flaws = [dict((await read()).flaws) for _ in range(2)]
        device.objects[identifier(0, 1)][UNITS] = enumerated(KILOPASCALS)
        corrected = await read()
        asked = asked_units(device)
        await read()
    assert flaws == [{0: PSI_DOUBT}] * 2
    assert not corrected.flaws
    assert corrected.changed
    assert asked_units(device) == asked == 3


async def test_a_worse_flaw_stands_before_the_doubt_about_the_unit() -> None:
    """Out of service has no value, whatever its unit."""
    device = measuring(PSI)
    device.put(1, real(1.0), "0001")
    async with reading(device, make_point("analog-input,1", unit="kPa")) as read:
        assert (await read()).flaws[0].reason == "out_of_service"


async def test_units_are_learnt_without_read_property_multiple() -> None:
    """One by one, from a device that has nothing else."""
    device = measuring(PSI)
    device.answer = lambda one: [one.reject(UNRECOGNIZED_SERVICE)] if one.service == READ_PROPERTY_MULTIPLE else None
    async with reading(device, make_point("analog-input,1", unit="kPa")) as read:
        assert (await read()).flaws == {0: PSI_DOUBT}


def test_7_engineering_units_are_mapped_to_ucum() -> None:
    """A sample of every kind, by the names that the library has for the numbers; and none is left out by mistake."""
    expected = {
        "degrees-celsius": "Cel",
        "percent-relative-humidity": "%",
        "kilowatt-hours": "kW.h",
        "cubic-meters-per-hour": "m3/h",
        "parts-per-million": "[ppm]",
        "micrograms-per-cubic-meter": "ug/m3",
        "revolutions-per-minute": "{rev}/min",
        "kilovolt-amperes-reactive": "kV.A{r}",
        "inches-of-water": "[in_i'H2O]",
        "liters-per-second": "L/s",
    }
    assert {name: units.UCUM[int(EngineeringUnits(name))] for name in expected} == expected
    numbers = {int(EngineeringUnits(name)) for name in EngineeringUnits._enum_map}
    assert set(units.UCUM) | units.UNCOMPARED == numbers
    assert not set(units.UCUM) & units.UNCOMPARED


def stated(state: int) -> RawDevice:
    """A multi-state input with texts, and a binary one."""
    device = RawDevice()
    device.objects[identifier(13, 1)] = {PRESENT_VALUE: unsigned(state), STATUS_FLAGS: flags("0000")}
    device.objects[identifier(3, 1)] = {
        PRESENT_VALUE: enumerated(state % 2),
        STATUS_FLAGS: flags("0000"),
        ACTIVE_TEXT: text("运行"),
        INACTIVE_TEXT: text("停止"),
    }
    return device


@dataclass
class Texted(RawDevice):
    """It has an array of texts for the states of its multi-state input, and notes which were asked for."""

    texts: dict[int, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def _honest(self, request: Request) -> list[bytes]:
        single = bytes([0x19, STATE_TEXT, 0x29])
        if request.service == READ_PROPERTY_MULTIPLE or single not in request.data:
            return super()._honest(request)
        return [request.ack(request.data + b"\x3e" + self._text(request.data[-1]) + b"\x3f")]

    def multiple(self, request: Request) -> bytes:
        """The text as one element of its array, after the rest of its object."""
        before, reference, after = request.data.partition(bytes([0x09, STATE_TEXT, 0x19]))
        if not reference:
            return super().multiple(request)
        rest = Request(0, READ_PROPERTY_MULTIPLE, before + after[1:], request.source)
        parts = {
            target: result(target, [(number, self._value(target, number)) for number in numbers])
            for target, numbers in rest.wanted()
        }
        row = identifier(13, 1)
        element = bytes([0x29, STATE_TEXT, 0x39, after[0], 0x4E]) + self._text(after[0]) + b"\x4f"
        parts[row] = parts[row][:-1] + element + b"\x1f"
        return b"".join(parts.values())

    def _text(self, number: int) -> bytes:
        self.asked.append(number)
        return text(self.texts[number])


@pytest.mark.parametrize("has_multiple", [True, False])
async def test_7_state_texts_of_the_device_are_values(*, has_multiple: bool) -> None:
    """Asked for beside the state, so that a text that is corrected is corrected here, too."""

    def answer(request: Request) -> Reply:
        refused = request.service == READ_PROPERTY_MULTIPLE and not has_multiple
        return [request.reject(UNRECOGNIZED_SERVICE)] if refused else None

    device = Texted(texts={1: "手动", 2: "自动"}, answer=answer)
    points = [make_point("multi-state-input,1", "string", text=True), make_point("binary-input,1", "string", text=True)]
    said = []
    async with reading(device, *points) as read:
        for state in (1, 1, 2, 1):
            device.objects.update(stated(state).objects)
            said.append(list((await read()).values))
        device.texts[1] = "停止"
        said.append(list((await read()).values))
    assert said == [["手动", "运行"], ["手动", "运行"], ["自动", "停止"], ["手动", "运行"], ["停止", "运行"]]
    assert set(device.asked) == {1, 2}


async def test_a_state_without_a_text_is_no_value() -> None:
    """The device has none for it: its number is not passed off as one."""
    device = stated(7)
    async with reading(device, make_point("multi-state-input,1", "string", text=True)) as read:
        given = await read()
    assert list(given.values) == [None]
    assert given.flaws[0].reason == "config_error"
