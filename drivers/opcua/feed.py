"""From samples to readings: the present picture of each poll, and what of it changed. Pure.

One notification gives one reading per poll, with the spans that changed. Only where the server queued several values of
one point are there more, so that the rules see each of them in its order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from drivers.contract import NO_FLAWS, Grade, Poll, Quality, Reading, Span, Value
from drivers.opcua.kinds import RARE
from drivers.opcua.quality import CODE, is_overflow, of_status
from drivers.opcua.values import TICKS_PER_S, TICKS_TO_1970, Converter, converter, unpacked, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from config.model import Device, Point
    from drivers.opcua.decode import Sample
    from drivers.opcua.learn import Known

LIFE_S = 5.0
"""A quiet poll proves its life at least this often, or once per interval where that is longer."""
FIRST_S = 5.0
"""How long the first reading of a poll waits for points of which the server says nothing."""

_SILENT = Quality(Grade.BAD, "not_connected", "no initial value")
_FAILED = {"sensor_fault", "device_fault", "out_of_service"}
_NUMBERS = {int, float}


class Picture:
    """What is known of one poll. Owns the arrays that readings are copied from."""

    def __init__(self, poll: Poll, known: Mapping[Point, Known] | None = None) -> None:
        self.poll = poll
        self.shown_mono = 0.0
        self.overflows: dict[int, int] = {}
        self._converters: list[Converter] = [converter(point, (known or {}).get(point)) for point in poll.points]
        self._values: list[Value] = [None] * len(poll.points)
        self._flaws: dict[int, Quality] = {}
        self._times: dict[int, float] = {}
        self._missing = set(range(len(poll.points)))
        self.touched: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether every point has a value or a flaw."""
        return not self._missing

    def put(self, index: int, kind: int, raw: object, status: int, ticks: int) -> None:
        """Take one sample of the point at `index`."""
        # Written for the value that is good and was: everything else takes the longer way.
        if status:
            self._set(index, *self._judged(index, kind, raw, status))
        else:
            value, flaw = self._converters[index](kind, raw)
            if flaw is not None or self._missing or index in self._flaws:
                if flaw is not None and kind in RARE:
                    value, flaw = unpacked(self._converters[index], kind, raw)
                self._set(index, value, flaw)
            elif value != self._values[index]:
                self._values[index] = value
                self.touched.add(index)
        if ticks > TICKS_TO_1970:
            self._times[index] = (ticks - TICKS_TO_1970) / TICKS_PER_S
        else:
            self._times.pop(index, None)

    def _judged(self, index: int, kind: int, raw: object, status: int) -> tuple[Value, Quality | None]:
        """Value and flaw of a sample whose status says something; the worse of two flaws wins."""
        flaw = of_status(status)
        if flaw is not None and is_overflow(status):
            self.overflows[index] = self.overflows.get(index, 0) + 1
            flaw = replace(flaw, raw=f"{flaw.raw}, {self.overflows[index]} overflows")
        if flaw is not None and flaw.grade is Grade.BAD:
            return None, flaw
        convert = self._converters[index]
        value, found = unpacked(convert, kind, raw) if kind in RARE else convert(kind, raw)
        return value, worst(flaw, found)

    def spoil(self, index: int, flaw: Quality) -> None:
        """Say that there is no value, and why."""
        self._set(index, None, flaw)

    def spoil_missing(self) -> None:
        for index in tuple(self._missing):
            self._set(index, None, _SILENT)

    def _set(self, index: int, value: Value, flaw: Quality | None) -> None:
        if self._missing:
            self._missing.discard(index)
        if value != self._values[index]:
            self._values[index] = value
            self.touched.add(index)
        if flaw != self._flaws.get(index):
            self._set_flaw(index, flaw)

    def _set_flaw(self, index: int, flaw: Quality | None) -> None:
        if flaw is None:
            del self._flaws[index]
        else:
            self._flaws[index] = flaw
        self.touched.add(index)

    def differs(self, index: int, sample: Sample, tolerance: float) -> bool:
        """Whether `sample` is another value than the one that is shown, by more than `tolerance`.

        A sample without a value differs only where it says that the sensor or the device has failed: other bad codes
        may speak of this request alone.
        """
        _, kind, raw, status, _ = sample
        value, flaw = self._judged(index, kind, raw, status & CODE)
        if flaw is not None and flaw.grade is Grade.BAD and flaw.reason not in _FAILED:
            return False
        shown = self._values[index]
        if type(value) in _NUMBERS and type(shown) in _NUMBERS:
            return abs(cast("float", value) - cast("float", shown)) > tolerance
        return value != shown

    def was_reported(self, index: int) -> bool:
        """Whether the server has ever said what the point is."""
        return index not in self._missing and self._flaws.get(index) is not _SILENT

    def show(self, index: int, sample: Sample, doubt: Quality) -> None:
        """Take a sample that is in doubt, whatever it says."""
        _, kind, raw, status, ticks = sample
        self.put(index, kind, raw, status & CODE, ticks)
        flaw = self._flaws.get(index)
        if flaw is None or flaw.grade < doubt.grade:
            self._set_flaw(index, doubt)

    def reading(self, time: float, mono: float) -> Reading:
        """The picture now; what was touched since the last one is changed."""
        changed = spans(self.touched)
        self.touched.clear()
        self.shown_mono = mono
        flaws = dict(self._flaws) if self._flaws else NO_FLAWS
        return Reading(self.poll, time, mono, tuple(self._values), flaws, changed, dict(self._times))


