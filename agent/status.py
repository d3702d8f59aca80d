"""What an operator may see: one frozen snapshot, the same for CLI, live view and page. Its JSON shape is a promise.

Times are RFC 3339 in UTC; a name ending in `_s` is seconds, `_ms` milliseconds, `_bytes` bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.events import (
    Action,
    AlarmState,
    ClockState,
    DeviceCondition,
    Evidence,
    Names,
    Overlay,
    OverlayInfo,
    QualityName,
    Value,
)
from config.model import Colour, Role


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything shown."""


class StreamView(View, frozen=True, kw_only=True):
    """`next_seq` is the sequence that the next record will get; `first_kept_seq` the oldest still in the journal."""

    next_seq: int
    first_kept_seq: int
    records: int
    size_bytes: int
    dropped: int


class JournalView(View, frozen=True, kw_only=True):
    epoch: str
    streams: dict[str, StreamView]
    size_bytes: int
    pending_bytes: int
    last_commit_ms: float
    error: str | None


class UplinkView(View, frozen=True, kw_only=True):
    """`waiting` counts records per stream that the broker has not acknowledged yet.

    `backlog` of them, at most, are older telemetry that is sent beside what is new, which begins at `live_from` (null
    where everything goes in one sequence). Where the platform is asked to confirm, `handed_over` records are with the
    broker and not confirmed yet, and `confirmed` were since the start; otherwise both are null.
    """

    id: str
    state: Literal["connected", "connecting", "waiting", "refused"]
    broker: str
    since: str
    error: str | None
    todo: str | None
    in_flight: int
    acknowledged: int
    rejected: int
    waiting: dict[str, int]
    live_from: int | None = None
    backlog: int = 0
    handed_over: int | None = None
    confirmed: int | None = None


class LineView(View, frozen=True, kw_only=True):
    id: str
    name: Names
    protocol: str
    endpoint: str
    state: Literal["up", "connecting", "down", "refused", "fault"]
    since: str
    error: str | None
    todo: str | None
    devices: list[str]
    counts: dict[str, int] = {}


class DeviceView(View, frozen=True, kw_only=True):
    id: str
    name: Names
    system: str
    line: str
    protocol: str
    state: DeviceCondition
    since: str
    reason: str
    last_ok: str | None
    rtt_ms: float | None
    err_rate_pct: float
    polls: int
    failures: int
    late_polls: int
    points_good: int
    points_uncertain: int
    points_bad: int


class PointView(View, frozen=True, kw_only=True):
    """One value as it stands. `age_s` is how long ago it was last confirmed, `qraw` what the source said of it."""

    device: str
    point: str
    name: Names
    value: Value
    unit: str
    q: QualityName
    qr: str
    qraw: str
    time: str | None
    age_s: float | None
    address: str


class HistoryRow(View, frozen=True, kw_only=True):
    """One sample, or a stretch of time from `time` on: `last` value, worst quality, and what the numbers were."""

    time: str
    last: Value
    q: QualityName
    count: int
    min: float | None
    max: float | None
    mean: float | None


class GapView(View, frozen=True, kw_only=True):
    """From one sample, or the beginning of what was asked for, to the next one: longer than a sample stands."""

    begin: str
    end: str


class HistoryView(View, frozen=True, kw_only=True):
    """A point's past, oldest first. `every_s` is None where each row is one sample as it was stored.

    A sample stands until the next one, but at most `hold_s`; where there was none for longer than that is a gap.
    """

    point: str
    unit: str
    every_s: float | None
    hold_s: float
    rows: list[HistoryRow]
    gaps: list[GapView]


class TransitionView(View, frozen=True, kw_only=True):
    """What an alarm did once; `n` counts within its occurrence. `by` is who had acknowledged it by then."""

    time: str
    alarm_id: str
    occurrence_id: str
    n: int
    action: Action
    ended: bool
    state: AlarmState
    colour: Colour
    level: str | None
    value: Value
    unit: str
    q: QualityName
    by: str | None
    comment: str | None
    text: Names
    test: bool
    evidence: Evidence | None


class SampleView(View, frozen=True, kw_only=True):
    """One value as it was stored."""

    time: str
    value: Value
    q: QualityName


class EvidenceView(View, frozen=True, kw_only=True):
    """What one point (`device/point`) was around a beginning or an end; `complete` is false while more is to come."""

    point: str
    unit: str
    begin: str
    end: str
    complete: bool
    samples: list[SampleView]


