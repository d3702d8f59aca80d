"""Every shipped profile has a simulated device, which says on the wire what the case of the profile says, and which the
driver reads through the profile.

The cases are raw registers, written down without the profile and without the simulated device.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from hardware_mocks.hospital import Hospital
from hardware_mocks.layout import PLACES
from hardware_mocks.modbus import ModbusDevice
from hardware_mocks.modbus_maps import MAPS
from hardware_mocks.nets import free_net, give_back
from hardware_mocks.truth import TruthLog
from hardware_mocks.world import World

from agent.clock import SystemClock
from config.folder import shipped_profiles
from config.load import load
from drivers.contract import Poll
from drivers.modbus.driver import ModbusDriver
from drivers.registry import protocols

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hardware_mocks.signals import Points, Value

    from config.model import Line
    from drivers.contract import Reading

CASES = Path(__file__).parents[1] / "cases"
GATEWAY = "site: h01\ngateway: gw-a1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"
FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
ALARM_NIBBLES = {"healthy": False, "shutdown": True}
NIBBLES_NOT_SIMULATED = {"warning", "trip"}
EXACT_MAX = 1 << 53
"""Beyond it the physics, which counts in floats, cannot say every number."""

SEEDED = 5
SECONDS = {"bat_runtime": 60.0}
"""The physics counts in seconds what profiles give in minutes."""


def device_of(profile: str) -> str:
    (name,) = (name for name, place in PLACES.items() if place.profile == profile)
    return name


MODBUS = sorted(place.profile for place in PLACES.values() if place.protocol == "modbus" and place.profile)


class Row(NamedTuple):
    """What stands where, what that means, and what the physics has to be for it."""

    function: int
    at: int
    digits: str
    point: str
    wanted: Any

    @property
    def physical(self) -> Value:
        if isinstance(self.wanted, str):
            return ALARM_NIBBLES.get(self.wanted, int(self.digits, 16))
        said: Value = self.wanted
        return said * SECONDS[self.point] if self.point in SECONDS else said


def case(profile: str) -> dict[str, Any]:
    folder = "modbus-templates" if profile.startswith("template-") else "modbus-profiles"
    found = yaml.safe_load((CASES / folder / f"{profile}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def rows(profile: str) -> list[Row]:
    """What the physics can say of the case's values."""
    found = [Row(FUNCTIONS[table], at, digits, *rest) for table, at, digits, *rest in case(profile).get("values", ())]
    is_simulated = (
        row.wanted not in NIBBLES_NOT_SIMULATED and not (len(row.digits) == 16 and int(row.digits, 16) > EXACT_MAX)
        for row in found
    )
    return [row for row, is_kept in zip(found, is_simulated, strict=True) if is_kept]


def physical(point: str) -> str:
    """As the physics calls it: `panel.fire` is its `fire`, `zone.3.alarm` its `zone_3`."""
    kind, _, rest = point.partition(".")
    return {"panel": rest, "zone": f"zone_{rest.removesuffix('.alarm')}"}.get(kind, point)


def calm(name: str) -> Points:
    hospital = Hospital(SEEDED)
    hospital.step(1.0)
    return hospital.points(name)


def said(name: str, points: Points, function: int, at: int, count: int) -> bytes:
    data = MAPS[name].tables[function].read(points, at, count)
    assert data is not None, (function, at)
    return data


def test_10_every_profile_has_a_simulated_device() -> None:
    """Nothing is shipped that cannot be tried."""
    assert {place.profile for place in PLACES.values()} - {""} == set(shipped_profiles())


