"""What was, from the records that are kept: samples of a point by time, or thinned to one row for each stretch of time,
and what alarms did. Pure; reading the journal is `agent.past`'s.

Telemetry is thinned by deadband and heartbeat, so a value stands until the next sample, but no longer than until the
next heartbeat should have come: means are weighted by time, and a longer time without a sample is a gap. A stretch
without a sample has no row.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from agent.envelope import segment
from agent.events import ALARM_TRANSITION, Action, AlarmState, Evidence, Names, QualityName, Value, rfc3339
from agent.status import GapView, HistoryRow, TransitionView
from config.model import Colour

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buffer.record import Record
    from config.model import Point

BEGUN_S_MAX = 60.0
LATE_S_MAX = 700.0

RANK: dict[QualityName, int] = {"good": 0, "uncertain": 1, "bad": 2}


class StoredSample(msgspec.Struct):
    """What is asked of one: why it was stored is not."""

    p: str
    dt: int
    v: Value
    q: QualityName = "good"
    qr: str = "ok"


class StoredBatch(msgspec.Struct):
    device: str
    t0: str
    samples: list[StoredSample]


class _Body(msgspec.Struct):
    data: StoredBatch


_decode = msgspec.json.Decoder(_Body).decode


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample: `time_s` is epoch seconds."""

    time_s: float
    value: Value
    q: QualityName


def hold_s(point: Point) -> float:
    """How long a sample stands at most: by then the next one is there, if only as a heartbeat."""
    return point.heartbeat_s + 2 * point.poll_s


def samples(records: Iterable[Record], device: str, point: str) -> list[Reading]:
    """Those of one point, in the order of the records. Another system that the device belonged to does not matter."""
    found = []
    end = f"/{segment(device)}"
    for record in records:
        if record.topic.startswith("telemetry/") and record.topic.endswith(end):
            batch = _decode(record.body).data
            begin_s = datetime.fromisoformat(batch.t0).timestamp()
            found += [Reading(begin_s + each.dt / 1000, each.v, each.q) for each in batch.samples if each.p == point]
    return found


class Ordered:
    """Takes samples roughly in the order of time, gives them in that order, those from a moment on and before another.

    A batch begins up to `BEGUN_S_MAX` before its last sample; what alarms had recorded comes up to `LATE_S_MAX` late.
    """

    def __init__(self, from_s: float, to_s: float) -> None:
        self._from_s = from_s
        self._to_s = to_s
        self._held: list[Reading] = []

    def take(self, readings: Iterable[Reading]) -> list[Reading]:
        """What nothing can come before any more."""
        self._held += (each for each in readings if self._from_s <= each.time_s < self._to_s)
        self._held.sort(key=attrgetter("time_s"))
        ready = (
            bisect_left(self._held, self._held[-1].time_s - LATE_S_MAX, key=attrgetter("time_s")) if self._held else 0
        )
        given, self._held = self._held[:ready], self._held[ready:]
        return given

    def end(self) -> list[Reading]:
        """The rest."""
        given, self._held = self._held, []
        return given


def plain(readings: Iterable[Reading]) -> list[HistoryRow]:
    """One row for each sample."""
    return [
        HistoryRow(time=rfc3339(each.time_s), last=each.value, q=each.q, count=1, min=None, max=None, mean=None)
        for each in readings
    ]


class Gaps:
    """Takes samples in the order of time, gives the times in which nothing was known."""

    def __init__(self, from_s: float, hold_s: float) -> None:
        self._last_s = from_s
        self._hold_s = hold_s

    def take(self, readings: Iterable[Reading]) -> Iterator[GapView]:
        for each in readings:
            yield from self.end(each.time_s)
            self._last_s = max(self._last_s, each.time_s)

    def end(self, to_s: float) -> Iterator[GapView]:
        """The one that reaches up to here, if there is one."""
        if to_s - self._last_s > self._hold_s:
            yield GapView(begin=rfc3339(self._last_s), end=rfc3339(to_s))