def spans(indexes: Iterable[int]) -> tuple[Span, ...]:
    """The half-open ranges that cover exactly `indexes`."""
    found: list[Span] = []
    for index in sorted(indexes):
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return tuple(found)


class Feed:
    """The pictures of all polls of a line. A handle is the place of a point in the polls, counted through."""

    def __init__(self, polls: Sequence[Poll], known: Mapping[Point, Known] | None = None) -> None:
        self.pictures = tuple(Picture(poll, known) for poll in polls)
        self._where = [(picture, index) for picture in self.pictures for index in range(len(picture.poll.points))]
        self._first_by: float | None = None

    @property
    def overflows(self) -> int:
        """How many samples came with the mark that older ones were dropped."""
        return sum(sum(picture.overflows.values()) for picture in self.pictures)

    def renew(self, device: Device) -> None:
        """Show all points of a device again: what was shown of it so far was not believed."""
        for picture in self.pictures:
            if picture.poll.device is device:
                picture.touched.update(range(len(picture.poll.points)))

    def spoil(self, handle: int, flaw: Quality) -> None:
        """Say of a point that it cannot be watched."""
        picture, index = self._where[handle]
        picture.spoil(index, flaw)

    def differs(self, handle: int, sample: Sample, tolerance: float) -> bool:
        """As `Picture.differs`."""
        picture, index = self._where[handle]
        return picture.differs(index, sample, tolerance)

    def was_reported(self, handle: int) -> bool:
        """As `Picture.was_reported`."""
        picture, index = self._where[handle]
        return picture.was_reported(index)

    def show(self, handle: int, sample: Sample, doubt: Quality) -> None:
        """As `Picture.show`."""
        picture, index = self._where[handle]
        picture.show(index, sample, doubt)

    def take(self, samples: Iterable[Sample], time: float, mono: float, due_s: float) -> Iterator[Reading]:
        """The readings of one notification; then a proof of life for each poll whose last reading would get too old
        before the next notification, which comes within `due_s`.
        """
        if self._first_by is None:
            self._first_by = mono + FIRST_S
        rest: Sequence[Sample] = tuple(samples)
        while True:
            rest = self._put(rest)
            for picture in self.pictures:
                if mono >= self._first_by:
                    picture.spoil_missing()
                if picture.complete and (picture.touched or self._quiet(picture, mono, due_s)):
                    yield picture.reading(time, mono)
            if not rest:
                return

    def _put(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Take what belongs into one reading; gives the later values of points that have changed in it already."""
        later: list[Sample] = []
        where, handles = self._where, len(self._where)
        for sample in samples:
            handle, kind, raw, status, ticks = sample
            if handle >= handles:
                continue  # never asked for; the server's mistake is not worth the line
            picture, index = where[handle]
            if index in picture.touched and picture.complete:
                later.append(sample)
            else:
                picture.put(index, kind, raw, status, ticks)
        return later

    def _quiet(self, picture: Picture, mono: float, due_s: float) -> bool:
        return mono - picture.shown_mono + due_s >= max(LIFE_S, picture.poll.interval_s)
