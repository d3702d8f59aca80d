"""What operators may do to one alarm, and what they may not: each verb checks, changes the alarm, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.events import rfc3339
from agent.rules.commands import AlarmCommand, Refused
from agent.rules.machine import SILENT, transition
from agent.rules.stored import OutOfService, Shelving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.clock import Now
    from agent.events import Event
    from agent.rules.commands import AlarmVerb
    from agent.rules.machine import Trigger
    from agent.rules.occurrence import Context, Run

SHELVED_S_MAX = 8 * 3600.0
SHELVED_RED_S_MAX = 30 * 60.0
"""For an alarm that can become red."""

REVIEW_S = 7 * 86_400.0
"""After so long out of service somebody has to ask why."""


def obey(run: Run, command: AlarmCommand, now: Now, context: Context) -> Event | None:
    """Carry it out. None where nobody needs to know of it. Raises `Refused`."""
    return VERBS[command.verb](run, command, now, context)


def end_shelving(run: Run, now: Now, context: Context) -> Event | None:
    """It shows again, unless something else hides it."""
    run.shelving = None
    return run.overlay_changed(now, context)


def _acknowledge(run: Run, command: AlarmCommand, now: Now, context: Context) -> Event | None:
    _check(run, "ack", "there is nothing to acknowledge")
    run.ack_by, run.ack_at, run.ack_scope = command.actor, now.wall, command.scope
    run.ack_comment = command.comment
    return run.move("ack", now, context)


def _reset(run: Run, _: AlarmCommand, now: Now, context: Context) -> Event | None:
    """Release a latch. It never reaches the field."""
    if run.state == "LTACK":
        _check(run, "reset", "it can be reset once its condition is known to be over")
    _check(run, "reset", "it can be reset once it is latched and acknowledged")
    return run.move("reset", now, context)


def _check(run: Run, trigger: Trigger, why: str) -> None:
    row = transition(run.state, trigger, run.guards)
    if row is None or row.action in SILENT:
        raise Refused(f"{run.alarm.id} is {run.state}: {why}")


def _shelve(run: Run, command: AlarmCommand, now: Now, context: Context) -> Event | None:
    alarm = run.alarm
    _want(command.comment, "shelving", "why")
    if not alarm.shelvable:
        raise Refused(f"{alarm.id} must never be hidden; it cannot be shelved", "forbidden")
    is_red = "red" in alarm.colours
    longest_s = SHELVED_RED_S_MAX if is_red else SHELVED_S_MAX
    until = now.wall + longest_s if command.until is None else command.until
    if until <= now.wall:
        raise Refused(f"{rfc3339(until)} is over; give a time to come", "malformed")
    if until > now.wall + longest_s + 1.0:
        why = ", because it can become red" if is_red else ""
        raise Refused(f"{alarm.id} can be shelved for {longest_s / 60:.0f} min at most{why}", "forbidden")
    run.shelving = Shelving(by=command.actor, reason=command.comment, since=now.wall, until=until)
    return run.move("overlay", now, context)


def _unshelve(run: Run, _: AlarmCommand, now: Now, context: Context) -> Event | None:
    if run.shelving is None:
        raise Refused(f"{run.alarm.id} is not shelved")
    return end_shelving(run, now, context)


def _out_of_service(run: Run, command: AlarmCommand, now: Now, context: Context) -> Event | None:
    """Again for one that is out of service already: it was reviewed."""
    if run.alarm.system == "fire":
        raise Refused(f"{run.alarm.id} is a fire point; it is never taken out of service here", "forbidden")
    _want(command.comment, "out of service", "why")
    _want(command.work_order, "out of service", "the number of the work order")
    _want(command.owner, "out of service", "who is responsible")
    run.out_of_service = OutOfService(
        by=command.actor,
        reason=command.comment,
        work_order=command.work_order,
        owner=command.owner,
        since=run.out_of_service.since if run.out_of_service else now.wall,
        review=now.wall + REVIEW_S,
    )
    return run.move("overlay", now, context)


def _in_service(run: Run, _: AlarmCommand, now: Now, context: Context) -> Event | None:
    if run.out_of_service is None:
        raise Refused(f"{run.alarm.id} is not out of service")
    run.out_of_service = None
    return run.overlay_changed(now, context)


def _want(text: str, what: str, missing: str) -> None:
    if not text.strip():
        raise Refused(f"{what} without {missing}; say it", "malformed")


VERBS: Mapping[AlarmVerb, Callable[[Run, AlarmCommand, Now, Context], Event | None]] = {
    "ack": _acknowledge,
    "reset": _reset,
    "shelve": _shelve,
    "unshelve": _unshelve,
    "out-of-service": _out_of_service,
    "in-service": _in_service,
}
