"""What people read in Chinese: refusals, mistakes, reasons; and what a maintenance hides, in one line."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from fake_desk import alarm, status

import agent.rules
from agent.cli.alarms import alarm_table
from agent.cli.app import main
from agent.cli.words import CHINESE, Words
from agent.events import OverlayInfo
from agent.language.sentences import chinese
from agent.uplink.uplink import State
from drivers.contract import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.events import AlarmState
    from agent.status import AlarmView

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases"
CODINGS = ROOT / "drivers" / "modbus" / "codings.py"
HAN = re.compile("[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}")
"""Three words in a row are a sentence that nobody has translated."""
VERB = re.compile("`[^`]*`")


USAGE = {
    "stauts --lang zh": "没有子命令 'stauts'，是不是 'status'；参见 `wardgate --help`",
    "status --jsn --lang zh": "没有选项 --jsn（相近的有：--json）；参见 `wardgate status --help`",
    "check a b --lang zh": "多余的参数（b）；参见 `wardgate check --help`",
    "check a --lang zh": "参数不对：指明文件时要加 --rule-tests；参见 `wardgate check --help`",
    "alarms ack --lang zh": "缺少参数 'ID'；参见 `wardgate alarms ack --help`",
    "journal tail --lang zh --for": "没有选项 --lang；参见 `wardgate journal tail --help`",
}


def mistakes() -> Iterator[str]:
    """Every part of every mistake that the cases show, without its place."""
    for file in (*CASES.glob("config/*/expected.txt"), *CASES.glob("rule-tests/*/expected.txt")):
        for line in file.read_text(encoding="utf-8").splitlines():
            said, *hints = line.partition(": ")[2].split("; ")
            field = re.match(r"[\w.\-/#() \uff1a]+: ", said)
            yield from (said[field.end() :] if field else said, *hints)


def refusals() -> Iterator[str]:
    """Every sentence with which the rules refuse an order, with something in each of its holes."""
    for file in Path(agent.rules.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                said = node.args[0]
                parts = said.values if isinstance(said, ast.JoinedStr) else [said]
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


def lists() -> Iterator[str]:
    """Every sentence about a list of points: in the code, with something in each hole, and as the cases show them."""
    for file in (*ROOT.glob("config/pointlist/*.py"), *ROOT.glob("drivers/*/pointlist.py"), CODINGS):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Refused", "SheetUnreadable"}:
                for said in node.args[:2]:
                    yield from "".join(written(said)).split("; ")
    for file in CASES.glob("pointlists/*/said"):
        for line in file.read_text(encoding="utf-8").splitlines():
            told = re.fullmatch(r"(?:- |list\.csv:\d+(?::[A-Z])?: (?:[^ :]+: )?|wardgate: list\.csv: )(.+)", line)
            yield from told[1].split("; ") if told else ()


def written(said: ast.expr) -> Iterator[str]:
    """A text with its holes filled; nothing where it is made elsewhere."""
    parts = said.values if isinstance(said, ast.JoinedStr) else [said] if isinstance(said, ast.Constant) else []
    yield from (str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


def orders() -> Iterator[str]:
    """Every sentence with which the command line, and the daemon behind it, refuse what they are asked for."""
    names = {"BadParameter", "NotDone", "UnknownName", "ControlError", "DaemonUnreachable", "DaemonAbsent", "Refusal"}
    for file in (ROOT / "agent").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in names:
                for said in node.args[:2]:
                    yield from (
                        part for part in "".join(written(said)).split("; ") if re.search(r"(?<![-\w])[a-z]{2}", part)
                    )


def warnings() -> Iterator[str]:
    """Every warning about a configuration, with something in each of its holes, and what to write instead."""
    for file in (ROOT / "config").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"warn", "look_for"}:
                yield from ("".join(written(said)) for said in node.args[2:])


@pytest.mark.parametrize("source", [mistakes, refusals, lists, orders, warnings])
def test_each_mistake_and_each_refusal_is_told_in_chinese(source: object) -> None:
    """Nothing of it is left in English but names, and what has to be written."""
    found = list(filter(None, source()))  # type: ignore[operator]  # one of those above
    left = {said for said in found if not HAN.search(chinese(said)) or ENGLISH.search(VERB.sub("", chinese(said)))}
    assert len(found) > 15
    assert left == set()


def test_each_reason_of_a_quality_is_told_in_chinese() -> None:
    """In every table of values."""
    assert set(get_args(Reason)) - {"ok"} <= CHINESE.keys()


def test_an_uplink_that_waits_for_its_broker_is_not_taken_for_records_that_wait() -> None:
    """Its state has a word of its own, beside the heading of what it has still to send."""
    say = Words("zh")
    assert (say("waiting"), say("to send")) == ("等待重连", "待发")
    assert set(get_args(State)) <= CHINESE.keys()


def test_what_is_put_into_a_sentence_keeps_its_place() -> None:
    """Also where Chinese wants another order, and where it holds a sentence of its own."""
    assert chinese("found 'u', no point of a-1; did you mean run?") == "写的是 'u'，a-1 没有这个点；是不是 run？"
    assert chinese("uplink main has 'x/y' at 127.0.0.1:1883 already") == "上行 main 已在 127.0.0.1:1883 使用 'x/y'"
    assert chinese("nobody has translated this") == "nobody has translated this"


def test_an_error_is_in_the_language_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the configuration, and of a daemon that is not there."""
    assert main(["check", "--lang", "zh", "--config", str(tmp_path / "none")]) == 1
    assert "没有这个目录；请指明含 gateway.yaml 的目录" in capsys.readouterr().err
    for arguments in (["--lang", "zh"], ["--lang=zh"]):
        assert main(["status", *arguments, "--socket", str(tmp_path / "none.sock")]) == 3
        assert "上没有 wardgate 在运行" in capsys.readouterr().err
    for typed, told in USAGE.items():
        assert main(typed.split()) == 2
        assert capsys.readouterr().err == f"wardgate: {told}\n"
    assert main(["status", "--lang=en", "--socket", str(tmp_path / "none.sock")]) == 3
    assert "no wardgate daemon answers" in capsys.readouterr().err


