"""Which record goes next: streams in the order of `STREAMS`, each in sequence; after an outage live telemetry first.

Always true:
- What follows in a later epoch waits for what of the earlier one can be read.
- A record is handed out once per session, unless it is given back or asked for again.
- What the cursor has settled is not handed out, unless it is asked for again.
- Nothing of a stream is handed out while the stream is held, and no backlog beyond its rate.
- What does not pass the uplink's selection is never handed out, but named once as skipped.

Knows the journal and the cursor, but neither brokers nor topics. One feed per session: `Feed(...)` starts from what the
cursor says now.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.uplink.selection import Selection
from buffer.errors import JournalUnavailable
from buffer.ledger import Position
from config.model import STREAMS
from config.outward import Filter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from buffer.journal import Journal
    from buffer.ledger import Lane
    from buffer.record import Record

LIVE_FIRST_RECORDS = 500
"""With more telemetry than this waiting at the start of a session, new records go first, older ones beside them."""

READ_RECORDS = 64
AT_HAND_LOW = 16
"""Read on when fewer records than this are at hand, so that the broker does not wait for the disk."""

BURST_S = 0.1
"""How much of the backlog's rate may be saved up."""

TELEMETRY = "telemetry"

EVERYTHING = Selection(Filter())

RANK: dict[str, int] = {stream: rank for rank, stream in enumerate(STREAMS)}


@dataclass(slots=True)
class Again:
    """A range that was asked for again. Once `done`: how many were sent, and which were kept no more."""

    sent: int = 0
    gone: list[tuple[int, int]] = field(default_factory=list)
    done: bool = False


@dataclass(slots=True)
class Span:
    """A range of one lane: `first` and above, below `before` where that is set. Up to `after` it was read."""

    position: Position
    first: int
    before: int | None = None
    slow: bool = False
    again: Again | None = None
    after: int = 0
    is_readable: bool = True
    records: deque[Record] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.after = self.first - 1

    @property
    def lane(self) -> Lane:
        return self.position.lane

    @property
    def end(self) -> int:
        """The first sequence that is not in the journal yet, or not in this range."""
        return self.position.next if self.before is None else self.before

    @property
    def more(self) -> bool:
        """Whether the journal has more than what was read."""
        return self.after + 1 < self.end

    def rank(self) -> tuple[int, bool, bool]:
        return RANK[self.lane.stream], self.slow, self.again is not None

    def covers(self, record: Record) -> bool:
        return self.lane == (record.epoch, record.stream) and self.first <= record.sequence < self.end

    @property
    def hungry(self) -> bool:
        """Whether little is at hand although there is more."""
        return self.more and len(self.records) < AT_HAND_LOW

    def next_run(self) -> tuple[int, int]:
        """The first sequences in a row that were neither read nor settled, both ends included; first > last if none."""
        first = max(self.after, self.position.low) + 1
        for settled_first, settled_last in self.position.spans:
            if settled_first > first:
                return first, min(self.end, settled_first) - 1
            first = max(first, settled_last + 1)
        return first, self.end - 1


class Allowance:
    """So many a second, with a small burst. `at` is when the next one may go."""

    def __init__(self, per_s: float, now: float) -> None:
        self._step_s = 1 / per_s
        self._burst_s = max(BURST_S, self._step_s)
        self.at = now

    def spend(self, now: float) -> None:
        self.at = max(self.at, now - self._burst_s) + self._step_s


