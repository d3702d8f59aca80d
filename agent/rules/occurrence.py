"""One alarm's way through the state table: its occurrence, its events, and what of it must survive a restart.

Invariants: an occurrence has one raise and one end; `n` grows by one with each event; the identifier derives from a
counter that is stored with the raise, so it is never used twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from agent import events
from agent.events import Action, AlarmState, AlarmTransition, Event, Names, PlaceRef, QualityName, rfc3339
from agent.rules.gauges import usable
from agent.rules.lanes import Lane, lanes, quiet_band
from agent.rules.machine import Row, transition
from config.model import COLOURS, Colour, Limit
from drivers.contract import GRADE_NAMES, Grade, Quality

if TYPE_CHECKING:
    from agent.clock import Now
    from agent.rules.machine import Trigger
    from config.model import Alarm
    from drivers.contract import Value

GOOD = Quality(Grade.GOOD, "ok")
NOT_YET = Quality(Grade.BAD, "not_connected")

PRIORITY: dict[Colour, tuple[int, int, str]] = {
    "red": (1, 900, "I"),
    "orange": (2, 700, "II"),
    "yellow": (3, 500, "III"),
    "blue": (4, 250, "work_list"),
}
"""Priority, severity (OPC UA 1-1000) and response level by colour, `domain.md` 4.6."""


class StoredLane(msgspec.Struct, frozen=True, array_like=True):
    """What of a lane survives a restart: a running delay goes on with what remains of it."""

    name: str | None
    on: bool
    turning: bool
    elapsed_s: float
    since: float


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What of an alarm survives a restart. New fields get a default, so that older state still reads."""

    state: AlarmState
    occurrence: int
    n: int
    peak: Colour | None
    level: str | None
    raised: float
    changed: float
    retriggers: int
    ack_by: str | None
    ack_at: float | None
    ack_comment: str | None
    lanes: list[StoredLane]
    action: Action = "raise"
    prev_state: AlarmState = "NORM"
    began: float = 0.0


