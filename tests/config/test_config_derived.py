"""Derived points as written to those that the rules compute."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from config_toy import accepted, only_device

from config.judgement import Formula, Input
from config.model import Derived

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = """
devices:
  pump:
    line: one
    system: water
    points:
      p: {at: 1, unit: kW, poll: 2s}
      run-1: {at: 2, value: bool, poll: 30s}
      x: {ROW}
"""


def formula(text: str, cel: str, *inputs: Input) -> Formula:
    return Formula(text, cel, inputs)


@pytest.mark.parametrize(
    ("row", "derived", "unit", "kind", "poll_s"),
    [
        (
            "derived: p / 400, unit: '%'",
            Derived("expression", formula("p / 400", "p / 400.0", Input("p", "pump", "p", "p"))),
            "%",
            "number",
            2.0,
        ),
        (
            """derived: {run_hours: 'point("run-1")'}""",
            Derived("run_hours", formula('point("run-1")', "_0".ljust(14), Input("_0", "pump", "run-1", "run-1"))),
            "h",
            "number",
            30.0,
        ),
        (
            "derived: {starts: p > 0.5}",
            Derived("starts", formula("p > 0.5", "p > 0.5", Input("p", "pump", "p", "p"))),
            "1",
            "integer",
            2.0,
        ),
        (
            "derived: {energy: p}",
            Derived("energy", formula("p", "p", Input("p", "pump", "p", "p"))),
            "kW.h",
            "number",
            2.0,
        ),
    ],
)
def test_what_is_computed(tmp_path: Path, row: str, derived: Derived, unit: str, kind: str, poll_s: float) -> None:
    """With the unit and type that follow, read as often as what it is computed from."""
    device = only_device(tmp_path, DEVICE.replace("{ROW}", f"{{{row}}}"))
    assert [point.id for point in device.points] == ["p", "run-1"]
    (point,) = device.derived
    assert (point.derived, point.unit, point.type, point.poll_s) == (derived, unit, kind, poll_s)
    assert device.all_points == (*device.points, point)


def test_derived_points_may_come_from_a_profile_and_have_alarms(tmp_path: Path) -> None:
    """And a point of another device in them is found wherever that is written."""
    profile = """
protocol: toy
source: unverified
system: pwr.lv
points:
  p: {at: 1, unit: kW}
  load: {derived: p / 400 * 100, unit: "%", low: 0, high: 150}
"""
    device = """
devices:
  m-1:
    line: one
    profile: own
    address: {unit: 1}
    points:
      share: {derived: 'load / point("m-2/load")'}
    alarms:
      high: {point: load, limit: {H: 80}, colour: yellow}
  m-2: {line: one, profile: own, address: {unit: 2}}
"""
    first, second = accepted(tmp_path, device, own=profile).devices
    assert [point.id for point in first.derived] == ["load", "share"]
    assert [point.id for point in second.derived] == ["load"]
    assert [alarm.id for alarm in first.alarms] == ["pwr.lv/m-1/load#high"]


def test_points_by_themselves_need_no_engine(tmp_path: Path) -> None:
    """Whoever writes no expression does not pay for one."""
    device = """
devices:
  pump:
    line: one
    system: water
    points:
      run: {at: 2, value: bool}
      p: {at: 1}
      hours: {derived: {run_hours: run}}
    alarms:
      high: {point: p, limit: {H: 80}, when: run, colour: yellow}
"""
    accepted(tmp_path, device)
    code = (
        "import sys; from pathlib import Path; from config_toy import TOY; from config.load import load\n"
        f"load(Path({str(tmp_path)!r}), TOY); print('cel_expr_python.cel' in sys.modules)"
    )
    env = {"PYTHONPATH": ".:tests:tests/support"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "False\n"
