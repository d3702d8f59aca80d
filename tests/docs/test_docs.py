"""README and docs: commands run or at least exist, links lead somewhere, nothing that exists is left out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest
import typer
from hardware_mocks.client import HospitalProcess
from pydantic import BaseModel
from shown_commands import at_home
from typer._click.exceptions import MissingParameter
from typer.core import TyperGroup

from agent import __version__, asyncapi
from agent.cli import app, run
from agent.rules.machine import SILENT, TABLE
from config.fields import TextSpec
from config.files import GatewaySpec
from config.gateway import POLL_S
from config.load import load
from config.units import seconds, size_bytes
from drivers.registry import protocols

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("drivers/*/README.md"))
)
START_S = 20.0


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks that begin with exactly this."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """Page and line of each `wardgate` and `make` in a block of commands."""
    for page in PAGES:
        shown = "\n".join(block for kind in ("sh run", "sh", "console") for block in blocks(page, kind))
        for line in shown.splitlines():
            said = line.removeprefix("sudo ").removeprefix(".venv/bin/")
            if said.startswith(("wardgate ", "make ")):
                yield page, said


def mentions() -> Iterator[tuple[str, str]]:
    """Page and words of each that a sentence names; what stands for something else is in capitals."""
    for page in PAGES:
        for said in re.findall(r"`((?:wardgate|make) [^`\n]+)`", text(page)):
            yield page, " ".join(word for word in said.split() if not word.isupper() and word != "…")


def parse(command: Any, name: str, arguments: list[str]) -> None:
    """Parse and run nothing. Raises what the command line would call a usage error."""
    context = command.make_context(name, list(arguments))
    if isinstance(command, TyperGroup) and (rest := [*context._protected_args, *context.args]):
        _, inner, its_arguments = command.resolve_command(context, rest)
        assert inner is not None
        parse(inner, inner.name or "", its_arguments)


def judge(said: str) -> None:
    """Raises for what the command line or make does not take."""
    program, *words = shlex.split(said)
    if program == "make":
        assert words[0] in re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE)
    elif words[0] == "run":
        run.folder(words[1:])
    else:
        parse(app._group(), program, words)


@pytest.mark.parametrize(("page", "said"), sorted(set(commands())))
def test_every_command_is_one_that_is_taken(page: str, said: str) -> None:
    """Verbs, options, targets and the number of arguments are right."""
    judge(said)


@pytest.mark.parametrize(("page", "said"), sorted(set(mentions())))
def test_every_command_in_a_sentence_is_one_that_there_is(page: str, said: str) -> None:
    """A sentence may leave arguments out, and may be about `--help`."""
    words = said.removesuffix(" --help")
    with suppress(MissingParameter):
        judge(words) if words != "wardgate" else None


def test_a_wrong_command_would_be_found() -> None:
    """The tests above are not empty, and a wrong verb, option or target does fail."""
    assert len(set(commands())) > 20
    assert len(set(mentions())) > 10
    for wrong in ("wardgate stauts", "wardgate status --jsn", "wardgate alarms akc x"):
        with pytest.raises(typer.TyperException):
            judge(wrong)
    with pytest.raises(AssertionError):
        judge("make tset")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """Relative links name files and folders that are there."""
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text(page)) if "://" not in link]
    gone = [link for link in links if not ((ROOT / page).parent / link.partition("#")[0]).exists()]
    assert gone == []


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to each page beside it and to each driver's README."""
    index = text("docs/README.md")
    for page in PAGES:
        if page.startswith(("docs/", "drivers/")) and page != "docs/README.md":
            assert f"({page.removeprefix('docs/') if page.startswith('docs/') else '../' + page})" in index, page


def test_every_verb_is_described() -> None:
    """In what an operator reads, and in the changelog."""
    for verb in app.VERBS:
        assert re.search(rf"(?:wardgate |`){verb}\b", text("docs/operate.md")), verb
        assert f"`{verb}`" in text("CHANGELOG.md"), verb


def test_every_driver_is_described() -> None:
    """A protocol that can be configured has a row and a README of its own."""
    for name in protocols():
        assert f"| `{name}` |" in text("docs/drivers.md")
        assert f"(../drivers/{name}/README.md)" in text("docs/drivers.md")


