"""What the journal holds and who has settled what, in memory; the same account is on disk. No I/O.

Always true:
- A cursor's `low` and its spans never shrink: everything up to `low`, and everything in a span, is settled.
- Spans are sorted, disjoint, not adjacent, above `low + 1`, and at most `SPANS_MAX`; what does not fit is not learned
  (it is sent again after a restart, never lost).
- What is no longer kept is settled for every cursor; what a cursor had not settled by then is counted as its loss.
- Of what is settled, a mark knows how much was sent: all but what was skipped, lost, or there before the cursor was.

One lock, held for a few microseconds at a time and never over I/O, because two threads meet here: the event loop
settles and asks, the writer stores and trims.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

SPANS_MAX = 1000

BEFORE = "before_uplink"
"""Reason of a loss: it was no longer kept, or not without holes, when the cursor was made."""

Span = tuple[int, int]
"""Sequences from the first to the last, both included."""


class Lane(NamedTuple):
    """One stream in one epoch: where sequences are contiguous."""

    epoch: str
    stream: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is on disk of one lane. `first` is the oldest kept sequence, or `next` where nothing is kept."""

    next: int = 1
    first: int = 1
    records: int = 0
    raw_bytes: int = 0
    stored_bytes: int = 0

    def grown(self, records: int, raw_bytes: int, stored_bytes: int) -> Kept:
        """After so much was added at the end."""
        return Kept(
            self.next + records,
            self.first,
            self.records + records,
            self.raw_bytes + raw_bytes,
            self.stored_bytes + stored_bytes,
        )


