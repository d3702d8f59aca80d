"""What is on its way to the broker and not acknowledged yet, and how much more may follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.uplink.session import Message
    from buffer.record import Record

BULK_BYTES_MAX = 256 * 1024
"""Most that may be on its way before anything but an alarm waits: on a slow link an alarm queues behind all of it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message; `record` is None for a projection."""

    message: Message
    record: Record | None


class Flight:
    """At most `limit` messages. The last place is kept for alarms, unless it is the only one.

    `answered_bytes_max` is the size of the largest that was answered.
    """

    def __init__(self, limit: int, now: float) -> None:
        self._limit = limit
        self._sent: dict[int, Sent] = {}
        self._bytes = 0
        self._stalled_since = now
        self.answered_bytes_max = 0

    def __len__(self) -> int:
        return len(self._sent)

    def room(self, *, urgent: bool) -> bool:
        """Whether one more message may go."""
        if not self._sent:
            return True
        if urgent:
            return len(self._sent) < self._limit
        return len(self._sent) < self._limit - 1 and self._bytes < BULK_BYTES_MAX

    def add(self, mid: int, sent: Sent, now: float) -> None:
        if not self._sent:
            self._stalled_since = now
        self._sent[mid] = sent
        self._bytes += len(sent.message.payload)

    def land(self, mid: int, now: float) -> Sent | None:
        """The message with this packet id is answered; None if there is none."""
        sent = self._sent.pop(mid, None)
        if sent is not None:
            size = len(sent.message.payload)
            self._bytes -= size
            self.answered_bytes_max = max(self.answered_bytes_max, size)
            self._stalled_since = now
        return sent

    def largest(self) -> Message | None:
        """Of what is not answered yet."""
        return max((sent.message for sent in self._sent.values()), key=lambda one: len(one.payload), default=None)

    def stalled_s(self, now: float) -> float:
        """How long nothing was answered although something waits for an answer."""
        return now - self._stalled_since if self._sent else 0.0
