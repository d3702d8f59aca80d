"""One device with two points, lived through live and recorded as the pipeline records it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from one_line import config_of

from agent.backtest.spells import Spells
from agent.clock import Now
from agent.envelope import draft
from agent.events import (
    DEVICE_STATE,
    TELEMETRY_BATCH,
    AlarmTransition,
    DeviceState,
    Event,
    PlaceRef,
    Sample,
    TelemetryBatch,
    rfc3339,
)
from agent.poll import polls_of
from agent.rules import Rules, Tick, step
from agent.telemetry import Telemetry
from config.files import AddressSpec, PointSpec
from config.model import Alarm, Config, Device, Place, Point, Text
from drivers.contract import Grade, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.events import DeviceCondition
    from buffer.record import Draft
    from config.judgement import Condition
    from drivers.contract import Value

NAME = Text("室温", "Room temperature")
BEGAN = 1_763_600_000.0
LOST = Quality(Grade.BAD, "comm_lost")


def alarm(condition: Condition, *, key: str = "a", point: str = "t", on_delay_s: float = 0.0) -> Alarm:
    where = f"/{point}" if point else ""
    return Alarm(f"or/or-1{where}#{key}", key, "or-1", "or", point, condition, NAME, NAME, on_delay_s=on_delay_s)


def site(*alarms: Alarm, poll_s: float = 1.0, heartbeat_s: float = 300.0) -> Config:
    points = tuple(
        Point(name, "or-1", "or", NAME, "number", "Cel", poll_s, PointSpec(), heartbeat_s=heartbeat_s)
        for name in ("t", "sp")
    )
    device = Device("or-1", NAME, "or", "line", AddressSpec(), Place(), points, alarms)
    return config_of(device, time_zone="Asia/Shanghai")


class Life:
    """What really happened: every poll through the rules, and what telemetry made of it."""

    def __init__(self, config: Config) -> None:
        self.spells = Spells()
        self.drafts: list[Draft] = []
        self._config = config
        (device,) = config.devices
        (self._poll,) = polls_of(device)
        self._rules = Rules.build(config, {})
        self._telemetry = Telemetry("c-1")
        self._last: Sequence[Value] = ()
        self._due: float | None = None

    def read(self, mono: float, *values: Value) -> None:
        """One poll; None is a value that was lost."""
        while self._due is not None and self._due <= mono:
            before = self._due
            self._step(Tick(), before)
            if self._due == before:
                break
        flaws = {index: LOST for index, value in enumerate(values) if value is None}
        changed = () if values == self._last else ((0, len(values)),)
        self._last = values
        reading = Reading(self._poll, BEGAN + mono, mono, values, flaws, changed)
        self._step(reading, mono)
        self._telemetry.take(reading)
        self.drafts += [draft(event, "synced") for event in self._telemetry.flush()]

    def _step(self, item: Reading | Tick, mono: float) -> None:
        outcome = step(self._rules, item, Now(BEGAN + mono, mono))
        self._due = outcome.next_due
        for event in outcome.events:
            self._note(event, mono)

    def _note(self, event: Event, mono: float) -> None:
        if isinstance(event.body, AlarmTransition):
            self.spells.note(event.body, BEGAN + mono)


def changed(config: Config, *alarms: Alarm) -> Config:
    """The same site with other alarms."""
    (line,) = config.lines
    (device,) = line.devices
    return replace(config, lines=(replace(line, devices=(replace(device, alarms=alarms),)),))


def batch(at: float, value: float, *more: float, why: str = "change") -> Draft:
    """Values of `t`, a second apart."""
    samples = [
        Sample("t", 1000 * number, each, "trigger" if why == "trigger" else "change")
        for number, each in enumerate((value, *more))
    ]
    body = TelemetryBatch(device="or-1", system="or", meta_ver="c", t0=rfc3339(BEGAN + at), samples=samples)
    return draft(Event(TELEMETRY_BATCH, "telemetry", BEGAN + at, "or/or-1", body), "synced")


def state(at: float, now: DeviceCondition) -> Draft:
    body = DeviceState(
        device="or-1",
        system="or",
        place=PlaceRef(site="h01"),
        state=now,
        prev_state="unknown",
        reason="",
        since=rfc3339(BEGAN + at),
        last_ok=None,
        protocol="test",
        rtt_ms=None,
        err_rate_pct=0.0,
        points_good=1,
        points_bad=0,
        profile=None,
    )
    return draft(Event(DEVICE_STATE, "state", BEGAN + at, "or/or-1", body), "synced")
