"""What an alarm's own points did around its beginning and its end, at full rate even where telemetry is thinned. Pure.

Each reading of a poll that alarms look at is remembered for as long as the longest of them wants to look back. When one
of them turns, what telemetry had left out of that time goes out as samples with `why` = `trigger`, and so does what it
leaves out from then on for a while. Nothing is sent a second time: together with the other samples they are the whole.

Always true:
- No more is remembered than `back_s` of each poll, and only of points that alarms look at.
- One `due` gives about `SAMPLES_MAX` at most, so that a flood of alarms does not become a flood of samples at once.
- A sample is older than what has gone out before only by the time that its alarm looks back, and the delay above.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent.events import Evidence as Reference
from agent.events import Sample, rfc3339
from drivers.contract import GRADE_NAMES

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from agent.clock import Now
    from agent.events import AlarmTransition
    from config.model import Alarm, Device
    from drivers.contract import Poll, Quality, Reading, Value

SAMPLES_MAX = 10_000
SLACK_S = 10.0
"""How long a sample may wait for its turn in a flood of alarms."""

SPAN_S_MAX = 60.0
"""The most that samples of one batch lie apart, as with the longest telemetry window."""

TURNS = frozenset({"raise", "unhide_raise", "retrigger", "clear", "clear_latched"})
"""Actions with which the condition of an alarm begins or ends."""

PointKey = tuple[str, str]
"""Device and point."""

T = TypeVar("T")

NOTHING: frozenset[int] = frozenset()


class Batch(NamedTuple):
    """Samples of one device, oldest first; `t0` is the time of the first, epoch seconds."""

    device: Device
    t0: float
    samples: list[Sample]


class _Entry(NamedTuple):
    """One reading of one poll: what the watched points were, and which of them telemetry has (`sent`), all by place."""

    time: float
    mono: float
    values: Sequence[Value]
    flaws: Mapping[int, Quality]
    source_times: Mapping[int, float]
    sent: frozenset[int]


Due = tuple[float, int, _Entry]
"""When it was, epoch seconds; the place of the point; the reading."""


@dataclass(slots=True)
class _Window:
    """Of one watched point: everything after `done` and up to `until` goes out, monotonic seconds."""

    done: float
    until: float


@dataclass(slots=True, eq=False)
class _Ring:
    """The last readings of one poll. `indexes` are the watched points in it, by place, as are `open` and `done`."""

    poll: Poll
    indexes: tuple[int, ...]
    back_s: float
    entries: deque[_Entry] = field(default_factory=deque)
    open: dict[int, _Window] = field(default_factory=dict)
    done: dict[int, float] = field(default_factory=dict)

    def take(self, reading: Reading, sent_at: Sequence[float] | None) -> None:
        entries, indexes, mono = self.entries, self.indexes, reading.mono
        if entries and not reading.changed:
            values: Sequence[Value] = entries[-1].values
        else:
            values = [reading.values[index] for index in indexes]
        sent = NOTHING
        if sent_at is not None:
            sent = frozenset(place for place, index in enumerate(indexes) if sent_at[index] == mono)
        flaws, times = _placed(indexes, reading.flaws), _placed(indexes, reading.source_times)
        entries.append(_Entry(reading.time, mono, values, flaws, times, sent))
        while entries[0].mono < mono - self.back_s:
            entries.popleft()

    def widen(self, place: int, since: float, until: float) -> None:
        window = self.open.get(place)
        if window is None:
            self.open[place] = _Window(max(since, self.done.get(place, since)), until)
        else:
            window.until = max(window.until, until)

    def due(self, place: int, mono: float) -> Iterator[Due]:
        """What has become due of one point by now, the newest first. Afterwards it is no longer due."""
        window = self.open[place]
        done, window.done = window.done, min(mono, window.until)
        if mono >= window.until:
            self.done[place] = window.until
            del self.open[place]
        for entry in reversed(self.entries):
            if entry.mono <= done:
                return
            if entry.mono <= window.done and place not in entry.sent:
                yield entry.time, place, entry

    def batches(self, due: list[Due]) -> Iterator[Batch]:
        due.sort(key=itemgetter(0))
        batch = Batch(self.poll.device, 0.0, [])
        for time, place, entry in due:
            if not batch.samples or time - batch.t0 > SPAN_S_MAX:
                if batch.samples:
                    yield batch
                batch = Batch(self.poll.device, time, [])
            point = self.poll.points[self.indexes[place]].id
            batch.samples.append(_sample(point, place, entry, round((time - batch.t0) * 1000)))
        if batch.samples:
            yield batch


class Evidence:
    """Which points alarms look at, and what is to go out of them."""

    def __init__(self, alarms: Iterable[Alarm], window_s: float) -> None:
        """`window_s` is how long may pass from one `due` to the next."""
        self._slack_s = window_s + SLACK_S
        self._look_at(alarms)
        self._rings: dict[Poll, _Ring | None] = {}
        self._places: dict[PointKey, list[tuple[_Ring, int]]] = {}
        self._open: dict[_Ring, None] = {}
        self._early: dict[PointKey, tuple[float, float]] = {}

    def _look_at(self, alarms: Iterable[Alarm]) -> None:
        self._alarms: dict[str, Alarm] = {}
        self._back_s: dict[PointKey, float] = {}
        for alarm in alarms:
            wanted = alarm.evidence
            if alarm.points and (wanted.pre_s or wanted.post_s):
                self._alarms[alarm.id] = alarm
                for key in alarm.points:
                    self._back_s[key] = max(self._back_s.get(key, 0.0), wanted.pre_s)

    def renew(self, alarms: Iterable[Alarm], kept: Container[Poll], mono: float, window_s: float) -> list[Batch]:
        """Other alarms and another window from now on. Gives what is due: of polls that are not `kept`, the rest comes
        with the next ones.

        What was remembered of a poll goes on to be, unless other points of it are looked at now.
        """
        batches = list(self.due(mono))
        self._slack_s = window_s + SLACK_S
        self._look_at(alarms)
        rings, self._rings, self._places = self._rings, {}, {}
        still_open, self._open = self._open, {}
        for poll, ring in rings.items():
            made = self._ring(poll) if poll in kept else None
            if ring is None:
                continue
            if made is not None and made.indexes == ring.indexes:
                made.entries, made.done = ring.entries, ring.done
            for place, window in ring.open.items() if ring in still_open else ():
                point = poll.points[ring.indexes[place]]
                self._widen((point.device, point.id), window.done, window.until)
        return batches

    @property
    def back_s(self) -> float:
        """How old a sample may be when it goes out."""
        return max(self._back_s.values(), default=0.0) + self._slack_s

    @property
    def is_open(self) -> bool:
        """Whether samples are due, or soon will be."""
        return bool(self._open)

    def turned(self, body: AlarmTransition, mono: float) -> Reference | None:
        """An alarm did something at this moment: what its event says of the samples around it.

        None where that is neither its beginning nor its end, or no point is its own.
        """
        alarm = self._alarms.get(body.alarm_id)
        if alarm is None or not (body.action in TURNS or body.ended):
            return None
        wanted = alarm.evidence
        for key in alarm.points:
            self._widen(key, mono - wanted.pre_s, mono + wanted.post_s)
        points = ",".join("/".join(key) for key in alarm.points)
        return Reference(pre_s=round(wanted.pre_s), post_s=round(wanted.post_s), ref=points)

    def resume(self, alarm_id: str, turned: float, now: Now) -> None:
        """After a restart: the alarm had turned at this wall time, and the rest of what comes after it is still due."""
        alarm = self._alarms.get(alarm_id)
        if alarm is not None and 0 <= now.wall - turned < alarm.evidence.post_s:
            for key in alarm.points:
                self._widen(key, now.mono, now.mono + alarm.evidence.post_s - (now.wall - turned))

    def take(self, reading: Reading, sent_at: Sequence[float] | None) -> None:
        """Remember a reading. `sent_at` is when telemetry last let each of its points go out, None if none did now."""
        poll = reading.poll
        ring = self._rings[poll] if poll in self._rings else self._ring(poll)
        if ring is not None:
            ring.take(reading, sent_at)

    def due(self, mono: float) -> Iterator[Batch]:
        """What is to go out now."""
        left = SAMPLES_MAX
        for ring in list(self._open):
            due: list[Due] = []
            for place in list(ring.open):
                if left > 0:
                    before = len(due)
                    due += ring.due(place, mono)
                    left -= len(due) - before
            yield from ring.batches(due)
            if not ring.open:
                del self._open[ring]

    def _widen(self, key: PointKey, since: float, until: float) -> None:
        if key not in self._places:
            self._early[key] = since, until
        for ring, place in self._places.get(key, ()):
            ring.widen(place, since, until)
            self._open[ring] = None

    def _ring(self, poll: Poll) -> _Ring | None:
        """Compiled once for each poll; None where no alarm looks at it."""
        keys = {index: (point.device, point.id) for index, point in enumerate(poll.points)}
        indexes = tuple(index for index, key in keys.items() if key in self._back_s)
        ring = None
        if indexes:
            ring = _Ring(poll, indexes, max(self._back_s[keys[index]] for index in indexes) + self._slack_s)
            for place, index in enumerate(indexes):
                self._places.setdefault(keys[index], []).append((ring, place))
        self._rings[poll] = ring
        for key in [key for key in keys.values() if key in self._early]:
            self._widen(key, *self._early.pop(key))
        return ring


def _placed(indexes: Sequence[int], known: Mapping[int, T]) -> Mapping[int, T]:
    """What is known by index, by place."""
    if not known:
        return known
    return {place: known[index] for place, index in enumerate(indexes) if index in known}


def _sample(point: str, place: int, entry: _Entry, dt: int) -> Sample:
    at = entry.source_times.get(place)
    ts = rfc3339(at) if at is not None else None
    flaw = entry.flaws.get(place)
    if flaw is None:
        return Sample(point, dt, entry.values[place], "trigger", ts=ts)
    return Sample(point, dt, entry.values[place], "trigger", GRADE_NAMES[flaw.grade], flaw.reason, flaw.raw, ts)
