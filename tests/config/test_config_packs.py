"""Alarms from packs and from rules for many devices, as they arrive at a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config_toy import accepted, only_device

from config.judgement import Level, Limit, State
from config.model import Basis, Text

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Alarm, Config

FEEDER = """
devices:
  m-1:
    name: {zh: 总进线, en: Incomer}
    line: one
    system: pwr.lv
    place: {building: b1, floor: f01, risk: orange}
    points:
      u_an: {at: 1, unit: V}
      u_bn: {at: 2, unit: V}
      u_cn: {at: 3, unit: V}
      u_ab: {at: 4, unit: V}
      t_bus_a: {at: 5, unit: Cel}
      t_bus_b: {at: 6, unit: Cel}
    alarms: ALARMS
"""
ROOM = """
devices:
  r-1:
    name: {zh: 一号房, en: Room 1}
    line: one
    system: hvac.rm
    place: {building: b1, floor: f02, risk: red}
    points: {t: {at: 1, unit: Cel, name: {zh: 温度, en: Temperature}}}
  r-2:
    name: {zh: 二号房, en: Room 2}
    line: one
    address: {unit: 2}
    system: hvac.rm
    points: {t: {at: 1, unit: Cel}, dp: {at: 2, unit: Pa}}
"""


def alarms(folder: Path, text: str) -> dict[str, Alarm]:
    return {alarm.id: alarm for alarm in only_device(folder, FEEDER.replace("ALARMS", text)).alarms}


def ids(config: Config) -> set[str]:
    return {alarm.id for device in config.devices for alarm in device.alarms}


def test_pack_watches_what_the_device_has(tmp_path: Path) -> None:
    """Every alarm of the pack whose point is there, with the device's name, and the basis of its limit."""
    found = alarms(tmp_path, "{pack: pwr.lv}")
    assert {alarm.partition("/m-1/")[2] for alarm in found} == {
        "u_ab#supply-lost",
        "u_ab#voltage-ab",
        "u_an#voltage-a",
        "u_bn#voltage-b",
        "u_cn#voltage-c",
        "t_bus_a#busbar-a",
        "t_bus_b#busbar-b",
    }
    lost = found["pwr.lv/m-1/u_ab#supply-lost"]
    assert lost.text == Text("总进线失电", "Incomer: supply lost")
    assert lost.condition == Limit((Level("LL", 100.0, "red"),), 20.0)
    assert lost.basis == Basis("engineering default", "experience")


def test_open_number_means_every_point_that_fits(tmp_path: Path) -> None:
    """One row of a pack gives an alarm for each busbar, which can be changed and left out one by one."""
    found = alarms(
        tmp_path,
        "{pack: pwr.lv, omit: [busbar-b],"
        " override: {'busbar-{n}': {on_delay: 90s}, busbar-a: {limit: {H: 65}, text: '{device}的{point}'}}}",
    )
    assert "pwr.lv/m-1/t_bus_b#busbar-b" not in found
    bar = found["pwr.lv/m-1/t_bus_a#busbar-a"]
    assert bar.on_delay_s == 90
    assert bar.condition == Limit((Level("H", 65.0, "yellow"), Level("HH", 90.0, "orange")), 2.0)
    assert bar.text == Text("总进线的t_bus_a", "Incomer的t_bus_a")


def test_override_changes_only_what_it_names(tmp_path: Path) -> None:
    """Who moves one level keeps the others; the rest of the alarm stays the pack's; an own alarm stands beside it."""
    found = alarms(
        tmp_path,
        "{pack: pwr.lv, omit: [voltage-ab], override: {voltage-a: {limit: {H: 233}, colour: {H: blue}}},"
        " mine: {point: u_an, limit: {H: 240}, colour: red}}",
    )
    voltage = found["pwr.lv/m-1/u_an#voltage-a"]
    levels = (("LL", 198.0, "orange"), ("L", 209.0, "yellow"), ("H", 233.0, "blue"), ("HH", 235.4, "orange"))
    assert voltage.condition == Limit(tuple(Level(*level) for level in levels), 1.0)  # type: ignore[arg-type]  # names and colours are texts
    assert (voltage.on_delay_s, voltage.off_delay_s) == (10, 5)
    assert "pwr.lv/m-1/u_an#mine" in found
    assert "pwr.lv/m-1/u_ab#voltage-ab" not in found


