"""`wardgate check --diff`: what applying a configuration would change, against what runs, or what ran last."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.accept import accept
from agent.cli.app import main
from agent.clock import SystemClock
from agent.status import ConfigView
from config.kept import FOLDER, keep
from config.outline import outline

if TYPE_CHECKING:
    from fake_desk import Served

BASE = Path(__file__).parents[2] / "cases" / "config" / "base"
METER = """
devices:
  m-1:
    line: meters
    system: pwr.lv
    points:
      u: {register: 0, unit: V, low: 0, high: 500}
    alarms:
      high: {point: u, limit: {H: 240}, colour: yellow, text: 电压高}
"""
AFTER = METER.replace("H: 240", "H: 245") + METER.replace("devices:\n", "").replace(
    "m-1:", "m-2:\n    address: {unit: 2}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration whose state and socket are below it."""
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "devices" / "more.yaml").unlink()
    (tmp_path / "devices" / "meter.yaml").write_text(METER, encoding="utf-8")
    gateway = tmp_path / "gateway.yaml"
    gateway.write_text(gateway.read_text(encoding="utf-8") + "state: state\ncontrol_socket: s\n", encoding="utf-8")
    return tmp_path


def change(folder: Path, text: str = AFTER) -> None:
    (folder / "devices" / "meter.yaml").write_text(text, encoding="utf-8")


def ran(folder: Path) -> str:
    """As after a daemon that ran with it; gives its version."""
    config, _ = accept(folder, SystemClock())
    keep(folder / "state", config.files, config.version, 1_700_000_000.0, "wardgate")
    return config.version


def test_changes_against_the_last_configuration_that_ran(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a daemon: devices, points and alarms that come, go or change, with the fields."""
    before = ran(folder)
    change(folder)
    assert main(["check", "--config", str(folder), "--diff", "--lang", "en"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith(f"against the last configuration that ran ({before})")
    assert lines[:4] == ["device: 1 added", "  + m-2", "point: 1 added", "  + m-2/u"]
    assert lines[-2:] == ["  ~ pwr.lv/m-1/u#high", "      condition.levels.H.limit: 240 → 245"]
    assert "  + pwr.lv/m-2/u#high" in lines


def test_changes_against_the_running_daemon(folder: Path, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked what it runs with, whatever was kept or is in its folder by now."""
    ran(folder)
    change(folder)
    config, _ = accept(folder, SystemClock())
    parts = {str(kind): part for kind, part in outline(config).items()}
    served.desk.running = ConfigView(version=config.version, outline=parts)
    asked = ["check", "--config", str(folder), "--diff", "--socket", str(served.path)]
    assert main([*asked, "--lang", "zh"]) == 0
    head, told = capsys.readouterr().out.splitlines()
    assert (head, told) == (f"{config.version} 对比 正在运行的配置 ({config.version})", "无差异")
    change(folder, METER)
    assert main([*asked, "--json"]) == 0
    view = json.loads(capsys.readouterr().out)
    assert view["against"] == {"source": "running", "version": config.version, "since": None}
    by_kind = {each["kind"]: each for each in view["changes"]}
    assert list(by_kind) == ["gateway", "line", "device", "point", "alarm"]
    assert by_kind["device"] == {"kind": "device", "added": [], "removed": ["m-2"], "changed": []}
    limit = {"field": "condition.levels.H.limit", "before": "245", "after": "240"}
    assert {"id": "pwr.lv/m-1/u#high", "fields": [limit]} in by_kind["alarm"]["changed"]
    assert (view["restart"], view["renewed"], view["settings"]) == ([], ["meters"], [])


def test_what_it_takes_to_have_it_is_told(folder: Path, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines that a reload opens anew; or what only a restart takes over."""
    config, _ = accept(folder, SystemClock())
    parts = {str(kind): part for kind, part in outline(config).items()}
    served.desk.running = ConfigView(version=config.version, outline=parts)
    asked = ["check", "--config", str(folder), "--diff", "--socket", str(served.path), "--lang", "en"]
    change(folder)
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a reload opens anew: meters"
    with (folder / "gateway.yaml").open("a", encoding="utf-8") as file:
        file.write("time_zone: Asia/Tokyo\n")
    assert main(asked) == 0
    told = capsys.readouterr().out.splitlines()[-2:]
    assert told == ["a reload opens anew: meters", "a reload takes over: time_zone"]
    with (folder / "gateway.yaml").open("a", encoding="utf-8") as file:
        file.write("topic_root: h/v2\n")
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "needs a restart: topic_root"


def test_a_copy_in_another_folder_is_no_change(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Relative paths are meant from where the configuration is: a change is prepared beside it."""
    with (folder / "gateway.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "journal: {path: journal}\nnotify:\n  duty: {webhook: {url: http://h/, token: {file: token}, ca: ca.pem}}\n"
        )
    ran(folder)
    copy = tmp_path_factory.mktemp("new") / "copy"
    shutil.copytree(folder, copy)
    assert main(["check", "--config", str(copy), "--diff", "--lang", "en"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["no difference"]


def test_nothing_to_compare_with_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do."""
    assert main(["check", "--config", str(folder), "--diff"]) == 1
    said = capsys.readouterr().err
    assert "there is nothing to compare with" in said
    assert "name the daemon's --socket" in said


def test_a_wrong_configuration_is_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its mistakes are told as ever."""
    ran(folder)
    change(folder, METER.replace("unit: V", "unt: V"))
    assert main(["check", "--config", str(folder), "--diff"]) == 1
    assert "devices/meter.yaml:7" in capsys.readouterr().err


def test_a_kept_configuration_that_cannot_be_used_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A release may refuse what an older one took; the file is there to look into."""
    keep(folder / "state", {"gateway.yaml": b"sites: h01\n"}, "c-0000000a", 0.0, "wardgate")
    assert main(["check", "--config", str(folder), "--diff"]) == 1
    said = capsys.readouterr().err
    assert "(c-0000000a) is not valid for this wardgate" in said
    assert "000001-c-0000000a.zip" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_who_may_not_see_it_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator without rights learns what to do."""
    ran(folder)
    (folder / "state" / FOLDER).chmod(0)
    try:
        assert main(["check", "--config", str(folder), "--diff"]) == 1
    finally:
        (folder / "state" / FOLDER).chmod(0o700)
    assert "use sudo" in capsys.readouterr().err


def test_one_question_at_a_time(folder: Path) -> None:
    """What is asked together has no one answer: wrong usage."""
    assert main(["check", "--config", str(folder), "--diff", "--latency"]) == 2
