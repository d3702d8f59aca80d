"""How far one uplink is, so that the receiver can tell a gap from what is still to come. Arithmetic; no I/O.

Of each stream in each epoch: everything up to `complete_to` was handed over, `count` records of it, or is named as
missing, or was not meant for this uplink. Without a filter, `count` and what is missing add up to `complete_to`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.events import Missing, StreamMark
from agent.uplink.feed import TELEMETRY
from buffer.ledger import BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.uplink.handover import Handover
    from buffer.journal import Journal, Stats
    from buffer.ledger import Lane, Loss, Position


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an uplink is with one lane. `unsent`: how many up to `complete_to` were lost or skipped."""

    complete_to: int
    count: int
    confirmed_to: int | None
    backlog: int
    unsent: int


def stream_marks(
    journal: Journal, cursor: str, handover: Handover | None, live_from: int | None, *, filtered: bool
) -> list[StreamMark]:
    """One for each stream and epoch of which something is kept or missing, the oldest epoch first."""
    reaches = {lane: _reach(journal, cursor, lane, handover) for lane in _lanes(journal.stats(), cursor)}
    # The journal may drop records at any time: what is lost after the line above lies beyond, and is cut off.
    losses = [loss for loss in journal.stats().losses if loss.cursor == cursor]
    return [
        StreamMark(
            stream=lane.stream,
            epoch=lane.epoch,
            complete_to=reach.complete_to,
            count=reach.count,
            confirmed_to=reach.confirmed_to,
            live_from=live_from if (lane.epoch, lane.stream) == (journal.epoch, TELEMETRY) else None,
            backlog=reach.backlog,
            missing=missing(
                (loss for loss in losses if loss.lane == lane),
                reach.complete_to,
                None if filtered else reach.unsent,
            ),
        )
        for lane, reach in reaches.items()
    ]


def _lanes(stats: Stats, cursor: str) -> Iterator[Lane]:
    lost = {loss.lane for loss in stats.losses if loss.cursor == cursor and loss.reason != BEFORE}
    return (lane for lane, kept in stats.lanes.items() if kept.records or lane.epoch == stats.epoch or lane in lost)


def _reach(journal: Journal, cursor: str, lane: Lane, handover: Handover | None) -> Reach:
    position = journal.position(cursor, lane)
    if handover is None:
        return Reach(position.low, position.sent, None, position.unsettled, position.low - position.sent)
    mark = handover.mark(lane)
    return Reach(mark.low, mark.sent, position.low, max(0, position.next - 1 - mark.total), _unsent(position, mark.low))


def _unsent(position: Position, complete_to: int) -> int:
    """By the cursor: what was handed over and then lost before it was confirmed counts as lost too."""
    above = zip(position.spans, position.counts, strict=True)
    return (
        position.low
        - position.sent
        + sum(last - first + 1 - count for (first, last), count in above if last <= complete_to)
    )


def missing(losses: Iterable[Loss], complete_to: int, unsent: int | None) -> list[Missing]:
    """The losses up to `complete_to`, of which all in all `unsent` are known to be (None where it is not known).

    A loss is one open range for each reason: one that reaches beyond `complete_to` is cut, and what it has too much is
    taken from it.
    """
    below = sorted((loss for loss in losses if loss.first <= complete_to), key=lambda loss: (loss.first, loss.reason))
    surplus = 0 if unsent is None else max(0, sum(loss.records for loss in below) - unsent)
    found = []
    for loss in below:
        records = loss.records
        if loss.last > complete_to:
            taken = min(surplus, records - 1)
            records, surplus = records - taken, surplus - taken
        last = min(loss.last, complete_to)
        found.append(
            Missing(first=loss.first, last=last, records=min(records, last - loss.first + 1), reason=loss.reason)
        )
    return found
