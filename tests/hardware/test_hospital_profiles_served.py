"""Every BACnet and OPC UA profile, read by the real driver from the simulated device that has it.

What the device shall say, and what that must become, are the cases of the profile: bytes and values, written down
without the profile and without the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import profile_cases
import pytest
import pytest_asyncio
import yaml
from hardware_mocks.client import HospitalProcess
from hardware_mocks.layout import PLACES
from hospital_clients import becomes

from agent.clock import SystemClock
from config.load import load
from drivers import registry
from drivers.contract import Poll
from drivers.errors import Refused
from drivers.opcua import identity
from drivers.opcua.trust import TrustList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from config.model import Line
    from drivers.contract import Driver

GATEWAY = "site: h01\ngateway: gw-a1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"
RESOLUTION = 2e-3
"""Devices round what they show."""

PROFILES = [place.profile for place in PLACES.values() if place.protocol != "modbus"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hospital() -> AsyncIterator[HospitalProcess]:
    async with HospitalProcess(protocols=["bacnet", "opcua"]) as running:
        yield running
        assert running.errors() == ""


def rows(profile: str) -> dict[str, dict[str, Any]]:
    return profile_cases.rows(PLACES[device_of(profile)].protocol, profile)


def device_of(profile: str) -> str:
    (name,) = (name for name, place in PLACES.items() if place.profile == profile)
    return name


def physical(profile: str, row: Mapping[str, Any]) -> Any:
    """What the physics has to be: of a named state the number that the case sends after its type."""
    raw = bytes.fromhex(row["raw"])
    order: Literal["big", "little"] = "big" if profile.startswith("bacnet") else "little"
    return int.from_bytes(raw[1:], order) if isinstance(row["value"], str) else row["value"]


def site(profile: str, hospital: HospitalProcess, folder: Path) -> Line:
    """A configuration with that one device, read by the profile as it is shipped."""
    name = device_of(profile)
    place = PLACES[name]
    host, port = hospital.address(name)
    device: dict[str, Any] = {"line": "l", "profile": profile}
    if place.protocol == "bacnet":
        line = {"protocol": "bacnet", "bind": f"{hospital.net}.1/32:47900", "timeout": "10s"}
        device["address"] = {"instance": place.number, "at": f"{host}:{port}"}
    else:
        line = {"protocol": "opcua", "url": f"opc.tcp://{host}:{port}/or", "mode": "read", "timeout": "10s"}
        device["points"] = {point: {"node": f"ns=2;s=or1.{point}"} for point in rows(profile)}
    (folder / "devices").mkdir()
    (folder / "gateway.yaml").write_text(f"{GATEWAY}state: {folder}/state\n", encoding="utf-8")
    (folder / "lines.yaml").write_text(yaml.safe_dump({"lines": {"l": line}}), encoding="utf-8")
    (folder / "devices" / "d.yaml").write_text(yaml.safe_dump({"devices": {"d": device}}), encoding="utf-8")
    (found,) = load(folder, registry.protocols()).lines
    return found


async def connect(driver: Driver, line: Line, hospital: HospitalProcess) -> None:
    """An OPC UA server is asked signed and encrypted, as it is by default: only when each side trusts the other."""
    if line.protocol == "opcua":
        with pytest.raises(Refused, match="its certificate is not trusted"):
            await driver.connect()
        known = TrustList(line.home.state)
        (shown,) = known.entries()
        known.add(identity.parse(shown.path.read_bytes(), shown.path))
        with pytest.raises(Refused, match=r"BadCertificateUntrusted.*wardgate opcua certificate"):
            await driver.connect()
        hospital.trust((identity.folder(line.home.state) / identity.CERTIFICATE).read_bytes())
    await driver.connect()


async def read(driver: Driver, line: Line) -> dict[str, Any]:
    (device,) = line.devices
    reading = await driver.read(Poll(device, device.points, 1.0))
    assert {flaw.reason for flaw in reading.flaws.values()} <= {"range_suspect"}
    return dict(zip((point.id for point in device.points), reading.values, strict=True))


@pytest.mark.parametrize("profile", PROFILES)
async def test_10_the_driver_reads_a_simulated_device_by_its_profile(
    profile: str, hospital: HospitalProcess, tmp_path: Path
) -> None:
    """The device is given what each row of the case says, and the reading has the value of each row."""
    wanted = {
        point: pytest.approx(row["value"], rel=RESOLUTION) if isinstance(row["value"], float) else row["value"]
        for point, row in rows(profile).items()
    }
    for point, row in rows(profile).items():
        await hospital.set(device_of(profile), point, physical(profile, row))
    line = site(profile, hospital, tmp_path)
    driver = registry.build(line, SystemClock())
    await connect(driver, line, hospital)

    async def is_shown() -> bool:
        return await read(driver, line) == wanted

    try:
        await becomes(is_shown, within_s=20.0)
    except TimeoutError:
        assert await read(driver, line) == wanted
        raise
    finally:
        await driver.close()
