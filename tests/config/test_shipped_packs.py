"""The alarm packs that ship: complete, in both languages, with a basis for each limit, and each alarm tried."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from agent import rehearsal
from config import yaml12
from config.folder import SHIPPED_PACKS, SHIPPED_PROFILES, shipped_packs, shipped_profiles
from config.judgement import Limit
from config.load import load
from config.model import COLOURS, FireSignal
from config.systems import SYSTEMS
from drivers.registry import protocols

if TYPE_CHECKING:
    from config.model import Alarm, Config

CASES = Path(__file__).parents[1] / "cases" / "packs"
HAN = re.compile(r"[\u4e00-\u9fff]")
PACKS = shipped_packs()
LATCHING = {
    "boiler": {"water-very-low", "water-very-high", "pressure-lock", "steam-pressure", "gas-leak"},
    "env": {"ammonia", "hydrogen-sulphide"},
    "fire.water": {"tank-low"},
    "hazchem": {
        "gas-very-high-1",
        *(f"{gas}-1" for gas in ("combustible", "carbon-monoxide", "hydrogen-sulphide", "ammonia", "chlorine")),
        "hydrogen-peroxide-1",
    },
    "kitchen": {"gas-leak"},
    "lift": {"trapped"},
    "pv": {"pressure"},
    "sec": {"panic-1", "infant", "zone-1", "fence-1", "forced-1"},
    "water": {"tank-very-high", "tank-very-low", "sump"},
}
"""Entrapment, over-pressure, extreme water level, gas level 2 and what the guards answer to."""


def hospital(pack: str, folder: Path) -> Config:
    """A device that has every point of the pack."""
    shutil.copytree(CASES / "base", folder, dirs_exist_ok=True)
    return load(Path(shutil.copytree(CASES / pack, folder, dirs_exist_ok=True)), protocols())


def alarms(pack: str, folder: Path) -> tuple[Alarm, ...]:
    (device,) = hospital(pack, folder).devices
    return device.alarms


def written(pack: str) -> dict[str, dict[str, Any]]:
    data, flaws = yaml12.load((SHIPPED_PACKS / f"{pack}.yaml").read_text(encoding="utf-8"))
    assert not flaws
    rows: dict[str, dict[str, Any]] = data["alarms"]
    return rows


def test_every_system_has_a_pack() -> None:
    """One named as the system, and for some more that go with it."""
    assert set(SYSTEMS) <= set(PACKS)
    assert {pack for pack in PACKS if pack not in SYSTEMS} == {
        *(f"cold.{content}" for content in ("vaccine", "blood", "platelet", "plasma")),
        "hvac.rm.negative",
        "hvac.rm.positive",
    }


@pytest.mark.parametrize("pack", PACKS)
def test_9_and_13_each_pack_has_a_rule_test_that_holds(pack: str, tmp_path: Path) -> None:
    """Every alarm of the pack is raised in it, at the value and after the delay that is written down there."""
    config = hospital(pack, tmp_path)
    tests = rehearsal.read(tmp_path / "rule-tests", config)
    outcomes = [rehearsal.rehearse(test, config) for test in tests]
    assert [outcome for outcome in outcomes if not outcome.is_well] == []
    raised = {
        expected.alarm
        for test in tests
        for moment in test.moments
        for expected in moment.expected
        if expected.action == "raise"
    }
    assert raised == {alarm.id for device in config.devices for alarm in device.alarms}


@pytest.mark.parametrize("pack", PACKS)
def test_each_alarm_says_what_and_what_to_do_and_why(pack: str, tmp_path: Path) -> None:
    """Text and advice in both languages, no two alike on one point, and a basis."""
    found = alarms(pack, tmp_path)
    for text in (text for alarm in found for text in (alarm.text, alarm.advice)):
        assert HAN.search(text.zh)
        assert text.en
        assert not HAN.search(text.en)
        assert "{" not in text.zh + text.en
    assert len({(alarm.point, alarm.text) for alarm in found}) == len(found)
    assert all(alarm.basis is not None for alarm in found)


@pytest.mark.parametrize("pack", PACKS)
def test_limits_have_a_unit_a_deadband_and_levels_in_order(pack: str, tmp_path: Path) -> None:
    """A limit without its unit could be bound to a point in another; HH is at least as grave as H."""
    rank = {colour: n for n, colour in enumerate(COLOURS)}
    for key, row in written(pack).items():
        if "limit" in row:
            assert "unit" in row, key
            assert "deadband" in row, key
    for alarm in alarms(pack, tmp_path):
        if isinstance(alarm.condition, Limit):
            colours = {level.name: rank[level.colour] for level in alarm.condition.levels}
            assert colours.get("HH", 0) <= colours.get("H", 9)
            assert colours.get("LL", 0) <= colours.get("L", 9)


def test_the_fire_pack_keeps_the_signals_of_a_panel_apart(tmp_path: Path) -> None:
    """Each alarm says which it is, and all of them are there: fire, supervisory, trouble and the five others."""
    assert {alarm.signal for alarm in alarms("fire", tmp_path)} == set(get_args(FireSignal))


@pytest.mark.parametrize("pack", PACKS)
def test_life_safety_is_red_and_quick(pack: str, tmp_path: Path) -> None:
    """Never shelved, and no on-delay that would hide it for more than five seconds."""
    for alarm in alarms(pack, tmp_path):
        if alarm.life_safety:
            assert (set(alarm.colours), alarm.shelvable) == ({"red"}, False)
            assert alarm.on_delay_s <= 5


@pytest.mark.parametrize("pack", PACKS)
def test_what_has_to_be_reset_by_a_person_is_latching(pack: str, tmp_path: Path) -> None:
    """And nothing else is."""
    assert {alarm.key for alarm in alarms(pack, tmp_path) if alarm.latching} == LATCHING.get(pack, set())


@pytest.mark.parametrize("pack", PACKS)
def test_red_limits_of_the_site_wait_for_a_name(pack: str, tmp_path: Path) -> None:
    """Without the confirmation of the case, every alarm that depends on the site does not run."""
    device = hospital(pack, tmp_path / "confirmed").devices[0]
    expected = {alarm.id for alarm in device.alarms if alarm.depends_on}
    file = tmp_path / "confirmed" / "devices" / "device.yaml"
    file.write_text(re.sub(r", confirmed_by: \{[^}]*\}", "", file.read_text(encoding="utf-8")), encoding="utf-8")
    unconfirmed = load(tmp_path / "confirmed", protocols()).devices[0]
    assert {alarm.id for alarm in unconfirmed.unconfirmed} == expected
    assert {alarm.id for alarm in unconfirmed.alarms} == {alarm.id for alarm in device.alarms} - expected


LACKING = {
    "bacnet-life-safety": "omit: [fire, fault]",  # its detectors and zones say it, and the panel itself nothing
    "bacnet-lift-object": "omit: [trapped]",  # the standard's object says no more than the passenger's alarm
    "comap-intelilite4": "omit: [start-failed, not-auto]",  # the controller's map has neither
    "xy-md02": None,  # it measures temperature and humidity, for which the room decides
}
"""Profiles that do not take the pack of their system as it is."""


def profiled(name: str, profile: dict[str, Any], folder: Path) -> Path:
    """A device of that profile, with the pack of its system; what the profile leaves open is filled in."""
    place = {"modbus": "register", "bacnet": "object", "opcua": "node"}[profile["protocol"]]
    lines = {
        "modbus": "{protocol: modbus, host: 127.0.0.1}",
        "bacnet": "{protocol: bacnet, bind: 127.0.0.1/32:47900}",
        "opcua": "{protocol: opcua, url: 'opc.tcp://127.0.0.1:4840'}",
    }
    rows = {point: index for index, (point, row) in enumerate(profile["points"].items()) if place not in row}
    value = "'ns=2;s=x{}'" if place == "node" else "{}"
    points = "".join(f"      {point}: {{{place}: {value.format(100 + 4 * index)}}}\n" for point, index in rows.items())
    omit = f", {LACKING[name]}" if name in LACKING else ""
    text = f"""
devices:
  d-1:
    line: one
    profile: {name}
    address: {"{instance: 1, at: 127.0.0.2}" if place == "object" else "{}"}
    points: {"" if points else "{}"}
{points}    alarms: {{pack: {profile["system"]}{omit}}}
"""
    (folder / "devices").mkdir()
    (folder / "gateway.yaml").write_text("site: h01\ngateway: gw-1\n", encoding="utf-8")
    (folder / "lines.yaml").write_text(f"lines: {{one: {lines[profile['protocol']]}}}\n", encoding="utf-8")
    (folder / "devices" / "d.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", shipped_profiles())
def test_profiles_and_packs_fit(name: str, tmp_path: Path) -> None:
    """A shipped profile takes the pack of its system without another word: names, units and states agree."""
    profile, _ = yaml12.load((SHIPPED_PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))
    if "system" not in profile or LACKING.get(name, "") is None:
        pytest.skip("no pack of its own: contacts, or transmitters for which the room decides")
    (device,) = load(profiled(name, profile, tmp_path), protocols()).devices
    assert len(device.alarms) + len(device.unconfirmed) > 1
