"""The alarms that stand or are hidden, for operators and for platforms, each once that is on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from agent.events import AlarmTransition, rfc3339
from agent.rules.machine import ACTIVE
from agent.rules.occurrence import Context
from agent.status import AlarmView
from config.model import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.events import Event
    from agent.rules import Rules


class AlarmBoard:
    """Begins with what the journal restored, follows the stored events."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._events = {
            run.alarm.id: run.snapshot(Context(rules.gateway, rules.cfg_ver, run.read_at)) for run in rules.standing()
        }
        self._shown = {
            name: _shown(event.body, None, rfc3339(rules.runs[name].raised))
            for name, event in self._events.items()
            if isinstance(event.body, AlarmTransition)
        }
        self._ended: dict[str, AlarmView] = {}

    def on_stored(self, events: Iterable[Event]) -> None:
        """What is on disk may be shown."""
        for event in events:
            body = event.body
            if (
                not isinstance(body, AlarmTransition)
                or body.alarm_id not in self._events.keys() | self._rules.runs.keys()
            ):
                continue  # a proof test is no alarm of this house
            is_over = body.ended and not body.hidden
            self._events[body.alarm_id] = event
            if is_over:
                del self._events[body.alarm_id]
            view = _shown(body, self._shown.pop(body.alarm_id, None))
            (self._ended if is_over else self._shown)[body.alarm_id] = view

    def snapshot(self) -> list[Event]:
        """The last stored transition of each alarm that stands; value and quality are those of now."""
        return [self._present(event) for event in self._events.values()]

    def latest(self, alarm_id: str) -> AlarmView:
        """An alarm as its last stored event left it, even where that ended it. Raises `KeyError`."""
        return self._shown.get(alarm_id) or self._ended[alarm_id]

    def views(self) -> list[AlarmView]:
        """Active, returned, hidden; then the worst colour, what nobody has acknowledged, the newest.

        Value and quality are those of now.
        """
        newest_first = sorted(self._shown.values(), key=lambda view: view.changed, reverse=True)
        return [self._refreshed(view) for view in sorted(newest_first, key=_rank)]

    def _present(self, event: Event) -> Event:
        run = self._rules.runs.get(event.subject)
        if run is None:
            return event  # the configuration has it no more, and its end is not on disk yet
        now = {"value": run.value, "q": run.quality_name, "qr": run.quality.reason, "condition_known": run.known}
        return replace(event, body=msgspec.structs.replace(event.body, **now))

    def _refreshed(self, view: AlarmView) -> AlarmView:
        run = self._rules.runs.get(view.alarm_id)
        if run is None:
            return view
        now = {"value": run.value, "q": run.quality_name, "qr": run.quality.reason, "condition_known": run.known}
        return msgspec.structs.replace(view, **now)


def _rank(view: AlarmView) -> tuple[bool, bool, int, bool]:
    """What nobody has looked at yet stands before what somebody has, within its colour."""
    return view.hidden, view.state not in ACTIVE, COLOURS.index(view.colour), view.state == "ACKED"


def _shown(body: AlarmTransition, before: AlarmView | None, raised: str | None = None) -> AlarmView:
    """What an event makes of an alarm's line. `raised` is known of one that stood before."""
    if before is not None and before.occurrence_id == body.occurrence_id:
        raised = before.raised
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
        qr=body.qr,
        raised=raised or body.ts_decided,
        changed=body.ts_decided,
        text=body.text,
        advice=body.advice,
        condition_known=body.condition_known,
        hidden=body.hidden,
        ack_by=body.ack.by,
        overlay=body.overlay,
        overlay_info=body.overlay_info,
        test=body.test,
    )
