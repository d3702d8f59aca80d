"""`wardgate alarms history`: what alarms did."""

from datetime import datetime
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.when import HELP, when
from agent.cli.words import Words
from agent.status import TransitionView


def alarm_history(
    lang: Lang,
    alarm: Annotated[
        str | None, typer.Argument(metavar="ID", show_default=False, help="One alarm; all of them if none is named.")
    ] = None,
    begin: Annotated[str, typer.Option("--from", metavar="WHEN", help=HELP)] = "1d",
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help="The same.")] = "now",
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """What alarms did, the oldest first, from the journal."""
    now = datetime.now().astimezone()
    found = client(config, socket).alarm_history(alarm, when(begin, now), when(end, now))
    if as_json:
        show.json(found)
    else:
        transition_table(found, Words(lang))


def transition_table(found: list[TransitionView], words: Words) -> None:
    if not found:
        print(words("no alarms in this time"))
        return
    headings = [words(word) for word in ("time", "colour", "alarm", "what happened", "state", "value", "by", "text")]
    show.table(headings, [_row(one, words) for one in found])


def _row(one: TransitionView, words: Words) -> Row:
    return [
        show.local_time(one.time),
        Cell(f" {words(one.colour)} {one.level or ''}".rstrip() + " ", show.STYLES[one.colour]),
        one.alarm_id,
        words(one.action),
        words(one.state),
        f"{show.value(one.value)} {show.unit(one.unit)}".rstrip(),
        one.by or "",
        words.of(one.text) + (f" ({words('test')})" if one.test else ""),
    ]
