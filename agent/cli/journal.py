"""`wardgate journal`: how much is stored and how much of it the broker has not acknowledged."""

from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.words import Words
from agent.status import Status, UplinkView

app = typer.Typer(invoke_without_command=True)


@app.callback(epilog="Example: wardgate journal --json")
def journal(
    context: typer.Context, lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False
) -> None:
    """Records per stream, and what each uplink has still to send."""
    if context.invoked_subcommand is not None:
        return
    now = client(config, socket).status()
    if as_json:
        waiting = {uplink.id: uplink.waiting for uplink in now.uplinks}
        show.json(
            {"journal": now.journal, "waiting": waiting, "uplinks": {one.id: _account(one) for one in now.uplinks}}
        )
    else:
        journal_table(now, Words(lang))


@app.command(epilog="Example: wardgate journal tail --stream critical --stream alarm")
def tail(
    streams: Annotated[
        list[str] | None,
        typer.Option("--stream", metavar="STREAM", help="critical, alarm, state, audit or telemetry; may be repeated."),
    ] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
) -> None:
    """Events as they are stored, one JSON line each; Ctrl-C ends it."""
    for envelope in client(config, socket).tail(streams or []):
        show.line(envelope.decode())


def journal_table(now: Status, words: Words) -> None:
    kept = now.journal
    waiting = [f"{words('waiting')} {uplink.id}" for uplink in now.uplinks]
    headings = [*map(words, ("stream", "next sequence", "records", "size", "dropped")), *waiting]
    rows: list[Row] = [
        [
            words(stream),
            str(view.next_seq),
            str(view.records),
            show.size(view.size_bytes),
            Cell(str(view.dropped), "red" if view.dropped else ""),
            *(str(uplink.waiting.get(stream, 0)) for uplink in now.uplinks),
        ]
        for stream, view in kept.streams.items()
    ]
    show.table(headings, rows, title=f"{words('journal')} {kept.epoch}  {show.size(kept.size_bytes)}")
    for uplink in now.uplinks:
        said = [f"{words(ACCOUNT[name])} {count}" for name, count in _account(uplink).items() if count is not None]
        print(f"{words('uplink')} {uplink.id}: {', '.join(said)}")
    if kept.error:
        print(f"{words('error')}: {kept.error}")


ACCOUNT = {
    "acknowledged": "handed over",
    "handed_over": "not confirmed",
    "confirmed": "confirmed",
    "live_from": "live from",
    "backlog": "backlog",
}
"""How far an uplink is: fields of its view, and what they are called."""


def _account(uplink: UplinkView) -> dict[str, int | None]:
    """Null is what it does not count."""
    return {name: getattr(uplink, name) for name in ACCOUNT}
