"""Protocols of other people's packages, found by their entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import GATEWAY

from agent.clock import ManualClock
from config.errors import ConfigInvalid
from config.load import load
from drivers import registry

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
from typing import Literal
from config.files import AddressSpec, LineSpec, PointSpec, Protocol
class Line(LineSpec):
    protocol: Literal["PROTOCOL"]
PROTOCOL = Protocol(Line, AddressSpec, PointSpec)
"""
DRIVER = "class Driver:\n    def __init__(self, line, clock):\n        self.line = line\n"


def offer(site: Path, package: str, protocol: str, settings: str = SETTINGS, driver: str = DRIVER) -> None:
    """A package as `pip` would have left it in `site`."""
    module = package.replace("-", "_")
    (site / module).mkdir(parents=True)
    (site / module / "__init__.py").touch()
    (site / module / "settings.py").write_text(settings.replace('PROTOCOL"', f'{protocol}"'), encoding="utf-8")
    (site / module / "driver.py").write_text(driver, encoding="utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    entry = f"[wardgate.drivers]\n{protocol} = {module}.driver:Driver\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")


def site_with_line(folder: Path, protocol: str) -> Path:
    folder.mkdir()
    (folder / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (folder / "lines.yaml").write_text(f"lines:\n  l: {{protocol: {protocol}}}\n", encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(folder, registry.protocols())
    return str(caught.value)


def test_13_a_protocol_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings judge the line, its class is built for it, and it stands among the protocols."""
    offer(tmp_path / "site", "found-driver", "found")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (line,) = load(site_with_line(tmp_path / "etc", "found"), registry.protocols()).lines
    assert type(registry.build(line, ManualClock())).__module__ == "found_driver.driver"
    assert list(registry.protocols()) == ["modbus", "bacnet", "opcua", "found"]


def test_13_nobody_takes_the_place_of_a_driver_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that offers `modbus` is not even imported."""
    offer(tmp_path / "site", "evil-driver", "modbus", settings="raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert registry.protocols()["modbus"].line.__module__ == "drivers.modbus.line"
    assert list(registry.protocols()) == ["modbus", "bacnet", "opcua"]


def test_13_a_package_that_does_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the line that names the protocol, with what to do; there is no traceback."""
    offer(tmp_path / "site", "broken-driver", "broken", settings="from config.files import LastYearsSpec")
    monkeypatch.syspath_prepend(tmp_path / "site")
    said = refusal(site_with_line(tmp_path / "etc", "broken"))
    assert said.startswith(
        "lines.yaml:2:17: lines.l.protocol: the driver of 'broken' in the package broken-driver cannot"
    )
    assert "LastYearsSpec" in said
    assert said.endswith("; install a version of it that fits this wardgate, or uninstall it")


def test_13_two_packages_with_the_same_protocol_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one reads the plant must not be chance."""
    for package in ("one-driver", "other-driver"):
        offer(tmp_path / "site", package, "same")
    monkeypatch.syspath_prepend(tmp_path / "site")
    said = refusal(site_with_line(tmp_path / "etc", "same"))
    assert said == (
        "lines.yaml:2:17: lines.l.protocol: 'same' is offered by one-driver and other-driver; "
        "uninstall all but one of them"
    )
