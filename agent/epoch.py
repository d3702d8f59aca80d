"""What the journal's own life means for the others: how an epoch begins, and what an operator hears of its file.

The first record of every stream in a new epoch names the epoch before, so that a receiver can chain them. What happens
to the file (damaged, deleted, disk away and back) is a health condition, one line in the log each way, and, where
records may be missing, an entry of the audit trail.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

from agent import events
from agent.audit import GATEWAY
from agent.envelope import draft
from agent.events import Event, StreamBegin
from agent.rules.state import FLOOR_KEY
from buffer.ledger import BEFORE
from buffer.retention import Limits
from config.model import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.audit import Trail
    from agent.clock import Clock
    from agent.health import Health
    from buffer.epoch import Begun
    from buffer.incident import Incident
    from buffer.journal import Journal, Stats
    from buffer.record import Draft
    from config import model
    from config.model import Stream

TARGET = "journal"

LOSS_S = 86_400.0
"""How long a loss is shown."""


def first_records(clock: Clock) -> Callable[[Begun], Sequence[Draft]]:
    """What the journal asks for when an epoch begins, in whichever thread that is."""
    return lambda begun: [draft(_begin(stream, begun, clock), clock.state()) for stream in STREAMS]


def _begin(stream: Stream, begun: Begun, clock: Clock) -> Event:
    previous = begun.previous
    body = StreamBegin(
        stream=stream,
        epoch=begun.epoch,
        prev_epoch=previous.epoch if previous else None,
        prev_last_seq=previous.last.get(stream, 0) if previous else None,
        reason=begun.reason,
    )
    return Event(events.STREAM_BEGIN, stream, clock.wall(), stream, body)


def number_on(journal: Journal, clock: Clock) -> None:
    """Have alarms that begin in a new epoch count from a number that no lost one can have had: the time, in seconds.

    A backup that was put back, or a file that was salvaged, may know fewer occurrences than the platform has seen, and
    a platform takes an alarm with an old number for an old one. To be called at the start, before the rules are built.
    """
    known, _, floor = journal.state.get(FLOOR_KEY, b"").decode().partition(" ")
    if known == journal.epoch:
        return
    is_new_here = not known and journal.previous is None
    number = 0 if is_new_here else max(int(floor or 0), int(clock.wall()))
    journal.append((), {FLOOR_KEY: f"{journal.epoch} {number}".encode()})


def limits_of(settings: model.Journal) -> Limits:
    """How much the journal may keep, as it takes it."""
    return Limits(
        settings.size_max_bytes,
        settings.keep_s,
        memory_max_bytes=settings.memory_max_bytes,
        reserve=settings.reserve,
        shares=settings.shares,
        ages_s=settings.ages_s,
    )


class JournalWatch:
    """`look` once a second: tells what has changed since the last time."""

    def __init__(self, journal: Journal, health: Health, clock: Clock, trail: Trail) -> None:
        self._journal = journal
        self._health = health
        self._clock = clock
        self._trail = trail
        self._log = structlog.get_logger()
        self._away_since: float | None = None
        self._incident: Incident | None = None
        self._lost = _lost(journal.stats())
        self._lost_mono: dict[str, float] = {}

    def look(self) -> None:
        stats = self._journal.stats()
        self._look_at_disk(stats)
        self._look_at_losses(_lost(stats))
        if stats.incident is not None and stats.incident is not self._incident:
            self._incident = stats.incident
            self._tell(stats.incident)

    def _look_at_disk(self, stats: Stats) -> None:
        if stats.away:
            self._health.hold("journal_volatile", TARGET, self._clock.wall(), stats.away)
            if self._away_since is None:
                self._away_since = self._clock.mono()
                self._log.error("journal goes on in memory", epoch=stats.epoch, error=stats.away)
        elif self._away_since is not None:
            self._health.release(TARGET, "journal_volatile")
            away_s = round(self._clock.mono() - self._away_since, 1)
            self._away_since = None
            self._log.info("journal is on disk again", epoch=stats.epoch, away_s=away_s)

    def _look_at_losses(self, lost: Counter[str]) -> None:
        """A loss is told for a day after the last record, unless its uplink has gone."""
        now = self._clock.now()
        over = [target for target, mono in self._lost_mono.items() if now.mono - mono > LOSS_S or target not in lost]
        for target in over:
            del self._lost_mono[target]
            self._health.release(target, "records_lost")
        if lost == self._lost:
            return
        for target in [target for target, count in lost.items() if count > self._lost[target]]:
            if target not in self._lost_mono:
                self._log.error("records lost", target=target, count=lost[target])
            self._lost_mono[target] = now.mono
            self._health.hold("records_lost", target, now.wall, f"{lost[target]} records so far")
        self._lost = lost

    def _tell(self, incident: Incident) -> None:
        self._health.hold("journal_damaged", TARGET, self._clock.wall(), incident.what)
        self._log.error(
            "journal file damaged",
            error=incident.what,
            salvaged=incident.salvaged,
            lost=incident.lost,
            moved_to=incident.moved_to,
        )
        after = f"{incident.salvaged} records salvaged, {incident.lost} lost" if incident.moved_to else None
        self._trail.append(GATEWAY, "journal_damaged", incident.moved_to or TARGET, reason=incident.what, after=after)


def _lost(stats: Stats) -> Counter[str]:
    """Records that an uplink will never get, by uplink and stream."""
    lost: Counter[str] = Counter()
    for loss in stats.losses:
        if loss.reason != BEFORE:
            lost[f"{loss.cursor}/{loss.lane.stream}"] += loss.records
    return lost
