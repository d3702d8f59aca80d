"""`wardgate watch`: values as they change, until Ctrl-C."""

from typing import Annotated

import msgspec
import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.points import point_line
from agent.cli.words import Words

app = typer.Typer()


@app.command(epilog="Example: wardgate watch lv-main/u_ab fire-panel")
def watch(
    lang: Lang,
    points: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE[/POINT]]…", help="What to watch; everything if left out.")
    ] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Values as they stand and then as they change, one line each; Ctrl-C ends it."""
    words = Words(lang)
    for batch in client(config, socket).watch(points or []):
        for one in batch:
            show.line(msgspec.json.encode(one).decode() if as_json else point_line(one, words))
