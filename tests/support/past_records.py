"""Records as the pipeline would have stored them, for tests that look back."""

from __future__ import annotations

import msgspec

from agent.envelope import draft
from agent.events import TELEMETRY_BATCH, Event, Sample, TelemetryBatch, rfc3339
from buffer.record import Draft
from config.files import PointSpec
from config.model import Point, Text

NOW = 1_763_700_000.0
POINT = Point("u", "m1", "pwr.lv", Text("电压", "Voltage"), "number", "V", 1.0, PointSpec())


def batch(begin_s: float, *values: float | None, every_s: float = 1.0) -> Draft:
    samples = [
        Sample("u", round(at * every_s * 1000), value, "change", *(("bad", "comm_lost") if value is None else ()))
        for at, value in enumerate(values)
    ]
    body = TelemetryBatch(device="m1", system="pwr.lv", meta_ver="c-1", t0=rfc3339(begin_s), samples=samples)
    return draft(Event(TELEMETRY_BATCH, "telemetry", begin_s, "pwr.lv/m1", body), "synced")


def transition(
    stream: str,
    alarm_id: str,
    at: float,
    *,
    action: str = "raise",
    n: int = 1,
    occurrence: int = 1,
    refers: bool = True,
) -> Draft:
    data = {
        "alarm_id": alarm_id,
        "occurrence_id": f"gw/{alarm_id}/{occurrence}",
        "n": n,
        "action": action,
        "evidence": {"pre_s": 60, "post_s": 60, "ref": "m1/u"} if refers else None,
        "ended": False,
        "state": "UNACK",
        "colour": "red",
        "level": "H",
        "value": 1.5,
        "unit": "V",
        "q": "good",
        "ts_decided": rfc3339(at),
        "text": {"zh": "高", "en": "high"},
        "ack": {"required": True},
    }
    return Draft(
        stream, round(at * 1000), "alarm/x", msgspec.json.encode({"type": "alarm.transition.v1", "data": data})
    )
