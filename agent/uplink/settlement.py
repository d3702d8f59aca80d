"""What the broker's answer to one message means for its record. Only a PUBACK of this session settles anything.

below 0x80            taken: settled (0x10, nobody listens, is counted)
0x90 0x95 0x99        this record will never be taken: set aside, counted as a loss with its reason
everything else       not now: the stream is held and tried again, one record at a time, ever more rarely
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.histogram import Histogram
from agent.uplink.discards import Discards
from buffer.ledger import Lane

if TYPE_CHECKING:
    from agent.uplink.handover import Handover
    from buffer.journal import Journal
    from buffer.ledger import Span
    from buffer.record import Record

FAILURE = 0x80
NOBODY_LISTENS = 0x10
TOO_LARGE = 0x95

SET_ASIDE: dict[int, str] = {
    0x90: "topic_name_invalid",
    TOO_LARGE: "packet_too_large",
    0x99: "payload_format_invalid",
}

URGENT = frozenset({"critical", "alarm"})
ALARMS = "alarm/"
"""What the topic of every alarm begins with, and nothing else in those streams does."""

ALARM_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0)
"""The classes into which alarms are counted, by how long after they were stored a broker had them."""

HOLD_S_MIN = 0.5
HOLD_S_MAX = 60.0

_RIGHTS = "allow this gateway to publish there in the broker's access rules"
_REFUSALS: dict[int, tuple[str, str]] = {
    0x87: ("the broker does not allow us to publish to {topic}", _RIGHTS),
    TOO_LARGE: ("a message for {topic} is too large for the broker", "raise the broker's maximum packet size"),
    0x97: ("the broker's quota for us is used up", "raise the quota of this gateway at the broker"),
}
_ANY_REFUSAL = ("the broker does not take messages for {topic} (reason {reason:#04x})", "look into the broker's log")


def refusal(reason: int, topic: str) -> tuple[str, str]:
    """What is wrong and what to do about it."""
    what, todo = _REFUSALS.get(reason, _ANY_REFUSAL)
    return what.format(topic=topic, reason=reason), todo


@dataclass(slots=True)
class Hold:
    """A stream that waits: `until` in the seconds of the event loop, or for the answer to its `probe`, a packet id."""

    wait_s: float
    until: float
    what: str
    todo: str
    probe: int | None = None


@dataclass(slots=True)
class Account:
    """What became of the records of one uplink since the start of the process."""

    acknowledged: int = 0
    unheard: int = 0
    rejected: int = 0
    discards: Discards = field(default_factory=Discards)
    alarm_times: Histogram = field(default_factory=lambda: Histogram(ALARM_BOUNDS_S))

    def note_alarms(self, batch: Batch, wall: float) -> None:
        """How long those took that a broker has now. A clock that was set back makes none shorter than no time."""
        for stored_ms in batch.alarms_stored_ms:
            self.alarm_times.observe(max(0.0, wall - stored_ms / 1000))


@dataclass(slots=True)
class Batch:
    """The settlements of one step, handed to the journal in one go for each lane."""

    accepted: dict[Lane, list[Span]] = field(default_factory=dict)
    rejected: dict[Lane, dict[int, str]] = field(default_factory=dict)
    alarms_stored_ms: list[int] = field(default_factory=list)

    def accept(self, record: Record) -> None:
        if record.stream in URGENT and record.topic.startswith(ALARMS):
            self.alarms_stored_ms.append(record.recorded_ms)
        spans = self.accepted.setdefault(Lane(record.epoch, record.stream), [])
        if spans and spans[-1][1] == record.sequence - 1:
            spans[-1] = (spans[-1][0], record.sequence)
        else:
            spans.append((record.sequence, record.sequence))

    def reject(self, record: Record, reason: str) -> None:
        self.rejected.setdefault(Lane(record.epoch, record.stream), {})[record.sequence] = reason

    def settle(self, journal: Journal, cursor: str, handover: Handover | None, now: float) -> None:
        """With a `handover`, what was accepted is not settled before the platform confirms it."""
        for lane in self.accepted.keys() | self.rejected.keys():
            accepted = self.accepted.get(lane, [])
            if handover is not None:
                handover.take(lane, accepted, now)
                accepted = []
            journal.settle(cursor, lane.stream, accepted, rejected=self.rejected.get(lane, {}), epoch=lane.epoch)
