"""Every command that a document shows, and the test file in which it is run.

A command is a line of a block of the kinds `sh` and `console`, or the whole block where it is a script (`sh` and one
more word). A home takes its commands from here by `at_home`, so a new line of a page that has a home is run there by
itself, or fails. What stands in a sentence is a mention.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
KINDS = {"yaml", "csv", "json", "toml", "ini", "conf", "nft", "python", "text", "sh", "console"}
"""What a block may say that it holds; `text` is what a command prints."""

FENCE = re.compile(r"^( *)```(.*)$")
TITLE = re.compile(r"^#+ (.*)$")
SYSTEM = ("systemctl", "journalctl", "timedatectl", "ls")
"""Programs of the machine, which sentences name with what to type after them."""

QUOTED = re.compile(r"`([^`\n]+)`")

BY_CI = ".ci/run"
BY_MAKE = "Makefile"
HOMES: dict[str, tuple[str, ...]] = {
    BY_CI: ("make setup", "make test", "make test-acceptance", "make lint"),
    BY_MAKE: ("make bundle",),
    "tests/acceptance/test_targets.py": ("make demo", "make format", "make bench", "make screenshot", "make diagram"),
    "tests/acceptance/test_demo.py": ("docs/operate.md#Try it",),
    "tests/agent/test_uplink_bad_input.py": ("docs/uplinks.md",),
    "tests/booted/test_install_page.py": ("docs/install.md",),
    "tests/booted/test_operated.py": ("docs/box-swap.md", "docs/operate.md#The log"),
    "tests/docs/test_docs.py": (
        "README.md#The first real device",
        "README.zh-CN.md#第一台真实设备",
        "docs/consume.md#Schemas",
    ),
    "tests/docs/test_docs_commands.py": (
        "docs/operate.md",
        "docs/configure.md",
        "docs/alarms.md",
        "docs/monitoring.md",
        "docs/consume.md",
        "tests/hardware_mocks/README.md",
    ),
}
"""Where commands are run: one that reads so, those of a section, those of a page; the first of the three that is named
counts. What the CI calls, or what a group of tests needs before it begins (`Makefile`), is run by that.
"""

UNPROVED = {
    "make audit": "what it says is decided by a service of the world outside, and changes from one day to the next",
}
"""Run by people only, each with its reason."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One command of a page, as it stands there but for the backslashes at the ends of its lines; `block` is the line
    at which its block begins.
    """

    page: str
    section: str
    line: int
    text: str
    block: int

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences, without the indent of the first."""

    page: str
    section: str
    line: int
    kind: str
    lines: tuple[str, ...]


def pages() -> list[str]:
    """All documents, but for what the tools leave lying about."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return sorted(listed.split()) or sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.md"))


def blocks(page: str) -> Iterator[Block]:
    """Those of a page, in their order. Raises `ValueError` for one without an end."""
    section, begin, indent, kind, inside = "", 0, "", "", list[str]()
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if begin and fence:
            yield Block(page, section, begin, kind, tuple(inside))
            begin = 0
        elif begin:
            inside.append(line.removeprefix(indent))
        elif fence:
            begin, indent, kind, inside = number, fence[1], fence[2], []
        elif title := TITLE.match(line):
            section = title[1]
    if begin:
        raise ValueError(f"{page}:{begin}: a block without an end")


def shown(page: str) -> Iterator[Shown]:
    """The commands of a page."""
    for block in blocks(page):
        word, _, more = block.kind.partition(" ")
        if word not in {"sh", "console"}:
            continue
        if more:
            yield Shown(page, block.section, block.line + 1, "\n".join(block.lines) + "\n", block.line)
            continue
        place, said = block.line + 1, ""
        for number, line in enumerate(block.lines, block.line + 1):
            if not said:
                place = number
            said = f"{said} {line.strip()}".strip()
            if said.endswith("\\"):
                said = said.removesuffix("\\").strip()
            elif said:
                yield Shown(page, block.section, place, said, block.line)
                said = ""


def all_shown() -> list[Shown]:
    return [command for page in pages() for command in shown(page)]


def home_of(command: Shown) -> str | None:
    """The file in which it is run; None where nobody has said."""
    for meant in (command.text, f"{command.page}#{command.section}", command.page):
        for home, places in HOMES.items():
            if meant in places:
                return home
    return None


def at_home(file: str) -> list[Shown]:
    """The commands that this test file (`__file__`) has to run, page by page, in their order."""
    home = Path(file).resolve().relative_to(ROOT).as_posix()
    return [command for command in all_shown() if home_of(command) == home and command.text not in UNPROVED]


def mentions(page: str) -> Iterator[tuple[int, str]]:
    """What sentences and tables quote, with its line; blocks are left out."""
    inside = False
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield from ((number, quoted) for quoted in QUOTED.findall(line))


def told() -> list[str]:
    """What sentences tell an operator to type at the machine itself, without `sudo`; each once."""
    quoted = [said.removeprefix("sudo ") for page in pages() for _, said in mentions(page)]
    return list(dict.fromkeys(said for said in quoted if said.split(" ")[0] in SYSTEM and said != "ls"))
