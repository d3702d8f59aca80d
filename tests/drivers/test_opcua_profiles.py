"""Every row of every shipped OPC UA profile against bytes that were written down without it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from hardware_mocks.climate import OperatingRoom
from hardware_mocks.signals import Noise

import config
from config.folder import SHIPPED_PROFILES
from config.load import load
from drivers.opcua import decode
from drivers.opcua.values import converter
from drivers.registry import protocols

if TYPE_CHECKING:
    from config.model import Device

CASES = Path(__file__).parents[1] / "cases" / "opcua-profiles"
PROFILES = sorted(
    path.stem for path in SHIPPED_PROFILES.glob("*.yaml") if "protocol: opcua" in path.read_text(encoding="utf-8")
)
GATEWAY = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"
LINES = "lines: {l: {protocol: opcua, url: 'opc.tcp://127.0.0.1:4840'}}\n"


def rows(profile: str) -> dict[str, dict[str, Any]]:
    text = (CASES / f"{profile}.yaml").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, Any]]", yaml.safe_load(text))


def device(profile: str, folder: Path) -> Device:
    """A device of this profile with a node for every row."""
    nodes = {name: {"node": f"ns=2;s={name}"} for name in rows(profile)}
    (folder / "devices").mkdir()
    (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (folder / "lines.yaml").write_text(LINES, encoding="utf-8")
    written = {"devices": {"d": {"line": "l", "profile": profile, "points": nodes}}}
    (folder / "devices" / "d.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    return load(folder, protocols()).devices[0]


@pytest.mark.parametrize("profile", PROFILES)
def test_10_each_row_of_a_profile_makes_of_raw_bytes_what_it_should(profile: str, tmp_path: Path) -> None:
    """Value, unit and pace of every row; a row too many or too few fails as well."""
    expected = rows(profile)
    points = {point.id: point for point in device(profile, tmp_path).points}
    assert set(points) == set(expected)
    for name, row in expected.items():
        raw = bytes.fromhex(row["raw"])
        value, flaw = converter(points[name])(raw[0], decode.scalar(raw[0], raw, 1)[0])
        assert (name, value, flaw) == (name, row["value"], None)
        assert (name, points[name].unit, points[name].poll_s) == (name, row["unit"], row["poll_s"])


@pytest.mark.parametrize("profile", PROFILES)
def test_10_each_row_says_where_it_comes_from(profile: str) -> None:
    """A source, or that it is unverified; and both names."""
    written = yaml.safe_load((SHIPPED_PROFILES / f"{profile}.yaml").read_text(encoding="utf-8"))
    for name, row in written["points"].items():
        assert row["source"], name
        assert row["name"]["zh"], name
        assert row["name"]["en"], name


def test_10_the_mock_serves_every_row(tmp_path: Path) -> None:
    """The simulated room has each point of the profile, and the example reads it through the profile."""
    served = OperatingRoom().points(Noise(1), 0.0, ups_on_battery=False)
    assert set(served) == set(rows("opcua-operating-room"))
    shutil.copytree(Path(config.__file__).parent / "examples", tmp_path, dirs_exist_ok=True)
    devices = {device.id: device for device in load(tmp_path, protocols()).devices}
    assert devices["or-1"].profile == "opcua-operating-room"
