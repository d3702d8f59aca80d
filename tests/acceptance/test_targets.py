"""The targets of the Makefile that documents show and no other group of tests needs, made in a copy of everything."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from shown_commands import ROOT, at_home
from typed import Said, Typist

if TYPE_CHECKING:
    from pathlib import Path

WRITES = {"make screenshot": "docs/demo.svg", "make diagram": "docs/alarm-states.svg"}
OF_THE_SAME = {"make diagram", "make format"}
"""What they make is what is committed."""

LESS = {"make bench": 'ARGS="--only rules --quick"'}
"""All of it takes minutes, and wants an idle machine: a limit that is missed here says nothing."""

RUNS_AND_IS_HEARD = r'\A(?=[\s\S]*the gateway runs)(?=[\s\S]*"specversion")'
"""Of the demo; whichever comes first."""

READY = "-o .venv/.ready"
"""Nothing is installed anew."""


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def changed(copy: Path) -> set[str]:
    return {name for name in files() if (copy / name).read_bytes() != (ROOT / name).read_bytes()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shown", sorted({command.text for command in at_home(__file__)}))
def test_10_a_target_makes_what_it_is_for(shown: str, copy: Path) -> None:
    """And changes nothing else."""
    command = f"{shown} {READY} {LESS.get(shown, '')}"
    typist = Typist({"TERM": "xterm-256color", "LANG": "C.UTF-8"})
    if shown == "make demo":
        typist.until(command, copy, RUNS_AND_IS_HEARD, lambda process, text: None)
        return
    said = typist.run(command, copy)
    judge(shown, said)
    written = {WRITES[shown]} if shown in WRITES else set()
    assert changed(copy) <= (set() if shown in OF_THE_SAME else written), said.text
    for name in written:
        assert ET.parse(copy / name).getroot().tag.endswith("svg")


def judge(shown: str, said: Said) -> None:
    if shown == "make bench":
        assert said.text.count(" at most ") > 3, said.text
    else:
        assert said.code == 0, said.text
