"""A device that refers to a list of points: what it reads from there, and where the list counts as configuration.

Every mistake in a list is a folder of `tests/cases/config/`; how lists are read at all is in `test_pointlists.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.accept import accept
from agent.cli.app import main
from agent.clock import SystemClock
from agent.renewal import renewal
from config.errors import ConfigInvalid, ConfigProblem
from config.kept import keep
from config.load import Places, load
from config.outline import outline
from config.pointlist.written import flow_text
from config.put_back import own_files, put_back
from drivers.registry import protocols

if TYPE_CHECKING:
    from config.model import Config, Device, Point

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
GATEWAY = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: [mqtt://127.0.0.1]}}\nstate: ./state\n"
LINES = """\
lines:
  mb-1: {protocol: modbus, host: 10.0.0.1}
  mb-2: {protocol: modbus, host: 10.0.0.2}
  bac: {protocol: bacnet, bind: 127.0.0.1/32:47900}
  ua: {protocol: opcua, url: "opc.tcp://10.0.0.3:4840", security: none}
"""
DEVICE = """\
devices:
  ch-1:
    line: mb-1
    system: hvac.chiller
    point_list: points/chiller.csv
    points:
      t_sup: {deadband: 0.2, name: {en: Supply temperature}}
      extra: {register: 9}
    omit: [old]
    alarms:
      hot: {point: t_sup, limit: {H: 12}, colour: yellow}
  ch-2:
    line: mb-2
    system: hvac.chiller
    point_list: points/chiller.csv
"""
LIST = """\
冷水机组点表;;;;;;;
标识;名称;寄存器地址(0-based);功能码;数据类型;单位;系数;备注
t_sup;供水温度;100;3;i16;℃;0,1;出口
old;旧点;101;3;u16;;;
run.1;运行;102.3;3;BOOL;;;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A list that Excel saved in China, for two devices."""
    for name, text in (("gateway.yaml", GATEWAY), ("lines.yaml", LINES), ("devices/plant.yaml", DEVICE)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "chiller.csv").write_bytes(LIST.replace("\n", "\r\n").encode("gb18030"))
    return tmp_path


def devices(config: Config) -> dict[str, Device]:
    return {device.id: device for device in config.devices}


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(folder, protocols())
    return str(caught.value)


def test_3_a_device_reads_its_points_from_a_list_and_changes_single_fields(folder: Path) -> None:
    """GB18030 and semicolons; what the device writes itself is on top, and what it omits is not there."""
    found = devices(load(folder, protocols()))
    points = {point.id: point for point in found["ch-1"].points}
    assert list(points) == ["t_sup", "run.1", "extra"]
    supply = points["t_sup"]
    assert (supply.spec.where, supply.unit, supply.scale, supply.deadband) == ("holding 100 i16", "Cel", 0.1, 0.2)
    assert (points["run.1"].spec.where, points["run.1"].type) == ("holding 102.3 bit", "bool")
    assert [alarm.point for alarm in found["ch-1"].alarms] == ["t_sup"]
    shared = {point.id: point for point in found["ch-2"].points}
    assert (list(shared), shared["t_sup"].name.zh) == (["t_sup", "old", "run.1"], "供水温度")


def test_3_a_list_lies_over_the_profile(folder: Path) -> None:
    """By id and field by field, as a device's own points do."""
    profile = "protocol: modbus\nsource: unverified\nsystem: hvac.chiller\npoints:\n"
    profile += "  t_sup: {register: 1, low: -5, high: 50}\n  p: {register: 2, unit: kPa}\n"
    (folder / "profiles").mkdir()
    (folder / "profiles" / "own.yaml").write_text(profile, encoding="utf-8")
    device = "devices:\n  ch-1: {line: mb-1, profile: own, point_list: points/chiller.csv, omit: [old]}\n"
    (folder / "devices" / "plant.yaml").write_text(device, encoding="utf-8")
    points = {point.id: point for point in devices(load(folder, protocols()))["ch-1"].points}
    assert list(points) == ["t_sup", "p", "run.1"]
    assert (points["t_sup"].spec.where, points["t_sup"].low) == ("holding 100 i16", -5.0)


def test_3_a_changed_list_is_a_changed_configuration_of_its_lines(folder: Path) -> None:
    """A remark gives another version and restarts nothing; a point of one device restarts its line alone."""
    before = load(folder, protocols())
    table = folder / "points" / "chiller.csv"
    table.write_bytes(table.read_bytes().replace("出口".encode("gb18030"), b"out"))
    remarked = load(folder, protocols())
    assert remarked.version != before.version
    assert renewal(outline(before), outline(remarked)).renewed == ()
    table.write_bytes(table.read_bytes().replace(b"old;", b"older;"))
    (folder / "devices" / "plant.yaml").write_text(DEVICE.replace("[old]", "[older]"), encoding="utf-8")
    plan = renewal(outline(before), outline(load(folder, protocols())))
    assert (plan.renewed, plan.kept) == (("mb-2",), ("bac", "mb-1", "ua"))


