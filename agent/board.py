"""The alarms that stand, for operators and for platforms: every one that is not NORM, once its event is on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from agent.events import AlarmTransition, Names, rfc3339
from agent.rules.occurrence import Context
from agent.status import AlarmView
from config.model import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Event
    from agent.rules import Rules
    from agent.rules.occurrence import Run


class AlarmBoard:
    """Begins with what the journal restored, follows the stored events."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._shown = {run.alarm.id: _restored(run, rules.gateway) for run in rules.standing()}
        self._events = {
            run.alarm.id: run.snapshot(Context(rules.gateway, rules.cfg_ver, run.changed)) for run in rules.standing()
        }
        self._ended: dict[str, AlarmView] = {}

    def on_stored(self, events: Iterable[Event]) -> None:
        """What is on disk may be shown."""
        for event in events:
            body = event.body
            if not isinstance(body, AlarmTransition) or body.alarm_id not in self._rules.runs:
                continue  # a proof test is no alarm of this house
            self._events[body.alarm_id] = event
            if body.ended:
                del self._events[body.alarm_id]
            view = _shown(body, self._shown.pop(body.alarm_id, None))
            (self._ended if body.ended else self._shown)[body.alarm_id] = view

    def snapshot(self) -> list[Event]:
        """The last stored transition of each alarm that stands; value and quality are those of now."""
        return [self._present(event) for event in self._events.values()]

    def latest(self, alarm_id: str) -> AlarmView:
        """An alarm as its last stored event left it, even where that ended it. Raises `KeyError`."""
        return self._shown.get(alarm_id) or self._ended[alarm_id]

    def views(self) -> list[AlarmView]:
        """Active before returned, then the worst colour, then the newest; value and quality are those of now."""
        newest_first = sorted(self._shown.values(), key=lambda view: view.changed, reverse=True)
        ranked = sorted(
            newest_first, key=lambda view: (view.state not in ("UNACK", "ACKED"), COLOURS.index(view.colour))
        )
        return [self._refreshed(view) for view in ranked]

    def _present(self, event: Event) -> Event:
        run = self._rules.runs[event.subject]
        now = {"value": run.value, "q": run.quality_name, "qr": run.quality.reason, "condition_known": run.known}
        return replace(event, body=msgspec.structs.replace(event.body, **now))

    def _refreshed(self, view: AlarmView) -> AlarmView:
        run = self._rules.runs[view.alarm_id]
        return msgspec.structs.replace(view, value=run.value, q=run.quality_name, condition_known=run.known)


def _shown(body: AlarmTransition, before: AlarmView | None) -> AlarmView:
    """What an event makes of an alarm's line."""
    is_same = before is not None and before.occurrence_id == body.occurrence_id
    return AlarmView(
        alarm_id=body.alarm_id,
        occurrence_id=body.occurrence_id,
        state=body.state,
        colour=body.colour,
        level=body.level,
        system=body.system,
        device=body.device,
        point=body.point,
        value=body.value,
        unit=body.unit,
        limit=body.limit,
        q=body.q,
        raised=before.raised if before is not None and is_same else body.ts_decided,
        changed=body.ts_decided,
        text=body.text,
        advice=body.advice,
        condition_known=body.condition_known,
        hidden=body.hidden,
        ack_by=body.ack.by,
    )


def _restored(run: Run, gateway: str) -> AlarmView:
    """An alarm that stood when the daemon stopped; its value is not known yet."""
    alarm = run.alarm
    return AlarmView(
        alarm_id=alarm.id,
        occurrence_id=run.occurrence_id(gateway),
        state=run.state,
        colour=run.colour,
        level=run.level.name if run.level else None,
        system=alarm.system,
        device=alarm.device,
        point=alarm.point,
        value=None,
        unit=alarm.unit,
        limit=run.level.limit if run.level else None,
        q="bad",
        raised=rfc3339(run.raised),
        changed=rfc3339(run.changed),
        text=Names(zh=alarm.text.zh, en=alarm.text.en),
        advice=Names(zh=alarm.advice.zh, en=alarm.advice.en),
        condition_known=False,
        hidden=False,
        ack_by=run.ack_by,
    )