class Thinner:
    """Takes samples in the order of time, gives a row for every `every_s` in which there were any."""

    def __init__(self, every_s: float, hold_s: float) -> None:
        self._every_s = every_s
        self._hold_s = hold_s
        self._stretch = _Stretch(0.0)
        self._held: Reading | None = None

    def take(self, readings: Iterable[Reading]) -> Iterator[HistoryRow]:
        for each in readings:
            begin_s = each.time_s // self._every_s * self._every_s
            if begin_s > self._stretch.begin_s:
                yield from self.end()
                self._stretch = _Stretch(begin_s)
                self._stand(begin_s, each.time_s)
            elif self._held is not None:
                self._stand(self._held.time_s, each.time_s)
            self._stretch.note(each)
            self._held = each

    def end(self) -> Iterator[HistoryRow]:
        """The row that was being made, if there is one."""
        if self._stretch.count:
            if self._held is not None:
                self._stand(self._held.time_s, self._stretch.begin_s + self._every_s)
            yield self._stretch.row()
        self._stretch = _Stretch(self._stretch.begin_s)

    def _stand(self, from_s: float, to_s: float) -> None:
        """The last value stood from one time to another, as far as it is known to."""
        if self._held is not None:
            self._stretch.stand(self._held, min(to_s, self._held.time_s + self._hold_s) - from_s)


@dataclass(slots=True)
class _Stretch:
    begin_s: float
    count: int = 0
    last: Reading | None = None
    worst: QualityName = "good"
    low: float | None = None
    high: float | None = None
    _weight_s: float = 0.0
    _sum: float = 0.0

    def note(self, each: Reading) -> None:
        self.count += 1
        self.last = each
        if RANK[each.q] > RANK[self.worst]:
            self.worst = each.q
        number = _number(each)
        if number is not None:
            self.low = number if self.low is None else min(self.low, number)
            self.high = number if self.high is None else max(self.high, number)

    def stand(self, held: Reading, for_s: float) -> None:
        number = _number(held)
        if number is not None and for_s > 0:
            self._weight_s += for_s
            self._sum += number * for_s

    def row(self) -> HistoryRow:
        assert self.last is not None, "counted"
        mean = self._sum / self._weight_s if self._weight_s else _number(self.last)
        return HistoryRow(
            time=rfc3339(self.begin_s),
            last=self.last.value,
            q=self.worst,
            count=self.count,
            min=self.low,
            max=self.high,
            mean=mean if self.low is not None else None,
        )


def _number(each: Reading) -> float | None:
    """What may be calculated with: a good or uncertain number."""
    usable = each.q != "bad" and isinstance(each.value, (int, float)) and not isinstance(each.value, bool)
    return float(each.value) if usable and isinstance(each.value, (int, float)) else None


class _By(msgspec.Struct):
    by: str | None = None
    comment: str | None = None


class _Transition(msgspec.Struct):
    """What is shown of one; older and newer events may have less and more beside it."""

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
    ts_decided: str
    text: Names
    ack: _By
    evidence: Evidence | None = None


class _Envelope(msgspec.Struct):
    type: str
    data: msgspec.Raw
    test: bool = False


_open = msgspec.json.Decoder(_Envelope).decode
_transition = msgspec.json.Decoder(_Transition).decode


def transitions(records: Iterable[Record], alarm_id: str | None) -> list[TransitionView]:
    """What alarms did, or one of them, in the order of the records."""
    found = []
    for record in records:
        event = _open(record.body)
        if event.type != ALARM_TRANSITION:
            continue
        body = _transition(event.data)
        if alarm_id is None or body.alarm_id == alarm_id:
            found.append(
                TransitionView(
                    time=body.ts_decided,
                    alarm_id=body.alarm_id,
                    occurrence_id=body.occurrence_id,
                    n=body.n,
                    action=body.action,
                    ended=body.ended,
                    state=body.state,
                    colour=body.colour,
                    level=body.level,
                    value=body.value,
                    unit=body.unit,
                    q=body.q,
                    by=body.ack.by,
                    comment=body.ack.comment,
                    text=body.text,
                    test=event.test,
                    evidence=body.evidence,
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Around:
    """From when to when which points belong to an occurrence, epoch seconds."""

    begin_s: float
    end_s: float
    points: tuple[str, ...]


def occurrence(rows: Sequence[TransitionView], occurrence_id: str | None) -> list[TransitionView]:
    """Those of one occurrence, the last one where none is named; oldest first."""
    wanted = occurrence_id or (rows[-1].occurrence_id if rows else "")
    return [row for row in rows if row.occurrence_id == wanted]


def around(rows: Iterable[TransitionView]) -> list[Around]:
    """The times that transitions refer to; those that overlap are one."""
    found: list[Around] = []
    for row in rows:
        if row.evidence is None or not row.evidence.ref:
            continue
        at_s = datetime.fromisoformat(row.time).timestamp()
        begin_s, end_s = at_s - row.evidence.pre_s, at_s + row.evidence.post_s
        points = tuple(row.evidence.ref.split(","))
        if found and found[-1].end_s >= begin_s and found[-1].points == points:
            found[-1] = Around(found[-1].begin_s, max(end_s, found[-1].end_s), points)
        else:
            found.append(Around(begin_s, end_s, points))
    return found
