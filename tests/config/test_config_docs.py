"""What `docs/configure.md` says is true: its snippets load together, its tables are the code's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import indent

import pack_table
from config_toy import accepted

from agent import rehearsal
from config.files import CONDITIONS, MEASURES, AlarmSpec, PointSpec
from config.folder import shipped_profiles
from config.gateway import POLL_S
from config.load import load
from config.wording import fields_of
from drivers.registry import protocols

TEXT = (Path(__file__).parents[2] / "docs" / "configure.md").read_text(encoding="utf-8")
CASES = Path(__file__).parents[1] / "cases"
ALARMS = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```(?:yaml|csv) file=(\S+)\n(.*?)^```$", TEXT + ALARMS, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_snippets_are_a_configuration(tmp_path: Path) -> None:
    """Written to the files that they name, they are accepted without a warning."""
    for name, text in SNIPPETS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    config = load(tmp_path, protocols())
    assert config.warnings == ()
    assert [device.id for device in config.devices] == ["ch-1", "ch-2", "lv-main", "lv-pumps", "ahu-1"]
    assert [[point.id for point in device.points] for device in config.devices[:2]] == [
        ["t_sup", "t_ret", "p", "run", "trips"],
        ["t_sup", "t_ret", "p", "run"],
    ]
    alarms = {alarm.id for device in config.devices for alarm in device.alarms}
    assert {
        "hvac.ahu/ahu-1/smoke#smoke",
        "pwr.lv/lv-pumps/t_panel#panel-hot",
        "pwr.lv/lv-pumps/u_an#voltage-a",
    } < alarms


def test_rule_test_that_it_shows_holds(tmp_path: Path) -> None:
    """It is a test of the configuration that the page shows."""
    for name, text in SNIPPETS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    config = load(tmp_path, protocols())
    (test,) = rehearsal.read(tmp_path / "rule-tests", config)
    assert rehearsal.rehearse(test, config).is_well


def test_packs_are_all_described() -> None:
    """The page of the packs is what the packs are."""
    assert pack_table.PAGE.read_text(encoding="utf-8") == pack_table.page()


def test_pack_that_it_shows_is_taken(tmp_path: Path) -> None:
    """The example of the page, at a device that has the points; what nobody has confirmed in it waits."""
    shown = re.findall(r"^```yaml\n(.*?)^```$", ALARMS.partition("\n## Packs\n")[2], re.MULTILINE | re.DOTALL)[0]
    shutil.copytree(CASES / "packs" / "base", tmp_path, dirs_exist_ok=True)
    shutil.copytree(CASES / "packs" / "medgas.area", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "devices" / "device.yaml"
    points = file.read_text(encoding="utf-8").partition("    alarms:\n")[0]
    door = "      door: {register: 90, table: discrete}\n"
    file.write_text(points + door + "".join(f"    {line}\n" for line in shown.splitlines()), encoding="utf-8")
    (device,) = load(tmp_path, protocols()).devices
    assert {"oxygen-pressure", "vacuum", "panel", "door"} <= {alarm.key for alarm in device.alarms}
    assert {"air-pressure", "oxygen-deviation"} <= {alarm.key for alarm in device.unconfirmed}


def test_mistake_that_it_shows_is_real() -> None:
    """The line is what `check` prints for the case of that name."""
    case = CASES / "config" / "misspelt-field" / "expected.txt"
    assert case.read_text(encoding="utf-8") in TEXT


def test_profiles_are_all_named() -> None:
    """The list of shipped profiles is complete."""
    assert set(re.findall(r"`([a-z]+-[a-z0-9-]+)`", section("Profiles"))) == set(shipped_profiles())


def test_poll_classes_are_those_of_the_code() -> None:
    """Each class with its default."""
    rows = re.findall(r"^\| `([A-Z])` \|.*\| ([\d.]+) s \|$", section("Devices"), re.MULTILINE)
    assert {letter: float(seconds) for letter, seconds in rows} == POLL_S


def test_every_key_of_an_alarm_is_explained() -> None:
    """And none that does not exist."""
    keys = re.findall(r"^\| (`[^|]+) \|", section("Alarms"), re.MULTILINE)
    assert {key for cell in keys for key in re.findall(r"`(\w+)`", cell)} == set(fields_of(AlarmSpec))


def test_every_key_of_a_point_is_explained() -> None:
    """The generic ones; what a protocol adds is in its README."""
    named = set(re.findall(r"`(\w+)`", section("Devices")))
    assert set(fields_of(PointSpec)) - {"source"} <= named


CONDITIONS_TEXT = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text(encoding="utf-8")
AIR = """
devices:
  gen-1: {line: one, system: pwr.gen, points: {running: {at: 1, value: bool}}, address: {unit: 2}}
  ahu-1:
    line: one
    system: hvac.ahu
    points:
      t_sa: {at: 1}
      hcho: {at: 2}
      t_chws: {at: 3}
      sp_chws: {at: 4}
      status: {at: 5, value: integer}
      ep: {at: 6}
      supply_lost: {at: 7, value: bool}
      t_room: {at: 8}
      in_use: {at: 9, value: bool}
      door: {at: 10, value: bool}
"""


def test_conditions_that_alarms_md_shows_are_accepted(tmp_path: Path) -> None:
    """Each of them, and every kind that there is."""
    snippet = re.findall(r"^```yaml\n(alarms:\n.*?)^```$", CONDITIONS_TEXT, re.MULTILINE | re.DOTALL)[0]
    device = accepted(tmp_path, AIR + indent(snippet, "    ")).devices[1]
    assert len(device.alarms) == len(snippet.splitlines()) - 1
    shown = {*re.findall(r"[{ ](\w+): ", snippet)}
    assert {*CONDITIONS, *MEASURES, "when"} <= shown


def test_mistake_in_an_expression_that_alarms_md_shows_is_real() -> None:
    """The line is what `check` prints for the case of that name."""
    case = Path(__file__).parents[1] / "cases" / "config" / "expression-of-unknown-points" / "expected.txt"
    (line,) = (line for line in case.read_text(encoding="utf-8").splitlines() if "hyphen" in line)
    assert line in CONDITIONS_TEXT
