"""Common part, profile and device become one device: what wins, what is shared, what is resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import GATEWAY, LINES, ToyAddress, ToyPoint, accepted, only_device, refused

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Device, Point

OWN = """
protocol: toy
maker: Acme
model: T-1
system: pwr.lv
source: the maker's list
address: {unit: 7, gap: 3}
points:
  u: {at: 1, unit: V, poll: C, states: {1: a}, value: enum, name: {zh: 电压, en: Voltage}}
  i: {at: 2, unit: A}
  t: {unit: Cel}
"""
DEVICE = """
devices:
  m-1:
    line: one
    profile: own
    points:
      t: {at: 3}
"""


def point(device: Device, name: str) -> Point:
    return next(one for one in device.points if one.id == name)


def number(one: Point) -> int:
    assert isinstance(one.spec, ToyPoint)
    return one.spec.at


def test_profile_gives_what_the_device_leaves_out(tmp_path: Path) -> None:
    """System, maker, model, address and points come from the profile, in the profile's order."""
    device = only_device(tmp_path, DEVICE, own=OWN)
    assert (device.system, device.maker, device.model, device.profile) == ("pwr.lv", "Acme", "T-1", "own")
    assert device.address == ToyAddress(unit=7, gap=3)
    assert [(one.id, number(one), one.unit) for one in device.points] == [
        ("u", 1, "V"),
        ("i", 2, "A"),
        ("t", 3, "Cel"),
    ]


def test_device_wins_field_by_field(tmp_path: Path) -> None:
    """A device changes single fields of a profile's point and address and adds points of its own."""
    text = DEVICE + "      u: {unit: kV, states: {2: b}}\n      x: {at: 9}\n    address: {unit: 8}\n"
    device = only_device(tmp_path, text, own=OWN)
    assert device.address == ToyAddress(unit=8, gap=3)
    changed = point(device, "u")
    assert (number(changed), changed.unit, changed.name.zh) == (1, "kV", "电压")
    assert changed.states == {2: "b"}
    assert [one.id for one in device.points] == ["u", "i", "t", "x"]


def test_unchanged_points_are_shared(tmp_path: Path) -> None:
    """Two devices of one profile hold the same settings object for a point that neither changed."""
    two = DEVICE + "  m-2: {line: one, profile: own, address: {unit: 8}, points: {t: {at: 4}, i: {unit: mA}}}\n"
    first, second = accepted(tmp_path, two, own=OWN).devices
    assert point(first, "u").spec is point(second, "u").spec
    assert point(first, "i").spec is not point(second, "i").spec
    assert (point(first, "i").unit, point(second, "i").unit) == ("A", "mA")


def test_common_part(tmp_path: Path) -> None:
    """What is common to a file's devices lies under each of them, field by field."""
    text = """
common:
  line: one
  system: pwr.lv
  place: {building: b1, floor: f01}
  poll: {N: 30s}
  points: {u: {at: 1, unit: V}}
  alarms: {low: {point: u, limit: {L: 5}, colour: yellow}}
devices:
  m-1: {address: {unit: 1}}
  m-2:
    address: {unit: 2}
    place: {floor: f02}
    points: {u: {at: 2}}
    alarms: {low: {limit: {L: 6}}}
"""
    first, second = accepted(tmp_path, text).devices
    assert (second.place.building, second.place.floor) == ("b1", "f02")
    assert (number(point(first, "u")), number(point(second, "u"))) == (1, 2)
    assert point(second, "u").unit == "V"
    assert point(second, "u").poll_s == 30.0
    assert [alarm.id for device in (first, second) for alarm in device.alarms] == [
        "pwr.lv/m-1/u#low",
        "pwr.lv/m-2/u#low",
    ]
    assert second.alarms[0].colours == ("yellow",)


def test_points_may_be_omitted(tmp_path: Path) -> None:
    """A device leaves out what its model has and it has not, also a template row that it does not fill."""
    text = "devices:\n  m-1: {line: one, profile: own, omit: [t, i]}\n"
    assert [one.id for one in only_device(tmp_path, text, own=OWN).points] == ["u"]


def test_template_row_without_its_device_part(tmp_path: Path) -> None:
    """What the profile leaves open and the device does not give is a problem of the device."""
    (problem,) = refused(tmp_path, "devices:\n  m-1: {line: one, profile: own}\n", own=OWN)
    assert str(problem) == "devices/device.yaml:2:3: devices.m-1.points.t.at: missing; write at: …"


def test_mistake_of_a_profile_is_told_once(tmp_path: Path) -> None:
    """At its place in the profile, however many devices use it."""
    own = OWN.replace("at: 1", "at: one")
    two = DEVICE + "  m-2: {line: one, profile: own, address: {unit: 8}, points: {t: {at: 4}, u: {unit: kV}}}\n"
    (problem,) = refused(tmp_path, two, own=own)
    assert str(problem) == "profiles/own.yaml:9:11: points.u.at: found 'one', not a whole number; write a whole number"