class Feed:
    """`live_from` is the first telemetry sequence that is sent live, None where everything goes in one sequence.

    `skipped` are spans that did not pass, by lane; whoever settles them empties it.
    """

    def __init__(
        self, journal: Journal, cursor: str, backlog_records_per_s: float, now: float, selection: Selection = EVERYTHING
    ) -> None:
        self.live_from: int | None = None
        self.skipped: dict[Lane, list[tuple[int, int]]] = {}
        self._journal = journal
        self._cursor = cursor
        self._selection = selection
        self._allowance = Allowance(backlog_records_per_s, now)
        self._held: set[str] = set()
        self._spans: list[Span] = []
        positions = journal.cursor(cursor)
        backlog = sum(position.unsettled for position in positions if position.lane.stream == TELEMETRY)
        if backlog > LIVE_FIRST_RECORDS:
            self._split(positions)
        self._add(positions)

    def refresh(self) -> None:
        """Take notice of what was committed since the last time."""
        positions = self._journal.cursor(self._cursor)
        latest = {position.lane: position for position in positions}
        for span in self._spans:
            if span.again is None:
                span.position = latest.get(span.lane, span.position)
        self._add(positions)

    async def fill(self) -> None:
        """Read on wherever little is at hand; of a held stream, so that there is something to try it again with."""
        for span in self._spans:
            if span.hungry and (span.lane.stream not in self._held or not span.records):
                await self._read(span)
        self._end_spans()

    @property
    def hungry(self) -> bool:
        """Whether `fill` would read on at once; not where the disk has just not answered."""
        return any(span.hungry and span.is_readable and span.lane.stream not in self._held for span in self._spans)

    @property
    def is_unreadable(self) -> bool:
        """Whether something could not be read, which `fill` tries again."""
        return any(span.hungry and not span.is_readable for span in self._spans)

    def send_again(self, lane: Lane, first: int, last: int) -> Again:
        """Hand out what is kept of this range, settled or not, after what is due in its stream anyway."""
        again = Again()
        self._spans.append(Span(Position(lane, first - 1, (), last + 1), first, last + 1, again=again))
        self._spans.sort(key=Span.rank)
        return again

    def take(self, streams: Collection[str], now: float, *, backlog: bool = True) -> Record | None:
        """The next record of these streams, if one is at hand and may go now."""
        unread: set[tuple[int, bool, bool]] = set()
        for span in self._spans:
            if span.lane.stream not in streams or span.lane.stream in self._held or span.rank() in unread:
                continue
            if not backlog and (span.slow or span.again):
                continue
            if not span.records:
                if span.more and span.is_readable:
                    unread.add(span.rank())
                continue
            if span.slow:
                if self._allowance.at > now:
                    continue
                self._allowance.spend(now)
            if span.again:
                span.again.sent += 1
            return span.records.popleft()
        return None

    def give_back(self, record: Record) -> None:
        """It was not taken by the other side and is to be sent again, before what follows it."""
        span = next((span for span in self._spans if span.covers(record)), None)
        if span is None:
            return  # It was asked for again, and the cursor had settled it: the platform may ask once more.
        span.records = deque(sorted((record, *span.records), key=lambda kept: kept.sequence))

    def hold(self, stream: str) -> None:
        self._held.add(stream)

    def release(self, stream: str) -> None:
        self._held.discard(stream)

    @property
    def due(self) -> float | None:
        """When to go on with the backlog, where time is all that it waits for: for several records at once."""
        waits = any(span.slow and (span.records or span.more) for span in self._spans)
        return self._allowance.at + BURST_S / 2 if waits and TELEMETRY not in self._held else None

    @property
    def idle(self) -> bool:
        """Whether everything but the backlog and held streams has been handed out."""
        return not any(
            (span.records or span.more) and not span.slow and not span.again and span.lane.stream not in self._held
            for span in self._spans
        )

    @property
    def live_now(self) -> int | None:
        """`live_from` while older telemetry is still on its way."""
        return self.live_from if any(span.slow and (span.records or span.more) for span in self._spans) else None

    @property
    def backlog(self) -> int:
        """How many records of the backlog have not been handed out, at most."""
        return sum(len(span.records) + span.end - 1 - span.after for span in self._spans if span.slow)

    def _split(self, positions: Iterable[Position]) -> None:
        """Telemetry that is there already becomes the backlog; what comes from now on is live."""
        self.live_from = 1
        for position in positions:
            if position.lane.stream != TELEMETRY:
                continue
            self._spans.append(Span(position, position.low + 1, position.next, slow=True))
            if position.lane.epoch == self._journal.epoch:
                self.live_from = position.next
                self._spans.append(Span(position, position.next))

    def _add(self, positions: Iterable[Position]) -> None:
        """Lanes that are not known yet; the journal names older epochs first, and the order of equals stays."""
        known = {span.lane for span in self._spans}
        self._spans += [Span(position, position.low + 1) for position in positions if position.lane not in known]
        self._spans.sort(key=Span.rank)

    async def _read(self, span: Span) -> None:
        first, last = span.next_run()
        if not self._selection.takes(span.lane.stream):
            span.after = span.end - 1
            self._skip(span, first, span.after)
            return
        records: list[Record] = []
        span.is_readable = True
        if first <= last:
            try:
                records = await self._journal.read(
                    span.lane.stream, first - 1, READ_RECORDS, epoch=span.lane.epoch, before=last + 1
                )
            except JournalUnavailable:
                span.is_readable = False
                return  # The disk is away: what is in memory goes on, and this is tried again a little later.
        # An empty answer says that the whole run was trimmed: the journal accounts for it as a loss.
        span.after = records[-1].sequence if records else last
        if span.again:
            span.again.gone += _holes(first, span.after, records)
        span.records.extend(records if self._selection.is_all else self._passing(span, records))

    def _passing(self, span: Span, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if self._selection.passes(record):
                yield record
            else:
                self._skip(span, record.sequence, record.sequence)

    def _skip(self, span: Span, first: int, last: int) -> None:
        if span.again or first > last:
            return
        spans = self.skipped.setdefault(span.lane, [])
        if spans and spans[-1][1] == first - 1:
            first = spans.pop()[0]
        spans.append((first, last))

    def _end_spans(self) -> None:
        """A range that was asked for again is over once nothing of it is left."""
        for span in [span for span in self._spans if span.again and not span.more and not span.records]:
            assert span.again is not None
            span.again.done = True
            self._spans.remove(span)


def _holes(first: int, last: int, records: Iterable[Record]) -> Iterator[tuple[int, int]]:
    """The sequences from `first` to `last` that are not among the records, which are in order."""
    for record in records:
        if record.sequence > first:
            yield first, record.sequence - 1
        first = record.sequence + 1
    if first <= last:
        yield first, last
