"""Which lines another configuration touches, and what only a new start can take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from config_toy import accepted

from agent.renewal import Renewal, renewal
from config.outline import Outline, outline

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = """
site: h01
gateway: gw-1
state: /nowhere
uplinks: {main: {brokers: [mqtt://127.0.0.1]}}
"""
LINES = "lines:\n  one: {protocol: toy, host: 127.0.0.1}\n  two: {protocol: toy, host: 127.0.0.2}\n"
DEVICES = """
devices:
  m-1:
    line: one
    system: pwr.lv
    address: {unit: 1}
    points:
      u: {at: 1, unit: V, low: 0, high: 500}
      half: {derived: u / 2}
    alarms:
      high: {point: u, limit: {H: 240}, colour: yellow, text: 电压高}
  m-2:
    line: two
    system: pwr.lv
    address: {unit: 2}
    points:
      u: {at: 1, unit: V}
"""


def of(folder: Path, devices: str = DEVICES, gateway: str = GATEWAY, lines: str = LINES) -> Outline:
    folder.mkdir()
    return outline(accepted(folder, devices, gateway=gateway, lines=lines))


def changed(folder: Path, old: str, new: str) -> Renewal:
    """What becomes of it when this is written instead of that, in whatever file it stands."""
    files = (DEVICES, GATEWAY, LINES)
    assert sum(text.count(old) for text in files) == 1
    return renewal(of(folder / "old"), of(folder / "new", *(text.replace(old, new) for text in files)))


def test_nothing_changed_touches_nothing(tmp_path: Path) -> None:
    """Every line goes on."""
    assert renewal(of(tmp_path / "old"), of(tmp_path / "new")) == Renewal((), (), (), (), ("one", "two"), ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{H: 240}", "{H: 245}"),
        ("电压高", "电压过高"),
        ("u / 2", "u / 3"),
        ("u / 2}", "u / 2}\n      third: {derived: u / 3}"),
    ],
    ids=["limit", "text", "computed", "computed-more"],
)
def test_what_only_the_rules_know_touches_no_line(tmp_path: Path, old: str, new: str) -> None:
    """Alarms and computed points change while every line goes on polling."""
    found = changed(tmp_path, old, new)
    assert (found.kept, found.renewed, found.is_possible) == (("one", "two"), (), True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("host: 127.0.0.2", "host: 127.0.0.3"),
        ("{unit: 2}", "{unit: 3}"),
        ("{at: 1, unit: V}", "{at: 2, unit: V}"),
        ("{at: 1, unit: V}", "{at: 1, unit: V, poll: L}"),
        ("{at: 1, unit: V}", "{at: 1, unit: V, scale: 0.1}"),
        ("{at: 1, unit: V}", "{at: 1, unit: V}\n      i: {at: 7, unit: A}"),
        ("line: two", "line: two\n    name: 二号表"),
    ],
    ids=["host", "address", "register", "interval", "scale", "more-points", "name"],
)
def test_only_the_line_of_what_is_different_is_renewed(tmp_path: Path, old: str, new: str) -> None:
    """Its neighbour does not notice."""
    found = changed(tmp_path, old, new)
    assert (found.kept, found.renewed, found.opened, found.closed) == (("one",), ("two",), (), ())


def test_a_device_that_moves_touches_both_lines(tmp_path: Path) -> None:
    """The one that loses it and the one that gets it."""
    found = changed(tmp_path, "line: two", "line: one")
    assert (found.kept, found.renewed) == ((), ("one", "two"))


def test_a_line_comes_and_one_goes(tmp_path: Path) -> None:
    """A line under another name is another line."""
    devices = DEVICES.replace("line: two", "line: three")
    found = renewal(of(tmp_path / "old"), of(tmp_path / "new", devices, lines=LINES.replace("two:", "three:")))
    assert (found.opened, found.closed, found.kept) == (("three",), ("two",), ("one",))


def test_alarms_that_are_gone_are_named(tmp_path: Path) -> None:
    """Also those that nobody wrote: an alarm of a device that is gone must not stand for ever."""
    devices = DEVICES.partition("  m-2:")[0]
    found = renewal(of(tmp_path / "old"), of(tmp_path / "new", devices))
    assert "pwr.lv/m-2#offline" in found.ended
    assert "pwr.lv/m-1/u#high" not in found.ended


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("site: h01", "site: h02", "site"),
        ("gateway: gw-1", "gateway: gw-2", "gateway"),
        ("state: /nowhere", "state: /elsewhere", "state"),
        ("state: /nowhere", "state: /nowhere\njournal: {path: /elsewhere}", "journal.path"),
        ("state: /nowhere", "state: /nowhere\ntopic_root: h/v1", "topic_root"),
        ("state: /nowhere", "state: /nowhere\ntype_prefix: cn.h01.", "type_prefix"),
        ("state: /nowhere", "state: /nowhere\ncontrol_socket: /elsewhere", "control_socket"),
    ],
)
def test_what_a_gateway_is_known_by_needs_a_new_start(tmp_path: Path, old: str, new: str, part: str) -> None:
    """It is named as it is written, so that nobody believes that it holds already."""
    found = changed(tmp_path, old, new)
    assert found.restart == (part,)
    assert not found.is_possible


@pytest.mark.parametrize(
    ("new", "setting"),
    [
        ("response: {yellow: {severity: 510}}", "response yellow"),
        ("journal: {keep: 7d}", "journal.keep_s"),
        ("http: {listen: 127.0.0.1:8080}", "http"),
        ("name: 一号楼", "name.zh"),
        ("notify: {duty: {webhook: {url: https://127.0.0.1}}}", "notify duty"),
        ("platform_commands: [ack]", "platform_commands"),
        ("roles: {view: [staff]}", "roles.view"),
        ("time_zone: Asia/Shanghai", "time_zone"),
    ],
)
def test_the_rest_of_the_gateway_is_taken_over(tmp_path: Path, new: str, setting: str) -> None:
    """It is named too, and no line knows of it."""
    found = changed(tmp_path, "state: /nowhere", f"state: /nowhere\n{new}")
    assert (found.restart, found.kept) == ((), ("one", "two"))
    assert setting in found.settings


def test_an_uplink_is_one_setting(tmp_path: Path) -> None:
    """Whatever is different about it, it connects anew."""
    found = changed(tmp_path, "mqtt://127.0.0.1", "mqtt://127.0.0.9")
    assert (found.restart, found.settings) == ((), ("uplink main",))