def settings_of(spec: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its path and its default; `NAME` stands for a name that the user chooses."""
    for key, field in spec.model_fields.items():
        kinds = [kind for kind in leaves(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        inner = kinds[0] if kinds and kinds[0] is not TextSpec else None
        chosen = ".NAME." if get_origin(field.annotation) is dict else "."
        yield from settings_of(inner, f"{above}{key}{chosen}") if inner else ((f"{above}{key}", field.default),)


def leaves(kind: Any) -> Iterator[Any]:
    """What a type is made of."""
    if get_args(kind):
        for part in get_args(kind):
            yield from leaves(part)
    else:
        yield kind


def cells(page: str) -> list[list[str]]:
    """The rows of its tables that begin with a name, as bare texts."""
    rows = [row for row in text(page).splitlines() if row.startswith("| `")]
    return [[cell.strip().strip("`") for cell in row.split("|")[1:-1]] for row in rows]


def test_every_key_of_the_gateway_is_described() -> None:
    """A setting that nobody can read about does not exist; one that does not exist must not be described."""
    assert [key for key, *_ in cells("docs/gateway.md")] == [key for key, _ in settings_of(GatewaySpec)]


def test_defaults_of_the_gateway_are_those_of_the_code() -> None:
    """Where nothing is written, that is what holds."""
    defaults = {**dict(settings_of(GatewaySpec)), **{f"poll.{letter}": pace_s for letter, pace_s in POLL_S.items()}}
    for key, shown, _ in cells("docs/gateway.md"):
        match defaults.get(key):
            case str() | Path() as plain:
                assert shown == str(plain), key
            case bool() as switch:
                assert shown == str(switch).lower(), key
            case int() as whole:
                assert shown == str(whole) or size_bytes(shown) == whole, key
            case float() as number:
                assert (float(shown) if shown.isdecimal() else seconds(shown)) == number, key


def test_every_action_and_state_of_an_alarm_is_described() -> None:
    """For those who read the events: what the table can make, and nothing else."""
    rows = dict(re.findall(r"^\| (`(?:action|state)`)[^|]*\| (.*) \|$", text("docs/consume.md"), re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows["`action`"])) == {row.action for row in TABLE} - SILENT
    assert set(re.findall(r"`([A-Z]+)`", rows["`state`"])) == {row.state for row in TABLE}


def test_readme_alarm_is_a_configuration(tmp_path: Path) -> None:
    """The alarm that the README shows is accepted at the device that it shows."""
    (alarm,) = blocks("README.md", "yaml")
    (tmp_path / "devices").mkdir()
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\n")
    (tmp_path / "lines.yaml").write_text("lines: {lv-room: {protocol: modbus, host: 192.168.1.50}}\n")
    device = "devices:\n  lv-main:\n    line: lv-room\n    profile: schneider-pm5300\n"
    (tmp_path / "devices" / "power.yaml").write_text(device + alarm)
    ((found,),) = [device.alarms for device in load(tmp_path, protocols()).devices]
    assert found.id == "pwr.lv/lv-main/u_an#voltage"


def test_9_how_long_releases_get_security_fixes_is_stated() -> None:
    """For the line that is released now and for those to come, with a period, in both languages."""
    section = text("SECURITY.md").partition("\n## Which releases get fixes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[2:]
    assert [period for line, period in rows if line.startswith(f"{__version__.split('.')[0]}.")]
    assert any(re.search(r"\b\w+ years from its first release", period) for _, period in rows)
    assert "支持期限" in section


def test_the_front_page_says_the_same_in_chinese() -> None:
    """Block for block, command for command, link for link."""
    english, chinese = text("README.md"), text("README.zh-CN.md")
    assert re.findall(r"^```.*?^```$", chinese, re.MULTILINE | re.DOTALL) == re.findall(
        r"^```.*?^```$", english, re.MULTILINE | re.DOTALL
    )
    for pattern in (r"`((?:make|wardgate) [^`\n]+)`", r"\]\(((?!README)[^)\s]+)\)", r"^(#+) "):
        assert Counter(re.findall(pattern, chinese, re.MULTILINE)) == Counter(
            re.findall(pattern, english, re.MULTILINE)
        )


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run as a reader would, in a folder beside an installed wardgate."""
    (folder / ".venv").symlink_to(sys.prefix)
    return subprocess.run(
        ["sh", "-eu"], input=script, cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )


async def test_readme_leads_to_the_first_real_device(tmp_path: Path) -> None:
    """Typed as it stands, but for the address, it reads a meter; then the gateway starts and says how it is."""
    script, starts, looks = (command.text for command in at_home(__file__) if command.page == "README.md")
    async with HospitalProcess(protocols=("modbus",)) as hospital:
        host, port = hospital.address("lv-main")
        assert "host: 192.168.1.50, port: 502}" in script
        moved = script.replace("192.168.1.50, port: 502", f"{host}, port: {port}").replace("192.168.1.10", host)
        said = shell(moved, tmp_path)
        assert said.returncode == 0, said.stderr
        assert said.stdout.startswith("fine ")
        assert len(re.findall(r"^lv-main +\w+ .* good ", said.stdout, re.MULTILINE)) == 3
        status, end = start_and_look(starts.split(), looks.split(), tmp_path)
    assert (status, end) == (0, 0)


def start_and_look(starts: list[str], looks: list[str], folder: Path) -> tuple[int, int]:
    """Start the gateway, ask until it can be reached, stop it. Gives the exit codes of question and gateway."""
    gateway = subprocess.Popen(starts, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while (status := subprocess.run(looks, cwd=folder, capture_output=True, check=False).returncode) == 3:
            assert time.monotonic() < deadline
    finally:
        gateway.terminate()
        end = gateway.wait(START_S)
    return status, end


def test_blocks_marked_to_be_run_do_run(tmp_path: Path) -> None:
    """Those of the pages; the README's has a test of its own, and says the same in both languages."""
    scripts = [command.text for command in at_home(__file__) if command.page.startswith("docs/")]
    assert scripts
    said = shell("\n".join(scripts), tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.count('"$schema"') == len(asyncapi.subjects())
