"""`wardgate reload`: have the daemon take over what its configuration folder holds now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.status import ReloadView

app = typer.Typer()


@app.command(epilog="Example: wardgate reload --reason 'limits of the cold room, order 4711'")
def reload(
    lang: Lang,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the record with your user name.")] = "",
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Take over a changed configuration without a restart: only lines and uplinks that are different are opened anew.

    What is wrong is refused as a whole, and changes nothing; so is what only a restart can take over.
    """
    tell(client(config, socket).reload(reason), Words(lang), as_json=as_json)


def tell(view: ReloadView, say: Words, *, as_json: bool) -> None:
    """What came of it."""
    if as_json:
        show.json(view)
        return
    for line in _lines(view, say):
        print(line)


def _lines(view: ReloadView, say: Words) -> Iterator[str]:
    yield f"{view.before} → {view.version}"
    parts = {"opened": view.opened, "closed": view.closed, "opened anew": view.renewed, "went on": view.kept}
    for what, names in parts.items():
        if names:
            yield f"{say('lines')} {say(what)}: {' '.join(names)}"
    if view.settings:
        yield f"{say('settings')} {say('taken over')}: {', '.join(view.settings)}"
    yield from (f"{say('alarm')} {say('removed')}: {name}" for name in view.ended)
    yield from (f"{say('warning')}: {say.said(warning)}" for warning in view.warnings)
