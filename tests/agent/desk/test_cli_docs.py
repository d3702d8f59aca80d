"""What docs/operate.md says of the command line and of the control API holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_rig import ANYWHERE

from agent.cli import run
from agent.cli.app import VERBS, main
from agent.control import network
from agent.control.accounts import Accounts
from agent.control.peer import Groups
from agent.control.server import Rights, application
from config.outward import Http

if TYPE_CHECKING:
    from fake_desk import FakeDesk

TEXT = (Path(__file__).parents[3] / "docs" / "operate.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_docs_with_an_example(verb: str) -> None:
    """A verb that nobody can read about does not exist."""
    assert any(shlex.split(command)[:2] == ["wardgate", verb] for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_docs_is_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Verb, options and arguments are what the program takes."""
    name, *arguments = shlex.split(command)
    assert name == "wardgate"
    if arguments[0] == "run":
        assert run.folder(arguments[1:]) == Path(arguments[2])
    else:
        assert main([*arguments, "--help"]) == 0
        options = [argument for argument in arguments if argument.startswith("--")]
        shown = capsys.readouterr().out
        assert all(option in shown for option in options)


def test_every_route_is_in_the_docs(desk: FakeDesk) -> None:
    """The tables of requests are the routes of the control socket and of the network, but for the page's own files."""
    accounts = Accounts({}, desk, lambda: 0.0)
    apps = (
        application(desk, Rights(Groups({}), Path("control.sock"))),
        network.application(desk, accounts, Http(ANYWHERE), 1.0),
    )
    routes = {
        (route.method, route.resource.canonical)
        for app in apps
        for route in app.router.routes()
        if route.resource is not None and "." not in route.resource.canonical and route.resource.canonical != "/"
    }
    written = set(re.findall(r"^\| `(GET|POST) (/[a-z0-9/]+)", TEXT, re.MULTILINE))
    assert written == routes
