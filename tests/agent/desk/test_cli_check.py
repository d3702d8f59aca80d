"""`wardgate check` of a configuration that is right: what it says beside the counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.cli.app import main

BASE = Path(__file__).parents[2] / "cases" / "config" / "base"
METER = """
devices:
  m-1:
    line: meters
    system: pwr.lv
    points:
      u: {register: 0, unit: V, low: 0, high: 500}
    alarms:
      high:
        point: u
        limit: {H: 240}
        colour: red
        text: 电压高
        depends_on: {zh: 额定电压, en: the rated voltage}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "devices" / "more.yaml").unlink()
    (tmp_path / "devices" / "meter.yaml").write_text(METER, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("lang", "what"), [("zh", "额定电压"), ("en", "the rated voltage")])
def test_alarms_that_wait_are_listed(folder: Path, lang: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody has confirmed does not run, is not counted, and is told with what has to be confirmed."""
    assert main(["check", "--config", str(folder), "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert f"  pwr.lv/m-1/u#high: {what}\n" in out
    assert " 0 alarms" in out


def test_alarms_that_wait_are_in_the_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With colours and both languages."""
    assert main(["check", "--config", str(folder), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["unconfirmed"] == [
        {
            "alarm_id": "pwr.lv/m-1/u#high",
            "colours": ["red"],
            "text": {"zh": "电压高", "en": "电压高"},
            "depends_on": {"zh": "额定电压", "en": "the rated voltage"},
        }
    ]
