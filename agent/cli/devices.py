"""`wardgate devices`: every device with its state and how well it answers."""

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.words import Words
from agent.status import DeviceView, Status

app = typer.Typer()


@app.command(epilog="Example: wardgate devices --lang zh")
def devices(lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False) -> None:
    """Every device with its state, its points by quality, and how well it answers."""
    now = client(config, socket).status()
    if as_json:
        show.json(now.devices)
    else:
        device_table(now, Words(lang))


def device_table(now: Status, words: Words) -> None:
    order = ("device", "name", "system", "line", "state", "since", "last ok", "round trip", "errors")
    headings = [*map(words, order), words("good"), words("uncertain"), words("bad")]
    rows: list[Row] = [
        [
            one.id,
            words.of(one.name),
            one.system,
            one.line,
            Cell(_state(one, words), show.STYLES.get(one.state, "")),
            show.local_time(one.since),
            show.local_time(one.last_ok),
            "—" if one.rtt_ms is None else f"{one.rtt_ms:.1f} ms",
            f"{one.err_rate_pct:.1f} %",
            str(one.points_good),
            str(one.points_uncertain),
            Cell(str(one.points_bad), "red" if one.points_bad else ""),
        ]
        for one in now.devices
    ]
    show.table(headings, rows, title=words("devices"))


def _state(one: DeviceView, words: Words) -> str:
    return (
        words(one.state) if one.state == "online" or not one.reason else f"{words(one.state)}: {words.said(one.reason)}"
    )
