"""`wardgate journal`: how much is stored and how much of it the broker has not acknowledged."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.when import HELP, when
from agent.cli.words import Words
from agent.status import Status, UplinkView
from config.model import STREAMS

if TYPE_CHECKING:
    from buffer.archive import Verdict

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


@app.command(epilog="Example: wardgate journal backup /media/usb/journal.db")
def backup(
    lang: Lang,
    file: Annotated[Path, typer.Argument(help="Where the copy is to be; the daemon must be able to write there.")],
    config: ConfigDir = ETC,
    socket: Socket = None,
) -> None:
    """Copy the journal, while the daemon runs or without it. Whoever starts on the copy begins a new epoch."""
    from agent.cli import journal_file

    journal_file.back_up(journal_file.Place(config), client(config, socket), file)
    print(f"{Words(lang)('copied to')} {file}")


@app.command(epilog="Example: wardgate journal restore /media/usb/journal.db")
def restore(
    lang: Lang, file: Annotated[Path, typer.Argument(help="A copy that `backup` made.")], config: ConfigDir = ETC
) -> None:
    """Put a copy in the journal's place; the daemon must not run. What is there now is kept beside it."""
    from agent.cli import journal_file

    words = Words(lang)
    aside = journal_file.put_back(journal_file.Place(config), file)
    print(f"{words('restored from')} {file}")
    if aside is not None:
        print(f"{words('the journal that was there is now')} {aside}")


@app.command(epilog="Example: wardgate journal verify")
def verify(
    lang: Lang,
    file: Annotated[
        Path | None, typer.Argument(show_default=False, help="A copy; without it, the journal of the configuration.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="All of it, however long it takes; not beside a daemon.")
    ] = False,
    config: ConfigDir = ETC,
    as_json: AsJson = False,
) -> None:
    """Check the journal for a minute, the newest first, also while the daemon runs. Exit code 1 if it is not well."""
    from agent.cli import journal_file

    verdict = journal_file.examine(journal_file.Place(config), file, full=full)
    if as_json:
        show.json(verdict)
    else:
        verdict_lines(verdict, Words(lang))
    if verdict.faults:
        raise typer.Exit(1)


@app.command(epilog="Example: wardgate journal export --stream alarm --from 2026-11-01 --format csv")
def export(
    streams: Annotated[
        list[str] | None,
        typer.Option("--stream", metavar="STREAM", help="critical, alarm, state, audit or telemetry; may be repeated."),
    ] = None,
    begin: Annotated[str, typer.Option("--from", metavar="WHEN", help=HELP)] = "1d",
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help="The same.")] = "now",
    form: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="JSON Lines or CSV.")] = "jsonl",
    config: ConfigDir = ETC,
) -> None:
    """Events of a time from the journal's file, on standard output; with or without a daemon."""
    from agent.cli import journal_file

    unknown = sorted(set(streams or ()) - set(STREAMS))
    if unknown:
        raise typer.BadParameter(f"no stream {unknown[0]!r}; there are {', '.join(STREAMS)}")
    now = datetime.now().astimezone()
    place = journal_file.Place(config)
    journal_file.export(place, streams or STREAMS, when(begin, now), when(end, now), form)


def verdict_lines(verdict: "Verdict", words: Words) -> None:
    for fault in verdict.faults:
        print(fault)
    print(
        f"{verdict.records} {words('records in')} {verdict.chunks} {words('chunks')}, "
        f"{len(verdict.faults)} {words('faults')}"
    )
    if not verdict.whole:
        print(words("not all was looked at: --full takes the time that it needs"))


def journal_table(now: Status, words: Words) -> None:
    kept = now.journal
    waiting = [f"{words('to send')} {uplink.id}" for uplink in now.uplinks]
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