class OccurrenceView(View, frozen=True, kw_only=True):
    """One occurrence of an alarm as far as the journal still has it: what it did, and the samples around that."""

    alarm_id: str
    occurrence_id: str
    transitions: list[TransitionView]
    evidence: list[EvidenceView]


class AlarmView(View, frozen=True, kw_only=True):
    """One alarm that is not NORM, or that is hidden: `overlay` says by what, the one to be shown first.

    `value`, `q` and its reason `qr` are those of now.
    """

    alarm_id: str
    occurrence_id: str
    state: AlarmState
    colour: Colour
    level: str | None
    system: str
    device: str
    point: str
    value: Value
    unit: str
    limit: float | None
    q: QualityName
    raised: str
    changed: str
    text: Names
    advice: Names
    condition_known: bool
    hidden: bool
    ack_by: str | None
    overlay: list[Overlay] = []
    overlay_info: list[OverlayInfo] = []
    test: bool = False
    qr: str = "ok"


class WorstAlarm(View, frozen=True, kw_only=True):
    """An alarm that calls often: how often within the last day, and which part of all calls that is."""

    alarm_id: str
    count: int
    share_pct: float


class AlarmLoadView(View, frozen=True, kw_only=True):
    """How much alarms ask of people, by EEMUA 191 and ISA-18.2; what is hidden or a test does not count.

    The counts are of alarms that call: within the last ten minutes, hour and day, and the most within ten minutes and
    within an hour of the last day; all of them only since `since`, where that is not a day ago yet. `standing` is how
    many are active now; `stale` are those since more than a day. `chattering` come and go too often and are held on.
    `share_pct` is by colour, of the last day.
    """

    since: str
    flood: bool
    per_10_min: int
    per_hour: int
    per_day: int
    peak_10_min: int
    peak_hour: int
    standing: int
    stale: list[str]
    chattering: list[str]
    share_pct: dict[Colour, float]
    worst: list[WorstAlarm]


class MaintenanceView(View, frozen=True, kw_only=True):
    """What is being worked on: the alarms that have one of the values of each list that is not empty.

    They are hidden, but for those that must never be: these, and with `test` all of them, are told as a test.
    """

    id: str
    device: list[str]
    system: list[str]
    building: list[str]
    floor: list[str]
    space: list[str]
    test: bool
    by: str
    reason: str
    since: str
    until: str


class HealthView(View, frozen=True, kw_only=True):
    """A health condition that holds now."""

    code: str
    severity: Literal["error", "warning", "info"]
    target: str
    since: str
    title: Names
    detail: str
    todo: Names


class ReloadView(msgspec.Struct, frozen=True):
    """What another configuration changed, by id: lines that were opened, closed, opened anew, and that went on.

    `ended` are alarms that are configured no more, `settings` those of the gateway that are others now.
    """

    before: str
    version: str
    opened: list[str]
    closed: list[str]
    renewed: list[str]
    kept: list[str]
    ended: list[str]
    warnings: list[str] = []
    settings: list[str] = []


class ConfigView(View, frozen=True, kw_only=True):
    """A configuration as flat texts: by kind (`gateway`, `line`, `device`, `point`, `alarm`), by id, by dotted field.

    What stands at its default is left out. Secrets are told by their place.
    """

    version: str
    outline: dict[str, dict[str, dict[str, str]]]


class ProbeView(View, frozen=True, kw_only=True):
    """An answer to a machine that asks whether all is well: each check is `ok`, or says what is wrong."""

    ok: bool
    checks: dict[str, str]


class MeView(View, frozen=True, kw_only=True):
    """Who is logged in on the page: `account` and `role` are null where nobody is. `accounts`: are there any."""

    account: str | None
    role: Role | None
    accounts: bool


class Status(View, frozen=True, kw_only=True):
    """One screen. `rates` are averages over the last ten seconds."""

    site: str
    gateway: str
    name: Names
    version: str
    cfg_ver: str
    started: str
    now: str
    clock: ClockState
    uplinks: list[UplinkView]
    lines: list[LineView]
    devices: list[DeviceView]
    alarms: list[AlarmView]
    journal: JournalView
    health: list[HealthView]
    maintenance: list[MaintenanceView]
    load: AlarmLoadView
    rates: dict[str, float]
