"""`wardgate backtest`: which alarms other rules would have given."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang
from agent.cli.show import Cell, Row
from agent.cli.when import HELP, when
from agent.cli.words import Words

if TYPE_CHECKING:
    from agent.backtest.report import BacktestView, ChangeView, InputView, SpellView

NAMED_MAX = 5

app = typer.Typer()


@app.command(
    epilog="Example: wardgate backtest --rules ./new --from 7d\n\n"
    "Example: wardgate backtest --rules ./new --input day.csv"
)
def backtest(
    lang: Lang,
    rules: Annotated[Path, typer.Option(metavar="DIR", help="A configuration folder with the other rules.")],
    begin: Annotated[str | None, typer.Option("--from", metavar="WHEN", help=HELP, show_default="1d, or all")] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="The same.", show_default="now, or all")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            show_default="the journal",
            help="JSON Lines or CSV with time, device, point, value; an export; a copy of a journal (.db).",
        ),
    ] = None,
    config: ConfigDir = ETC,
    as_json: AsJson = False,
) -> None:
    """Play recorded values through the present rules and through others: which alarms appear, vanish or move."""
    from agent.cli import backtest_run

    now = datetime.now().astimezone()
    is_file = file is not None and file.suffix != ".db"
    from_s = when(begin, now) if begin else -1e12 if is_file else when("1d", now)
    to_s = when(end, now) if end else 1e12 if is_file else when("now", now)
    found = backtest_run.run(config, rules, file, from_s, to_s)
    if as_json:
        show.json(found)
    else:
        _tell_input(found.input, Words(lang))
        _tell_changes(found, Words(lang))


def _tell_input(played: "InputView", words: Words) -> None:
    print(
        f"{words('input')}: {played.begin} … {played.end}, "
        f"{played.points} {words('points')}, {played.samples} {words('samples')}"
    )
    print(
        f"{words('resolution')}: {played.spacing_s:g} s ({played.spacing_s_min:g} … {played.spacing_s_max:g} s); "
        + words("what was shorter than that may be missing")
    )
    for names, what in ((played.missing, "nothing was told of"), (played.unknown, "not known to these rules")):
        if names:
            more = f" + {len(names) - NAMED_MAX}" if len(names) > NAMED_MAX else ""
            print(f"{words(what)}: {', '.join(names[:NAMED_MAX])}{more}")


def _tell_changes(found: "BacktestView", words: Words) -> None:
    shown = [change for change in found.changes if change.change != "stays"]
    if shown:
        headings = ("change", "alarm", "colour", "began", "ended", "before")
        show.table([words(heading) for heading in headings], [_row(change, words) for change in shown])
    print(", ".join(f"{count} {words(kind)}" for kind, count in found.counts.items()))


def _row(change: "ChangeView", words: Words) -> Row:
    spell = change.after or change.before
    assert spell is not None, "one of both is there"
    before = _times(change.before, words) if change.change == "moves" and change.before else ""
    return [words(change.change), change.alarm_id, _colour(spell, words), spell.began, _ended(spell, words), before]


def _times(spell: "SpellView", words: Words) -> str:
    return f"{spell.began} … {_ended(spell, words)} {_colour(spell, words).text.strip()}"


def _ended(spell: "SpellView", words: Words) -> str:
    return spell.ended or words("still stood at the end")


def _colour(spell: "SpellView", words: Words) -> Cell:
    return Cell(f" {words(spell.colour)} {spell.level or ''}".rstrip() + " ", show.STYLES[spell.colour])
