"""What the gateway says of itself to the platform, `gateway.health`: its bodies, made of what an operator sees. Pure.

Not what must never be lost: that a device or a line is lost is an alarm, and who did what is in the audit trail. Every
list has an end, so that a bad day makes no message that a broker refuses.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, get_args

from agent.events import GATEWAY_HEALTH, Body, DeviceCondition, Event, Names
from config.model import Colour

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.status import AlarmLoadView, DeviceView, LineView, Status

CONDITIONS_MAX = 100

Reason = Literal["interval", "change"]
Severity = Literal["error", "warning", "info"]


class ConditionHeld(Body, frozen=True, kw_only=True):
    """One health condition that holds: what it is called, of what it is true, and what a person should do."""

    code: str
    severity: Severity
    target: str
    since: str
    title: Names
    detail: str
    todo: Names


class CallingAlarm(Body, frozen=True, kw_only=True):
    """How often an alarm called within the last day, and which part of all calls that is."""

    alarm_id: str
    count: int
    share_pct: float


class AlarmLoad(Body, frozen=True, kw_only=True):
    """What EEMUA 191 and ISA-18.2 measure; what is hidden or a test does not count.

    Alarms that called within the last ten minutes, hour and day, and the most within ten minutes and within an hour of
    the last day, all since `since`. `standing` are active now, `stale` of them for more than a day; `chattering` come
    and go too often. `share_pct` is by colour, of the last day.
    """

    since: str
    flood: bool
    per_10_min: int
    per_hour: int
    per_day: int
    peak_10_min: int
    peak_hour: int
    standing: int
    stale: int
    chattering: int
    share_pct: dict[Colour, float]
    worst: list[CallingAlarm]


class ProtocolHealth(Body, frozen=True, kw_only=True):
    """All lines of one protocol; `polls`, `failures`, `late_polls` and `counts` are since the start."""

    protocol: str
    lines: int
    lines_up: int
    devices: int
    polls: int
    failures: int
    late_polls: int
    counts: dict[str, int]


class PointsHealth(Body, frozen=True, kw_only=True):
    good: int
    uncertain: int
    bad: int


class JournalHealth(Body, frozen=True, kw_only=True):
    """`pending_bytes` are not on disk yet; `error` is why, where the disk is away. `dropped` is by stream."""

    size_bytes: int
    pending_bytes: int
    last_commit_ms: float
    error: str | None
    dropped: dict[str, int]


class UplinkHealth(Body, frozen=True, kw_only=True):
    """`waiting` records are not acknowledged by the broker yet."""

    id: str
    state: str
    waiting: int
    acknowledged: int
    rejected: int


class MachineHealth(Body, frozen=True, kw_only=True):
    """What the gateway takes of its machine, and how much all of its programs ask of its processors.

    `load_1min` is how many programs wanted to run at once over the last minute; more than `cpus` means that they wait.
    """

    memory_bytes: int
    load_1min: float
    cpus: int


class GatewayHealth(Body, frozen=True, kw_only=True):
    """How the gateway is: once a minute, and when a condition comes or goes.

    `conditions` are the worst hundred of `conditions_held`. `devices` is by state. `rates` are per second, over the
    last ten. `since` is when the gateway started.
    """

    reason: Reason
    since: str
    sw: str
    cfg_ver: str
    conditions_held: int
    conditions: list[ConditionHeld]
    devices: dict[str, int]
    points: PointsHealth
    protocols: list[ProtocolHealth]
    uplinks: list[UplinkHealth]
    journal: JournalHealth
    machine: MachineHealth
    alarms: AlarmLoad
    rates: dict[str, float]


def health_event(status: Status, machine: MachineHealth, reason: Reason, wall: float) -> Event:
    """The event for how it is at this moment (`wall`, epoch seconds)."""
    states = Counter(device.state for device in status.devices)
    body = GatewayHealth(
        reason=reason,
        since=status.started,
        sw=status.version,
        cfg_ver=status.cfg_ver,
        conditions_held=len(status.health),
        conditions=[
            ConditionHeld(
                code=view.code,
                severity=view.severity,
                target=view.target,
                since=view.since,
                title=view.title,
                detail=view.detail,
                todo=view.todo,
            )
            for view in status.health[:CONDITIONS_MAX]
        ],
        devices={state: states[state] for state in get_args(DeviceCondition) if states[state]},
        points=PointsHealth(
            good=sum(device.points_good for device in status.devices),
            uncertain=sum(device.points_uncertain for device in status.devices),
            bad=sum(device.points_bad for device in status.devices),
        ),
        protocols=list(_protocols(status.lines, status.devices)),
        uplinks=[
            UplinkHealth(
                id=view.id,
                state=view.state,
                waiting=sum(view.waiting.values()),
                acknowledged=view.acknowledged,
                rejected=view.rejected,
            )
            for view in status.uplinks
        ],
        journal=JournalHealth(
            size_bytes=status.journal.size_bytes,
            pending_bytes=status.journal.pending_bytes,
            last_commit_ms=status.journal.last_commit_ms,
            error=status.journal.error,
            dropped={name: stream.dropped for name, stream in status.journal.streams.items()},
        ),
        machine=machine,
        alarms=_alarm_load(status.load),
        rates=status.rates,
    )
    return Event(GATEWAY_HEALTH, "state", wall, status.gateway, body)


def _protocols(lines: Iterable[LineView], devices: Iterable[DeviceView]) -> Iterator[ProtocolHealth]:
    lines, devices = list(lines), list(devices)
    for protocol in sorted({line.protocol for line in lines}):
        of_lines = [line for line in lines if line.protocol == protocol]
        of_devices = [device for device in devices if device.protocol == protocol]
        counts: Counter[str] = Counter()
        for line in of_lines:
            counts.update(line.counts)
        yield ProtocolHealth(
            protocol=protocol,
            lines=len(of_lines),
            lines_up=sum(line.state == "up" for line in of_lines),
            devices=len(of_devices),
            polls=sum(device.polls for device in of_devices),
            failures=sum(device.failures for device in of_devices),
            late_polls=sum(device.late_polls for device in of_devices),
            counts=dict(sorted(counts.items())),
        )


def _alarm_load(load: AlarmLoadView) -> AlarmLoad:
    return AlarmLoad(
        since=load.since,
        flood=load.flood,
        per_10_min=load.per_10_min,
        per_hour=load.per_hour,
        per_day=load.per_day,
        peak_10_min=load.peak_10_min,
        peak_hour=load.peak_hour,
        standing=load.standing,
        stale=len(load.stale),
        chattering=len(load.chattering),
        share_pct=load.share_pct,
        worst=[CallingAlarm(alarm_id=one.alarm_id, count=one.count, share_pct=one.share_pct) for one in load.worst],
    )
