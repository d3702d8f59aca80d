"""Recorded input from files, and `wardgate backtest` as it is typed."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from backtest_site import BEGAN, batch, state

from agent.backtest.recorded import Unusable, of_file
from agent.cli.app import main
from agent.clock import ManualClock
from agent.epoch import first_records
from agent.events import rfc3339
from agent.history import LATE_S_MAX
from buffer.journal import Journal
from buffer.retention import Limits

BASE = Path(__file__).parents[1] / "cases" / "config" / "base"
KINDS = {("d", "n"): "number", ("d", "i"): "integer", ("d", "b"): "bool", ("d", "e"): "enum", ("d", "s"): "string"}
ALL = -1e12, 1e12


def read(path: Path) -> list[tuple[float, str, object]]:
    items = of_file(path, *ALL, KINDS, "Asia/Shanghai")  # type: ignore[arg-type]  # the names are kinds
    return [
        (time_s, device, said if isinstance(said, str) else [(told.p, told.v, told.q) for told in said])
        for time_s, _, device, said in items
    ]


def test_rows_of_csv(tmp_path: Path) -> None:
    """Values by the type of their point, times in any form, what one device said at once as one."""
    path = tmp_path / "day.csv"
    path.write_text(
        "\ufefftime,device,point,value,quality\n"
        "2026-11-21T10:00:00Z,d,n,1.5,\n"
        "2026-11-21T10:00:00Z,d,i,3,good\n"
        "2026-11-21T18:00:01,d,b,TRUE,\n"
        "1795255202,d,e,open,uncertain\n"
        "1795255202,other,s,,\n"
        "1795255203,d,n,,bad\n",
        encoding="utf-8",
    )
    assert read(path) == [
        (1795255200.0, "d", [("n", 1.5, "good"), ("i", 3, "good")]),
        (1795255201.0, "d", [("b", True, "good")]),
        (1795255202.0, "d", [("e", "open", "uncertain")]),
        (1795255202.0, "other", [("s", None, "bad")]),
        (1795255203.0, "d", [("n", None, "bad")]),
    ]


def test_rows_of_json_lines(tmp_path: Path) -> None:
    """The same without a guess at types."""
    path = tmp_path / "day.jsonl"
    rows = [
        {"time": "2026-11-21T10:00:00Z", "device": "d", "point": "n", "value": 1.5},
        {
            "time": 1795255201,
            "device": "d",
            "point": "b",
            "value": True,
            "quality": "uncertain",
            "reason": "last_known",
        },
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    assert read(path) == [(1795255200.0, "d", [("n", 1.5, "good")]), (1795255201.0, "d", [("b", True, "uncertain")])]


def test_the_reason_of_a_quality_is_kept(tmp_path: Path) -> None:
    """It says whether a value that is not good may be judged, and on which side of its range a sensor is."""
    path = tmp_path / "day.csv"
    path.write_text(
        "time,device,point,value,quality,reason\n1,d,n,,uncertain,over_range\n2,d,n,3,,\n", encoding="utf-8"
    )
    items = of_file(path, *ALL, KINDS, "Asia/Shanghai")  # type: ignore[arg-type]  # the names are kinds
    told = [one for *_, said in items if isinstance(said, list) for one in said]
    assert [one.qr for one in told] == ["over_range", "ok"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "when,what\n", r"a\.csv:1: the first line names no columns"),
        ("a.csv", "time,device,point,value\nsoon,d,n,1\n", r"a\.csv:2: .*soon.*; write time,device"),
        ("a.csv", "time,device,point,value\n1,d,n,much\n", r"a\.csv:2: .*much"),
        ("a.csv", "time,device,point,value\n1,d,b,perhaps\n", r"a\.csv:2: 'perhaps' is neither true nor false"),
        ("a.csv", "time,device,point,value,quality\n1,d,n,1,fine\n", r"'fine' is no quality"),
        (
            "a.csv",
            "time,device,point,value,quality,reason\n1,d,n,,uncertain,over\n",
            r"'over' is no reason; there are ok, ",
        ),
        ("a.csv", "time,device,point,value\n1,d\n", r"a\.csv:2: "),
        ("a.jsonl", '{"time": 1, "device": "d", "point": "n"}\n', r"a\.jsonl:1: .*value.*; write \{"),
        ("a.jsonl", "dear diary\n", r"a\.jsonl:1: "),
        ("a.jsonl", '{"time": "x", "device": "d", "point": "n", "value": 1}\n', r"a\.jsonl:1: "),
        ("a.csv", "time,device,point,value\n5000,d,n,1\n9000,d,n,1\n10,d,n,2\n", r"time goes back by more than 700 s"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    """And with what to write instead."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Unusable, match=said):
        read(path)


