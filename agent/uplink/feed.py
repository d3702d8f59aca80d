"""Which record goes next: streams in the order of `STREAMS`, each in sequence; after an outage live telemetry first.

Always true:
- A record is handed out once per session, unless it is given back.
- What the cursor has settled is not handed out.
- Nothing of a stream is handed out while the stream is held, and no backlog beyond its rate.

Knows the journal and the cursor, but neither brokers nor topics. One feed per session: `Feed(...)` starts from what the
cursor says now.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.model import STREAMS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from buffer.journal import Journal
    from buffer.ledger import Lane, Position
    from buffer.record import Record

LIVE_FIRST_RECORDS = 500
"""With more telemetry than this waiting at the start of a session, new records go first, older ones beside them."""

READ_RECORDS = 64
AT_HAND_LOW = 16
"""Read on when fewer records than this are at hand, so that the broker does not wait for the disk."""

BURST_S = 0.1
"""How much of the backlog's rate may be saved up."""

TELEMETRY = "telemetry"


RANK: dict[str, int] = {stream: rank for rank, stream in enumerate(STREAMS)}


@dataclass(slots=True)
class Span:
    """A range of one lane: `first` and above, below `before` where that is set. Up to `after` it was read."""

    position: Position
    first: int
    before: int | None = None
    slow: bool = False
    after: int = 0
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

    def rank(self) -> tuple[int, bool]:
        return RANK[self.lane.stream], self.slow

    def covers(self, record: Record) -> bool:
        return self.lane == (record.epoch, record.stream) and self.first <= record.sequence < self.end

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
    """`live_from` is the first telemetry sequence that is sent live, None where everything goes in one sequence."""

    def __init__(self, journal: Journal, cursor: str, backlog_records_per_s: float, now: float) -> None:
        self.live_from: int | None = None
        self._journal = journal
        self._cursor = cursor
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
            span.position = latest.get(span.lane, span.position)
        self._add(positions)

    async def fill(self) -> None:
        """Read on wherever little is at hand."""
        for span in self._spans:
            if span.more and len(span.records) < AT_HAND_LOW and span.lane.stream not in self._held:
                await self._read(span)

    def take(self, streams: Collection[str], now: float, *, backlog: bool = True) -> Record | None:
        """The next record of these streams, if one is at hand and may go now."""
        for span in self._spans:
            if not span.records or span.lane.stream not in streams or span.lane.stream in self._held:
                continue
            if span.slow:
                if not backlog or self._allowance.at > now:
                    continue
                self._allowance.spend(now)
            return span.records.popleft()
        return None

    def give_back(self, record: Record) -> None:
        """It was not taken by the other side and is to be sent again, before what follows it."""
        span = next(span for span in self._spans if span.covers(record))
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
            (span.records or span.more) and not span.slow and span.lane.stream not in self._held for span in self._spans
        )

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
        records: list[Record] = []
        if first <= last:
            records = await self._journal.read(
                span.lane.stream, first - 1, READ_RECORDS, epoch=span.lane.epoch, before=last + 1
            )
        # An empty answer says that the whole run was trimmed: the journal accounts for it as a loss.
        span.after = records[-1].sequence if records else last
        span.records.extend(records)
