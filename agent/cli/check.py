"""`wardgate check`: everything that is wrong with a configuration, before anything is opened."""

import sys

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir

app = typer.Typer()


@app.command(epilog="Example: wardgate check --config ./hospital")
def check(config: ConfigDir = ETC, as_json: AsJson = False) -> None:
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
    counts = f"{verdict.lines} lines, {verdict.devices} devices, {verdict.points} points, {verdict.alarms} alarms"
    print(f"fine ({verdict.version}): {counts}, {len(verdict.warnings)} warnings")
