"""`wardgate check`: everything that is wrong with a configuration, before anything is opened."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Language, Socket, client
from agent.language.sentences import problem, said

if TYPE_CHECKING:
    from agent.cli.configured import Unconfirmed, Verdict
    from agent.control.client import Client
    from config.errors import ConfigInvalid
    from config.model import Config

RULE_TESTS = "rule-tests"
"""The folder, beside the configuration's other files, whose tests are run when none is named."""

app = typer.Typer()


@app.command(
    epilog="Example: wardgate check --config ./hospital\n\nExample: wardgate check --rule-tests night.yaml\n\n"
    "Example: wardgate check --latency\n\nExample: wardgate check --config ./new --diff",
)
def check(
    lang: Lang,
    tests: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE|DIR]", show_default=False, help="Rule tests; without it the folder rule-tests."),
    ] = None,
    config: ConfigDir = ETC,
    rule_tests: Annotated[
        bool, typer.Option("--rule-tests", help="Play readings over time through the rules, and compare the alarms.")
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="How long each alarm can take at worst, without its on-delay.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="What applying it would change, against what runs or ran last.")
    ] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Every mistake in a configuration folder, with file, line, column and what to write instead."""
    from agent.accept import accept
    from agent.cli import configured
    from agent.clock import SystemClock
    from config.errors import ConfigInvalid

    if tests is not None and not rule_tests:
        raise typer.BadParameter("a file goes with --rule-tests")
    if rule_tests + latency + diff > 1:
        raise typer.BadParameter("--rule-tests, --latency and --diff are asked one at a time")
    try:
        if latency:
            _time(config, lang, as_json=as_json)
            return
        accepted, _ = accept(config, SystemClock())
        if rule_tests:
            _rehearse(tests or config / RULE_TESTS, accepted, lang, as_json=as_json)
            return
        if diff:
            _compare(accepted, client(config, socket), lang, as_json=as_json)
            return
    except ConfigInvalid as invalid:
        _refuse(invalid, lang, as_json=as_json)
    verdict = configured.praise(accepted)
    if as_json:
        show.json(verdict)
        return
    for warning in accepted.warnings:
        sys.stderr.write(f"{said('warning', lang)}: {problem(warning, lang)}\n")
    _tell_waiting(verdict.unconfirmed, lang)
    _praise(verdict, lang)


def _refuse(invalid: ConfigInvalid, lang: Language, *, as_json: bool) -> NoReturn:
    from agent.cli import configured

    if as_json:
        show.json(configured.blame(invalid))
    else:
        sys.stderr.write("".join(f"{problem(one, lang)}\n" for one in invalid.problems))
    raise typer.Exit(1) from None


def _praise(verdict: Verdict, lang: Language) -> None:
    from agent.cli.words import Words

    fine = Words(lang)("fine ({}): {} lines, {} devices, {} points, {} alarms, {} warnings")
    counts = verdict.lines, verdict.devices, verdict.points, verdict.alarms, len(verdict.warnings)
    print(fine.format(verdict.version, *counts))


def _tell_waiting(alarms: list[Unconfirmed], lang: Language) -> None:
    """Each alarm that does not run yet, and what has to be confirmed for it."""
    from agent.cli.words import Words

    if alarms:
        waiting = Words(lang)("{} alarms do not run until their limits are confirmed (confirmed_by):")
        print(waiting.format(len(alarms)))
    for alarm in alarms:
        print(f"  {alarm.alarm_id}: {getattr(alarm.depends_on, lang)}")


def _compare(config: Config, daemon: Client, lang: Language, *, as_json: bool) -> None:
    """What would change."""
    from agent.cli import changes

    view = changes.compare(config, daemon)
    if as_json:
        show.json(view)
    else:
        changes.tell(view, lang)


def _rehearse(path: Path, config: Config, lang: Language, *, as_json: bool) -> None:
    """The user's own tests. Raises `ConfigInvalid` for files that cannot be meant so."""
    from agent.cli import ruletests
    from agent.rehearsal import read, rehearse

    views = [ruletests.view(rehearse(test, config)) for test in read(path, config)]
    if as_json:
        show.json(views)
    else:
        ruletests.tell(views, lang)
    if not all(view.ok for view in views):
        raise typer.Exit(1)


def _time(folder: Path, lang: Language, *, as_json: bool) -> None:
    """The table of latencies, also of a configuration that is refused for them."""
    from agent.accept import plan
    from agent.cli import latencytable
    from agent.clock import SystemClock
    from agent.latency import latencies

    config, drivers = plan(folder, SystemClock())
    views = [latencytable.view(each) for each in latencies(config, drivers)]
    if as_json:
        show.json(views)
    else:
        latencytable.tell(views, lang)
    if any(view.verdict == "too late" and view.life_safety for view in views):
        raise typer.Exit(1)
