"""The bodies of events, typed: what a consumer of the platform sees inside `data`.

Fields are those of the domain's event list; a name ending in `_ms` is milliseconds, `_s` seconds; a time is RFC 3339 in
UTC with milliseconds. The JSON Schemas are generated from these types, so a change here is a change of the contract.
What is known only later (sent, acknowledged) is not in an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from config.duty import Preset
from config.model import Colour, Stream

Value = float | int | bool | str | None
QualityName = Literal["good", "uncertain", "bad"]
Why = Literal["change", "interval", "trigger", "boundary"]
ClockState = Literal["synced", "holdover", "unsynced"]
AlarmState = Literal["NORM", "UNACK", "ACKED", "RTNUN", "LTUNK", "LTACK"]
Overlay = Literal["OOSRV", "DSUPR", "SHLVD"]
"""What hides an alarm, the one to be shown first: out of service, suppressed by design, shelved."""

DeviceCondition = Literal["online", "degraded", "offline", "disabled", "unknown"]
Action = Literal[
    "raise",
    "ack",
    "clear",
    "clear_latched",
    "retrigger",
    "reset",
    "escalate",
    "deescalate",
    "ack_overdue",
    "realarm",
    "overlay",
    "unhide_raise",
    "unhide",
    "unhide_latched",
    "cause_changed",
    "removed",
]


def rfc3339(wall_s: float) -> str:
    """Epoch seconds as `2026-11-21T03:15:07.412Z`."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every body."""


class Names(Body, frozen=True, kw_only=True):
    zh: str
    en: str


class PlaceRef(Body, frozen=True, kw_only=True):
    site: str
    building: str = ""
    floor: str = ""
    space: str = ""


