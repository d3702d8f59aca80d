"""`wardgate points --plan`: the requests that a configuration becomes, and what they cost their lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = "site: h01\ngateway: gw-a1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"
LINES = "lines: {rs485: {protocol: modbus, serial: /dev/serial/by-id/x, baud: 9600}}\n"
DEVICES = """
devices:
  meter:
    line: rs485
    system: pwr.lv
    address: {unit: 7}
    points:
      a: {register: 10, poll: 1s}
      b: {register: 12, poll: 1s}
      c: {register: 500, type: f32, poll: 10s}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "devices").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (tmp_path / "lines.yaml").write_text(LINES, encoding="utf-8")
    (tmp_path / "devices" / "d.yaml").write_text(DEVICES, encoding="utf-8")
    return tmp_path


def test_3_points_plan_shows_requests_and_bus_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each request with its registers, points and time on the wire; the line with its load."""
    assert main(["points", "--plan", "--config", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["request"], one["points"], one["poll_s"]) for one in told["requests"]] == [
        ("FC03 10-12 (3)", ["a", "b"], 1.0),
        ("FC03 500-501 (2)", ["c"], 10.0),
    ]
    # 8 bytes there and 5 + 6 back at 11 bits and 9600 baud, two pauses of 3.5 characters, 20 ms to begin the answer.
    assert told["requests"][0]["bus_ms"] == pytest.approx(49.8, abs=0.1)
    assert told["lines"] == [{"line": "rs485", "requests_per_s": 1.1, "bus_pct": pytest.approx(5.5, abs=0.1)}]


def test_the_plan_is_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In both languages; an unknown device is told."""
    assert main(["points", "meter", "--plan", "--config", str(folder), "--lang", "zh"]) == 0
    table = capsys.readouterr().out
    assert "FC03 10-12 (3)" in table
    assert "rs485: 1.1 请求/秒, 占用 5.5 %" in table
    assert main(["points", "metre", "--plan", "--config", str(folder)]) == 2
    assert "no device 'metre'" in capsys.readouterr().err
