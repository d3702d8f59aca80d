"""`wardgate history`: what a point was."""

from datetime import datetime
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.when import HELP, when
from agent.cli.words import Words
from agent.status import GapView, HistoryRow, HistoryView
from config.units import seconds

app = typer.Typer()


@app.command(epilog="Example: wardgate history lv-main/u_ab --from 2h --every 1min")
def history(
    lang: Lang,
    point: Annotated[str, typer.Argument(help="Device and point, such as lv-main/u_ab.")],
    begin: Annotated[str, typer.Option("--from", metavar="WHEN", help=HELP)] = "1h",
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help="The same.")] = "now",
    every: Annotated[
        str | None, typer.Option(metavar="DURATION", show_default=False, help="One row for so long, such as 1min.")
    ] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Values of the past: as they were stored, or minimum, maximum and mean for each stretch of time, with gaps."""
    now = datetime.now().astimezone()
    every_s = _every(every)
    found = client(config, socket).history(point, when(begin, now), when(end, now), every_s)
    if as_json:
        show.json(found)
    else:
        history_table(found, Words(lang))


def history_table(found: HistoryView, words: Words) -> None:
    headings = ["time", "value", *(("minimum", "maximum", "mean", "samples") if found.every_s else ()), "quality"]
    rows = [(one.time, _row(one, found, words)) for one in found.rows]
    blank = [""] * (len(headings) - 2)
    rows += [(gap.begin, [show.local_time(gap.begin), _unknown(gap, words), *blank]) for gap in found.gaps]
    # A gap begins with the last sample before it.
    rows.sort(key=lambda row: row[0])
    show.table([words(heading) for heading in headings], [row for _, row in rows], title=found.point)


def _row(one: HistoryRow, found: HistoryView, words: Words) -> Row:
    numbers = [show.value(one.min), show.value(one.max), show.value(one.mean), str(one.count)]
    value = f"{show.value(one.last)} {show.unit(found.unit)}".rstrip()
    quality = Cell(words(one.q), show.STYLES[one.q])
    return [show.local_time(one.time), value, *(numbers if found.every_s else ()), quality]


def _unknown(gap: GapView, words: Words) -> Cell:
    return Cell(f"— {words('no samples until')} {show.local_time(gap.end)} —", show.STYLES["unknown"])


def _every(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        every_s = seconds(text)
    except ValueError as error:
        raise typer.BadParameter(f"--every: {error}") from error
    if every_s <= 0:
        raise typer.BadParameter("--every: write a duration such as 1min")
    return every_s
