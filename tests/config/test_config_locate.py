"""A problem that only a driver sees is told at its place in the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import TOY, accepted

from config.errors import ConfigProblem
from config.load import Places

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = """
devices:
  m-1:
    line: one
    system: pwr.lv
    points:
      u: {at: 70000, unit: V}
"""


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (
            ConfigProblem("is beyond the map", "write less", device="m-1", point="u", field="at"),
            "devices/device.yaml:7:15: devices.m-1.points.u.at: is beyond the map; write less",
        ),
        (ConfigProblem("too slow", device="m-1"), "devices/device.yaml:3:3: devices.m-1: too slow"),
        (
            ConfigProblem("too many", device="m-1", point="u"),
            "devices/device.yaml:7:7: devices.m-1.points.u: too many",
        ),
        (ConfigProblem("taken", field="host"), "lines.yaml:2:30: lines.one.host: taken"),
        (ConfigProblem("no such device", device="gone"), "lines.yaml:2:3: lines.one: no such device"),
    ],
)
def test_place(tmp_path: Path, problem: ConfigProblem, told: str) -> None:
    """The field that the driver names, else the point, the device, the line."""
    accepted(tmp_path, DEVICE)
    assert str(Places(tmp_path, TOY).locate("one", problem)) == told


def test_files_that_went_away(tmp_path: Path) -> None:
    """The problem is told even if the files are gone meanwhile."""
    assert str(Places(tmp_path, TOY).locate("one", ConfigProblem("taken"))) == "lines.yaml: one: taken"
