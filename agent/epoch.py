"""The first record of every stream in a new epoch: it names the epoch before, so that a receiver can chain them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent import events
from agent.envelope import draft
from agent.events import Event, StreamBegin
from config.model import STREAMS

if TYPE_CHECKING:
    from agent.clock import Clock
    from buffer.journal import Journal
    from config.model import Stream


async def begin_streams(journal: Journal, clock: Clock) -> None:
    """Store what is missing of it; does nothing where the epoch has begun already. Raises `JournalError`."""
    begun = {
        lane.stream for lane, kept in journal.stats().lanes.items() if lane.epoch == journal.epoch and kept.next > 1
    }
    drafts = [draft(_begin(stream, journal, clock), clock.state()) for stream in STREAMS if stream not in begun]
    if drafts:
        await journal.append(drafts)


def _begin(stream: Stream, journal: Journal, clock: Clock) -> Event:
    previous = journal.previous
    body = StreamBegin(
        stream=stream,
        epoch=journal.epoch,
        prev_epoch=previous.epoch if previous else None,
        prev_last_seq=previous.last.get(stream, 0) if previous else None,
        reason="renewed" if previous else "first",
    )
    return Event(events.STREAM_BEGIN, stream, clock.wall(), stream, body)
