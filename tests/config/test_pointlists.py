"""`wardgate import csv` and `export csv`: lists as they come, what was understood of them, and what was not taken.

`tests/cases/pointlists/` has a folder for each: the list, the arguments, what was said, and the device file that came.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli.app import main
from config.document import Document
from config.load import load
from config.pointlist.cells import Cells, Refused
from config.pointlist.sheet import SheetUnreadable
from config.pointlist.spelling import unit
from config.pointlist.take import Site, Wish, take
from config.pointlist.written import device_file
from drivers import registry
from drivers.modbus.codings import coding

if TYPE_CHECKING:
    from config.model import Point

CASES = sorted((Path(__file__).parents[1] / "cases" / "pointlists").iterdir())
EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
GATEWAY = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: [mqtt://127.0.0.1]}}\n"
LINES = """\
lines:
  mb-1: {protocol: modbus, host: 10.0.0.1}
  bac: {protocol: bacnet, bind: 10.0.0.2/24}
  ua: {protocol: opcua, url: "opc.tcp://10.0.0.3:4840", security: none}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "gateway.yaml").write_text(GATEWAY)
    (folder / "lines.yaml").write_text(LINES)
    return folder


def said_of(case: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What a person reads, and the device file; empty where none was written."""
    target = config / "devices" / "list.yaml"
    arguments = shlex.split((case / "arguments").read_text(encoding="utf-8"))
    code = main(["import", "csv", str(case / "list.csv"), "--config", str(config), "--lang", "en", *arguments])
    said = capsys.readouterr()
    told = f"{said.out}{said.err}exit code {code}\n".replace(str(config), "CONFIG").replace(f"{case}/", "")
    return told, target.read_text(encoding="utf-8") if target.exists() else ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_list_gives_the_device_file_and_the_words_beside_it(
    case: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row is taken as it is meant, or refused with its row and column; nothing is guessed."""
    said, written = said_of(case, config, capsys)
    expected = case / "devices.yaml"
    assert said == (case / "said").read_text(encoding="utf-8")
    assert written == (expected.read_text(encoding="utf-8") if expected.exists() else "")


def as_excel_saves(text: str, encoding: str, delimiter: str) -> bytes:
    return text.replace(",", delimiter).replace("\n", "\r\n").encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_how_the_list_was_saved_does_not_matter(tmp_path: Path, config: Path, encoding: str, delimiter: str) -> None:
    """Encodings, delimiters and line ends of Excel in China and Europe."""
    file = tmp_path / "list.csv"
    file.write_bytes(as_excel_saves("名称,地址,类型,单位\n温度,40001,i16,℃\n", encoding, delimiter))
    words = ["--config", str(config), "--line", "mb-1", "--system", "energy", "--device", "m-1"]
    assert main(["import", "csv", str(file), *words]) == 0
    ((device,),) = [line.devices for line in load(config, registry.protocols()).lines if line.devices]
    ((point,),) = [device.points]
    assert (point.name.zh, point.unit, point.spec.where) == ("温度", "Cel", "holding 0 i16")


def test_a_workbook_and_other_files_are_refused_in_a_sentence(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to save instead; a file in Windows-1252 is read as that."""
    file = tmp_path / "list.xlsx"
    for content, said in ((b"PK\x03\x04...", "this is a workbook"), (b"\xff\xff\x00\x00", "neither UTF-8 nor GB18030")):
        file.write_bytes(content)
        assert main(["import", "csv", str(file), "--config", str(config), "--line", "mb-1"]) == 1
        assert said in capsys.readouterr().err
    file.write_bytes("name,register (0-based),type,table,unit\nt,1,i16,3x,°C\n".encode("cp1252"))
    words = ["--line", "mb-1", "--system", "energy", "--device", "m-1", "--dry-run"]
    assert main(["import", "csv", str(file), "--config", str(config), *words]) == 0
    assert "Windows-1252" in capsys.readouterr().out
    assert not (config / "devices").exists()


def test_a_device_file_is_replaced_only_when_that_is_wanted(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody may have worked on it since."""
    file = tmp_path / "list.csv"
    file.write_text("name,register (0-based),type,table\nt,1,i16,3x\n")
    words = ["import", "csv", str(file), "--config", str(config), "--line", "mb-1", "--system", "energy"]
    words += ["--device", "m-1"]
    assert main(words) == 0
    assert main(words) == 1
    assert "--replace" in capsys.readouterr().err
    assert main([*words, "--replace"]) == 0


def told(point: Point) -> tuple[object, ...]:
    """All that a point is, but for where it was written."""
    spec = point.spec.model_dump(exclude={"name", "source", "poll"})
    return (point.id, point.name, point.type, point.unit, point.poll_s, point.heartbeat_s, spec, point.states)


def test_what_is_exported_comes_back_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every point of the example hospital, on three protocols, with profiles, computed points and own intervals."""
    first, second = tmp_path / "a", tmp_path / "b"
    shutil.copytree(EXAMPLES, first, ignore=shutil.ignore_patterns("__init__.py"))
    extra = """\
devices:
  odd:
    line: lv-meter
    system: energy
    address: {unit: 9, forbidden: [[20, 30]], gap: 50ms}
    name: "=1+1"
    poll: {C: 5s}
    points:
      a: {register: 40001, type: i32, order: DCBA, scale: 2^-5, offset: -3, poll: C, heartbeat: 1min, deadband: 0.25}
      b: {register: 3, type: bit, bit: 10, bits: 2, value: enum, states: {0: "off, or not", 1: "on; hot", 2: "=x"}}
      c: {register: 4, sentinels: {65535: sensor_fault}, factor: {register: 9, kind: times}, low: -1, high: 1e6}
      d: {register: 10, type: string, length: 4, name: "-5"}
      e: {table: coil, register: 65535}
      f: {derived: {run_hours: e}}
      g: {register: 12, type: u32, rollover: 1000000, unit: kW.h, poll: 750ms}
"""
    (first / "devices" / "odd.yaml").write_text(extra, encoding="utf-8")
    second.mkdir()
    for name in ("gateway.yaml", "lines.yaml"):
        shutil.copy(first / name, second)
    file = tmp_path / "all.csv"
    assert main(["export", "csv", "--config", str(first), "--to", str(file)]) == 0
    assert main(["import", "csv", str(file), "--config", str(second)]) == 0, capsys.readouterr().err
    before, after = (load(folder, registry.protocols()) for folder in (first, second))
    devices = {device.id: device for device in after.devices}
    assert devices.keys() == {device.id for device in before.devices}
    for device in before.devices:
        other = devices[device.id]
        assert (other.name, other.line, other.system, other.place) == (
            device.name,
            device.line,
            device.system,
            device.place,
        )
        assert other.address == device.address
        assert list(map(told, other.all_points)) == list(map(told, device.all_points))


def test_export_shows_the_devices_that_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, with a mark for Excel; an unknown device is a usage error."""
    assert main(["export", "csv", "lv-main", "--config", str(EXAMPLES)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("\ufeffdevice,")
    assert {row.partition(",")[0] for row in rows[1:]} == {"lv-main"}
    assert main(["export", "csv", "lv-mian", "--config", str(EXAMPLES)]) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((text, "u16") for text in ("UINT16", "Unsigned 16", "WORD", "ushort", "无符号16位整数", "16位无符号")),
        *((text, "i16") for text in ("INT", "int16", "SHORT", "有符号16位", "Signed-16", "s16")),
        *((text, "u32") for text in ("DWORD", "UDINT", "unsigned long", "无符号32位", "UINT32")),
        *((text, "i32") for text in ("DINT", "LONG", "32位有符号整数", "int32_t")),
        *((text, "f32") for text in ("FLOAT", "REAL", "Float32", "浮点数", "IEEE754", "单精度浮点", "32-bit float")),
        *((text, "f64") for text in ("DOUBLE", "LREAL", "双精度")),
    ],
)
def test_types_in_every_spelling(written: str, meant: str) -> None:
    """What engineers write."""
    found = coding(Cells(1, {"type": written}, 1), bit=False, table="holding", span=None)
    assert found.get("type", "u16") == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("℃", "Cel"),
        ("kWh", "kW.h"),
        ("KPa", "kPa"),
        ("Mpa", "MPa"),
        ("m³/h", "m3/h"),
        ("\uff05", "%"),
        ("kvar", "kV.A{r}"),
    ],
)
def test_units_in_every_spelling(written: str, meant: str) -> None:
    """To UCUM."""
    assert unit(written) == (meant, True)