@dataclass(frozen=True, slots=True)
class Position:
    """How far one cursor is with one lane: `low` and everything below it is settled, and so is every span above.

    `sent` of the records up to `low` were sent; `counts` says the same of each span.
    """

    lane: Lane
    low: int
    spans: tuple[Span, ...]
    next: int
    sent: int = 0
    counts: tuple[int, ...] = ()

    @property
    def unsettled(self) -> int:
        """How many stored records still wait for this cursor."""
        return self.next - 1 - self.low - sum(last - first + 1 for first, last in self.spans)

    def settled(self, sequence: int) -> bool:
        at = bisect_left(self.spans, (sequence + 1,))
        return sequence <= self.low or (at > 0 and self.spans[at - 1][1] >= sequence)


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that one cursor will never get, one open range for each lane and reason, updated in place.

    `records` of those between `first` and `last` are lost; the others were settled.
    """

    cursor: str
    lane: Lane
    reason: str
    first: int
    last: int
    records: int


@dataclass(slots=True)
class Mark:
    """A cursor in one lane, as `Position`, but alive."""

    low: int = 0
    spans: list[Span] = field(default_factory=list)
    sent: int = 0
    counts: list[int] = field(default_factory=list)

    def add(self, first: int, last: int, *, sent: bool = True, gone: bool = False) -> int:
        """Settle a span; returns how many of it were not settled before, which were sent or not.

        What is `gone` is always learned, because nobody will ever come back to it.
        """
        first = max(first, self.low + 1)
        if last < first:
            return 0
        at = bisect_left(self.spans, (first,))
        if at and self.spans[at - 1][1] >= first - 1:
            at -= 1
        end, known = at, 0
        merged_first, merged_last = first, last
        while end < len(self.spans) and self.spans[end][0] <= last + 1:
            known += max(0, min(last, self.spans[end][1]) - max(first, self.spans[end][0]) + 1)
            merged_first = min(merged_first, self.spans[end][0])
            merged_last = max(merged_last, self.spans[end][1])
            end += 1
        fresh = last - first + 1 - known
        merged_sent = sum(self.counts[at:end]) + (fresh if sent else 0)
        if merged_first == self.low + 1:
            self.low = merged_last
            self.sent += merged_sent
            del self.spans[at:end], self.counts[at:end]
        elif end > at or len(self.spans) < SPANS_MAX or gone:
            self.spans[at:end] = [(merged_first, merged_last)]
            self.counts[at:end] = [merged_sent]
        else:
            return 0
        return fresh

    @property
    def total(self) -> int:
        """How many are settled."""
        return self.low + sum(last - first + 1 for first, last in self.spans)

    def holds(self, sequence: int) -> bool:
        at = bisect_left(self.spans, (sequence + 1,))
        return sequence <= self.low or (at > 0 and self.spans[at - 1][1] >= sequence)

    def copy(self) -> Mark:
        return Mark(self.low, self.spans[:], self.sent, self.counts[:])

    def intersect(self, spans: list[Span]) -> list[Span]:
        """The parts of `spans` that are settled here."""
        mine = [(1, self.low), *self.spans] if self.low else self.spans
        found: list[Span] = []
        at = 0
        for first, last in spans:
            while at < len(mine) and mine[at][1] < first:
                at += 1
            here = at
            while here < len(mine) and mine[here][0] <= last:
                found.append((max(first, mine[here][0]), min(last, mine[here][1])))
                here += 1
        return found


class Ledger:
    """The account. Every method may be called from any thread."""

    def __init__(self, cursors: Iterable[str]) -> None:
        self._lock = Lock()
        self._cursors = tuple(cursors)
        self._kept: dict[Lane, Kept] = {}
        self._marks: dict[tuple[str, Lane], Mark] = {}
        self._losses: dict[tuple[str, Lane, str], Loss] = {}
        self._dirty_marks: set[tuple[str, Lane]] = set()
        self._dirty_losses: set[tuple[str, Lane, str]] = set()

    @property
    def cursors(self) -> tuple[str, ...]:
        return self._cursors

    def load(self, lane: Lane, kept: Kept, marks: Mapping[str, Mark], losses: Iterable[Loss]) -> None:
        """Take over what is on disk of one lane; a cursor without a mark begins at the beginning of it."""
        with self._lock:
            self._kept[lane] = kept
            for name in self._cursors:
                self._marks[name, lane] = marks.get(name, Mark())
            self._losses.update({(loss.cursor, lane, loss.reason): loss for loss in losses})

    def enter(self, cursor: str, lane: Lane, first: int) -> None:
        """A cursor that is new to a lane that is loaded begins at `first`; what is before it is its loss."""
        with self._lock:
            self._enter(cursor, lane, first)

    def enlist(self, cursor: str, starts: Mapping[Lane, int]) -> None:
        """One more cursor: it begins in each lane as in `enter`, where `starts` does not say, at what is kept of it."""
        with self._lock:
            self._cursors = (*self._cursors, cursor)
            for lane, kept in self._kept.items():
                self._enter(cursor, lane, starts.get(lane, kept.first))

    def dismiss(self, cursor: str) -> None:
        """Forget a cursor: it holds nothing back any more. Nothing happens where there is none."""
        with self._lock:
            self._cursors = tuple(name for name in self._cursors if name != cursor)
            self._marks = {key: mark for key, mark in self._marks.items() if key[0] != cursor}
            self._losses = {key: loss for key, loss in self._losses.items() if key[0] != cursor}
            self._dirty_marks &= self._marks.keys()
            self._dirty_losses &= self._losses.keys()

    def done_with(self, lanes: Iterable[Lane]) -> set[Lane]:
        """Those of which nothing is kept, waited for, or to be told as lost."""
        with self._lock:
            lossy = {lane for _, lane, reason in self._losses if reason != BEFORE}
            return {lane for lane in lanes if lane not in lossy and self._is_over(lane, self._kept.get(lane, Kept()))}

    def forget(self, lanes: Container[Lane]) -> None:
        """Lanes that are done with, and in which nothing will be stored any more."""
        with self._lock:
            self._kept = {lane: kept for lane, kept in self._kept.items() if lane not in lanes}
            self._marks = {key: mark for key, mark in self._marks.items() if key[1] not in lanes}
            self._losses = {key: loss for key, loss in self._losses.items() if key[1] not in lanes}
            self._dirty_marks = {key for key in self._dirty_marks if key[1] not in lanes}
            self._dirty_losses = {key for key in self._dirty_losses if key[1] not in lanes}

    def take_over(self, older: Ledger) -> None:
        """Lanes that were on disk before this one began without knowing them."""
        with self._lock:
            self._kept = older._kept | self._kept
            self._marks = older._marks | self._marks
            self._losses = older._losses | self._losses

    # What the event loop does.

    def settle(self, cursor: str, lane: Lane, spans: Iterable[Span], *, sent: bool = True) -> None:
        """Raises `KeyError` for an unknown cursor and `ValueError` for a sequence that is not stored yet."""
        with self._lock:
            for first, last in spans:
                self._settle(cursor, lane, first, last, sent=sent)

    def set_aside(self, cursor: str, lane: Lane, sequence: int, reason: str) -> None:
        """Settle one record that the other side will never take, and count it as lost for `reason`."""
        with self._lock:
            if self._settle(cursor, lane, sequence, sequence, sent=False):
                self._lose(cursor, lane, reason, sequence, sequence, 1)

    def kept(self, lane: Lane) -> Kept:
        with self._lock:
            return self._kept.get(lane, Kept())

    def position(self, cursor: str, lane: Lane) -> Position:
        """Raises `KeyError` for an unknown cursor."""
        if cursor not in self._cursors:
            raise KeyError(cursor)
        with self._lock:
            return self._position(cursor, lane, self._kept.get(lane, Kept()).next)

    def positions(self, cursor: str, epoch: str) -> tuple[Position, ...]:
        """In the lanes of one epoch, and in all others that hold something for this cursor, the oldest epoch first.

        A disk that comes and goes leaves thousands of lanes that are done with: they cost next to nothing. Raises
        `KeyError` for an unknown cursor.
        """
        if cursor not in self._cursors:
            raise KeyError(cursor)
        with self._lock:
            return self._positions(cursor, epoch)

    def account(self, epoch: str) -> dict[str, tuple[Position, ...]]:
        """The positions of every cursor that there is at this moment."""
        with self._lock:
            return {cursor: self._positions(cursor, epoch) for cursor in self._cursors}

    def lanes(self) -> dict[Lane, Kept]:
        """All of them, the oldest epoch first."""
        with self._lock:
            return dict(self._kept)

    def losses(self) -> tuple[Loss, ...]:
        with self._lock:
            return tuple(self._losses.values())

    # What the writer does.

    def put(self, lane: Lane, kept: Kept) -> None:
        """Records of a lane were stored or deleted."""
        with self._lock:
            if lane not in self._kept:
                self._marks.update({(name, lane): Mark() for name in self._cursors})
            self._kept[lane] = kept

    def settled_by_all(self, lane: Lane) -> list[Span]:
        """What no cursor needs any more."""
        with self._lock:
            spans = [(1, self._kept[lane].next - 1)]
            for name in self._cursors:
                spans = self._marks[name, lane].intersect(spans)
            return spans

    def drop(self, lane: Lane, first: int, last: int, reason: str) -> None:
        """Give up a range for every cursor that has not settled all of it."""
        with self._lock:
            for name in self._cursors:
                begin = max(first, self._marks[name, lane].low + 1)
                lost = self._settle(name, lane, begin, last, sent=False, gone=True)
                if lost:
                    self._lose(name, lane, reason, begin, last, lost)

    @property
    def dirty(self) -> bool:
        return bool(self._dirty_marks or self._dirty_losses)

    def take_dirty(self, lanes: Container[Lane]) -> tuple[list[tuple[str, Lane, Mark]], list[Loss]]:
        """What changed in these lanes since the last call: copies, to be stored now."""
        with self._lock:
            dirty = {key for key in self._dirty_marks if key[1] in lanes}
            lost = {key for key in self._dirty_losses if key[1] in lanes}
            marks = [(key[0], key[1], self._marks[key].copy()) for key in dirty]
            losses = [self._losses[key] for key in lost]
            self._dirty_marks -= dirty
            self._dirty_losses -= lost
            return marks, losses

    def touch(self) -> None:
        """Have everything stored again: what was taken may not have reached the disk."""
        with self._lock:
            self._dirty_marks.update(self._marks)
            self._dirty_losses.update(self._losses)

    # With the lock held.

    def _enter(self, cursor: str, lane: Lane, first: int) -> None:
        self._marks[cursor, lane] = Mark(first - 1)
        self._dirty_marks.add((cursor, lane))
        if first > 1:
            self._lose(cursor, lane, BEFORE, 1, first - 1, first - 1)

    def _positions(self, cursor: str, epoch: str) -> tuple[Position, ...]:
        return tuple(
            self._position(cursor, lane, kept.next)
            for lane, kept in self._kept.items()
            if lane.epoch == epoch or self._marks[cursor, lane].low < kept.next - 1
        )

    def _position(self, cursor: str, lane: Lane, following: int) -> Position:
        mark = self._marks.get((cursor, lane), Mark())
        return Position(lane, mark.low, tuple(mark.spans), following, mark.sent, tuple(mark.counts))

    def _is_over(self, lane: Lane, kept: Kept) -> bool:
        return not kept.records and all(self._marks[name, lane].low == kept.next - 1 for name in self._cursors)

    def _settle(self, cursor: str, lane: Lane, first: int, last: int, *, sent: bool, gone: bool = False) -> int:
        kept = self._kept.get(lane)
        if kept is None:
            return 0  # Forgotten: it was sent again, and everybody had settled it.
        if last >= kept.next:
            raise ValueError(f"{lane.stream}/{last} is not stored yet")
        fresh = self._marks[cursor, lane].add(first, last, sent=sent, gone=gone)
        if fresh:
            self._dirty_marks.add((cursor, lane))
        return fresh

    def _lose(self, cursor: str, lane: Lane, reason: str, first: int, last: int, records: int) -> None:
        key = (cursor, lane, reason)
        old = self._losses.get(key, Loss(cursor, lane, reason, first, last, 0))
        self._losses[key] = Loss(
            cursor, lane, reason, min(old.first, first), max(old.last, last), old.records + records
        )
        self._dirty_losses.add(key)
