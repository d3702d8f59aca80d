"""Every row of every shipped OPC UA profile against bytes that were written down without it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from asyncua import ua
from hardware_mocks.climate import OperatingRoom
from hardware_mocks.signals import Noise
from opcua_peer import OpcuaPeer, driver_for
from profile_cases import device_by, identity, profiles_of, rows

import config
from config.load import load
from drivers.contract import Poll
from drivers.opcua import decode
from drivers.opcua.settings import OpcuaAddress
from drivers.opcua.values import converter
from drivers.registry import protocols

if TYPE_CHECKING:
    from config.model import Device

PROFILES = profiles_of("opcua")
LINES = "lines: {l: {protocol: opcua, url: 'opc.tcp://127.0.0.1:4840'}}\n"


def device(profile: str, folder: Path) -> Device:
    """A device of this profile with a node for every row."""
    return device_by(
        profile, LINES, folder, points={name: {"node": f"ns=2;s={name}"} for name in rows("opcua", profile)}
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_10_each_row_of_a_profile_makes_of_raw_bytes_what_it_should(profile: str, tmp_path: Path) -> None:
    """Value, unit and pace of every row; a row too many or too few fails as well."""
    expected = rows("opcua", profile)
    points = {point.id: point for point in device(profile, tmp_path).points}
    assert set(points) == set(expected)
    for name, row in expected.items():
        raw = bytes.fromhex(row["raw"])
        value, flaw = converter(points[name])(raw[0], decode.scalar(raw[0], raw, 1)[0])
        assert (name, value, flaw) == (name, row["value"], None)
        assert (name, points[name].unit, points[name].poll_s) == (name, row["unit"], row["poll_s"])


@pytest.mark.parametrize("profile", PROFILES)
async def test_10_another_device_gives_no_data(profile: str, tmp_path: Path) -> None:
    """What the profile expects tells it, by values that were written down without the profile."""
    made = device(profile, tmp_path)
    assert isinstance(made.address, OpcuaAddress)
    shown = identity("opcua", profile)
    assert [name for name, _, _ in shown] == [each.point for each in made.address.expect]
    with OpcuaPeer() as peer:
        await peer.add({name: ua.Variant(float(good)) for name, good, _ in shown})
        driver = driver_for(peer.url, devices=(made,), mode="read", timeout_s=20.0)
        for name, good, bad in shown:
            for value, is_refused in ((good, False), (bad, True)):
                await peer.write(name, ua.Variant(float(value)))
                await driver.connect()
                reading = await driver.read(Poll(made, made.points, 1.0))
                told = {flaw.raw for flaw in reading.flaws.values()}
                assert (told == {f"not the expected device ({name} is {bad:g})"}) == is_refused
        await driver.close()


def test_10_the_mock_serves_every_row(tmp_path: Path) -> None:
    """The simulated room has each point of the profile, and the example reads it through the profile."""
    served = OperatingRoom().points(Noise(1), 0.0, ups_on_battery=False)
    assert set(served) == set(rows("opcua", "opcua-operating-room"))
    shutil.copytree(Path(config.__file__).parent / "examples", tmp_path, dirs_exist_ok=True)
    devices = {device.id: device for device in load(tmp_path, protocols()).devices}
    assert devices["or-1"].profile == "opcua-operating-room"
