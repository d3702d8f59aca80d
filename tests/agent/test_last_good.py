"""Issue line 3: the last configuration that ran is found when the one in the folder cannot start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.clock import ManualClock
from agent.last_good import gone_since, last_good
from config.kept import keep
from config.load import load
from drivers import registry

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = b"site: h01\ngateway: gw-1\nstate: ./state\nuplinks: {}\n"
LINES = b"lines:\n  l1: {protocol: modbus, host: 127.0.0.1}\n"
DEVICES = b"""
devices:
  m1:
    line: l1
    system: energy
    points: {u: {register: 1}}
    alarms:
      high: {point: u, limit: {H: 5}, colour: orange, text: {zh: "\xe9\xab\x98", en: high}}
"""
FILES = {"gateway.yaml": GATEWAY, "lines.yaml": LINES, "devices/m.yaml": DEVICES}
WITHOUT = FILES | {"devices/m.yaml": DEVICES.partition(b"    alarms:")[0]}
INVALID = {"gateway.yaml": b"site: h01\n", "lines.yaml": LINES}
ONE, TWO = "c-00000001", "c-00000002"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text("state: ./state\nsite: [", encoding="utf-8")
    return tmp_path


def test_3_the_newest_that_can_be_used_is_taken(folder: Path) -> None:
    """Of what ran, one that this release does not accept any more is passed over; with it come its drivers."""
    keep(folder / "state", FILES, ONE, 1.0, "wardgate")
    keep(folder / "state", INVALID, TWO, 2.0, "wardgate")
    found = last_good(folder, ManualClock())
    assert found is not None
    config, drivers = found
    assert ([line.id for line in config.lines], len(drivers), config.home.state) == (["l1"], 1, folder / "state")


@pytest.mark.parametrize("without", [ONE, ""])
def test_3_there_is_none(folder: Path, without: str) -> None:
    """Where nothing ran yet, or where what ran last is what failed: an older one would not help."""
    if without:
        keep(folder / "state", FILES, ONE, 1.0, "wardgate")
    assert last_good(folder, ManualClock(), without) is None


def test_3_without_gateway_yaml_nobody_knows_where_to_look(tmp_path: Path) -> None:
    """That is no reason to fail in another way."""
    assert last_good(tmp_path, ManualClock()) is None


def test_3_alarms_that_are_gone_since_the_last_run(folder: Path) -> None:
    """Those of the last configuration that the present one has not; none where it is the same one, or none ran."""
    now = load(folder, registry.protocols(), WITHOUT)
    assert gone_since(now) == []
    keep(folder / "state", FILES, ONE, 1.0, "wardgate")
    assert [alarm.id for alarm in gone_since(now)] == ["energy/m1/u#high"]
    keep(folder / "state", WITHOUT, now.version, 2.0, "wardgate")
    assert gone_since(now) == []