def test_3_a_kept_configuration_has_its_lists(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Byte for byte: it can be read, shown and put back after the file is gone, and other lists stay."""
    before = load(folder, protocols())
    table, other = folder / "points" / "chiller.csv", folder / "points" / "draft.csv"
    content = table.read_bytes()
    keep(folder / "state", before.files, before.version, 1_700_000_000.0, "li")
    other.write_bytes(b"id\n")
    table.unlink()
    assert load(folder, protocols(), before.files).version == before.version
    assert main(["config", "show", "1", "points/chiller.csv", "--config", str(folder)]) == 0
    assert capfdbinary.readouterr().out == content
    own = {name: text for name, text in before.files.items() if not name.startswith("(shipped)")}
    put_back(folder, own)
    assert (table.read_bytes(), other.exists()) == (content, True)
    assert own_files(folder).keys() == {*own, "points/draft.csv"}


def test_3_no_link_leads_out_of_the_configuration(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What lies elsewhere would be in no backup; a link inside the folder is fine."""
    table = folder / "points" / "chiller.csv"
    table.rename(folder / "points" / "real.csv")
    table.symlink_to("real.csv")
    assert len(devices(load(folder, protocols()))["ch-2"].points) == 3
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "list.csv"
    elsewhere.write_bytes((folder / "points" / "real.csv").read_bytes())
    table.unlink()
    table.symlink_to(elsewhere)
    assert "leads out of the configuration folder; copy the file itself there" in refusal(folder)


def test_3_what_a_driver_refuses_is_told_in_the_cell(folder: Path) -> None:
    """The row of the point; where the device file has a word of its own on the field, there."""
    places = Places(folder, protocols())
    told = {
        ("old", "register"): "points/chiller.csv:4:C: 寄存器地址(0-based): too far",
        ("old", "poll"): "points/chiller.csv:4: poll: too far",
        ("t_sup", "deadband"): "devices/plant.yaml:7:25: devices.ch-1.points.t_sup.deadband: too far",
        ("extra", "register"): "devices/plant.yaml:8:25: devices.ch-1.points.extra.register: too far",
    }
    for (point, field), said in told.items():
        problem = ConfigProblem("too far", device="ch-1", point=point, field=field)
        assert str(places.locate("mb-1", problem)) == said
    forbidden = DEVICE.replace("    line: mb-2", "    line: mb-2\n    address: {forbidden: [[100, 101]]}")
    (folder / "devices" / "plant.yaml").write_text(forbidden, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        accept(folder, SystemClock())
    assert {problem.file for problem in caught.value.problems} == {"points/chiller.csv"}


def rewritten(device: Device) -> dict[str, object]:
    """A device without alarms, whose points are all in the list of its name."""
    place = {key: each for key in ("building", "floor", "space", "risk") if (each := getattr(device.place, key))}
    name = {"zh": device.name.zh, "en": device.name.en}
    address = device.address.model_dump(by_alias=True, exclude_defaults=True)
    head = {"line": device.line, "system": device.system, "name": name, "place": place, "address": address}
    return {**head, "point_list": f"points/{device.id}.csv"}


def told(point: Point) -> tuple[object, ...]:
    """All that a point is, but for where it was written."""
    spec = point.spec.model_dump(exclude={"name", "source", "poll"})
    return point.id, point.name, point.type, point.unit, point.poll_s, point.heartbeat_s, spec, dict(point.states)


def test_3_an_exported_list_can_be_referred_to(folder: Path) -> None:
    """It says all that has to be said: every device of the example hospital comes back with the same points."""
    before = devices(load(EXAMPLES, protocols()))
    for name in ("gateway.yaml", "lines.yaml"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    for name in before:
        table = folder / "points" / f"{name}.csv"
        assert main(["export", "csv", name, "--config", str(EXAMPLES), "--to", str(table)]) == 0
    content = {"devices": {name: rewritten(device) for name, device in before.items()}}
    (folder / "devices" / "plant.yaml").write_text(flow_text(content), encoding="utf-8")
    after = devices(load(folder, protocols()))
    assert {name: list(map(told, device.all_points)) for name, device in after.items()} == {
        name: list(map(told, device.all_points)) for name, device in before.items()
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_list_that_may_not_be_read_says_so(folder: Path) -> None:
    """With what to do."""
    (folder / "points" / "chiller.csv").chmod(0)
    assert "cannot be read: Permission denied; make it a file" in refusal(folder)
