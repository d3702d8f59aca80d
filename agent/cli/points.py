"""`wardgate points`: values as the daemon has them, and the table of values that other verbs show too."""

from collections.abc import Sequence
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.words import Words
from agent.status import PointView

app = typer.Typer()


@app.command(epilog="Example: wardgate points lv-main")
def points(
    lang: Lang,
    device: Annotated[str | None, typer.Argument(help="Only this device.", show_default=False)] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Values with unit, quality and age, as the daemon last read them."""
    views = client(config, socket).points(device)
    if as_json:
        show.json(views)
    else:
        point_table(views, Words(lang))


def point_table(views: Sequence[PointView], words: Words) -> None:
    headings = [words(word) for word in ("device", "point", "name", "value", "quality", "age", "address", "raw")]
    rows: list[Row] = [
        [
            one.device,
            one.point,
            words.of(one.name),
            _value(one, words),
            Cell(_quality(one, words), show.STYLES[one.q]),
            show.age(one.age_s),
            one.address,
            one.qraw,
        ]
        for one in views
    ]
    show.table(headings, rows)


def point_line(one: PointView, words: Words) -> str:
    """One value on one line, for a stream of changes."""
    quality = "" if one.q == "good" else f"  {_quality(one, words)} {one.qraw}".rstrip()
    return f"{show.local_time(one.time)}  {one.device}/{one.point}  {_value(one, words)}{quality}"


def _value(one: PointView, words: Words) -> str:
    text = show.value(one.value)
    return f"{words(text) if isinstance(one.value, bool) else text} {show.unit(one.unit)}".rstrip()


def _quality(one: PointView, words: Words) -> str:
    return words(one.q) if one.qr == "ok" else f"{words(one.q)}/{one.qr}"
