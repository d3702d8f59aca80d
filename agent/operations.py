"""What operators do to alarms and maintenance, whoever asks: through the pipeline, and into the audit trail.

Done or refused, every order leaves an entry. Who may order what is decided before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.audit import GATEWAY
from agent.events import rfc3339
from agent.pipeline import Order
from agent.rules import Refused
from agent.status import MaintenanceView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.audit import Trail
    from agent.board import AlarmBoard
    from agent.events import Actor
    from agent.health import Health
    from agent.pipeline import Pipeline
    from agent.rules import AlarmCommand, MaintenanceCommand, Rules, Step
    from agent.rules.commands import AlarmVerb, MaintenanceVerb
    from agent.rules.maintenance import Change, Entry
    from agent.status import AlarmView

AUDIT_VERBS: Mapping[AlarmVerb | MaintenanceVerb, str] = {
    "ack": "ack",
    "reset": "reset",
    "shelve": "shelve",
    "unshelve": "unshelve",
    "out-of-service": "oos_on",
    "in-service": "oos_off",
    "maintenance-start": "maintenance_on",
    "maintenance-end": "maintenance_off",
}


class Operations:
    """Every order is answered when it is on disk; raises `agent.rules.Refused`."""

    def __init__(self, pipeline: Pipeline, rules: Rules, board: AlarmBoard, trail: Trail) -> None:
        self._pipeline = pipeline
        self._rules = rules
        self._board = board
        self._trail = trail
        self._reviews: frozenset[str] = frozenset()
        pipeline.by_clock.append(self._note_by_clock)

    async def alarm(self, command: AlarmCommand, actor: Actor) -> AlarmView:
        """The alarm afterwards."""
        before = self._standing(command.alarm_id)
        await self._order(command, actor, command.alarm_id, command.comment)
        after = self._standing(command.alarm_id)
        self._audit(command, actor, command.alarm_id, command.comment, before=before, after=after)
        return self._board.latest(command.alarm_id)

    async def maintain(self, command: MaintenanceCommand, actor: Actor) -> MaintenanceView:
        """The maintenance that was begun, or ended."""
        step = await self._order(command, actor, f"maintenance/{command.id}".rstrip("/"), command.reason)
        assert step.maintenance is not None, "a command about maintenance begins or ends one"
        found = maintenance_view(step.maintenance)
        self._audit(command, actor, step.maintenance.source, command.reason, after=_meaning(found))
        return found

    def _note_by_clock(self, change: Change) -> None:
        """A window of the calendar began, or a maintenance has come to its end: nobody ordered it now."""
        verb, why = ("maintenance_on", "by the calendar") if change.begins else ("maintenance_off", "its end has come")
        after = _meaning(maintenance_view(change.entry))
        self._trail.append(GATEWAY, verb, change.entry.source, after=after, reason=f"{why}: {change.entry.reason}")

    def let_in(self, actor: Actor, where: str) -> None:
        self._trail.let_in(actor, where)

    def turned_away(self, actor: Actor, asked: str, why: str) -> None:
        self._trail.turned_away(actor, asked, why)

    def maintenance(self) -> list[MaintenanceView]:
        """All that is on, the one that ends first before the others."""
        entries = sorted(self._rules.maintenance.entries.values(), key=lambda entry: entry.until)
        return [maintenance_view(entry) for entry in entries]

    def note_reviews(self, health: Health, wall: float) -> None:
        """Whatever is out of service for so long that somebody has to ask why is a condition of the gateway."""
        due = {run.alarm.id: run.out_of_service for run in self._rules.to_review(wall)}
        for alarm_id in self._reviews - due.keys():
            health.release(alarm_id, "review_due")
        for alarm_id, taken in due.items():
            if taken is not None:
                health.hold("review_due", alarm_id, wall, f"{taken.work_order}, {taken.owner}: {taken.reason}")
        self._reviews = frozenset(due)

    async def _order(self, command: AlarmCommand | MaintenanceCommand, actor: Actor, target: str, reason: str) -> Step:
        done: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        await self._pipeline.put(Order(command, done))
        try:
            return await done
        except Refused as refused:
            why = f"{refused}; asked because: {reason}" if reason else str(refused)
            verb = AUDIT_VERBS[command.verb]
            self._trail.append(actor, verb, target, reason=why, result="refused", code=refused.code)
            raise

    def _audit(
        self,
        command: AlarmCommand | MaintenanceCommand,
        actor: Actor,
        target: str,
        reason: str,
        *,
        before: str | None = None,
        after: str | None = None,
    ) -> None:
        self._trail.append(actor, AUDIT_VERBS[command.verb], target, before=before, after=after, reason=reason)

    def _standing(self, alarm_id: str) -> str | None:
        """The state of an alarm in a word or a few; None where there is no such alarm."""
        run = self._rules.runs.get(alarm_id)
        return None if run is None else " ".join((run.state, *run.overlay))


def maintenance_view(entry: Entry) -> MaintenanceView:
    scope = entry.scope
    return MaintenanceView(
        id=entry.id,
        device=sorted(scope.device),
        system=sorted(scope.system),
        building=sorted(scope.building),
        floor=sorted(scope.floor),
        space=sorted(scope.space),
        test=entry.is_test,
        by=entry.by,
        reason=entry.reason,
        since=rfc3339(entry.since),
        until=rfc3339(entry.until),
    )


def _meaning(view: MaintenanceView) -> str:
    traits = {name: getattr(view, name) for name in ("device", "system", "building", "floor", "space")}
    meant = ", ".join(f"{name} {' '.join(values)}" for name, values in traits.items() if values)
    return f"{meant} until {view.until}"
