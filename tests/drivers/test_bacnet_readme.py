"""The README of the driver cannot go stale: its example is a configuration, and it names every key."""

from __future__ import annotations

import re
from pathlib import Path

import drivers.bacnet
from config.load import load
from drivers.bacnet.settings import PROTOCOL, BacnetAddress
from drivers.registry import protocols

README = Path(drivers.bacnet.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    """Copied from the page, the line, its device and its points load."""
    lines, devices, alarms = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\nuplinks: {}\n", encoding="utf-8")
    (tmp_path / "lines.yaml").write_text(lines, encoding="utf-8")
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "bas.yaml").write_text(devices + alarms, encoding="utf-8")
    (line,) = load(tmp_path, protocols()).lines
    (device,) = line.devices
    assert device.address == BacnetAddress(instance=1001)
    assert {point.id: point.type for point in device.points} == {
        "t_chws": "number",
        "run": "bool",
        "mode": "enum",
        "note": "string",
        "smoke": "bool",
        "smoke_state": "enum",
        "any_alarm": "bool",
    }


def test_every_key_of_the_driver_is_explained() -> None:
    """What is not common to all protocols stands in a table of the page."""
    for spec in (PROTOCOL.line, PROTOCOL.address, PROTOCOL.point):
        common = spec.__mro__[1].model_fields  # type: ignore[attr-defined] # its base is a model too
        for name, field in spec.model_fields.items():
            if name not in common or name == "concurrency":
                assert f"| `{field.alias or name}` |" in README
