"""What a built distribution holds: every package, and the data that they read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
MOVED: dict[str, str] = SETTINGS["package-dir"]
TOPS = ("agent", "buffer", "config", "consumer", "drivers", "hardware_mocks")
DATA = ("*.yaml", "*.zdict", "*.json", "*.html", "*.js", "*.css")


def folder(package: str) -> Path:
    top, _, rest = package.partition(".")
    return ROOT / MOVED.get(top, top) / rest.replace(".", "/")


def test_every_package_is_in_the_distribution() -> None:
    """A new folder with modules that is not named there would be missing where wardgate is installed."""
    found = {
        ".".join((top, *module.parent.relative_to(folder(top)).parts))
        for top in TOPS
        for module in folder(top).rglob("*.py")
    }
    assert found - set(SETTINGS["packages"]) == set()
    assert all(folder(package).is_dir() for package in SETTINGS["packages"])


def test_all_data_is_in_the_distribution() -> None:
    """Profiles, packs, examples, dictionaries."""
    shipped = {
        file
        for package, patterns in SETTINGS["package-data"].items()
        for pattern in patterns
        for file in folder(package).glob(pattern)
    }
    wanted = {file for top in TOPS for kind in DATA for file in folder(top).rglob(kind)}
    assert wanted - shipped == set()
    assert len(wanted) > 50
