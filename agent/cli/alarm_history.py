"""`wardgate alarms history` and `alarms show`: what alarms did, and what their points were around it."""

from datetime import datetime
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.when import HELP, when
from agent.cli.words import Words
from agent.status import EvidenceView, TransitionView


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


def alarm_show(
    lang: Lang,
    alarm: Annotated[str, typer.Argument(metavar="ID", help="The alarm's id, as `wardgate alarms` shows it.")],
    occurrence: Annotated[
        str | None,
        typer.Option(metavar="ID", show_default=False, help="An earlier occurrence, as `--json` names it."),
    ] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """The last occurrence of an alarm: what it did, and every value of its points around its beginning and its end."""
    found = client(config, socket).occurrence(alarm, occurrence)
    if as_json:
        show.json(found)
        return
    words = Words(lang)
    transition_table(found.transitions, words)
    for one in found.evidence:
        print()
        evidence_table(one, words)


def evidence_table(found: EvidenceView, words: Words) -> None:
    title = f"{found.point}  {show.local_time(found.begin)} … {show.local_time(found.end)}"
    if not found.complete:
        title += f"  ({words('more is to come')})"
    rows: list[Row] = [
        [
            show.local_time_ms(one.time),
            f"{show.value(one.value)} {show.unit(found.unit)}".rstrip(),
            Cell(words(one.q), show.STYLES[one.q]),
        ]
        for one in found.samples
    ]
    show.table([words(word) for word in ("time", "value", "quality")], rows, title=title)


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
