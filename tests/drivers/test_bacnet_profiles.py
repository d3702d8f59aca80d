"""Every row of every shipped BACnet profile against bytes that were written down without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import RawDevice, identifier, make_line, serving
from bacnet_reading import connected
from hardware_mocks.bacnet_objects import OBJECTS
from hardware_mocks.layout import PLACES
from profile_cases import device_by, identity, profiles_of, rows

from drivers.bacnet import codec
from drivers.bacnet.encoding import Bits
from drivers.bacnet.settings import BacnetAddress
from drivers.bacnet.values import judge
from drivers.contract import Poll

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Device
    from drivers.contract import Reading

PROFILES = profiles_of("bacnet")
LINES = "lines: {l: {protocol: bacnet, bind: '127.0.0.1/32:47900'}}\n"
SERVED_BY = {place.profile: name for name, place in PLACES.items() if place.protocol == "bacnet"}


def device(profile: str, folder: Path) -> Device:
    """A device of this profile as it is."""
    return device_by(profile, LINES, folder, address={"instance": 1, "at": "127.0.0.2"})


@pytest.mark.parametrize("profile", PROFILES)
def test_10_each_row_of_a_profile_makes_of_raw_bytes_what_it_should(profile: str, tmp_path: Path) -> None:
    """Object, value, unit and pace of every row; a row too many or too few fails as well."""
    expected = rows("bacnet", profile)
    points = {point.id: point for point in device(profile, tmp_path).points}
    assert set(points) == set(expected)
    for name, row in expected.items():
        raw = bytes.fromhex(row["raw"])
        ((_, sent),) = codec.multiple_results(b"\x0c\x00\x00\x00\x01\x1e\x29\x55\x4e" + raw + b"\x4f\x1f")
        point = points[name]
        assert (name, *judge(point, sent, Bits("0000"))) == (name, row["value"], None)
        assert (name, point.spec.where) == (name, row["object"])
        assert (name, point.unit, point.poll_s) == (name, row["unit"], row["poll_s"])


@pytest.mark.parametrize("profile", PROFILES)
async def test_10_another_device_with_the_instance_gives_no_data(profile: str, tmp_path: Path) -> None:
    """What the profile expects tells it, by bytes that were written down without the profile."""
    made = device(profile, tmp_path)
    assert isinstance(made.address, BacnetAddress)
    shown = identity("bacnet", profile)
    assert len(shown) == len(made.address.expect)
    right = await reading_of(made, {(kind, number, name): good for kind, number, name, good, _ in shown})
    assert not {flaw.raw for flaw in right.flaws.values() if "not the expected device" in flaw.raw}
    for kind, number, name, _, bad in shown:
        wrong = await reading_of(made, {(kind, number, name): bad})
        assert {flaw.reason for flaw in wrong.flaws.values()} == {"config_error"}
        assert all("not the expected device" in flaw.raw for flaw in wrong.flaws.values())
        assert len(wrong.flaws) == len(made.points)
    nobody = await reading_of(made, {})
    assert all("not the expected device" in flaw.raw for flaw in nobody.flaws.values())


async def reading_of(made: Device, shown: dict[tuple[int, int, int], str]) -> Reading:
    """By the profile, of a device that has only these properties: object type, instance and number of each."""
    there = RawDevice(instance=1)
    for (kind, number, name), raw in shown.items():
        there.objects.setdefault(identifier(kind, number), {})[name] = bytes.fromhex(raw)
    async with serving(there):
        assert isinstance(made.address, BacnetAddress)
        moved = replace(made, address=made.address.model_copy(update={"at": there.at}))
        async with connected(make_line(moved)) as driver:
            return await driver.read(Poll(moved, moved.points, 1.0))


@pytest.mark.parametrize("profile", PROFILES)
def test_10_the_mock_serves_every_row(profile: str) -> None:
    """The simulated hospital has each object that the profile reads, under the name of its point."""
    served = {item.point: item.where for item in OBJECTS[SERVED_BY[profile]]}
    assert {name: row["object"] for name, row in rows("bacnet", profile).items()} == served