class Run:
    """One configured alarm and where it stands. Mutable: it is the state that `step` is given."""

    __slots__ = (
        "ack_at",
        "ack_by",
        "ack_comment",
        "action",
        "alarm",
        "at_rest",
        "band",
        "began",
        "changed",
        "known",
        "lanes",
        "level",
        "n",
        "occurrence",
        "peak",
        "prev_state",
        "quality",
        "raised",
        "retriggers",
        "rule_ver",
        "site",
        "source_time",
        "state",
        "value",
    )

    def __init__(self, alarm: Alarm, site: str) -> None:
        self.alarm = alarm
        self.site = site
        self.rule_ver = "r-" + hashlib.sha256(repr(alarm).encode()).hexdigest()[:8]
        self.band = quiet_band(alarm)
        self.lanes: list[Lane] = lanes(alarm.condition)
        self.state: AlarmState = "NORM"
        self.occurrence = 0
        self.n = 0
        self.retriggers = 0
        self.level: Lane | None = None
        self.peak: Colour | None = None
        self.raised = 0.0
        self.changed = 0.0
        self.action: Action = "raise"
        self.prev_state: AlarmState = "NORM"
        self.began = 0.0
        self.ack_by: str | None = None
        self.ack_at: float | None = None
        self.ack_comment: str | None = None
        self.value: Value = None
        self.quality = NOT_YET
        self.source_time: float | None = None
        self.known = False
        self.at_rest = True

    @property
    def colour(self) -> Colour:
        """Of the present level; after the return, the highest that was reached."""
        if self.level is not None:
            return self.level.colour
        return self.peak or self.alarm.colours[0]

    # --- the condition -------------------------------------------------------------------------------------------

    def observe(self, value: Value, quality: Quality, now: Now, known_until: float) -> bool:
        """A value or a quality arrived; true when a lane turned. `known_until` is when the last one was confirmed."""
        self.value, self.quality = value, quality
        self.known = usable(value, quality)
        turned = False
        for lane in self.lanes:
            turned = self._observe_lane(lane, value, now, known_until) or turned
        self._settle()
        return turned

    def _observe_lane(self, lane: Lane, value: Value, now: Now, known_until: float) -> bool:
        if not self.known:
            lane.pause(min(now.mono, known_until))
            return False
        wanted = lane.demand(value)
        if lane.on and not wanted and self.quality.grade is not Grade.GOOD:
            lane.pause(min(now.mono, known_until))  # uncertain never clears
            return False
        return lane.follow(wanted, self._delay(lane), now.mono, now.wall)

    def tick(self, mono: float) -> bool:
        """Time passed while the value stood; true when a lane turned."""
        turned = False
        for lane in self.lanes:
            if lane.turning and lane.mark is not None:
                lane.count(mono)
                turned = lane.turn(self._delay(lane)) or turned
        self._settle()
        return turned

    def next_due(self) -> float | None:
        """The monotonic time at which the next running delay will be served, if the value stands until then."""
        dues = [
            lane.mark + self._delay(lane) - lane.elapsed_s
            for lane in self.lanes
            if lane.turning and lane.mark is not None
        ]
        return min(dues, default=None)

    def _delay(self, lane: Lane) -> float:
        return self.alarm.off_delay_s if lane.on else self.alarm.on_delay_s

    def _settle(self) -> None:
        self.at_rest = self.known and not any(lane.on or lane.turning for lane in self.lanes)

    # --- the state ------------------------------------------------------------------------------------------------

    def announce(self, now: Now, context: Context) -> Event | None:
        """After lanes turned: move through the table, and say so. None where nothing changed for anybody."""
        before, self.level = self.level, next((lane for lane in self.lanes if lane.on), None)
        trigger = _trigger(before, self.level)
        return self._move(trigger, now, context) if trigger else None

    def acknowledge(self, actor: str, comment: str, now: Now, context: Context) -> Event | None:
        """Somebody has seen it. None where there is nothing to acknowledge."""
        if transition(self.state, "ack", latching=self.alarm.latching, ack_required=True) is None:
            return None
        self.ack_by, self.ack_at, self.ack_comment = actor, now.wall, comment
        return self._move("ack", now, context)

    def reset(self, now: Now, context: Context) -> Event | None:
        """Release a latch. None where it is not allowed: the condition stands, or nobody has acknowledged."""
        return self._move("reset", now, context)

    def _move(self, trigger: Trigger, now: Now, context: Context) -> Event | None:
        alarm = self.alarm
        row = transition(self.state, trigger, latching=alarm.latching, ack_required=alarm.ack_required)
        if row is None:
            return None
        self.began = self._begin(row, now)
        self.prev_state, self.state, self.action = self.state, row.to, row.action
        self.n += 1
        self.changed = now.wall
        event = self.snapshot(context)
        if row.to == "NORM":
            self.peak = None
        return event

    def _begin(self, row: Row, now: Now) -> float:
        """Bookkeeping of a transition; gives the wall time at which the value first asked for it."""
        began = now.wall
        if row.trigger in ("true", "up") and self.level is not None:
            began = self.level.since or now.wall
            self.ack_by = self.ack_at = self.ack_comment = None
            self.peak = max(self.peak or "blue", self.level.colour, key=lambda colour: -COLOURS.index(colour))
        if row.action == "raise":
            self.occurrence += 1
            self.n = 0
            self.retriggers = 0
            self.raised = now.wall
        elif row.action == "retrigger":
            self.retriggers += 1
        return began

    def snapshot(self, context: Context) -> Event:
        """The last transition, with the value of now: what was announced, and what a restart finds again."""
        alarm, level = self.alarm, self.level
        priority, severity, response = PRIORITY[self.colour]
        limit = alarm.condition if isinstance(alarm.condition, Limit) else None
        body = AlarmTransition(
            alarm_id=alarm.id,
            occurrence_id=self.occurrence_id(context.gateway),
            n=self.n,
            durable=True,
            action=self.action,
            ended=self.state == "NORM",
            prev_state=self.prev_state,
            state=self.state,
            overlay=[],
            hidden=False,
            condition_known=self.known,
            colour=self.colour,
            peak_colour=self.peak or self.colour,
            priority=priority,
            severity=severity,
            response_level=response,
            kind=alarm.condition.kind,
            signal="process",
            level=level.name if level else None,
            place=PlaceRef(
                site=self.site,
                building=alarm.place.building,
                floor=alarm.place.floor,
                space=alarm.place.space,
            ),
            system=alarm.system,
            device=alarm.device,
            point=alarm.point,
            value=self.value,
            unit=alarm.unit,
            limit=level.limit if level else None,
            deadband=limit.deadband if limit else None,
            q=self.quality_name,
            qr=self.quality.reason,
            ts_source=rfc3339(self.source_time) if self.source_time is not None else None,
            ts_gateway=rfc3339(context.read_at),
            ts_cond=rfc3339(self.began),
            ts_decided=rfc3339(self.changed),
            on_delay_ms=round(alarm.on_delay_s * 1000),
            retrigger_count=self.retriggers,
            chatter_count=0,
            flood=False,
            ack=self._ack(),
            latched=self.state in ("LTUNK", "LTACK"),
            shelvable=alarm.shelvable,
            text=Names(zh=alarm.text.zh, en=alarm.text.en),
            advice=Names(zh=alarm.advice.zh, en=alarm.advice.en),
            rule_ver=self.rule_ver,
            cfg_ver=context.cfg_ver,
        )
        return Event(events.ALARM_TRANSITION, alarm.stream, self.changed, alarm.id, body)

    def _ack(self) -> events.Ack:
        return events.Ack(
            required=self.alarm.ack_required,
            by=self.ack_by,
            at=rfc3339(self.ack_at) if self.ack_at is not None else None,
            scope="local" if self.ack_by else None,
            comment=self.ack_comment,
        )

    def occurrence_id(self, gateway: str) -> str:
        """Stable name of the present, or else the last, occurrence."""
        return f"{gateway}/{self.alarm.id}/{self.occurrence}"

    @property
    def quality_name(self) -> QualityName:
        return GRADE_NAMES[self.quality.grade]

    # --- what survives a restart ----------------------------------------------------------------------------------

    def store(self) -> bytes:
        """Everything that a restart must find again."""
        return msgspec.json.encode(
            Stored(
                state=self.state,
                occurrence=self.occurrence,
                n=self.n,
                peak=self.peak,
                level=self.level.name if self.level else None,
                raised=self.raised,
                changed=self.changed,
                retriggers=self.retriggers,
                ack_by=self.ack_by,
                ack_at=self.ack_at,
                ack_comment=self.ack_comment,
                lanes=[StoredLane(lane.name, lane.on, lane.turning, lane.elapsed_s, lane.since) for lane in self.lanes],
                action=self.action,
                prev_state=self.prev_state,
                began=self.began,
            )
        )

    def restore(self, raw: bytes) -> None:
        """Go on where `store` left off. A level that the configuration no longer has is forgotten."""
        stored = msgspec.json.decode(raw, type=Stored)
        self.state, self.occurrence, self.n = stored.state, stored.occurrence, stored.n
        self.peak, self.raised, self.changed = stored.peak, stored.raised, stored.changed
        self.retriggers = stored.retriggers
        self.action, self.prev_state, self.began = stored.action, stored.prev_state, stored.began or stored.changed
        self.ack_by, self.ack_at, self.ack_comment = stored.ack_by, stored.ack_at, stored.ack_comment
        by_name = {lane.name: lane for lane in self.lanes}
        for old in stored.lanes:
            lane = by_name.get(old.name)
            if lane is not None:
                lane.on, lane.turning, lane.elapsed_s, lane.since = old.on, old.turning, old.elapsed_s, old.since
        self.level = next((lane for lane in self.lanes if lane.on), None)
        self.at_rest = False


class Context(msgspec.Struct, frozen=True):
    """What every event of one step shares. `read_at` is the wall time of the reading that caused it."""

    gateway: str
    cfg_ver: str
    read_at: float


def _trigger(before: Lane | None, after: Lane | None) -> Trigger | None:
    if before is after:
        return None
    if before is None:
        return "true"
    if after is None:
        return "false"
    return "up" if after.rank >= before.rank else "down"
