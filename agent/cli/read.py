"""`wardgate read`: ask a device now, through the daemon's line when it runs, otherwise by opening the line here."""

import sys
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.points import point_table
from agent.cli.words import Words
from agent.control.client import DaemonAbsent

app = typer.Typer()


@app.command(epilog="Example: wardgate read lv-main u_ab p_tot")
def read(
    lang: Lang,
    device: Annotated[str, typer.Argument(help="The device to ask.")],
    points: Annotated[list[str] | None, typer.Argument(help="Its points; all of them if left out.")] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
    orders: Annotated[
        bool, typer.Option("--orders", help="Each number also in the other orders that its bytes could have come in.")
    ] = False,
) -> None:
    """Ask a device now: value, unit, quality and what the source said. Says on stderr which way it was asked."""
    desk = client(config, socket)
    way = f"asked through the daemon at {desk.path}"
    try:
        views = desk.read(device, points or [], orders=orders)
    except DaemonAbsent:
        # Only where there is no daemon at all: one that is stuck still holds the line, and a second connection would
        # disturb the device.
        from agent.cli import direct

        views = direct.read(config, device, points or [], orders=orders)
        way = "no daemon is running: the line was opened for this one reading"
    print(way, file=sys.stderr)
    if as_json:
        show.json(views)
    else:
        point_table(views, Words(lang))
