"""An alarm's last transition as the event that is announced: every field of it, and nothing decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent import events
from agent.events import AlarmTransition, Event, Names, OverlayInfo, PlaceRef, rfc3339
from agent.rules.machine import LATCHED
from config.judgement import Limit

if TYPE_CHECKING:
    from agent.rules.occurrence import Context, Run


def announcement(run: Run, context: Context) -> Event:
    """The last transition, with the value of now: what was announced, and what a restart finds again."""
    alarm, level = run.alarm, run.level
    response = run.response[run.colour]
    limit = alarm.condition if isinstance(alarm.condition, Limit) else None
    body = AlarmTransition(
        alarm_id=alarm.id,
        occurrence_id=run.occurrence_id(context.gateway),
        n=run.n,
        durable=True,
        test=run.is_tested,
        action=run.action,
        ended=run.state == "NORM",
        prev_state=run.prev_state,
        state=run.state,
        overlay=run.overlay,
        overlay_info=_overlay_info(run),
        hidden=run.is_hidden,
        condition_known=run.known,
        colour=run.colour,
        peak_colour=run.peak or run.colour,
        priority=response.priority,
        severity=response.severity,
        response_level=response.level,
        kind=alarm.condition.kind,
        signal="source_bad" if run.by_bad else alarm.signal or "process",
        level=level.name if level else None,
        place=PlaceRef(
            site=run.site,
            building=alarm.place.building,
            floor=alarm.place.floor,
            space=alarm.place.space,
        ),
        system=alarm.system,
        device=alarm.device,
        point=alarm.point,
        value=run.value,
        unit=alarm.unit,
        limit=level.limit if level else None,
        deadband=limit.deadband if limit else None,
        q=run.quality_name,
        qr=run.quality.reason,
        ts_source=rfc3339(run.source_time) if run.source_time is not None else None,
        ts_gateway=rfc3339(context.read_at),
        ts_cond=rfc3339(run.began),
        ts_decided=rfc3339(run.changed),
        on_delay_ms=round(alarm.on_delay_s * 1000),
        retrigger_count=run.retriggers,
        chatter_count=run.chatter_count,
        flood=run.flood,
        ack=_ack(run),
        latched=run.state in LATCHED,
        shelvable=alarm.shelvable,
        text=Names(zh=alarm.text.zh, en=alarm.text.en),
        advice=Names(zh=alarm.advice.zh, en=alarm.advice.en),
        rule_ver=run.rule_ver,
        cfg_ver=context.cfg_ver,
    )
    return Event(events.ALARM_TRANSITION, alarm.stream, run.changed, alarm.id, body, test=run.is_tested)


def _ack(run: Run) -> events.Ack:
    return events.Ack(
        required=run.alarm.ack_required,
        by=run.ack_by,
        at=rfc3339(run.ack_at) if run.ack_at is not None else None,
        scope=run.ack_scope,
        comment=run.ack_comment,
    )


def _overlay_info(run: Run) -> list[OverlayInfo]:
    found = []
    out, shelving = run.out_of_service, run.shelving
    if out is not None:
        found.append(
            OverlayInfo(
                overlay="OOSRV",
                by=out.by,
                reason=out.reason,
                since=rfc3339(out.since),
                work_order=out.work_order,
                owner=out.owner,
                review=rfc3339(out.review),
            )
        )
    found += [
        OverlayInfo(
            overlay="DSUPR",
            by=source,
            reason=cause.reason,
            since=rfc3339(cause.since),
            until=None if cause.until is None else rfc3339(cause.until),
        )
        for source, cause in sorted(run.suppressed_by.items())
    ]
    if shelving is not None:
        found.append(
            OverlayInfo(
                overlay="SHLVD",
                by=shelving.by,
                reason=shelving.reason,
                since=rfc3339(shelving.since),
                until=rfc3339(shelving.until),
            )
        )
    return found
