"""What colours ask of people, what is never hidden, and when there is maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import GATEWAY, accepted

from config.duty import RESPONSE, MaintenanceWindow, Response, Scope

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Alarm, Config


def configured(
    folder: Path, more: str = "", *, system: str = "pwr.lv", risk: str = "orange", alarm: str = ""
) -> Config:
    device = f"""
devices:
  a:
    line: one
    system: {system}
    place: {{building: b1, risk: {risk}}}
    points: {{v: {{at: 0}}}}
    alarms:
      x: {{point: v, {alarm or "limit: {H: 1, HH: 2}, colour: {H: yellow, HH: orange}"}}}
"""
    return accepted(folder, device, gateway=GATEWAY + more)


def alarm_of(config: Config) -> Alarm:
    ((alarm,),) = [device.alarms for device in config.devices]
    return alarm


def test_5_defaults_are_those_of_the_four_colours(tmp_path: Path) -> None:
    """Red is the hospital's command within a minute, blue a list of work."""
    assert configured(tmp_path).response == RESPONSE
    assert [RESPONSE[colour].priority for colour in ("red", "orange", "yellow", "blue")] == [1, 2, 3, 4]
    assert RESPONSE["red"].ack_within_s == (60, 180, 300)


def test_5_a_response_is_configuration(tmp_path: Path) -> None:
    """What is written replaces the default, the rest stays."""
    more = "response: {yellow: {level: shift lead, ack_within: [15min, 1h]}, blue: {severity: 100}}\n"
    response = configured(tmp_path, more).response
    assert response["yellow"] == Response(3, 500, "shift lead", (900, 3600))
    assert response["blue"] == Response(4, 100, "work_list")
    assert response["red"] == RESPONSE["red"]


@pytest.mark.parametrize(
    ("risk", "colours"), [("red", ("orange", "red")), ("orange", ("yellow", "orange")), ("blue", ("yellow", "orange"))]
)
def test_5_an_alarm_in_a_red_grade_space_is_raised_one_step(
    tmp_path: Path, risk: str, colours: tuple[str, str]
) -> None:
    """And no space lowers one. What can reach red then is in the stream of red alarms."""
    alarm = alarm_of(configured(tmp_path, risk=risk))
    assert alarm.colours == colours
    assert alarm.stream == ("critical" if "red" in colours else "alarm")


def test_5_red_stays_red_in_a_red_grade_space(tmp_path: Path) -> None:
    """There is nothing above it; one colour without levels is raised too."""
    red = alarm_of(configured(tmp_path, risk="red", alarm="limit: {H: 1}, colour: red"))
    assert red.colours == ("red",)
    blue = alarm_of(configured(tmp_path, risk="red", alarm="stuck: 1h, colour: blue"))
    assert blue.colours == ("yellow",)


@pytest.mark.parametrize(
    ("system", "risk", "alarm", "is_shelvable"),
    [
        ("pwr.lv", "blue", "limit: {H: 1}, colour: red", True),
        ("pwr.lv", "blue", "limit: {H: 1}, colour: blue, life_safety: true", False),
        ("fire", "blue", "limit: {H: 1}, colour: blue", False),
        ("fire.water", "blue", "limit: {H: 1}, colour: red", True),
        ("medgas.area", "blue", "limit: {H: 1}, colour: red", False),
        ("medgas.area", "blue", "limit: {H: 1}, colour: orange", True),
        ("medgas.area", "red", "limit: {H: 1}, colour: orange", False),
        ("or", "blue", "limit: {H: 1}, colour: orange, shelvable: false", False),
    ],
)
def test_5_what_must_never_be_hidden(tmp_path: Path, system: str, risk: str, alarm: str, is_shelvable: bool) -> None:
    """Life safety, the fire system, red alarms of medical gas, and what the site says itself."""
    assert alarm_of(configured(tmp_path, system=system, risk=risk, alarm=alarm)).shelvable is is_shelvable


def test_a_window_of_maintenance_is_configuration(tmp_path: Path) -> None:
    """The monthly generator test: the first Saturday."""
    more = """
maintenance:
  monthly:
    {system: [pwr.lv], place: {building: b1}, start: "09:30", duration: 2h, weekdays: [sat], weeks: [1], reason: t}
"""
    (window,) = configured(tmp_path, more).maintenance
    scope = Scope(system=frozenset({"pwr.lv"}), building=frozenset({"b1"}))
    assert window == MaintenanceWindow(
        "monthly", scope, 570, 7200.0, "t", weekdays=frozenset({5}), weeks=frozenset({1})
    )


def test_the_preset_for_a_fire_test_hides_nothing(tmp_path: Path) -> None:
    """It marks what comes from the fire system, no more."""
    more = 'maintenance: {drill: {preset: fire-test, start: "10:00", duration: 1h, days: [1, 15], reason: drill}}\n'
    (window,) = configured(tmp_path, more, system="fire").maintenance
    assert (window.scope, window.is_test, window.days) == (Scope(system=frozenset({"fire"})), True, frozenset({1, 15}))


def test_a_platform_may_only_ask_unless_the_site_allows_more(tmp_path: Path) -> None:
    """Verbs that change something are named one by one."""
    assert configured(tmp_path).platform_commands == frozenset()
    allowed = configured(tmp_path, "platform_commands: [ack, maintenance-start]\n").platform_commands
    assert allowed == {"ack", "maintenance-start"}
