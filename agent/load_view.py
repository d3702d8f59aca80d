"""How much alarms ask of people, as an operator sees it: what the rules counted, and how it stands on the board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.events import rfc3339
from agent.rules.load import DAY_S, HOUR_S
from agent.rules.machine import ACTIVE
from agent.status import AlarmLoadView, WorstAlarm
from config.model import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.clock import Now
    from agent.health import Health
    from agent.rules import Rules
    from agent.rules.load import AlarmLoad
    from agent.status import AlarmView

TEN_MINUTES_S = 600


def note_flood(load: AlarmLoad, health: Health, gateway: str, now: Now) -> None:
    """A flood is a condition of the gateway while it lasts."""
    if load.floods(now.mono):
        count = load.per(TEN_MINUTES_S, now.mono).last
        health.hold("alarm_flood", gateway, now.wall, f"{count} alarms in ten minutes")
    else:
        health.release(gateway, "alarm_flood")


def load_view(rules: Rules, board: Iterable[AlarmView], now: Now) -> AlarmLoadView:
    """`board` is what is stored of the alarms that stand."""
    load, mono = rules.load, now.mono
    standing = [view.alarm_id for view in board if view.state in ACTIVE and not view.hidden and view.alarm_id in rules]
    ten_minutes, hour, day = (load.per(span_s, mono) for span_s in (TEN_MINUTES_S, HOUR_S, DAY_S))
    colours = load.colours(mono)
    return AlarmLoadView(
        since=rfc3339(max(load.since or now.wall, now.wall - DAY_S)),
        flood=load.floods(mono),
        per_10_min=ten_minutes.last,
        per_hour=hour.last,
        per_day=day.last,
        peak_10_min=ten_minutes.peak,
        peak_hour=hour.peak,
        standing=len(standing),
        stale=sorted(name for name in standing if now.wall - rules.runs[name].raised > DAY_S),
        chattering=sorted(name for name in standing if rules.runs[name].chatters),
        share_pct={colour: _share(colours[colour], day.last) for colour in COLOURS},
        worst=[
            WorstAlarm(alarm_id=name, count=count, share_pct=_share(count, day.last))
            for name, count in load.worst(mono)
        ],
    )


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