class Sample(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One value. `dt` is milliseconds after `t0` of the batch; `q`, `qr`, `qraw` are left out while it is good."""

    p: str
    dt: int
    v: Value
    why: Why
    q: QualityName = "good"
    qr: str = "ok"
    qraw: str = ""
    ts: str | None = None


class TelemetryBatch(Body, frozen=True, kw_only=True):
    """Samples of one device, oldest first; at most 500 samples and 64 KiB."""

    device: str
    system: str
    meta_ver: str
    t0: str
    samples: list[Sample]


class Ack(Body, frozen=True, kw_only=True):
    required: bool
    by: str | None = None
    at: str | None = None
    scope: str | None = None
    comment: str | None = None


class Evidence(Body, frozen=True, kw_only=True):
    pre_s: int
    post_s: int
    ref: str | None = None


class OverlayInfo(Body, frozen=True, kw_only=True):
    """Who hides an alarm, why, and until when.

    `by` is a person, or for `DSUPR` the maintenance, the lost device or the lost line that does it.
    """

    overlay: Overlay
    by: str
    reason: str
    since: str | None = None
    until: str | None = None
    work_order: str | None = None
    owner: str | None = None
    review: str | None = None


class AlarmTransition(Body, frozen=True, kw_only=True):
    """One transition of one occurrence of an alarm.

    `n` counts from 1 within the occurrence, and a consumer applies only a newer one. `ended` is true where the
    occurrence is over: on the one event that ends it, and on what is said of the alarm at rest after it, which counts
    on. `colour` is the colour of the present level, `peak_colour` the highest that the occurrence has reached. An alarm
    with an `overlay` is `hidden`: its state moves on, and nobody is called.
    """

    alarm_id: str
    occurrence_id: str
    n: int
    durable: bool
    test: bool
    action: Action
    ended: bool
    prev_state: AlarmState
    state: AlarmState
    overlay: list[Overlay]
    overlay_info: list[OverlayInfo]
    hidden: bool
    condition_known: bool
    colour: Colour
    peak_colour: Colour
    priority: int
    severity: int
    response_level: str
    kind: str
    signal: str
    level: str | None
    place: PlaceRef
    system: str
    device: str
    point: str
    value: Value
    unit: str
    limit: float | None
    deadband: float | None
    q: QualityName
    qr: str
    ts_source: str | None
    ts_gateway: str
    ts_cond: str
    ts_decided: str
    on_delay_ms: int
    retrigger_count: int
    chatter_count: int
    flood: bool
    ack: Ack
    latched: bool
    shelvable: bool
    text: Names
    advice: Names
    rule_ver: str
    cfg_ver: str
    evidence: Evidence | None = None
    source_raw: str | None = None


class DeviceState(Body, frozen=True, kw_only=True):
    """A device came, went or got worse; `since` is when it entered `state`."""

    device: str
    system: str
    place: PlaceRef
    state: DeviceCondition
    prev_state: DeviceCondition
    reason: str
    since: str
    last_ok: str | None
    protocol: str
    rtt_ms: float | None
    err_rate_pct: float
    points_good: int
    points_bad: int
    profile: str | None


class PointMeta(Body, frozen=True, kw_only=True):
    id: str
    name: Names
    unit: str
    type: str
    poll_s: float
    states: dict[str, str]


class DeviceMeta(Body, frozen=True, kw_only=True):
    """What does not change while a configuration stands: names, place, points with their units."""

    device: str
    system: str
    name: Names
    place: PlaceRef
    maker: str
    model: str
    profile: str | None
    protocol: str
    meta_ver: str
    points: list[PointMeta]


class GatewayStatus(Body, frozen=True, kw_only=True):
    """Birth, will and state of the gateway. `last_seq` is the newest sequence of each stream; `live_from` the first
    telemetry sequence that is sent live while older ones drain beside it.
    """

    state: Literal["online", "offline"]
    epoch: str
    since: str
    sw: str
    cfg_ver: str
    connection: int
    last_seq: dict[str, int]
    live_from: int | None


class StreamBegin(Body, frozen=True, kw_only=True):
    """First record of each stream in a new epoch; names the epoch before and that one's last sequence, when known."""

    stream: str
    epoch: str
    prev_epoch: str | None
    prev_last_seq: int | None
    reason: str


class Actor(Body, frozen=True, kw_only=True):
    type: Literal["user", "platform", "system"]
    id: str
    role: str


class Audit(Body, frozen=True, kw_only=True):
    """Who did what, with what result. The hash chain covers every audit event of the gateway."""

    actor: Actor
    verb: str
    target: str
    before: str | None
    after: str | None
    reason: str
    result: Literal["done", "refused"]
    code: str | None
    prev_hash: str
    hash: str


class Missing(Body, frozen=True, kw_only=True):
    """Records that will not come: `records` of those from `first` to `last`, both included."""

    first: int
    last: int
    records: int
    reason: str


class StreamMark(Body, frozen=True, kw_only=True):
    """How far one uplink is with one stream in one epoch.

    Everything up to `complete_to` that passes the uplink's filter was handed over to its broker, which is `count`
    records, but for what is `missing`. `confirmed_to` is up to where the platform has confirmed, null where it is not
    asked to. `backlog` records are still to be sent, or not yet held against the filter; with `live_from` set, those
    from there on come at once and the older ones beside them.
    """

    stream: str
    epoch: str
    complete_to: int
    count: int
    confirmed_to: int | None
    live_from: int | None
    backlog: int
    missing: list[Missing]


class StreamWatermark(Body, frozen=True, kw_only=True):
    """Only below `complete_to` of its stream is a missing sequence a gap."""

    uplink: str
    reason: Literal["connect", "interval", "request", "end"]
    streams: list[StreamMark]


class AlarmSnapshot(Body, frozen=True, kw_only=True):
    """Every alarm that is not NORM, as it stands now: part `part` of `of`, counted from 1."""

    part: int
    of: int
    alarms: list[AlarmTransition]


class Command(Body, frozen=True, kw_only=True):
    """What the platform sends to `cmd/{verb}`; each verb has `args` of its own. Both times are RFC 3339."""

    cmd_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    issued_at: str
    expires_at: str
    actor: Actor


class ConfirmArgs(Body, frozen=True, kw_only=True):
    """The platform has stored these records of one epoch: ranges by stream, first and last included."""

    epoch: str
    ranges: dict[str, list[tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=1)]]]]


class ConfirmCommand(Command, frozen=True, kw_only=True):
    args: ConfirmArgs


