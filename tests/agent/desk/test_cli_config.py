"""`wardgate config`: the configurations that ran, with or without a daemon, and whatever is in the folder by now."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from agent.cli.app import main
from config.kept import FOLDER, keep

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "c-0000000a", "c-0000000b"
GATEWAY = "site: h01\ngateway: gw-1\nstate: state\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two have run: an older one, and one that another person brought."""
    (tmp_path / "gateway.yaml").write_text(f"{GATEWAY}nonsense: true\n", encoding="utf-8")
    files = {
        "gateway.yaml": GATEWAY.encode(),
        "lines.yaml": b"lines: {}\n",
        "(shipped) profiles/p.yaml": b"protocol: x\n",
    }
    keep(tmp_path / "state", files, OLD, 1_700_000_000.0, "wardgate")
    keep(tmp_path / "state", files | {"lines.yaml": "lines: {一: {}}".encode()}, NEW, 1_700_000_100.0, "李娜")
    return tmp_path


def test_history_tells_since_when_and_by_whom(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest last, although the configuration in the folder is wrong by now."""
    assert main(["config", "history", "--config", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"number": 1, "version": OLD, "since": "2023-11-14T22:13:20.000Z", "by": "wardgate"},
        {"number": 2, "version": NEW, "since": "2023-11-14T22:15:00.000Z", "by": "李娜"},
    ]
    assert main(["config", "history", "--config", str(folder), "--lang", "zh"]) == 0
    headings, first, second = capsys.readouterr().out.splitlines()
    assert headings.split() == ["序号", "版本", "开始", "操作人"]
    assert (first.split()[:2], second.split()[-1]) == (["1", OLD], "李娜")


def test_nothing_has_run_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is an answer."""
    (tmp_path / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    assert main(["config", "history", "--config", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("which", ["2", NEW])
def test_the_files_of_one_are_shown(folder: Path, which: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By number or version; one's own files, each under its name."""
    assert main(["config", "show", which, "--config", str(folder)]) == 0
    assert capsys.readouterr().out == f"# gateway.yaml\n{GATEWAY}# lines.yaml\nlines: {{一: {{}}}}\n"
    assert main(["config", "show", which, "--config", str(folder), "--json"]) == 0
    view = json.loads(capsys.readouterr().out)
    assert (view["number"], view["files"]) == (2, {"gateway.yaml": GATEWAY, "lines.yaml": "lines: {一: {}}"})


def test_a_single_file_is_shown_as_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing else, so that it can be put back; also one that came with the product."""
    for name, text in (("lines.yaml", "lines: {}\n"), ("(shipped) profiles/p.yaml", "protocol: x\n")):
        assert main(["config", "show", "1", name, "--config", str(folder)]) == 0
        assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["7"], "no configuration '7' is kept; see `wardgate config history`"), (["1", "x.yaml"], "has no file 'x.yaml'")],
)
def test_what_is_not_kept_is_unknown(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with where to look."""
    assert main(["config", "show", *arguments, "--config", str(folder)]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_one_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed while its end is whole, and says what is wrong when its files are asked for."""
    path = next((folder / "state" / FOLDER).glob("000001-*"))
    content = path.read_bytes()
    path.write_bytes(b"\0\0" + content[2:])
    assert main(["config", "show", "1", "--config", str(folder)]) == 1
    assert "000001" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_who_may_not_see_them_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They may hold what not everybody should read."""
    (folder / "state" / FOLDER).chmod(0)
    try:
        assert main(["config", "history", "--config", str(folder)]) == 1
    finally:
        (folder / "state" / FOLDER).chmod(0o700)
    assert "use sudo" in capsys.readouterr().err