def test_override_can_change_the_kind_of_condition(tmp_path: Path) -> None:
    """`limit: null` takes the limit away, so that a contact can stand for a measurement."""
    text = FEEDER.replace("u_ab: {at: 4, unit: V}", "lost: {at: 4, value: bool}").replace(
        "ALARMS",
        "{pack: pwr.lv, override: {supply-lost: {point: lost, unit: '1', limit: null, deadband: 0, state: true}}}",
    )
    (lost,) = (alarm for alarm in only_device(tmp_path, text).alarms if alarm.key == "supply-lost")
    assert (lost.point, lost.condition) == ("lost", State((True,), "red"))


def test_rules_reach_the_devices_that_they_select(tmp_path: Path) -> None:
    """By device, system, profile and place, every named field at once; a list is one of them."""
    rule = "    alarms: {{{key}: {{point: t, limit: {{H: 30}}, colour: yellow}}}}\n"
    selects = {
        "all": "{system: hvac.rm}",
        "one": "{device: [r-2]}",
        "upstairs": "{system: [hvac.rm, or], place: {building: b1, floor: [f02, f03]}}",
        "grave": "{place: {risk: red}}",
    }
    rules = "".join(f"  {key}:\n    select: {select}\n{rule.format(key=key)}" for key, select in selects.items())
    found = ids(accepted(tmp_path, ROOM, rules=f"rules:\n{rules}"))
    assert found == {
        f"hvac.rm/{name}" for name in ("r-1/t#all", "r-2/t#all", "r-2/t#one", "r-1/t#upstairs", "r-1/t#grave")
    }


def test_device_that_names_a_pack_itself_has_it_its_own_way(tmp_path: Path) -> None:
    """A rule gives the pack to all; one device names it too, to change a limit, and gets each alarm once."""
    rules = "rules: {all: {select: {system: pwr.lv}, alarms: {pack: pwr.lv, override: {voltage-a: {on_delay: 99s}}}}}"
    text = "{pack: pwr.lv, override: {voltage-a: {limit: {H: 233}}}}"
    device = only_device(tmp_path, FEEDER.replace("ALARMS", text), rules=rules)
    (voltage,) = (alarm for alarm in device.alarms if alarm.key == "voltage-a")
    assert voltage.on_delay_s == 10
    assert isinstance(voltage.condition, Limit)
    assert [level.limit for level in voltage.condition.levels] == [198, 209, 233, 235.4]
    assert len({alarm.id for alarm in device.alarms}) == len(device.alarms)


def test_optional_alarm_is_for_those_that_have_the_point(tmp_path: Path) -> None:
    """A rule for many devices, of which not all measure the same."""
    rules = """
rules:
  pressure:
    select: {system: hvac.rm}
    alarms:
      pressure: {point: dp, limit: {L: 5}, colour: orange, optional: true, text: "{device}"}
"""
    config = accepted(tmp_path, ROOM, rules=rules)
    assert ids(config) == {"hvac.rm/r-2/dp#pressure"}
    (alarm,) = config.devices[1].alarms
    assert alarm.text == Text("二号房", "Room 2")


def test_alarm_of_the_site_waits_until_it_is_confirmed(tmp_path: Path) -> None:
    """What depends on the site does not run before somebody has put his name to it."""
    depends = "depends_on: {zh: 额定电压, en: the rated voltage}"
    text = f"{{high: {{point: u_an, limit: {{H: 240}}, colour: red, {depends}CONFIRMED}}}}"
    device = only_device(tmp_path, FEEDER.replace("ALARMS", text.replace("CONFIRMED", "")))
    assert device.alarms == ()
    (waiting,) = device.unconfirmed
    assert (waiting.id, waiting.depends_on) == ("pwr.lv/m-1/u_an#high", Text("额定电压", "the rated voltage"))
    signed = text.replace("CONFIRMED", ", confirmed_by: {name: 王工, date: 2026-11-22}")
    device = only_device(tmp_path, FEEDER.replace("ALARMS", signed))
    assert [alarm.id for alarm in device.alarms] == ["pwr.lv/m-1/u_an#high"]
    assert device.unconfirmed == ()