def test_own_profile_hides_the_shipped_one(tmp_path: Path) -> None:
    """A site corrects a shipped profile by a file of the same name."""
    device = DEVICE.replace("profile: own", "profile: schneider-pm5300")
    accepted(tmp_path, device.replace("schneider-pm5300", "own"), own=OWN)
    (tmp_path / "profiles/own.yaml").rename(tmp_path / "profiles/schneider-pm5300.yaml")
    assert only_device(tmp_path, device).maker == "Acme"


@pytest.mark.parametrize(
    ("written", "poll_s"),
    [
        ("", 10.0),
        ("poll: L", 1.0),
        ("poll: C", 2.0),
        ("poll: S", 60.0),
        ("poll: E", 60.0),
        ("poll: 250ms", 0.25),
        ("poll: 7", 7.0),
    ],
)
def test_poll_interval(tmp_path: Path, written: str, poll_s: float) -> None:
    """A class has its default interval, a duration is itself, nothing is the normal class."""
    text = f"devices:\n  m-1: {{line: one, system: pwr.lv, points: {{u: {{at: 1, {written}}}}}}}\n"
    assert only_device(tmp_path, text).points[0].poll_s == poll_s


def test_poll_classes_of_gateway_and_device(tmp_path: Path) -> None:
    """The gateway changes the default, the device changes the gateway's."""
    points = "points: {a: {at: 1, poll: C}, b: {at: 2, poll: L}, c: {at: 3, poll: N}}"
    text = f"devices:\n  m-1: {{line: one, system: pwr.lv, poll: {{C: 500ms}}, {points}}}\n"
    device = only_device(tmp_path, text, gateway=GATEWAY + "poll: {C: 5s, L: 800ms}\n")
    assert [one.poll_s for one in device.points] == [0.5, 0.8, 10.0]


def test_lines_and_their_devices(tmp_path: Path) -> None:
    """Lines keep their order, devices the order of files and in them; each device is on its line only."""
    lines = LINES + "  two: {protocol: toy, host: h, timeout: 500ms, concurrency: 4, name: {zh: 二线}}\n"
    device = "devices:\n  b: {line: two, system: pwr.lv}\n  a: {line: one, system: pwr.lv}\n"
    more = "devices:\n  c: {line: two, system: pwr.lv, address: {unit: 2}}\n"
    config = accepted(tmp_path, device, more=more, lines=lines)
    assert [(line.id, [one.id for one in line.devices]) for line in config.lines] == [
        ("one", ["a"]),
        ("two", ["b", "c"]),
    ]
    two = config.lines[1]
    assert (two.timeout_s, two.concurrency, two.name.zh, two.name.en) == (0.5, 4, "二线", "二线")


def test_line_without_devices_is_a_warning(tmp_path: Path) -> None:
    """It is allowed, but somebody should know."""
    config = accepted(
        tmp_path, "devices:\n  a: {line: one, system: pwr.lv}\n", lines=LINES + "  two: {protocol: toy, host: h}\n"
    )
    assert [str(warning) for warning in config.warnings] == [
        "lines.yaml:3:3: lines.two: no device is on this line; remove the line, or name it in a device"
    ]


def test_slip_in_a_system_is_a_warning(tmp_path: Path) -> None:
    """Systems of our own are allowed; what looks like a slip in a known one is told."""
    config = accepted(
        tmp_path, "devices:\n  a: {line: one, system: pwr.lvv}\n  b: {line: one, system: morgue, address: {unit: 2}}\n"
    )
    assert [str(warning) for warning in config.warnings] == [
        "devices/device.yaml:2:26: devices.a.system: found 'pwr.lvv', which no alarm pack knows; did you mean pwr.lv?"
    ]


def test_addresses_are_told_apart_by_their_identity(tmp_path: Path) -> None:
    """What else is in an address does not make another device of it; another line does."""
    base = "devices:\n  a: {line: one, system: pwr.lv, address: {unit: 2, sub: 3, gap: 1}}\n"
    lines = LINES + "  two: {protocol: toy, host: h}\n"
    for other in (
        "line: one, system: pwr.lv, address: {unit: 2, gap: 1}",
        "line: two, system: pwr.lv, address: {unit: 2, sub: 3}",
    ):
        assert len(accepted(tmp_path, f"{base}  b: {{{other}}}\n", lines=lines).devices) == 2
    (problem,) = refused(tmp_path, base + "  b: {line: one, system: pwr.lv, address: {unit: 2, sub: 3}}\n")
    assert (problem.field, problem.message) == (
        "devices.b.address.unit",
        "line one has device a at this address already",
    )


def test_version_is_the_content(tmp_path: Path) -> None:
    """The same files give the same version, any change another one."""
    text = "devices:\n  a: {line: one, system: pwr.lv}\n"
    first = accepted(tmp_path, text).version
    assert first == accepted(tmp_path, text).version
    assert first != accepted(tmp_path, text + "# a comment\n").version
    assert (first[:2], len(first)) == ("c-", 10)
