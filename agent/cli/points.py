"""`wardgate points`: values as the daemon has them, and the table of values that other verbs show too."""

from collections.abc import Sequence
from pathlib import Path
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
    plan: Annotated[
        bool, typer.Option("--plan", help="What the configuration asks of its devices, instead of values.")
    ] = False,
) -> None:
    """Values with unit, quality and age, as the daemon last read them."""
    if plan:
        _tell_plan(config, device, Words(lang), as_json)
        return
    views = client(config, socket).points(device)
    if as_json:
        show.json(views)
    else:
        point_table(views, Words(lang))


def _tell_plan(config: Path, device: str | None, words: Words, as_json: bool) -> None:
    from agent.cli.planned import plan

    planned = plan(config, device)
    if as_json:
        show.json(planned)
        return
    headings = [words(word) for word in ("line", "device", "interval", "request", "points", "bus time")]
    rows: list[Row] = [
        [one.line, one.device, f"{one.poll_s:g} s", one.request, str(len(one.points)), _milliseconds(one.bus_ms)]
        for one in planned.requests
    ]
    show.table(headings, rows)
    for line in planned.lines:
        busy = "" if line.bus_pct is None else f", {words('busy')} {line.bus_pct:g} %"
        print(f"{line.line}: {line.requests_per_s:g} {words('requests/s')}{busy}")


def _milliseconds(bus_ms: float | None) -> str:
    return "—" if bus_ms is None else f"{bus_ms:g} ms"


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
    return words(one.q) if one.qr == "ok" else f"{words(one.q)}/{words(one.qr)}"
