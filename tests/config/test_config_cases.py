"""Every class of mistake: a folder with the files that differ from `base`, and what `check` prints for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigInvalid
from config.load import load
from drivers.registry import protocols

CASES = Path(__file__).parents[1] / "cases" / "config"
NAMES = sorted(folder.name for folder in CASES.iterdir() if folder.name != "base")


def laid_out(name: str, folder: Path) -> Path:
    shutil.copytree(CASES / "base", folder, dirs_exist_ok=True)
    return Path(shutil.copytree(CASES / name, folder, dirs_exist_ok=True))


def test_base_is_fine(tmp_path: Path) -> None:
    """What the cases start from has no mistake, so each shows its own only."""
    config = load(laid_out("base", tmp_path), protocols())
    assert [device.id for device in config.devices] == ["m-1", "a-1"]
    assert config.warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_mistake_is_told(name: str, tmp_path: Path) -> None:
    """Exactly the expected lines: every mistake, nothing that only follows from another."""
    with pytest.raises(ConfigInvalid) as caught:
        load(laid_out(name, tmp_path), protocols())
    assert f"{caught.value}\n" == (CASES / name / "expected.txt").read_text(encoding="utf-8")


def test_ten_errors_print_ten_lines(tmp_path: Path) -> None:
    """`wardgate check` prints all ten on stderr at once, nothing on stdout, and exits 1."""
    command = [sys.executable, "-m", "agent", "check", "--config", str(laid_out("ten-errors", tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == (CASES / "ten-errors" / "expected.txt").read_text(encoding="utf-8")
    assert len(done.stderr.splitlines()) == 10
    assert (done.stdout, done.returncode) == ("", 1)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """One sentence that names the folder."""
    with pytest.raises(ConfigInvalid, match=r"nowhere: no such folder; name the folder that holds gateway\.yaml"):
        load(tmp_path / "nowhere", protocols())


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """Each missing file is told once; devices are not blamed for lines that could not be read."""
    shutil.copytree(CASES / "base", tmp_path, dirs_exist_ok=True)
    for name in ("gateway.yaml", "lines.yaml"):
        (tmp_path / name).unlink()
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, protocols())
    hint = "see the examples for what belongs into it"
    assert str(caught.value).splitlines() == [
        f"gateway.yaml: no such file; {hint}",
        f"lines.yaml: no such file; {hint}",
    ]


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder in the place of a file is a problem of that file, not a crash."""
    laid_out("base", tmp_path)
    (tmp_path / "devices" / "folder.yaml").mkdir()
    with pytest.raises(ConfigInvalid, match=r"^devices/folder\.yaml: cannot be read: Is a directory; "):
        load(tmp_path, protocols())
