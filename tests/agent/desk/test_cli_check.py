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


@pytest.mark.parametrize(
    ("lang", "waits", "what", "runs"),
    [
        ("zh", "1条报警待确认限值", "额定电压", "，0条报警，"),
        ("en", "1 alarms do not run until their limits are confirmed", "the rated voltage", ", 0 alarms, "),
    ],
)
def test_9_alarms_that_wait_are_listed(
    folder: Path, lang: str, waits: str, what: str, runs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody has confirmed does not run, is not counted, and is told with what has to be confirmed."""
    assert main(["check", "--config", str(folder), "--lang", lang]) == 0
    heading, alarm, verdict = capsys.readouterr().out.splitlines()
    assert heading.startswith(waits)
    assert alarm == f"  pwr.lv/m-1/u#high: {what}"
    assert runs in verdict


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


def rule_tests(folder: Path) -> None:
    """One test that holds, one that does not, for the alarm once it is confirmed."""
    signed = METER + "        confirmed_by: {name: 王工, date: 2026-11-22}\n"
    (folder / "devices" / "meter.yaml").write_text(signed, encoding="utf-8")
    (folder / "rule-tests").mkdir()
    text = """
tests:
  rises:
    5s: {set: {m-1/u: 250}, expect: {pwr.lv/m-1/u#high: raise H red}}
  late:
    5s: {set: {m-1/u: 250}}
    1min: {expect: {pwr.lv/m-1/u#high: raise}}
"""
    (folder / "rule-tests" / "voltage.yaml").write_text(text, encoding="utf-8")


def test_13_rule_tests_are_played_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each test; where one fails, what was expected and what came; exit code 1."""
    rule_tests(folder)
    assert main(["check", "--config", str(folder), "--lang", "en", "--rule-tests"]) == 1
    file = folder / "rule-tests" / "voltage.yaml"
    assert capsys.readouterr().out.splitlines() == [
        f"ok  {file}:3 rises",
        f"FAILED  {file}:5 late",
        "    came  5s  pwr.lv/m-1/u#high raise H red",
        "    expected  1min  pwr.lv/m-1/u#high raise",
        "2 tests, 1 failed",
    ]


def test_rule_tests_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, with seconds; a single file can be named."""
    rule_tests(folder)
    file = str(folder / "rule-tests" / "voltage.yaml")
    assert main(["check", "--config", str(folder), "--json", "--rule-tests", file]) == 1
    rises, late = json.loads(capsys.readouterr().out)
    assert (rises["name"], rises["ok"], rises["missing"], rises["unexpected"]) == ("rises", True, [], [])
    assert (late["line"], late["ok"]) == (5, False)
    assert late["missing"] == [
        {"at_s": 60.0, "alarm_id": "pwr.lv/m-1/u#high", "action": "raise", "level": None, "colour": None}
    ]
    assert [event["at_s"] for event in late["unexpected"]] == [5.0]


def test_rule_tests_that_cannot_be_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named with file and line on stderr, exit code 1; a file without the option is a wrong usage."""
    rule_tests(folder)
    file = folder / "wrong.yaml"
    file.write_text("tests: {one: {0s: {set: {m-1/v: 1}}}}\n", encoding="utf-8")
    assert main(["check", "--config", str(folder), "--rule-tests", str(file)]) == 1
    assert f"{file}:1:26: tests.one.0s.set.m-1/v: found 'v', no point of m-1" in capsys.readouterr().err
    assert main(["check", "--config", str(folder), str(file)]) == 2


def test_10_latency_is_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each alarm with its budget and what it can take: on a healthy line, after a lost answer, beside a dead device."""
    rule_tests(folder)
    assert main(["check", "--config", str(folder), "--lang", "en", "--latency"]) == 0
    headings, row = capsys.readouterr().out.splitlines()
    assert headings.split("  ")[0] == "alarm"
    assert row.split("  ")[0] == "pwr.lv/m-1/u#high"
    assert row.endswith("too late")  # a red alarm on a point that is read every ten seconds


def test_latency_of_what_is_refused_for_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is shown all the same, in JSON too, and the exit code says that life safety is not in time."""
    rule_tests(folder)
    file = folder / "devices" / "meter.yaml"
    file.write_text(f"{file.read_text(encoding='utf-8')}        life_safety: true\n", encoding="utf-8")
    assert main(["check", "--config", str(folder)]) == 1
    assert "its budget is 2 s" in capsys.readouterr().err
    assert main(["check", "--config", str(folder), "--latency", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "alarm_id": "pwr.lv/m-1/u#high",
            "life_safety": True,
            "budget_s": 2.0,
            "on_delay_s": 0.0,
            "poll_s": 10.0,
            "healthy_s": 10.3,
            "lost_answer_s": 22.3,
            "dead_neighbour_s": None,
            "verdict": "too late",
        }
    ]
