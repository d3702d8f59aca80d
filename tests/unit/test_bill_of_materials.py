"""A release names what it is made of: nothing in the list of requirements may be missing from what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bill_of_materials import left_out, required

LOCK = """aiohttp==3.14.5 \\
    --hash=sha256:00
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
typing-extensions==4.16.0 \\
    --hash=sha256:00
wardgate==0.1.0 --hash=sha256:00
"""
LICENCES = """# Licences

| Name              | Version | License    | URL |
|-------------------|---------|------------|-----|
| aiohttp           | 3.14.5  | Apache-2.0 | x   |
| typing_extensions | 4.16.0  | PSF-2.0    | x   |
| wardgate          | 0.1.0   | Apache-2.0 | x   |
"""


def test_9_the_list_names_the_pip_that_installs_a_release() -> None:
    """`install.sh` wants exactly one in the bundle, and nothing is in the bundle that the list does not name."""
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8")
    assert "pip" in dict(required(lock))


def bill(**changes: Any) -> str:
    components = {"aiohttp": "3.14.5", "typing_extensions": "4.16.0", "wardgate": "0.1.0", **changes}
    listed = [{"name": name, "version": version} for name, version in components.items() if version]
    return json.dumps({"metadata": {"component": listed[-1]}, "components": listed[:-1]})


def test_9_a_release_that_names_everything_is_complete() -> None:
    """By whatever spelling; what is for another system is not part of it."""
    assert left_out(LOCK, bill(), LICENCES) == []


@pytest.mark.parametrize(
    ("told", "licences", "missing"),
    [
        (bill(aiohttp=None), LICENCES, "aiohttp 3.14.5 is not in the bill of materials"),
        (bill(typing_extensions="4.15.0"), LICENCES, "typing-extensions 4.16.0 is not in the bill of materials"),
        (bill(), LICENCES.replace("| aiohttp           | 3.14.5  | Apache-2.0 | x   |\n", ""), "aiohttp 3.14.5"),
        (
            bill(),
            LICENCES.replace("PSF-2.0   ", "UNKNOWN   "),
            "typing-extensions 4.16.0 is not in the list of licences",
        ),
        (bill(), LICENCES.replace("0.1.0  ", "0.2.0  "), "wardgate 0.1.0 is not in the list of licences"),
    ],
)
def test_9_what_is_left_out_or_has_another_version_or_no_licence_is_named(
    told: str, licences: str, missing: str
) -> None:
    """One line for each."""
    (line,) = left_out(LOCK, told, licences)
    assert missing in line
