"""One body of each kind of event, with every field that can be there."""

from __future__ import annotations

from agent import events

NAMES = events.Names(zh="ICU-3 氧气压力低", en="ICU-3 oxygen pressure low")
PLACE = events.PlaceRef(site="h01", building="b2", floor="f05", space="icu-3")
TIME = 1_795_230_907.412

ALARM = events.AlarmTransition(
    alarm_id="medgas.area/icu-3/o2_p#low",
    occurrence_id="gw-a1/medgas.area/icu-3/o2_p#low/17",
    n=3,
    durable=True,
    action="deescalate",
    ended=False,
    prev_state="UNACK",
    state="UNACK",
    test=False,
    overlay=[],
    overlay_info=[],
    hidden=False,
    condition_known=True,
    colour="orange",
    peak_colour="red",
    priority=2,
    severity=700,
    response_level="II",
    kind="limit",
    signal="process",
    level="L",
    place=PLACE,
    system="medgas.area",
    device="icu-3",
    point="o2_p",
    value=315.0,
    unit="kPa",
    limit=320.0,
    deadband=5.0,
    q="good",
    qr="ok",
    ts_source=None,
    ts_gateway="2026-11-21T03:15:07.412Z",
    ts_cond="2026-11-21T03:15:02.398Z",
    ts_decided="2026-11-21T03:15:07.413Z",
    on_delay_ms=5000,
    retrigger_count=0,
    chatter_count=0,
    flood=False,
    ack=events.Ack(required=True),
    latched=False,
    shelvable=True,
    text=NAMES,
    advice=NAMES,
    rule_ver="r14",
    cfg_ver="2026.11.3",
)
TELEMETRY = events.TelemetryBatch(
    device="icu-3",
    system="medgas.area",
    meta_ver="1",
    t0="2026-11-21T03:15:07.412Z",
    samples=[
        events.Sample(p="o2_p", dt=0, v=float("nan"), why="change", q="bad", qr="sensor_fault", qraw="0x8000"),
        events.Sample(p="n2o_p", dt=5, v=401.5, why="interval"),
    ],
)
DEVICE = events.DeviceState(
    device="icu-3",
    system="medgas.area",
    place=PLACE,
    state="offline",
    prev_state="online",
    reason="no answer",
    since="2026-11-21T03:15:07.412Z",
    last_ok=None,
    protocol="modbus",
    rtt_ms=None,
    err_rate_pct=100.0,
    points_good=0,
    points_bad=12,
    profile=None,
)
META = events.DeviceMeta(
    device="icu-3",
    system="medgas.area",
    name=NAMES,
    place=PLACE,
    maker="",
    model="",
    profile=None,
    protocol="modbus",
    meta_ver="1",
    points=[events.PointMeta(id="o2_p", name=NAMES, unit="kPa", type="number", poll_s=1.0, states={})],
)
BEGIN = events.StreamBegin(
    stream="telemetry", epoch="7f3a9c20", prev_epoch="11111111", prev_last_seq=99, reason="restored"
)
AUDIT = events.Audit(
    actor=events.Actor(type="system", id="wardgate", role="system"),
    verb="clock_step",
    target="clock",
    before=None,
    after=None,
    reason="step of 3 s",
    result="done",
    code=None,
    prev_hash="",
    hash="00",
)
STATUS = events.GatewayStatus(
    state="online",
    epoch="7f3a9c20",
    since="2026-11-21T03:15:07.412Z",
    sw="0.1.0",
    cfg_ver="1",
    connection=4,
    last_seq={"critical": 12},
    live_from=None,
)
