"""What an operator may do to an alarm: `wardgate alarms ack`, `shelve` and the like. None of it reaches the field."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

import typer

from agent.cli import show
from agent.cli.options import ETC, AsJson, ConfigDir, Lang, Socket, client
from agent.cli.when import AHEAD, until
from agent.cli.words import Words
from agent.rules.commands import AlarmVerb
from agent.status import AlarmView

Id = Annotated[str, typer.Argument(metavar="ID", help="The alarm's id, as `wardgate alarms` shows it.")]
Comment = Annotated[str, typer.Option("--comment", help="Goes into the record with your user name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the record with your user name.")]


def _plain(verb: AlarmVerb, said: str) -> Callable[..., None]:
    """A command for an order that needs nothing but its alarm; `said` is its help."""

    def order(
        lang: Lang,
        alarm: Id,
        comment: Comment = "",
        config: ConfigDir = ETC,
        socket: Socket = None,
        as_json: AsJson = False,
    ) -> None:
        _show(client(config, socket).order(verb, alarm, comment), Words(lang), as_json)

    order.__doc__ = said
    return order


def shelve(
    lang: Lang,
    alarm: Id,
    reason: Reason,
    end: Annotated[str | None, typer.Option("--until", metavar="WHEN", show_default=False, help=AHEAD)] = None,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Put an alarm aside: nobody is called until it shows again, which it does by itself.

    At most 8 hours, or 30 minutes where it can become red; that long if nothing is said. What must never be hidden is
    refused.
    """
    until_s = None if end is None else until(end, datetime.now().astimezone())
    _show(client(config, socket).order("shelve", alarm, reason, until_s=until_s), Words(lang), as_json)


def out_of_service(
    lang: Lang,
    alarm: Id,
    work_order: Annotated[str, typer.Option("--work-order", metavar="NUMBER", help="Under which it is worked on.")],
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Who is responsible for it.")],
    reason: Reason,
    config: ConfigDir = ETC,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Take an alarm out of service while it is worked on; after 7 days it is to be reviewed. Never a fire point.

    Done again for one that is out of service, it was reviewed: another 7 days.
    """
    desk = client(config, socket)
    after = desk.order("out-of-service", alarm, reason, work_order=work_order, owner=owner)
    _show(after, Words(lang), as_json)


ORDERS: Mapping[str, Callable[..., None]] = {
    "ack": _plain("ack", "Acknowledge an alarm; you, as the system knows you, are the actor."),
    "shelve": shelve,
    "unshelve": _plain("unshelve", "Show a shelved alarm again, before its time."),
    "reset": _plain(
        "reset",
        "Release a latched alarm that is acknowledged and whose condition is over; never resets anything in the field.",
    ),
    "out-of-service": out_of_service,
    "in-service": _plain("in-service", "Put an alarm back into service."),
}
EXAMPLES = {
    "ack": "Example: wardgate alarms ack fire/fire-panel/zone3#fire --comment 'guard is on the way'",
    "shelve": "Example: wardgate alarms shelve pwr.lv/lv-main/u_an#voltage --until 2h --reason 'meter is replaced'",
    "unshelve": "Example: wardgate alarms unshelve pwr.lv/lv-main/u_an#voltage",
    "reset": "Example: wardgate alarms reset boiler/b-1/p_steam#high --comment 'valve checked'",
    "out-of-service": "Example: wardgate alarms out-of-service pwr.lv/lv-main/u_an#voltage --work-order W-17 "
    "--owner 'Li Na' --reason 'meter is replaced'",
    "in-service": "Example: wardgate alarms in-service pwr.lv/lv-main/u_an#voltage --comment 'meter is new'",
}


def _show(after: AlarmView, words: Words, as_json: bool) -> None:
    if as_json:
        show.json(after)
    else:
        print(f"{after.alarm_id}  {state_of(after, words)}  {words.of(after.text)}")


def state_of(one: AlarmView, words: Words) -> str:
    """What hides it goes before how it stands."""
    shown = [*one.overlay[:1], one.state]
    return " ".join([words(each) for each in shown] + ([words("test")] if one.test else []))
