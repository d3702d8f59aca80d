"""What the tests of the shipped profiles share: the cases of one protocol, and a device that is read by a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from config.folder import SHIPPED_PROFILES
from config.load import load
from drivers.registry import protocols

if TYPE_CHECKING:
    from config.model import Device

CASES = Path(__file__).parents[1] / "cases"
GATEWAY = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"


def profiles_of(protocol: str) -> list[str]:
    """Names of all that ship."""
    files = sorted(SHIPPED_PROFILES.glob("*.yaml"))
    return [file.stem for file in files if f"protocol: {protocol}" in file.read_text(encoding="utf-8")]


def rows(protocol: str, profile: str) -> dict[str, dict[str, Any]]:
    """What each row should make of which bytes, by point."""
    case = _case(protocol, profile)
    return {name: cast("dict[str, Any]", row) for name, row in case.items() if name != "identity"}


def identity(protocol: str, profile: str) -> list[list[Any]]:
    """What the right device shows of itself, and what another one does."""
    return cast("list[list[Any]]", _case(protocol, profile)["identity"])


def _case(protocol: str, profile: str) -> dict[str, object]:
    text = (CASES / f"{protocol}-profiles" / f"{profile}.yaml").read_text(encoding="utf-8")
    return cast("dict[str, object]", yaml.safe_load(text))


def device_by(profile: str, lines: str, folder: Path, **fields: object) -> Device:
    """The one device of a configuration that is written into the folder; `lines` has its line `l`."""
    (folder / "devices").mkdir()
    (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (folder / "lines.yaml").write_text(lines, encoding="utf-8")
    written = {"devices": {"d": {"line": "l", "profile": profile, **fields}}}
    (folder / "devices" / "d.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    return load(folder, protocols()).devices[0]