@pytest.mark.parametrize("profile", MODBUS)
def test_10_a_simulated_device_says_what_the_case_says(profile: str) -> None:
    """Register for register: for the value of each row the device sends the bytes of that row."""
    name = device_of(profile)
    assert rows(profile) or case(profile)["bits"]
    for row in rows(profile):
        data = said(name, calm(name) | {physical(row.point): row.physical}, row.function, row.at, len(row.digits) // 4)
        wanted = bytes.fromhex(row.digits)
        if row.wanted in ALARM_NIBBLES:
            mask = bytes.fromhex("".join("0" if digit == "0" else "f" for digit in row.digits))
            data = bytes(byte & kept for byte, kept in zip(data, mask, strict=True))
        assert (row.point, data.hex()) == (row.point, wanted.hex())


@pytest.mark.parametrize("profile", [profile for profile in MODBUS if "identification" in case(profile)])
async def test_4_a_simulated_device_answers_function_43_as_the_case_says(profile: str, tmp_path: Path) -> None:
    """Byte for byte, and the driver understands it."""
    right, _ = case(profile)["identification"]
    assert MAPS[device_of(profile)].identify().hex() == right
    async with plant(profile) as (_, address):
        line = site(profile, tmp_path, address)
        driver = ModbusDriver(line, SystemClock())
        await driver.connect()
        told = await driver.identify(line.devices[0])
        await driver.close()
    assert (told.vendor, told.model) == ("Schneider Electric", "METSEPM5320")


@pytest.mark.parametrize("profile", MODBUS)
def test_10_a_simulated_device_sets_the_bit_that_the_case_says(profile: str) -> None:
    """Each state is the named bit of the named register or contact, off and on."""
    name = device_of(profile)
    for where, point in case(profile).get("bits", {}).items():
        table, _, place = where.partition(" ")
        at, _, bit = place.partition(".")
        for state in (False, True):
            data = said(name, calm(name) | {physical(point): state}, FUNCTIONS[table], int(at), 1)
            assert (where, int.from_bytes(data, "big") >> int(bit or 0) & 1) == (where, state)


@pytest.mark.parametrize("profile", MODBUS)
async def test_10_the_driver_reads_a_simulated_device_by_its_profile(profile: str, tmp_path: Path) -> None:
    """Over the wire, planned into blocks as on site: who it is, then the value of each point's first row; and what the
    device cannot measure has no value, with the reason of the case.
    """
    first = {row.point: row for row in reversed(rows(profile))}
    proof = {(FUNCTIONS[table], at) for table, at, *_ in case(profile).get("identity", ())}
    pinned = [row for row in first.values() if (row.function, row.at) not in proof]
    absent: dict[str, set[str]] = {}
    for table, at, _, point, reason in case(profile).get("absent", ()):
        if (FUNCTIONS[table], at) not in proof and first[point].wanted not in ALARM_NIBBLES:
            absent.setdefault(point, set()).add(reason)
    async with plant(profile) as (world, address):
        name = device_of(profile)
        for row in pinned:
            world.pin(name, physical(row.point), row.physical)
        values, flaws = await read(site(profile, tmp_path / "values", address))
        assert {row.point: values[row.point] for row in pinned} == {
            row.point: pytest.approx(row.wanted, rel=1e-6) if isinstance(row.wanted, float) else row.wanted
            for row in pinned
        }
        assert set(flaws.values()) <= {"range_suspect"}
        for point in absent:
            world.pin(name, physical(point), None)
        values, flaws = await read(site(profile, tmp_path / "absent", address))
        assert [values[point] for point in absent] == [None] * len(absent)
        assert [point for point, reasons in absent.items() if flaws[point] not in reasons] == []


@asynccontextmanager
async def plant(profile: str) -> AsyncIterator[tuple[World, tuple[str, int, int]]]:
    """The one simulated device of a profile, listening, and where."""
    net, place = free_net(), PLACES[device_of(profile)]
    world, truth = World(Hospital(SEEDED), time.monotonic()), TruthLog(None)
    served = ModbusDevice(device_of(profile), net, world, truth, SEEDED)
    await served.listen()
    try:
        yield world, (*place.address(net), place.number)
    finally:
        await served.vanish()
        truth.close()
        give_back(net)


def site(profile: str, folder: Path, address: tuple[str, int, int]) -> Line:
    """A configuration with that device, read by the profile; a template with the site's own registers."""
    host, port, unit = address
    (folder / "devices").mkdir(parents=True)
    (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    lines = {"lines": {"l": {"protocol": "modbus", "host": host, "port": port, "timeout": "5s"}}}
    device = {"line": "l", "profile": profile, "system": "x", "address": {"unit": unit}}
    if "points" in case(profile):
        device["points"] = case(profile)["points"]
    (folder / "lines.yaml").write_text(yaml.safe_dump(lines), encoding="utf-8")
    (folder / "devices" / "d.yaml").write_text(yaml.safe_dump({"devices": {"d": device}}), encoding="utf-8")
    (line,) = load(folder, protocols()).lines
    return line


async def read(line: Line) -> tuple[dict[str, Any], dict[str, str]]:
    """Values and flaws by point."""
    (device,) = line.devices
    driver = ModbusDriver(line, SystemClock())
    await driver.connect()
    try:
        reading: Reading = await driver.read(Poll(device, device.points, 1.0))
    finally:
        await driver.close()
    names = [point.id for point in device.points]
    return dict(zip(names, reading.values, strict=True)), {names[at]: flaw.reason for at, flaw in reading.flaws.items()}