def test_a_little_disorder_is_put_in_order(tmp_path: Path) -> None:
    """As much as an export has."""
    path = tmp_path / "day.csv"
    path.write_text(f"time,device,point,value\n{LATE_S_MAX},d,n,2\n1,d,n,1\n")
    assert [time_s for time_s, *_ in read(path)] == [1.0, LATE_S_MAX]


DEVICE = """
devices:
  or-1:
    line: meters
    system: or
    points:
      t: {{register: 0, unit: Cel}}
    alarms:
      warm: {{point: t, limit: {{H: {limit}}}, colour: red}}
      gone: {{offline: true, colour: red}}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Two configurations and a journal: 20 until 100 s, 32 for 50 s, 20 again; the device was away for 30 s."""
    for name, limit in (("now", 30), ("new", 35)):
        shutil.copytree(BASE, tmp_path / name)
        (tmp_path / name / "devices" / "more.yaml").unlink()
        (tmp_path / name / "devices" / "meter.yaml").write_text(DEVICE.format(limit=limit))
        gateway = tmp_path / name / "gateway.yaml"
        # A socket of its own: where this runs a gateway may be installed, which would answer for its own journal.
        gateway.write_text(gateway.read_text() + "\njournal: {path: ../journal}\ncontrol_socket: ./control.sock\n")
    (tmp_path / "journal").mkdir()
    asyncio.run(fill(tmp_path / "journal"))
    return tmp_path


async def fill(folder: Path) -> None:
    clock = ManualClock(BEGAN)
    journal = await Journal.open(folder, Limits(2**26, 1e9), wall=clock.wall, begin=first_records(clock))
    for at in range(200):
        journal.append([batch(at, 32.0 if 100 <= at < 150 else 20.0)])
    journal.append([state(0, "online")])
    journal.append([state(160, "offline")])
    journal.append([state(190, "online")])
    await journal.close()


TIMES = ["--from", rfc3339(BEGAN), "--to", rfc3339(BEGAN + 3600)]


def run(here: Path, *arguments: str) -> int:
    return main(["backtest", "--rules", str(here / "new"), "--config", str(here / "now"), *arguments])


def test_12_backtest_over_the_journal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What vanishes as a table, with the resolution of the input; in both languages."""
    assert run(here, *TIMES, "--lang", "en") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("1 points, 200 samples")
    assert lines[1].startswith("resolution: 1 s (1 … 1 s); what was shorter than that may be missing")
    assert lines[3].split()[:3] == ["vanishes", "or/or-1/t#warm", "red"]
    assert lines[-1] == "0 appears, 1 vanishes, 0 moves, 1 stays"
    assert run(here, *TIMES, "--lang", "zh") == 0
    assert "分辨率" in capsys.readouterr().out


def test_12_backtest_gives_the_same_over_every_form_of_its_input(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal, a copy of it, and both exports; byte for byte the same changes."""
    config = ["--config", str(here / "now")]
    assert main(["journal", "backup", str(here / "copy.db"), *config]) == 0
    for form in ("jsonl", "csv"):
        capsys.readouterr()
        assert main(["journal", "export", "--format", form, *TIMES, *config]) == 0
        (here / f"day.{form}").write_text(capsys.readouterr().out)
    found = []
    for arguments in (TIMES, *(["--input", str(here / name)] for name in ("copy.db", "day.jsonl", "day.csv"))):
        assert run(here, *arguments, *(TIMES if arguments[-1].endswith(".db") else ()), "--json") == 0
        found.append(capsys.readouterr().out)
    assert found == [found[0]] * 4
    assert json.loads(found[0])["counts"] == {"appears": 0, "vanishes": 1, "moves": 0, "stays": 1}


def test_a_point_that_the_other_rules_lack(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its alarms vanish, and it is told that the input has a point that these rules do not know."""
    meter = here / "new" / "devices" / "meter.yaml"
    meter.write_text(meter.read_text().replace("t: {register", "x: {register").replace("point: t", "point: x"))
    (here / "day.csv").write_text("time,device,point,value\n1,or-1,t,20\n2,or-1,t,32\n3,or-1,t,20\n")
    assert run(here, "--input", str(here / "day.csv"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["change"], one["alarm_id"]) for one in found["changes"]] == [("vanishes", "or/or-1/t#warm")]
    assert (found["input"]["missing"], found["input"]["unknown"]) == (["or-1/x"], ["or-1/t"])


def test_what_keeps_a_backtest_from_running(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One reason with the next step, exit code 1."""
    assert run(here, "--input", str(here / "nowhere.csv")) == 1
    assert "name another --input" in capsys.readouterr().err
    assert run(here, "--from", "1h") == 1
    assert "look at --from and --to" in capsys.readouterr().err
    (here / "new" / "devices" / "meter.yaml").write_text(DEVICE.format(limit="hot"))
    assert run(here, *TIMES) == 1
    assert "devices/meter.yaml:9" in capsys.readouterr().err
