"""Every condition as written to the one that the rules judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import only_device

from config.judgement import Bits, Counter, Deviation, Limit, Mean, NoUpdate, Offline, Rate, Stuck

if TYPE_CHECKING:
    from pathlib import Path

    from config.judgement import Condition, Measure
    from config.model import Alarm

DEVICE = """
devices:
  m-1:
    name: {zh: 电表, en: Meter}
    line: one
    system: pwr.lv
    points:
      u: {at: 1, unit: V, low: 0, high: 500, name: {zh: 电压, en: Voltage}}
      sp: {at: 2, unit: V}
      w: {at: 3, value: integer}
    alarms:
      key: {ALARM, colour: blue}
"""


def alarm(folder: Path, text: str) -> Alarm:
    (found,) = only_device(folder, DEVICE.replace("ALARM", text)).alarms
    return found


@pytest.mark.parametrize(
    ("text", "measure", "unit"),
    [
        ("mean: 1h", Mean(3600.0), "V"),
        ("rate: 1min", Rate(60.0, 60.0), "V/min"),
        ("rate: {per: 1h, over: 15min}", Rate(3600.0, 900.0), "V/h"),
        ("rate: {per: 10s}", Rate(10.0, 10.0), "V/(10.s)"),
        ("deviation: sp", Deviation("m-1", "sp"), "V"),
        ("deviation: m-1/sp", Deviation("m-1", "sp"), "V"),
        ("deviation: 230", Deviation(value=230.0), "V"),
    ],
)
def test_what_a_limit_is_judged_on(tmp_path: Path, text: str, measure: Measure, unit: str) -> None:
    """Mean, rate or deviation beside the limit; a rate is told in the unit of the point and a time."""
    found = alarm(tmp_path, f"{text}, point: u, limit: {{H: 10}}")
    assert isinstance(found.condition, Limit)
    assert (found.condition.measure, found.unit) == (measure, unit)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("point: w, bit: 3", Bits(0b1000, "blue")),
        ("point: w, bit: [0, 2]", Bits(0b101, "blue")),
        ("point: w, bit: {clear: 0}", Bits(1, "blue", inverted=True)),
        ("point: u, no_update: 10min", NoUpdate(600.0, "blue")),
        ("point: u, stuck: 6h, deadband: 0.1", Stuck(21_600.0, "blue", 0.1)),
        ("point: w, counter: {still: 2h}", Counter("blue", 7200.0)),
        (
            "point: w, counter: {backwards: true, rollover: 65536}, deadband: 2",
            Counter("blue", None, backwards=True, rollover=65536.0, band=2.0),
        ),
    ],
)
def test_conditions_of_a_point(tmp_path: Path, text: str, condition: Condition) -> None:
    """One key says what is waited for."""
    assert alarm(tmp_path, text).condition == condition


def test_condition_of_the_device_itself(tmp_path: Path) -> None:
    """It has no point, and its id has none."""
    found = alarm(tmp_path, "offline: true")
    assert found.condition == Offline("blue")
    assert (found.id, found.point, found.unit) == ("pwr.lv/m-1#key", "", "")
    assert (found.text.zh, found.text.en) == ("电表 离线", "Meter does not answer")