def test_a_unit_that_may_be_two_is_left_as_it_is() -> None:
    """MV: millivolts in capitals, or megavolts? 度: degrees, or kilowatt hours?"""
    assert (unit("MV"), unit("度")) == (("MV", False), ("度", False))


SITE = Site(
    {"mb": "modbus", "bac": "bacnet", "ua": "opcua"},
    registry.protocols(),
    {name: registry.listing(name) for name in registry.protocols()},
)
CELLS = st.sampled_from(
    ["", "名称", "地址", "类型", "功能码", "40001", "0x10", "100.3", "3", "u16", "BOOL", "{", "{1: 2}", "0=a;1=b",
     "1,5", "'x", "AI 1", "ns=1;i=2", "节点ID", "对象", "设备", "m-1", "mb", "bac", "ua", "line", "#N/A", "-", "1e400",
     "\uff19", "\x85", "derived"]
)  # fmt: skip


@pytest.mark.parametrize("name", ["\U00018d09", "\x85", "\u2028", "a\tb", "\x00", "电压 \U0001f50c", 'a "b" \\'])
def test_any_name_is_written_as_it_is_read(name: str) -> None:
    """Also signs of no font, and what YAML would take for the end of a line."""
    devices = {"m-1": {"line": "mb", "points": {"u": {"name": name}}}}
    document = Document("x.yaml", device_file([], devices).encode())
    assert document.problems == []
    assert document.data == {"devices": devices}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(CELLS | st.text(max_size=6), min_size=1, max_size=8), max_size=8),
    st.sampled_from(["mb", "bac", "ua", None]),
)
def test_no_list_breaks_it_and_what_it_writes_can_be_read(rows: list[list[str]], line: str | None) -> None:
    """Whatever is in the cells: a sentence, or a device file that says the same."""
    content = "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows)
    constants = {"device": "m-1", "system": "energy", **({"line": line} if line else {})}
    try:
        taken = take(content.encode("utf-8", "surrogatepass"), SITE, Wish(constants))
    except (Refused, SheetUnreadable):
        return
    document = Document("x.yaml", device_file(["x"], taken.devices).encode())
    assert document.problems == []
    assert document.data == {"devices": taken.devices or None}
