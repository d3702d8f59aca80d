"""What a platform may ask of the gateway by command, beyond what its uplink itself can do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from agent import rules
from agent.control.desk import Refusal
from agent.events import (
    AlarmOrder,
    EvidenceCommand,
    MaintenanceEndOrder,
    MaintenanceOrder,
    OutOfServiceOrder,
    ShelveOrder,
)
from agent.rules import AlarmCommand, MaintenanceCommand
from agent.rules.commands import start_of_maintenance
from agent.uplink.commands import Refused, moment
from agent.uplink.errands import Done

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.events import Actor, Command
    from agent.operations import Operations
    from agent.past import Past
    from agent.rules.commands import AlarmVerb
    from agent.status import EvidenceView, OccurrenceView, SampleView
    from agent.uplink.errands import Door

SAMPLES_MAX = 4096
ANSWER_BYTES_MAX = 60 * 1024
"""With the envelope around it an answer stays below 64 KiB."""


EVIDENCE_MAX = 8
"""Occurrences that are looked up at once."""


def doors(past: Past, operations: Operations, allowed: Iterable[str]) -> Mapping[str, Door]:
    """By verb: what may always be asked, and the orders that the site `allowed`."""
    orders = Orders(operations)
    return {"evidence": Evidence(past).answer, **{verb: orders.door(verb) for verb in allowed}}


class Orders:
    """What operators do to alarms and maintenance, ordered by a platform in the name of its `actor`."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def door(self, verb: str) -> Door:
        async def carry_out(command: Command) -> Done:
            order = _order(verb, command)
            try:
                args = await self._carry_out(order, command.actor)
            except rules.Refused as refused:
                answer = Refused(refused.code, str(refused))
                answer.is_audited = True
                raise answer from refused
            return Done("done", args, is_audited=True)

        return carry_out

    async def _carry_out(self, order: AlarmCommand | MaintenanceCommand, actor: Actor) -> dict[str, Any]:
        """How the alarm is now, or the maintenance that was begun or ended."""
        if isinstance(order, MaintenanceCommand):
            found: dict[str, Any] = msgspec.to_builtins(await self._operations.maintain(order, actor))
            return found
        alarm = await self._operations.alarm(order, actor)
        return {"alarm_id": alarm.alarm_id, "state": alarm.state, "overlay": list(alarm.overlay)}


def _order(verb: str, command: Command) -> AlarmCommand | MaintenanceCommand:
    """As the rules take it. Raises `Refused`."""
    by = command.actor.id
    match command:
        case ShelveOrder(args=args):
            return _to_alarm("shelve", args.alarm_id, by, args.reason, until=moment(args.until, "until"))
        case OutOfServiceOrder(args=args):
            more = {"work_order": args.work_order, "owner": args.owner}
            return _to_alarm("out-of-service", args.alarm_id, by, args.reason, **more)
        case MaintenanceOrder(args=args):
            until = moment(args.until, "until")
            try:
                return start_of_maintenance(args, by, until)
            except rules.Refused as refused:
                raise Refused(refused.code, str(refused)) from refused
        case MaintenanceEndOrder(args=args):
            return MaintenanceCommand("maintenance-end", by, args.reason, id=args.id)
        case AlarmOrder(args=args):
            return _to_alarm(verb, args.alarm_id, by, args.comment)
    raise AssertionError(f"{verb} is no order")


def _to_alarm(verb: Any, alarm_id: str, by: str, comment: str, **more: Any) -> AlarmCommand:
    kind: AlarmVerb = verb
    return AlarmCommand(kind, alarm_id, by, comment, scope="platform", **more)


class Evidence:
    """An occurrence of an alarm with every value around its beginning and end."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._turns = asyncio.Semaphore(EVIDENCE_MAX)

    async def answer(self, command: Command) -> Done:
        """Raises `Refused`."""
        async with self._turns:
            return await self._answer(command)

    async def _answer(self, command: Command) -> Done:
        assert isinstance(command, EvidenceCommand), "that is its shape"
        asked = command.args
        try:
            found = await self._past.of_occurrence(asked.alarm_id, asked.occurrence_id)
        except Refusal as refusal:
            raise Refused("busy", str(refusal)) from refusal
        if found is None:
            raise Refused("not_kept", f"nothing of {asked.occurrence_id or asked.alarm_id} is kept any more")
        return Done("the evidence is in args", fitted(found))


def fitted(found: OccurrenceView) -> dict[str, Any]:
    """As large as an answer may be; what does not fit is the oldest, and counted."""
    most = SAMPLES_MAX
    while len(msgspec.json.encode(answer := _answer(found, most))) > ANSWER_BYTES_MAX and most:
        most //= 2
    return answer


def _answer(found: OccurrenceView, most: int) -> dict[str, Any]:
    evidence: list[dict[str, Any]] = []
    left = most
    for one in reversed(found.evidence):
        shown = one.samples[-left:] if left else []
        left -= len(shown)
        evidence.insert(0, _evidence(one, shown))
    return {
        "alarm_id": found.alarm_id,
        "occurrence_id": found.occurrence_id,
        "transitions": [{"n": row.n, "action": row.action, "time": row.time} for row in found.transitions[-most:]],
        "evidence": evidence,
        "left_out": sum(len(one.samples) for one in found.evidence) - (most - left),
    }


def _evidence(one: EvidenceView, shown: list[SampleView]) -> dict[str, Any]:
    return {
        "point": one.point,
        "unit": one.unit,
        "begin": one.begin,
        "end": one.end,
        "complete": one.complete,
        "samples": [[each.time, each.value] if each.q == "good" else [each.time, each.value, each.q] for each in shown],
    }