def maintained(name: str, state: AlarmState) -> AlarmView:
    info = OverlayInfo(
        overlay="DSUPR",
        by="maintenance/1",
        reason="new meter",
        since="2026-11-21T03:00:00.000Z",
        until="2026-11-21T09:00:00.000Z",
    )
    return msgspec.structs.replace(
        alarm(state), alarm_id=name, hidden=True, overlay=["DSUPR"], overlay_info=[info], test=False
    )


def test_7_what_a_maintenance_hides_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With how many of them stand; `--all` shows each, and a shelved one is shown in any case."""
    hidden = [maintained("pwr.lv/m1/u#a", "NORM"), maintained("pwr.lv/m1/u#b", "UNACK")]
    shelved = msgspec.structs.replace(alarm(), alarm_id="or/or-1/t#c", hidden=True, overlay=["SHLVD"])
    now = msgspec.structs.replace(status(), alarms=[*hidden, shelved])
    alarm_table(now, Words("zh"))
    said = capsys.readouterr().out
    assert ("maintenance/1" in said, "隐藏2条，其中1条处于报警; new meter" in said, "or/or-1/t#c" in said) == (
        True,
    ) * 3
    assert "pwr.lv/m1/u#a" not in said
    alarm_table(now, Words("en"), each=True)
    said = capsys.readouterr().out
    assert all(name in said for name in ("pwr.lv/m1/u#a", "pwr.lv/m1/u#b", "or/or-1/t#c"))
    assert "hidden" not in said


def test_3_an_alarm_of_a_sensor_beyond_its_range_says_on_which_side(capsys: pytest.CaptureFixture[str]) -> None:
    """In place of the value that nobody knows."""
    over = msgspec.structs.replace(alarm(), value=None, q="uncertain", qr="over_range")
    alarm_table(msgspec.structs.replace(status(), alarms=[over]), Words("zh"))
    assert "超出量程上限" in capsys.readouterr().out


def test_what_is_wrong_with_a_line_a_device_and_an_uplink_is_told_in_chinese() -> None:
    """The errors of every day, with what to do."""
    said = {
        "127.0.0.1:1502 unit 3: no answer (timeout, timeout 1 s); check its power and network": (
            "127.0.0.1:1502 unit 3：无应答（超时，超时1秒）；检查设备电源和网络"
        ),
        "3 points bad": "3个点无效",
        "unsynced for 10 min": "从未同步，已10分钟",
        "7 records so far": "至今7条记录",
        "no answer within 2 s": "2秒内无应答",
        "broker.h01 refuses connections on port 1883; check that the broker runs there, and the port": (
            "broker.h01 的端口 1883 拒绝连接；检查代理是否在该处运行，以及端口"
        ),
    }
    assert {text: chinese(text) for text in said} == said
