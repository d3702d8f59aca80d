"""`wardgate alarms`: what is not normal now, and what an operator may do about it."""

import typer

from agent.cli import alarm_history, alarm_load, alarm_orders, show
from agent.cli.alarm_orders import state_of
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Cell, Row
from agent.cli.words import Words
from agent.status import AlarmView, Status

app = typer.Typer(invoke_without_command=True)


@app.callback(epilog="Example: wardgate alarms --lang zh")
def alarms(
    context: typer.Context, lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False
) -> None:
    """Alarms that are not normal, the highest colour first."""
    if context.invoked_subcommand is not None:
        return
    now = client(config, socket).status()
    if as_json:
        show.json(now.alarms)
    else:
        alarm_table(now, Words(lang))


app.command("show", epilog="Example: wardgate alarms show pwr.lv/lv-main/u_ab#supply-lost")(alarm_history.alarm_show)
app.command("history", epilog="Example: wardgate alarms history --from 2h")(alarm_history.alarm_history)
app.command("load", epilog="Example: wardgate alarms load --lang zh")(alarm_load.alarm_load)
for name, order in alarm_orders.ORDERS.items():
    app.command(name, epilog=alarm_orders.EXAMPLES[name])(order)


def alarm_table(now: Status, words: Words) -> None:
    if not now.alarms:
        print(words("no alarms"))
        return
    headings = [words(word) for word in ("alarm", "state", "raised", "age", "value", "text", "what to do")]
    rows: list[Row] = [[_colour(one, words), *_row(one, now, words)] for one in now.alarms]
    show.table([words("colour"), *headings], rows, title=words("alarms"))


def _colour(one: AlarmView, words: Words) -> Cell:
    text = f" {words(one.colour)} {one.level or ''}".rstrip() + " "
    return Cell(text, show.STYLES[one.colour])


def _row(one: AlarmView, now: Status, words: Words) -> Row:
    return [
        one.alarm_id,
        state_of(one, words),
        show.local_time(one.raised),
        show.age(show.seconds_between(one.raised, now.now)),
        f"{show.value(one.value)} {show.unit(one.unit)}".rstrip(),
        words.of(one.text),
        words.of(one.advice),
    ]
