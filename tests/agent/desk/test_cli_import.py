"""`wardgate import csv` in Chinese, and after an import that the configuration does not accept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.cli.app import main

GATEWAY = "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: [mqtt://127.0.0.1]}}\n"
LINES = "lines: {mb-1: {protocol: modbus, host: 10.0.0.1}}\n"
LIST = "id,name,register (0-based),type,function\nu,U,1,u16,3\n"
WORDS = ["--line", "mb-1", "--system", "energy", "--device", "m-1"]
CASES = sorted((Path(__file__).parents[2] / "cases" / "pointlists").iterdir())
ENGLISH = re.compile(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (tmp_path / "lines.yaml").write_text(LINES, encoding="utf-8")
    (tmp_path / "list.csv").write_text(LIST, encoding="utf-8")
    return tmp_path


def test_2_what_an_import_says_is_chinese_to_the_last_sentence(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns, notes, rows that were not taken and lists that are refused as a whole; the file's comments too."""
    for case in CASES:
        if "opcua" in case.name or "bacnet" in case.name:
            continue
        words = (case / "arguments").read_text(encoding="utf-8").split()
        main(["import", "csv", str(case / "list.csv"), "--config", str(config), "--lang", "zh", "--replace", *words])
        said = capsys.readouterr()
        told = [line for line in said.err.splitlines() if ENGLISH.search(line.partition(".csv:")[2])]
        told += [line for line in said.out.splitlines() if line.startswith("- ") and ENGLISH.search(line)]
        assert told == [], case.name
    comments = (config / "devices" / "list.yaml").read_text(encoding="utf-8").splitlines()[1]
    assert comments.startswith("# 由 `wardgate import csv`")


def test_3_an_import_that_is_not_accepted_is_written_and_says_what_to_mend(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second device at the same address: exit code 1, the mistake at its place, and what it means for a reload."""
    main(["import", "csv", str(config / "list.csv"), "--config", str(config), *WORDS])
    capsys.readouterr()
    other = ["import", "csv", str(config / "list.csv"), "--config", str(config), *WORDS[:-1], "m-2"]
    target = config / "devices" / "two.yaml"
    assert main([*other, "--to", str(target), "--lang", "en"]) == 1
    warned, where = capsys.readouterr().err.splitlines()
    assert warned == f"not accepted with {target}: what runs goes on, but every reload is refused until this is mended:"
    assert where.startswith("devices/two.yaml:")
    assert "line mb-1 has device m-1 at this address already; write the address of this device" in where
    assert main([*other, "--to", str(target), "--replace", "--lang", "zh"]) == 1
    assert "每次 reload 都会被拒绝" in capsys.readouterr().err
    assert main([*other, "--to", str(target), "--replace", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["file"] == "devices/two.yaml"


def test_3_a_file_elsewhere_is_no_part_of_the_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So mistakes that are there already are not blamed on it."""
    (config / "devices").mkdir()
    (config / "devices" / "wrong.yaml").write_text("devices: 1\n", encoding="utf-8")
    words = ["--config", str(config), *WORDS, "--to", str(config / "elsewhere.yaml")]
    assert main(["import", "csv", str(config / "list.csv"), *words]) == 0
    assert capsys.readouterr().err == ""
