"""Every command of every document is run somewhere, and what a document shows of its answer is what it answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shown_commands import (
    BY_CI,
    BY_MAKE,
    HOMES,
    KINDS,
    ROOT,
    UNPROVED,
    all_shown,
    blocks,
    home_of,
    mentions,
    pages,
    shown,
)

ALL = all_shown()
PAGES = pages()


def recipes() -> dict[str, tuple[list[str], str]]:
    """What each target needs first, and its commands."""
    text = (ROOT / BY_MAKE).read_text(encoding="utf-8")
    found = re.findall(r"^([a-z-]+):(?!=)([^\n#]*)\n((?:\t.*\n)*)", text, re.MULTILINE)
    return {name: (needs.split(), commands) for name, needs, commands in found}


def reached(targets: set[str]) -> set[str]:
    """With everything that they need first."""
    known = recipes()
    while more := {need for target in targets for need in known.get(target, ([], ""))[0]} - targets:
        targets = targets | more
    return targets


@pytest.mark.parametrize("page", PAGES)
def test_10_every_command_has_a_home(page: str) -> None:
    """A new command of a page or section that has one is run there by itself; any other wants a decision."""
    homeless = [command for command in shown(page) if home_of(command) is None and command.text not in UNPROVED]
    assert homeless == [], (
        "Nobody runs this. Name its page, its section or itself in HOMES of tests/support/shown_commands.py: at "
        "tests/docs/test_docs_commands.py where a gateway of the example hospital is enough, at tests/booted/ where it "
        "takes systemd or root, at tests/acceptance/ where it takes long."
    )


def test_10_every_home_runs_what_lives_there() -> None:
    """It takes its commands from the pages, so that none can be left out; and no place stands in the list in vain."""
    for home, places in HOMES.items():
        for place in places:
            assert any(place in {one.text, one.page, f"{one.page}#{one.section}"} for one in ALL), place
        if home not in {BY_CI, BY_MAKE}:
            assert "at_home(__file__)" in (ROOT / home).read_text(encoding="utf-8"), home


def test_10_the_ci_and_the_groups_of_tests_run_the_targets_that_are_said_to_be_theirs() -> None:
    """Directly, or because a target needs them first."""
    called = set(re.findall(r"^make ([a-z-]+)", (ROOT / BY_CI).read_text(encoding="utf-8"), re.MULTILINE))
    assert {place.removeprefix("make ") for place in HOMES[BY_CI]} <= reached(called)
    groups = {target for target in recipes() if target.startswith("test")}
    assert {place.removeprefix("make ") for place in HOMES[BY_MAKE]} <= reached(groups)


def test_10_what_nobody_runs_is_shown_and_has_a_reason() -> None:
    """And is not run after all."""
    for text, reason in UNPROVED.items():
        assert len(reason) > 40
        assert [home_of(command) for command in ALL if command.text == text] != []
        assert all(home_of(command) is None for command in ALL if command.text == text)


@pytest.mark.parametrize("page", PAGES)
def test_10_no_command_hides_in_another_form(page: str) -> None:
    """Each block says what it holds, and no indented line is a command: neither would be looked for."""
    assert [block for block in blocks(page) if block.kind.split(" ")[0] not in KINDS] == []
    programs = {command.text.split()[0] for command in ALL} | {"sudo", "systemctl"}
    inside, hidden = False, []
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        inside ^= line.lstrip().startswith("```")
        if not inside and re.match(r" {4,}\S", line) and line.split()[0] in programs:
            hidden.append(line)
    assert hidden == []


def test_10_verbs_that_a_sentence_names_are_shown_and_so_are_run() -> None:
    """With their second word, where they have one."""
    run = {tuple(words) for command in ALL for words in paths(command.text.split())}
    for page in PAGES:
        for line, said in mentions(page):
            words = said.removeprefix("sudo ").split()
            if words[:1] == ["wardgate"] and len(words) > 1 and words[1].isalpha() and words[1].islower():
                assert (words[1],) in run, f"{page}:{line}: {said}"
                if len(words) > 2 and words[1] in {"alarms", "journal", "opcua", "config", "maintenance"}:
                    assert not words[2].islower() or tuple(words[1:3]) in run, f"{page}:{line}: {said}"


def paths(words: list[str]) -> list[list[str]]:
    """Of `wardgate alarms ack …`: alarms, and alarms ack."""
    words = [word for word in words if word != "sudo"]
    return [words[1:2], words[1:3]] if Path(words[0]).name == "wardgate" else []


def test_10_the_mistakes_that_pages_show_are_those_that_are_told() -> None:
    """Word for word, but for file, line and column."""
    cases = ROOT / "tests" / "cases"
    told = "".join(path.read_text(encoding="utf-8") for name in ("expected.txt", "said") for path in cases.rglob(name))
    shown_mistakes = [
        line
        for page in ("docs/configure.md", "docs/alarms.md")
        for block in blocks(page)
        if block.kind == "text"
        for line in block.lines
    ]
    assert len(shown_mistakes) >= 3
    for line in shown_mistakes:
        assert re.sub(r"^\S+:\d+:\w+: \S+ ", "", line) in told, line
