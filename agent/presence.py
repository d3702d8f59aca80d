"""What is known of one device: is it there, what did it say last, and what is that worth while it is silent.

Invariants: a value is shown as good only while its device confirms it; after a missed poll it is `last_known` for at
most the age limit, then `comm_lost` and null; the first reading after that counts as changed in full.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from agent import events
from agent.events import DeviceMeta, DeviceState, Event, Names, PlaceRef, PointMeta, rfc3339
from agent.status import DeviceView, PointView
from drivers.contract import GRADE_NAMES, Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Now
    from agent.events import DeviceCondition
    from config.model import Device, Line, Point

AGE_MAX_S = 10.0
"""A value is never older than this or three polls, whichever is longer, without being called lost."""

OFFLINE_MISSES = 3
RETRY_ANSWERS = 10
"""So many answers earn a device one second try at once, so that a lost frame costs no value; a dead one earns none."""

_RATE_WEIGHT = 0.05


@dataclass(slots=True)
class _Heard:
    """The last real reading of one poll, and how the poll is stamped since (empty: not at all)."""

    reading: Reading | None = None
    stamp: str = ""


@dataclass(slots=True)
class Presence:
    """One device on its line. `heard` and `missed` give what the pipeline must know: readings and a state event."""

    site: str
    line: Line
    device: Device
    polls: tuple[Poll, ...]
    state: DeviceCondition = "unknown"
    previous: DeviceCondition = "unknown"
    since: float = 0.0
    reason: str = ""
    last_ok: float | None = None
    last_ok_mono: float | None = None
    rtt_s: float | None = None
    error_rate: float = 0.0
    read_count: int = 0
    miss_count: int = 0
    late_count: int = 0
    misses: int = 0
    missed_since_mono: float = 0.0
    retry_credit: float = 0.0
    latest: dict[Poll, Reading] = field(default_factory=dict)
    _heard: dict[Poll, _Heard] = field(default_factory=dict)
    _bad: dict[Poll, int] = field(default_factory=dict)

    def heard(self, reading: Reading, rtt_s: float | None) -> Iterator[Reading | Event]:
        """The device answered."""
        if self.state == "offline":
            self._return()
        record = self._heard.setdefault(reading.poll, _Heard())
        if record.stamp or record.reading is None:
            reading = replace(reading, changed=((0, len(reading.poll.points)),))
            record.stamp = ""
        record.reading = self.latest[reading.poll] = reading
        self._bad[reading.poll] = _bad_count(reading)
        self.read_count += 1
        self.retry_credit = min(1.0, self.retry_credit + 1 / RETRY_ANSWERS)
        self.misses = 0
        self.last_ok, self.last_ok_mono = reading.time, reading.mono
        self.error_rate *= 1 - _RATE_WEIGHT
        if rtt_s is not None:
            self.rtt_s = rtt_s if self.rtt_s is None else self.rtt_s + 0.2 * (rtt_s - self.rtt_s)
        yield reading
        yield from self._enter(*self._condition_when_heard(), reading.time)

    def _return(self) -> None:
        """What the other polls are worth is open again, until they are asked."""
        self._bad.clear()
        for record in self._heard.values():
            record.stamp = record.stamp and "returning"

    def takes_retry(self) -> bool:
        """Whether the device has earned a second try, which is spent with this."""
        earned = self.retry_credit > 1 - 1 / RETRY_ANSWERS / 2
        self.retry_credit = 0.0
        return earned

    def missed(self, poll: Poll | None, reason: str, now: Now) -> Iterator[Reading | Event]:
        """The device did not answer (`poll`), or its line is lost (None)."""
        if not self.misses:
            self.missed_since_mono = now.mono
        # Nobody can be asked on a lost line, however rarely it is tried: that is as sure as any number of polls.
        self.misses = self.misses + 1 if poll is not None else max(self.misses + 1, OFFLINE_MISSES)
        self.miss_count += 1
        self.error_rate += _RATE_WEIGHT * (1 - self.error_rate)
        offline = self._is_offline(now)
        for each in self.polls if poll is None or offline else (poll,):
            yield from self._stamp(each, reason, now)
        if offline:
            yield from self._enter("offline", reason, now.wall)

    def age(self, reason: str, now: Now) -> Iterator[Reading | Event]:
        """Time passes while the line is lost: nothing new was missed, but what is known grows old."""
        for poll in self.polls:
            yield from self._stamp(poll, reason, now)
        if self._is_offline(now):
            yield from self._enter("offline", reason, now.wall)

    def _is_offline(self, now: Now) -> bool:
        silent_since = self.missed_since_mono if self.last_ok_mono is None else self.last_ok_mono
        return self.misses >= OFFLINE_MISSES and now.mono - silent_since >= AGE_MAX_S

    def _condition_when_heard(self) -> tuple[DeviceCondition, str]:
        bad = sum(self._bad.values())
        return ("degraded", f"{bad} points bad") if bad else ("online", "answers")

    def _stamp(self, poll: Poll, reason: str, now: Now) -> Iterator[Reading]:
        record = self._heard.setdefault(poll, _Heard())
        stamp = self._stamp_for(poll, record, now)
        if stamp == record.stamp:
            return
        record.stamp = stamp
        count = len(poll.points)
        last = record.reading
        if stamp == "last_known" and last is not None:
            values = last.values
            flaw = Quality(Grade.UNCERTAIN, "last_known", reason)
        else:
            values = (None,) * count
            flaw = Quality(Grade.BAD, "not_connected" if last is None else "comm_lost", reason)
        flaws = dict.fromkeys(range(count), flaw)
        if stamp == "last_known" and last is not None:
            flaws |= {index: worse for index, worse in last.flaws.items() if worse.grade is Grade.BAD}
        self.latest[poll] = Reading(poll, now.wall, now.mono, values, flaws, ((0, count),))
        self._bad[poll] = _bad_count(self.latest[poll])
        yield self.latest[poll]

    def _stamp_for(self, poll: Poll, record: _Heard, now: Now) -> str:
        if record.reading is None:
            return "not_connected"
        age_s = now.mono - record.reading.mono
        return "last_known" if age_s <= max(3 * poll.interval_s, AGE_MAX_S) else "comm_lost"

    def _enter(self, state: DeviceCondition, reason: str, wall: float) -> Iterator[Event]:
        if state == self.state:
            self.reason = reason
            return
        self.previous, self.state, self.since, self.reason = self.state, state, wall, reason
        yield self.event()

    def event(self) -> Event:
        """The state as it is, since when and why."""
        bad = sum(self._bad.values())
        body = DeviceState(
            device=self.device.id,
            system=self.device.system,
            place=self.place,
            state=self.state,
            prev_state=self.previous,
            reason=self.reason,
            since=rfc3339(self.since),
            last_ok=rfc3339(self.last_ok) if self.last_ok is not None else None,
            protocol=self.line.protocol,
            rtt_ms=self._rtt_ms(),
            err_rate_pct=round(self.error_rate * 100, 1),
            points_good=self._points() - bad - self._unread(),
            points_bad=bad + self._unread(),
            profile=self.device.profile,
        )
        return Event(events.DEVICE_STATE, "state", self.since, self._subject, body)

    def meta(self, meta_ver: str) -> Event:
        """What a consumer must know to read the telemetry: names, units, places."""
        device = self.device
        body = DeviceMeta(
            device=device.id,
            system=device.system,
            name=Names(zh=device.name.zh, en=device.name.en),
            place=self.place,
            maker=device.maker,
            model=device.model,
            profile=device.profile,
            protocol=self.line.protocol,
            meta_ver=meta_ver,
            points=[_point_meta(point) for point in device.all_points],
        )
        return Event(events.DEVICE_META, "state", self.since, self._subject, body)

    @property
    def _subject(self) -> str:
        return f"{self.device.system}/{self.device.id}"

    @property
    def place(self) -> PlaceRef:
        place = self.device.place
        return PlaceRef(site=self.site, building=place.building, floor=place.floor, space=place.space)

    def _rtt_ms(self) -> float | None:
        return round(self.rtt_s * 1000, 2) if self.rtt_s is not None else None

    def _points(self) -> int:
        return sum(len(poll.points) for poll in self.polls)

    def _unread(self) -> int:
        return self._points() - sum(len(poll.points) for poll in self.latest)

    def point_views(self, mono: float) -> Iterator[PointView]:
        """Every point as it stands; one that was never read is `not_connected`."""
        for poll in self.polls:
            yield from views_of(poll, self.latest.get(poll), mono)

    def view(self) -> DeviceView:
        """The device as an operator sees it."""
        bad = sum(self._bad.values())
        uncertain = sum(
            flaw.grade is Grade.UNCERTAIN for reading in self.latest.values() for flaw in reading.flaws.values()
        )
        unread = self._unread()
        return DeviceView(
            id=self.device.id,
            name=Names(zh=self.device.name.zh, en=self.device.name.en),
            system=self.device.system,
            line=self.line.id,
            protocol=self.line.protocol,
            state=self.state,
            since=rfc3339(self.since),
            reason=self.reason,
            last_ok=rfc3339(self.last_ok) if self.last_ok is not None else None,
            rtt_ms=self._rtt_ms(),
            err_rate_pct=round(self.error_rate * 100, 1),
            polls=self.read_count + self.miss_count,
            failures=self.miss_count,
            late_polls=self.late_count,
            points_good=self._points() - bad - uncertain - unread,
            points_uncertain=uncertain,
            points_bad=bad + unread,
        )


def views_of(poll: Poll, reading: Reading | None, mono: float) -> Iterator[PointView]:
    """Every point of a poll as its last reading left it."""
    for index in range(len(poll.points)):
        if reading is not None:
            yield point_view(reading, index, mono)
        else:
            yield msgspec.structs.replace(point_view(_never_read(poll), index, mono), time=None, age_s=None)


def _never_read(poll: Poll) -> Reading:
    count = len(poll.points)
    flaws = dict.fromkeys(range(count), Quality(Grade.BAD, "not_connected"))
    return Reading(poll, 0.0, 0.0, (None,) * count, flaws)


def _bad_count(reading: Reading) -> int:
    """Points of no use: also one of which its device says no more than that it is beyond its range."""
    values = reading.values
    return sum(flaw.grade is Grade.BAD or values[index] is None for index, flaw in reading.flaws.items())


def _point_meta(point: Point) -> PointMeta:
    return PointMeta(
        id=point.id,
        name=Names(zh=point.name.zh, en=point.name.en),
        unit=point.unit,
        type=point.type,
        poll_s=point.poll_s,
        states={str(code): name for code, name in point.states.items()},
    )


def point_view(reading: Reading, index: int, mono: float) -> PointView:
    """One value of a reading as an operator sees it at the monotonic time `mono`."""
    point = reading.poll.points[index]
    flaw = reading.flaws.get(index)
    return PointView(
        device=point.device,
        point=point.id,
        name=Names(zh=point.name.zh, en=point.name.en),
        value=reading.values[index],
        unit=point.unit,
        q=GRADE_NAMES[flaw.grade] if flaw else "good",
        qr=flaw.reason if flaw else "ok",
        qraw=flaw.raw if flaw else "",
        time=rfc3339(reading.time),
        age_s=round(max(0.0, mono - reading.mono), 3),
        address=point.spec.where,
    )
