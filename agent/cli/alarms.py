"""`wardgate alarms`: what is not normal now, and what an operator may do about it."""

from collections.abc import Iterable
from typing import Annotated

import typer

from agent.cli import alarm_history, alarm_load, alarm_orders, show
from agent.cli.alarm_orders import state_of
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.words import Words
from agent.status import AlarmView, Status

ACTIVE = frozenset({"UNACK", "ACKED"})
BEYOND = frozenset({"over_range", "under_range"})
MAINTENANCE = "maintenance/"

app = typer.Typer(invoke_without_command=True)


@app.callback(epilog="Example: wardgate alarms --lang zh")
def alarms(
    context: typer.Context,
    lang: Lang,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
    each: Annotated[bool, typer.Option("--all", help="Each one that maintenance hides, too.")] = False,
) -> None:
    """Alarms that are not normal, the highest colour first; what a maintenance hides is one line."""
    if context.invoked_subcommand is not None:
        return
    now = client(config, socket).status()
    if as_json:
        show.json(now.alarms)
    else:
        alarm_table(now, Words(lang), each=each)


app.command("show", epilog="Example: wardgate alarms show pwr.lv/lv-main/u_ab#supply-lost")(alarm_history.alarm_show)
app.command("history", epilog="Example: wardgate alarms history --from 2h")(alarm_history.alarm_history)
app.command("load", epilog="Example: wardgate alarms load --lang zh")(alarm_load.alarm_load)
for name, order in alarm_orders.ORDERS.items():
    app.command(name, epilog=alarm_orders.EXAMPLES[name])(order)


def alarm_table(now: Status, words: Words, *, each: bool = False) -> None:
    if not now.alarms:
        print(words("no alarms"))
        return
    hidden = {} if each else _by_maintenance(now.alarms)
    summed = {one.alarm_id for together in hidden.values() for one in together}
    headings = [words(word) for word in ("alarm", "state", "raised", "for", "value", "text", "what to do")]
    rows: list[Row] = [
        [_colour(one, words), *_row(one, now, words)] for one in now.alarms if one.alarm_id not in summed
    ]
    rows += [_summary(name, together, now, words) for name, together in hidden.items()]
    show.table([words("colour"), *headings], rows, title=words("alarms"))


def _by_maintenance(alarms: Iterable[AlarmView]) -> dict[str, list[AlarmView]]:
    """Alarms that nobody sees because of a maintenance, by which one it is."""
    found: dict[str, list[AlarmView]] = {}
    for one in alarms:
        sources = [each.by for each in one.overlay_info if each.overlay == "DSUPR" and each.by.startswith(MAINTENANCE)]
        if one.overlay[:1] == ["DSUPR"] and sources:
            found.setdefault(sources[0], []).append(one)
    return found


def _summary(name: str, together: list[AlarmView], now: Status, words: Words) -> Row:
    """One line for all of them: how many, how many of them stand, why and until when."""
    (info, *_) = [each for each in together[0].overlay_info if each.by == name]
    standing = sum(one.state in ACTIVE for one in together)
    text = words("{} hidden, {} of them active").format(len(together), standing)
    since = info.since or now.now
    until = f"{words('until')} {show.local_time(info.until)}"
    age = show.age(show.seconds_between(since, now.now))
    return ["", name, words("DSUPR"), show.local_time(since), age, "", f"{text}; {info.reason}", until]


def _colour(one: AlarmView, words: Words) -> Cell:
    text = f" {words(one.colour)} {one.level or ''}".rstrip() + " "
    return Cell(text, show.STYLES[one.colour])


def _row(one: AlarmView, now: Status, words: Words) -> Row:
    return [
        one.alarm_id,
        state_of(one, words),
        show.local_time(one.raised),
        show.age(show.seconds_between(one.raised, now.now)),
        _value(one, words),
        words.of(one.text),
        words.of(one.advice),
    ]


def _value(one: AlarmView, words: Words) -> str:
    """Of a sensor beyond its range that gives no number, on which side it is."""
    if one.value is None and one.qr in BEYOND:
        return words(one.qr)
    return f"{show.value(one.value)} {show.unit(one.unit)}".rstrip()
