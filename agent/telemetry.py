"""Readings to telemetry: thinned by deadband and heartbeat for each point, gathered into one batch per device.

Thinning touches telemetry only; rules see every reading before it. A value goes out when it differs from the last one
that went out by at least its deadband, when its quality changes, and at least once in its heartbeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent import events
from agent.events import Event, Sample, TelemetryBatch, Value, Why, rfc3339
from drivers.contract import GRADE_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from config.model import Device
    from drivers.contract import Poll, Quality, Reading

SAMPLES_MAX = 500
BATCH_BYTES_MAX = 64 * 1024
TEXT_TYPES = frozenset({"string", "enum"})

_NOTHING = object()
"""Differs from every value: nothing has gone out for this point yet."""


class _Plan:
    """What went out last for each point of one poll."""

    __slots__ = ("deadbands", "flaws", "heartbeats", "ids", "next_heartbeat", "sent", "sent_at")

    def __init__(self, poll: Poll) -> None:
        count = len(poll.points)
        self.ids = [point.id for point in poll.points]
        self.deadbands = [point.deadband for point in poll.points]
        self.heartbeats = [point.heartbeat_s for point in poll.points]
        self.sent: list[object] = [_NOTHING] * count
        self.sent_at = [0.0] * count
        self.flaws: dict[int, Quality] = {}
        self.next_heartbeat = 0.0


class _Pending:
    """Samples of one device that wait for the next flush."""

    __slots__ = ("samples", "t0")

    def __init__(self, t0: float) -> None:
        self.t0 = t0
        self.samples: list[Sample] = []


class Telemetry:
    """The thinner and the batches in the making."""

    def __init__(self, meta_ver: str) -> None:
        self._meta_ver = meta_ver
        self._plans: dict[Poll, _Plan] = {}
        self._pending: dict[Device, _Pending] = {}
        self._texts: dict[Device, bool] = {}

    def renew(self, meta_ver: str, kept: Iterable[Poll]) -> None:
        """Another configuration, after a flush: of the polls that go on, what went out last is still known."""
        self._meta_ver = meta_ver
        self._plans = {poll: self._plans[poll] for poll in kept if poll in self._plans}
        self._texts.clear()

    @property
    def is_pending(self) -> bool:
        return bool(self._pending)

    def take(self, reading: Reading) -> Sequence[float] | None:
        """Note what of a reading is worth sending.

        Gives for each point when it was last (monotonic seconds of its reading), or None where nothing of this one is.
        """
        plan = self._plans.get(reading.poll)
        if plan is None:
            plan = self._plans[reading.poll] = _Plan(reading.poll)
        if not reading.changed and reading.mono < plan.next_heartbeat:
            return None
        samples: list[Sample] = []
        pending = self._pending.get(reading.poll.device)
        dt = round((reading.time - pending.t0) * 1000) if pending else 0
        self._note_changes(plan, reading, dt, samples)
        if reading.mono >= plan.next_heartbeat:
            self._note_heartbeats(plan, reading, dt, samples)
        if samples:
            if pending is None:
                pending = self._pending[reading.poll.device] = _Pending(reading.time)
            pending.samples.extend(samples)
        return plan.sent_at if samples else None

    def _note_changes(self, plan: _Plan, reading: Reading, dt: int, samples: list[Sample]) -> None:
        if reading.flaws or plan.flaws:
            for start, stop in reading.changed:
                _note_flawed(plan, reading, start, stop, dt, samples)
            return
        values, sent, deadbands, ids, sent_at, mono = (
            reading.values,
            plan.sent,
            plan.deadbands,
            plan.ids,
            plan.sent_at,
            reading.mono,
        )
        times = reading.source_times
        for start, stop in reading.changed:
            for index in range(start, stop):
                value, last = values[index], sent[index]
                if value == last or (deadbands[index] and _within(value, last, deadbands[index])):
                    continue
                sent[index] = value
                sent_at[index] = mono
                if times and index in times:
                    samples.append(Sample(ids[index], dt, value, "change", ts=rfc3339(times[index])))
                else:
                    samples.append(Sample(ids[index], dt, value, "change"))

    def _note_heartbeats(self, plan: _Plan, reading: Reading, dt: int, samples: list[Sample]) -> None:
        mono = reading.mono
        for index, heartbeat_s in enumerate(plan.heartbeats):
            if mono - plan.sent_at[index] >= heartbeat_s:
                samples.append(_sample(plan, reading, index, dt, "interval"))
        plan.next_heartbeat = min(
            (at + heartbeat_s for at, heartbeat_s in zip(plan.sent_at, plan.heartbeats, strict=True)), default=mono
        )

    def flush(self) -> Iterator[Event]:
        """Everything gathered so far as events, at most 500 samples and 64 KiB each."""
        pending, self._pending = self._pending, {}
        for device, batch in pending.items():
            yield from self.batches(device, batch.t0, batch.samples)

    def batches(self, device: Device, t0: float, samples: list[Sample]) -> Iterator[Event]:
        """Samples that were not gathered here, oldest first, within the same limits."""
        for start in range(0, len(samples), SAMPLES_MAX):
            yield from self._events(device, t0, samples[start : start + SAMPLES_MAX])

    def _has_texts(self, device: Device) -> bool:
        has_texts = self._texts.get(device)
        if has_texts is None:
            has_texts = self._texts[device] = any(point.type in TEXT_TYPES for point in device.all_points)
        return has_texts

    def _events(self, device: Device, t0: float, samples: list[Sample]) -> Iterator[Event]:
        if len(samples) > 1 and self._has_texts(device):
            # Only texts can make 500 samples larger than the limit; numbers cannot.
            size = len(msgspec.json.encode(samples))
            if size > BATCH_BYTES_MAX:
                half = len(samples) // 2
                yield from self._events(device, t0, samples[:half])
                yield from self._events(device, t0, samples[half:])
                return
        body = TelemetryBatch(
            device=device.id, system=device.system, meta_ver=self._meta_ver, t0=rfc3339(t0), samples=samples
        )
        yield Event(events.TELEMETRY_BATCH, "telemetry", t0, f"{device.system}/{device.id}", body)


def _within(value: Value, last: object, deadband: float) -> bool:
    """Both are numbers and closer than the deadband."""
    return (
        isinstance(value, (int, float))
        and isinstance(last, (int, float))
        and not isinstance(value, bool)
        and abs(value - last) < deadband
    )


def _note_flawed(plan: _Plan, reading: Reading, start: int, stop: int, dt: int, samples: list[Sample]) -> None:
    """As for plain values, but a change of quality counts as a change."""
    for index in range(start, stop):
        value, last = reading.values[index], plan.sent[index]
        if plan.flaws.get(index) == reading.flaws.get(index) and (
            value == last or _within(value, last, plan.deadbands[index])
        ):
            continue
        samples.append(_sample(plan, reading, index, dt, "change"))


def _sample(plan: _Plan, reading: Reading, index: int, dt: int, why: Why) -> Sample:
    """One sample with its quality, noted as sent."""
    flaw = reading.flaws.get(index)
    plan.sent[index] = reading.values[index]
    plan.sent_at[index] = reading.mono
    source_time = reading.source_times.get(index)
    ts = rfc3339(source_time) if source_time is not None else None
    if flaw is None:
        plan.flaws.pop(index, None)
        return Sample(plan.ids[index], dt, reading.values[index], why, ts=ts)
    plan.flaws[index] = flaw
    return Sample(plan.ids[index], dt, reading.values[index], why, GRADE_NAMES[flaw.grade], flaw.reason, flaw.raw, ts)
