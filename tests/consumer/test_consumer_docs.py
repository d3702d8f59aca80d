"""What docs/consume.md says of the receiver that comes along."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from consumer_peer import BASE, mark, record, watermark

from agent.events import COMMANDS, CommandCode, Missing, StreamMark
from consumer.report import Completeness

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "consume.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_code_for_a_platform_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands there, on a gap and a double."""
    (code,) = re.findall(r"^```python consumer\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    payloads = [record("alarm", 1), record("alarm", 1), record("alarm", 3), watermark(mark("alarm", 3))]
    exec(compile(code, "consume.md", "exec"), {"messages": [(BASE + "alarm/red/x/y", payload) for payload in payloads]})
    assert capsys.readouterr().out.splitlines() == [
        "new gw-1-e1-alarm-0000000000000001",
        "new gw-1-e1-alarm-0000000000000003",
        "GAPS",
    ]


def test_every_field_code_verb_and_verdict_is_explained() -> None:
    """And nothing that there is not."""
    fields = set(re.findall(r"^\| `(\w+)` \|", section("What is complete"), re.MULTILINE))
    assert fields == set(StreamMark.__struct_fields__) - {"stream", "epoch"}
    assert all(f"`{field}`" in section("What is complete") for field in set(Missing.__struct_fields__) - {"reason"})
    commands = section("Commands")
    codes = [row.split("|")[1] for row in commands.splitlines() if row.startswith("| `")]
    assert {code for cell in codes for code in re.findall(r"`([\w-]+)`", cell)} == {*COMMANDS, *get_args(CommandCode)}
    verdicts = re.findall(r"^\| `([A-Z]+)` \|", section("The receiver that comes along"), re.MULTILINE)
    assert set(verdicts) == set(get_args(Completeness))
