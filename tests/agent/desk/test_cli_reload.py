"""`wardgate reload` and `wardgate config rollback`: what they say and do, against a desk that only listens."""

from __future__ import annotations

import asyncio
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from fake_desk import FakeDesk

from agent.cli.app import main
from agent.control.client import Client, NotDone
from agent.control.server import serve
from config.kept import keep
from config.put_back import own_files, put_back

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = b"site: h01\ngateway: gw-1\nstate: ./state\ncontrol_socket: ./control.sock\nuplinks: {}\n"
LINES = b"lines: {}\n"
VERSION = "c-0000000a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What ran had two files; by now there is one more, and a note that is not of the configuration."""
    keep(tmp_path / "state", {"gateway.yaml": GATEWAY, "lines.yaml": LINES}, VERSION, 1_700_000_000.0, "wardgate")
    (tmp_path / "gateway.yaml").write_bytes(GATEWAY)
    (tmp_path / "gateway.yaml").chmod(0o640)
    (tmp_path / "lines.yaml").write_text("nonsense: true\n", encoding="utf-8")
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "new.yaml").write_text("devices: {}\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("keep me\n", encoding="utf-8")
    return tmp_path


async def run(desk: FakeDesk, folder: Path, *verb: str) -> int:
    """One verb against a desk on this configuration's socket."""
    async with serve(desk, folder / "control.sock", {}):
        return await asyncio.to_thread(main, [*verb, "--config", str(folder)])


async def test_3_reload_tells_what_was_done_to_which_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, and as a type whose shape is a promise; with the reason that was given."""
    desk = FakeDesk()
    assert await run(desk, folder, "reload", "--reason", "order 4711", "--lang", "zh") == 0
    assert capsys.readouterr().out.splitlines() == [
        "c-1 → c-2",
        "线路 已打开: l3",
        "线路 已重新打开: l2",
        "线路 未受影响: l1",
        "报警 删除: pwr.lv/m1/u#level",
    ]
    assert await run(desk, folder, "reload", "--json") == 0
    assert json.loads(capsys.readouterr().out)["renewed"] == ["l2"]
    assert [said.partition(": ")[2] for said in desk.asked] == ["order 4711", ""]


async def test_3_a_refused_reload_says_every_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One on each line, and that nothing has changed."""
    assert await run(FakeDesk(), folder, "reload", "--reason", "broken", "--lang", "en") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "wardgate: devices/x.yaml:3:5: line: missing"
    assert second == "devices/x.yaml:4:5: unit: unknown key; nothing has changed"
    async with serve(FakeDesk(), folder / "control.sock", {}):
        with pytest.raises(NotDone, match="nothing has changed"):
            await asyncio.to_thread(Client(folder / "control.sock").reload, "broken")


async def test_3_a_refused_reload_says_it_in_chinese_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake at its place."""
    assert await run(FakeDesk(), folder, "reload", "--reason", "broken", "--lang", "zh") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "wardgate: devices/x.yaml:3:5: line: 缺少"
    assert second == "devices/x.yaml:4:5: unit: 没有这个键；未作任何更改"


async def test_3_a_rollback_puts_the_files_back_and_reloads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them and no others, with their rights; what was there is kept, and the daemon hears why."""
    desk = FakeDesk()
    before = own_files(folder)
    assert await run(desk, folder, "config", "rollback", "1", "--reason", "night shift", "--lang", "en") == 0
    assert own_files(folder) == {"gateway.yaml": GATEWAY, "lines.yaml": LINES}
    assert (folder / "gateway.yaml").stat().st_mode & 0o777 == 0o640
    assert (folder / "notes.txt").exists()
    with zipfile.ZipFile(folder / "before-rollback-1.zip") as saved:
        assert {name: saved.read(name) for name in saved.namelist()} == before
    assert [said.partition(": ")[2] for said in desk.asked] == [f"rollback to 1 ({VERSION}), night shift"]
    assert "what was there is in" in capsys.readouterr().out


def test_3_a_rollback_without_a_daemon_waits_for_its_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And one more of them does not overwrite what the first had kept."""
    for _ in range(2):
        assert main(["config", "rollback", VERSION, "--config", str(folder), "--lang", "en"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "no daemon runs: the next start takes it over"
    assert {path.name for path in folder.glob("*.zip")} == {"before-rollback-1.zip", "before-rollback-2.zip"}


def test_3_what_is_not_valid_any_more_is_not_put_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is as it was, to the last file."""
    keep(folder / "state", {"gateway.yaml": b"site: h01\n", "lines.yaml": LINES}, "c-0000000b", 1_700_000_001.0, "li")
    before = own_files(folder)
    assert main(["config", "rollback", "2", "--config", str(folder)]) == 1
    assert "it is not valid any more: gateway.yaml:1:1: gateway: missing" in capsys.readouterr().err
    assert own_files(folder) == before
    assert list(folder.glob("*.zip")) == []


def test_a_file_that_cannot_be_written_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one line with what to do."""
    (folder / "lines.yaml").unlink()
    (folder / "lines.yaml").mkdir()
    assert main(["config", "rollback", "1", "--config", str(folder)]) == 1
    assert "use sudo" in capsys.readouterr().err


def test_putting_back_makes_the_folders_that_are_missing(folder: Path) -> None:
    """A configuration that had profiles has them again."""
    put_back(folder, {"gateway.yaml": GATEWAY, "profiles/p.yaml": b"protocol: modbus\n"})
    assert own_files(folder) == {"gateway.yaml": GATEWAY, "profiles/p.yaml": b"protocol: modbus\n"}
    assert (folder / "profiles" / "p.yaml").stat().st_mode & 0o777 == 0o640
