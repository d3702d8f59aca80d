"""What a gateway says it has handed over, and what follows from it for what was received. Pure.

Up to a mark the gateway has handed every record to the broker, except those that it names as missing. So only there is
an absent sequence a gap. Where an uplink has a filter, or a missing range has holes, the gateway says how many records
there are but not which: what lacks then is counted, and its place is not known ("unplaced").
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from consumer.events import mappings, number, number_or_none, text
from consumer.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.ranges import Range

MISSING_MAX = 1000
"""So many missing ranges of one stream are read from one watermark; a gateway keeps one per stream and reason."""


@dataclass(frozen=True, slots=True)
class Missing:
    """`records` of the sequences from `first` to `last` will never come; the others were handed over."""

    first: int
    last: int
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest watermark of one uplink for one stream and epoch."""

    complete_to: int
    count: int
    confirmed_to: int | None = None
    live_from: int | None = None
    backlog: int = 0
    missing: tuple[Missing, ...] = ()

    @property
    def filtered(self) -> bool:
        """Whether there are sequences that this uplink was never meant to send."""
        return self.count < self.complete_to - sum(each.records for each in self.missing)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What lacks below one mark: `gaps` by sequence, and `unplaced` records of unknown sequence within `candidates`."""

    gaps: Ranges = field(default_factory=Ranges)
    unplaced: int = 0
    candidates: Ranges = field(default_factory=Ranges)

    @property
    def records(self) -> int:
        return self.gaps.count + self.unplaced


def mark(data: dict[str, Any]) -> Mark:
    """One entry of a watermark. Raises `Unreadable`."""
    return Mark(
        number(data, "complete_to"),
        number(data, "count"),
        number_or_none(data, "confirmed_to"),
        number_or_none(data, "live_from"),
        number(data, "backlog"),
        tuple(missing(each) for each in mappings(data, "missing")[:MISSING_MAX]),
    )


def missing(data: dict[str, Any]) -> Missing:
    """One range that will not come. Raises `Unreadable`."""
    return Missing(number(data, "first"), number(data, "last"), number(data, "records"), text(data, "reason"))


def ended(before: Mark | None, last: int) -> Mark | None:
    """The mark of an epoch of which the gateway keeps nothing any more and misses nothing new: its end, `last`."""
    if before is None:
        return Mark(last, last)
    if before.filtered or before.complete_to >= last:
        return None
    return replace(before, complete_to=last, count=last - sum(each.records for each in before.missing), backlog=0)


def judge(told: Mark, received: Ranges, *, start: int = 1, excused: int = 0, gone: Iterable[Range] = ()) -> Verdict:
    """What should have been received up to this mark and was not.

    Without a filter, expected is what has a sequence of `start` or higher and is not in `gone`, of which the gateway,
    asked for it, said that it has no more. With a filter, all but `excused` records are expected.
    """
    absent = Ranges([(start, told.complete_to)]).minus(received).minus(gone)
    clusters = Ranges((each.first, each.last) for each in told.missing)
    if told.filtered:
        return _by_count(told, received, absent, clusters, excused)
    return _by_place(told, absent, clusters)


def _by_place(told: Mark, absent: Ranges, clusters: Ranges) -> Verdict:
    unplaced, candidates = 0, Ranges()
    for first, last in clusters:
        inside = absent.within(first, last)
        lacking = inside.count - sum(each.records for each in told.missing if first <= each.first <= last)
        if lacking > 0:
            unplaced += lacking
            for range_ in inside:
                candidates.add(*range_)
    return Verdict(absent.minus(clusters), unplaced, candidates)


def _by_count(told: Mark, received: Ranges, absent: Ranges, clusters: Ranges, excused: int) -> Verdict:
    """With a filter only the count says what is due; what arrived although it was given up must not stand for it."""
    arrived = received.within(1, told.complete_to)
    solid = Ranges((each.first, each.last) for each in told.missing if each.records == each.last - each.first + 1)
    lacking = told.count - excused - arrived.minus(solid).count
    if lacking <= 0:
        return Verdict()
    return Verdict(unplaced=lacking, candidates=absent.minus(solid) if clusters else absent)
