"""The two forms in which wardgate is handed on: nothing that is tracked is missing in the source distribution, and
nothing that runs is missing in the wheel that is built of it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "agent": "agent",
    "buffer": "buffer",
    "config": "config",
    "consumer": "consumer",
    "drivers": "drivers",
    "tests/hardware_mocks": "hardware_mocks",
}
"""Where they lie here, and what they are called when they are installed."""

LEFT_OUT = {".gitignore"}
BUILD_S_MAX = 300


@pytest.mark.timeout(2 * BUILD_S_MAX)
def test_the_source_distribution_is_whole_and_so_is_the_wheel_that_is_built_of_it(tmp_path: Path) -> None:
    """Profiles, packs, examples, dictionaries: what is forgotten in a list of data fails here, not on site."""
    tracked = files()
    source = tmp_path / "source"
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    build(source, "sdist", tmp_path)
    (archive,) = tmp_path.glob("wardgate-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    assert [name for name in tracked if name not in LEFT_OUT and not (unpacked / name).exists()] == []
    build(unpacked, "wheel", tmp_path)
    (wheel,) = tmp_path.glob("wardgate-*.whl")
    installed = set(ZipFile(wheel).namelist())
    assert sorted(expected(tracked) - installed) == []


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


def expected(tracked: list[str]) -> set[str]:
    """What an installation must have."""
    return {
        installed + name.removeprefix(package)
        for name in tracked
        for package, installed in PACKAGES.items()
        if name.startswith(f"{package}/") and not name.endswith("README.md")
    }


def build(folder: Path, form: str, to: Path) -> None:
    """By the back end itself, so that nothing has to come from anywhere."""
    program = f"from setuptools import build_meta; build_meta.build_{form}({str(to)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False
    )
    assert done.returncode == 0, done.stderr
