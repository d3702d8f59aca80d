"""The verbs put together, and the one place where an error becomes a line on stderr and an exit code.

Every verb's module is light; what is heavy (configuration, drivers, the live view) is imported when the verb runs, so
`wardgate --help` and `wardgate version` answer at once.
"""

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from agent.cli import (
    alarms,
    backtest,
    backup,
    bundle,
    check,
    config_history,
    consume,
    demo,
    devices,
    exporting,
    history,
    importing,
    init,
    journal,
    maintenance,
    opcua,
    password,
    points,
    read,
    reload,
    restore,
    schema,
    status,
    version,
    watch,
)
from agent.cli import run as run_options
from agent.cli.options import ETC, ConfigDir, Language, locale_language
from agent.control.client import ControlError, DaemonUnreachable, UnknownName
from agent.language.sentences import said

NOT_WELL = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130

_run = typer.Typer()


@_run.command(help=run_options.HELP, epilog=f"Example: {run_options.EXAMPLE}")
def run(config: ConfigDir = ETC) -> NoReturn:
    # A fresh process, which goes past this module: the daemon must not carry the command line's libraries for years.
    os.execv(sys.executable, [sys.executable, "-m", "agent", "run", "--config", str(config)])  # noqa: S606 (our own program)


VERBS = {
    "run": _run,
    "demo": demo.app,
    "init": init.app,
    "check": check.app,
    "reload": reload.app,
    "config": config_history.app,
    "schema": schema.app,
    "import": importing.app,
    "export": exporting.app,
    "status": status.app,
    "devices": devices.app,
    "points": points.app,
    "read": read.app,
    "watch": watch.app,
    "alarms": alarms.app,
    "maintenance": maintenance.app,
    "history": history.app,
    "backtest": backtest.app,
    "journal": journal.app,
    "backup": backup.app,
    "restore": restore.app,
    "consume": consume.app,
    "opcua": opcua.app,
    "password": password.app,
    "bundle": bundle.app,
    "version": version.app,
}
"""In the order of the help."""


def _group() -> TyperGroup:
    commands = {}
    for verb, app in VERBS.items():
        app._add_completion = False  # noqa: SLF001 (a verb of ours has no completion of its own)
        commands[verb] = get_command(app)
        commands[verb].name = verb
    return TyperGroup(
        name="wardgate",
        commands=commands,
        no_args_is_help=True,
        help="Edge gateway for a hospital's building systems: reads devices, raises alarms, loses nothing.",
        epilog="Example: wardgate demo",
    )


def main(arguments: Sequence[str]) -> int:
    """Run one verb. Nothing is raised for what a user can cause."""
    try:
        code = _group().main(list(arguments), prog_name="wardgate", standalone_mode=False)
    except ControlError as error:
        return _failed(said(str(error), _language(arguments)), _code(error))
    except typer.TyperException as error:
        return _usage(error, _language(arguments))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone; the interpreter's last flush must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_WELL
    return code if isinstance(code, int) else 0


def _language(arguments: Sequence[str]) -> Language:
    """An error leaves its verb before anybody can ask the verb for its language."""
    asked = next((after for word, after in pairwise(arguments) if word == "--lang"), "")
    asked = next((word.partition("=")[2] for word in arguments if word.startswith("--lang=")), asked)
    return "zh" if asked == "zh" else "en" if asked == "en" else locale_language()


def _code(error: ControlError) -> int:
    return (
        UNREACHABLE if isinstance(error, DaemonUnreachable) else USAGE if isinstance(error, UnknownName) else NOT_WELL
    )


def _usage(error: typer.TyperException, language: Language) -> int:
    told = error.format_message().strip()
    if told.startswith("Usage:"):
        print(told)
        return USAGE
    context = getattr(error, "ctx", None)
    verb = context.command_path if context else "wardgate"
    what = " ".join(told.split()).rstrip(".?")
    return _failed(said(f"{what[0].lower()}{what[1:]}; see `{verb} --help`", language), USAGE)


def _failed(what: str, code: int) -> int:
    print(f"wardgate: {what}", file=sys.stderr)
    return code
