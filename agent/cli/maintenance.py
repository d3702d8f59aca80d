"""`wardgate maintenance`: what is being worked on, so that nobody is called for it."""

from datetime import datetime
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.show import Row
from agent.cli.when import AHEAD, until
from agent.cli.words import Words
from agent.status import MaintenanceView, Status
from config.duty import Preset

app = typer.Typer(invoke_without_command=True)

TRAITS = ("device", "system", "building", "floor", "space")


def _names(trait: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        f"--{trait}", metavar="NAME", show_default=False, help=f"This {trait}; may be repeated."
    )
    return option


@app.callback(epilog="Example: wardgate maintenance --lang zh")
def maintenance(
    context: typer.Context, lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False
) -> None:
    """What is being worked on, and until when; its alarms call nobody."""
    if context.invoked_subcommand is None:
        list_all(lang, config, socket, as_json)


@app.command("list", epilog="Example: wardgate maintenance list --lang zh")
def list_all(lang: Lang, config: ConfigDir = ETC, socket: Socket = None, as_json: AsJson = False) -> None:
    """What is in maintenance now, the one that ends first before the others."""
    now = client(config, socket).status()
    if as_json:
        show.json(now.maintenance)
    else:
        maintenance_table(now, Words(lang))


@app.command(epilog="Example: wardgate maintenance start --system pwr.gen --until 2h --reason 'load test'")
def start(
    lang: Lang,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the record with your user name.")],
    end: Annotated[str, typer.Option("--until", metavar="WHEN", help=AHEAD)],
    device: Annotated[list[str] | None, _names("device")] = None,
    system: Annotated[list[str] | None, _names("system")] = None,
    building: Annotated[list[str] | None, _names("building")] = None,
    floor: Annotated[list[str] | None, _names("floor")] = None,
    space: Annotated[list[str] | None, _names("space")] = None,
    preset: Annotated[Preset | None, typer.Option(show_default=False, help="Instead of names.")] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Hide the alarms of devices, systems or places while they are worked on; what is named must all be so.

    What must never be hidden is told as ever, marked as a test. It ends by itself, at most 7 days later; then the
    present state is told. The preset fire-test marks the alarms of the fire system, and hides nothing.
    """
    named = dict(zip(TRAITS, (device, system, building, floor, space), strict=True))
    meant = {trait: names for trait, names in named.items() if names}
    until_s = until(end, datetime.now().astimezone())
    _show(client(config, socket).start_maintenance(reason, until_s, meant, preset), Words(lang), as_json)


@app.command(epilog="Example: wardgate maintenance end 1")
def end(
    lang: Lang,
    name: Annotated[str, typer.Argument(metavar="ID", help="As `wardgate maintenance list` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Goes into the record with your user name.")] = "",
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """End a maintenance before its time; its alarms tell how they stand."""
    _show(client(config, socket).end_maintenance(name, reason), Words(lang), as_json)


def maintenance_table(now: Status, words: Words) -> None:
    if not now.maintenance:
        print(words("no maintenance"))
        return
    headings = [words(word) for word in ("id", "what is meant", "kind", "since", "until", "by", "reason")]
    show.table(headings, [_row(one, words) for one in now.maintenance], title=words("maintenance"))


def _row(one: MaintenanceView, words: Words) -> Row:
    kind = words("test" if one.test else "maintenance")
    return [
        one.id,
        _meant(one, words),
        kind,
        show.local_time(one.since),
        show.local_time(one.until),
        one.by,
        one.reason,
    ]


def _meant(one: MaintenanceView, words: Words) -> str:
    named = [(trait, getattr(one, trait)) for trait in TRAITS]
    return ", ".join(f"{words(trait)} {' '.join(names)}" for trait, names in named if names)


def _show(one: MaintenanceView, words: Words, as_json: bool) -> None:
    if as_json:
        show.json(one)
    else:
        print(f"{one.id}  {_meant(one, words)}  {words('until')} {show.local_time(one.until)}")
