"""`wardgate check`: everything that is wrong with a configuration, before anything is opened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Language

if TYPE_CHECKING:
    from agent.cli.configured import Unconfirmed

app = typer.Typer()


@app.command(epilog="Example: wardgate check --config ./hospital")
def check(lang: Lang, config: ConfigDir = ETC, as_json: AsJson = False) -> None:
    """Every mistake in a configuration folder, with file, line, column and what to write instead."""
    from agent.accept import accept
    from agent.cli import configured
    from agent.clock import SystemClock
    from config.errors import ConfigInvalid

    try:
        accepted, _ = accept(config, SystemClock())
    except ConfigInvalid as invalid:
        if as_json:
            show.json(configured.blame(invalid))
        else:
            sys.stderr.write(f"{invalid}\n")
        raise typer.Exit(1) from None
    verdict = configured.praise(accepted)
    if as_json:
        show.json(verdict)
        return
    for warning in accepted.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    _tell_waiting(verdict.unconfirmed, lang)
    counts = f"{verdict.lines} lines, {verdict.devices} devices, {verdict.points} points, {verdict.alarms} alarms"
    print(f"fine ({verdict.version}): {counts}, {len(verdict.warnings)} warnings")


def _tell_waiting(alarms: list[Unconfirmed], lang: Language) -> None:
    """Each alarm that does not run yet, and what has to be confirmed for it."""
    if alarms:
        print(f"{len(alarms)} alarms do not run until their limits are confirmed (confirmed_by):")
    for alarm in alarms:
        print(f"  {alarm.alarm_id}: {getattr(alarm.depends_on, lang)}")
