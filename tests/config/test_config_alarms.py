"""Alarms as written to alarms as the rules read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import only_device, refused

from config.judgement import Level, Limit, State
from config.model import Place, Text

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Alarm

DEVICE = """
devices:
  m-1:
    name: {zh: 电表, en: Meter}
    line: one
    system: pwr.lv
    place: {building: b1, floor: f01, space: lv, risk: orange}
    points:
      u: {at: 1, unit: V, low: 0, high: 500, name: {zh: 电压, en: Voltage}}
      n: {at: 2, value: integer}
      b: {at: 3, value: bool}
      e: {at: 4, value: enum, states: {0: off, 1: on, 2: fault}}
      s: {at: 5, value: string}
    alarms:
      key: ALARM
"""


def alarm(folder: Path, text: str) -> Alarm:
    (found,) = only_device(folder, DEVICE.replace("ALARM", text)).alarms
    return found


def test_limit(tmp_path: Path) -> None:
    """Levels rise from LL to HH, each with its colour; delays are seconds."""
    found = alarm(
        tmp_path,
        "{point: u, limit: {H: 231, LL: 198, HH: 235.4, L: 209}, deadband: 1.5, on_delay: 10s, off_delay: 500ms,"
        " colour: {HH: orange, H: yellow, L: yellow, LL: orange}, text: {zh: 越限, en: Out of limits}, advice: 看}",
    )
    levels = (
        Level("LL", 198, "orange"),
        Level("L", 209, "yellow"),
        Level("H", 231, "yellow"),
        Level("HH", 235.4, "orange"),
    )
    assert found.condition == Limit(levels, 1.5)
    assert (found.id, found.key, found.device, found.system, found.point) == (
        "pwr.lv/m-1/u#key",
        "key",
        "m-1",
        "pwr.lv",
        "u",
    )
    assert (found.on_delay_s, found.off_delay_s) == (10.0, 0.5)
    assert (found.text, found.advice) == (Text("越限", "Out of limits"), Text("看", "看"))
    assert found.place == Place("b1", "f01", "lv", "orange")
    assert found.stream == "alarm"


def test_defaults(tmp_path: Path) -> None:
    """Acknowledged, shelvable, not latching, at once; its text is what it is about."""
    found = alarm(tmp_path, "{point: u, limit: {H: 231}, colour: yellow}")
    assert (found.ack_required, found.shelvable, found.latching, found.life_safety) == (True, True, False, False)
    assert (found.on_delay_s, found.off_delay_s) == (0.0, 0.0)
    assert (found.text, found.advice) == (Text("电表 电压", "Meter Voltage"), Text("", ""))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("point: b, state: true", (True,)),
        ("point: b, state: false", (False,)),
        ("point: e, state: on", ("on",)),
        ("point: e, state: [off, fault]", ("off", "fault")),
        ("point: n, state: [1, 2]", (1, 2)),
        ("point: s, state: tripped", ("tripped",)),
    ],
)
def test_state(tmp_path: Path, text: str, values: tuple[bool | int | str, ...]) -> None:
    """One value or a list, of the kind that the point has; `on` is a name."""
    found = alarm(tmp_path, f"{{{text}, colour: red}}")
    assert found.condition == State(values, "red")
    assert isinstance(found.condition, State)
    assert [type(value) for value in found.condition.values] == [type(value) for value in values]
    assert found.stream == "critical"


def test_life_safety_is_critical_and_never_shelved(tmp_path: Path) -> None:
    """Whatever its colour."""
    found = alarm(tmp_path, "{point: b, state: true, colour: yellow, life_safety: true}")
    assert (found.stream, found.shelvable) == ("critical", False)


@pytest.mark.parametrize(
    "flags", ["ack: false, latching: true, shelvable: false", "latching: true, shelvable: false, ack: false"]
)
def test_flags(tmp_path: Path, flags: str) -> None:
    """Each flag reaches the alarm."""
    found = alarm(tmp_path, f"{{point: b, state: true, colour: blue, {flags}}}")
    assert (found.ack_required, found.latching, found.shelvable) == (False, True, False)


@pytest.mark.parametrize(
    ("point", "value"),
    [("b", "1"), ("b", "on"), ("e", "1"), ("e", "true"), ("n", "true"), ("n", "a"), ("s", "1"), ("u", "1")],
)
def test_state_of_another_kind(tmp_path: Path, point: str, value: str) -> None:
    """A state that the point can never have is refused, one problem each."""
    (problem,) = refused(tmp_path, DEVICE.replace("ALARM", f"{{point: {point}, state: {value}, colour: red}}"))
    assert problem.field == "devices.m-1.alarms.key.state"


def test_integers_have_limits(tmp_path: Path) -> None:
    """A counter of faults can be limited like a measurement."""
    assert isinstance(alarm(tmp_path, "{point: n, limit: {H: 1}, colour: yellow}").condition, Limit)