class ResendArgs(Body, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """Send these again, both ends included."""

    epoch: str
    stream: str
    first: Annotated[int, msgspec.Meta(ge=1)]
    last: Annotated[int, msgspec.Meta(ge=1)]


class ResendCommand(Command, frozen=True, kw_only=True):
    args: ResendArgs


class EvidenceArgs(Body, frozen=True, kw_only=True):
    """Which occurrence of an alarm; the last one where none is named."""

    alarm_id: Annotated[str, msgspec.Meta(min_length=1)]
    occurrence_id: str | None = None


class EvidenceCommand(Command, frozen=True, kw_only=True):
    args: EvidenceArgs


class NoArgs(Body, frozen=True, kw_only=True):
    """An empty object."""


class PlainCommand(Command, frozen=True, kw_only=True):
    """`snapshot` and `ping`."""

    args: NoArgs


class AlarmArgs(Body, frozen=True, kw_only=True):
    alarm_id: str
    comment: str = ""


class AlarmOrder(Command, frozen=True, kw_only=True):
    """`ack`, `unshelve`, `reset` and `in-service`: what is done to one alarm."""

    args: AlarmArgs


class ShelveArgs(Body, frozen=True, kw_only=True):
    """`until` is RFC 3339: 8 h ahead at most, 30 min for an alarm that can become red."""

    alarm_id: str
    until: str
    reason: str


class ShelveOrder(Command, frozen=True, kw_only=True):
    args: ShelveArgs


class OutOfServiceArgs(Body, frozen=True, kw_only=True):
    alarm_id: str
    work_order: str
    owner: str
    reason: str


class OutOfServiceOrder(Command, frozen=True, kw_only=True):
    args: OutOfServiceArgs


class MaintenanceArgs(Body, frozen=True, kw_only=True):
    """What has one of the names of each list that is not empty, or a preset.

    `until` is RFC 3339, 7 days ahead at most.
    """

    until: str
    reason: str
    device: list[str] = []
    system: list[str] = []
    building: list[str] = []
    floor: list[str] = []
    space: list[str] = []
    preset: Preset | None = None


class MaintenanceOrder(Command, frozen=True, kw_only=True):
    args: MaintenanceArgs


class MaintenanceEndArgs(Body, frozen=True, kw_only=True):
    """`id` is the one that the answer to `maintenance-start` told."""

    id: str
    reason: str = ""


class MaintenanceEndOrder(Command, frozen=True, kw_only=True):
    args: MaintenanceEndArgs


COMMANDS: dict[str, type[Command]] = {
    "confirm": ConfirmCommand,
    "resend": ResendCommand,
    "evidence": EvidenceCommand,
    "snapshot": PlainCommand,
    "ping": PlainCommand,
    "ack": AlarmOrder,
    "shelve": ShelveOrder,
    "unshelve": AlarmOrder,
    "reset": AlarmOrder,
    "out-of-service": OutOfServiceOrder,
    "in-service": AlarmOrder,
    "maintenance-start": MaintenanceOrder,
    "maintenance-end": MaintenanceEndOrder,
}
"""What the platform may send, by verb; not in an envelope. The last eight where the site allows them."""

CommandCode = Literal[
    "malformed",
    "expired",
    "repeated",
    "not_allowed",
    "not_confirming",
    "unknown_epoch",
    "not_kept",
    "busy",
    "unknown",
    "wrong_state",
    "forbidden",
]


class CommandResult(Body, frozen=True, kw_only=True):
    """The answer to one command; `args` says what was done. `cmd_id` is empty where the command had none."""

    cmd_id: str
    verb: str
    uplink: str
    result: Literal["done", "refused"]
    code: CommandCode | None
    message: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, before it is a record. `time` is epoch seconds of the occurrence; `subject` names it."""

    type: str
    stream: Stream
    time: float
    subject: str
    body: Body
    test: bool = False


ALARM_TRANSITION = "alarm.transition.v1"
TELEMETRY_BATCH = "telemetry.batch.v1"
DEVICE_STATE = "device.state.v1"
DEVICE_META = "device.meta.v1"
GATEWAY_STATUS = "gateway.status.v1"
GATEWAY_HEALTH = "gateway.health.v1"
STREAM_BEGIN = "stream.begin.v1"
AUDIT = "audit.v1"
STREAM_WATERMARK = "stream.watermark.v1"
ALARM_SNAPSHOT = "alarm.snapshot.v1"
CMD_RESULT = "cmd.result.v1"
