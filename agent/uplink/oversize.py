"""Which messages a broker does not take for their size, where it has said no limit and has no word for it.

On MQTT 3.1.1 a broker ends the session at a message that is too large for it, again and again, and nothing behind that
message would ever arrive. So the largest message that was on its way when a session was cut is remembered. Where it is
the same one several times in a row, and larger than anything that this broker ever took, its size is the limit from
then on: it is set aside like one that the broker refused, counted and named.

An alarm is never suspected: it is far smaller than `SUSPECT_BYTES_MIN`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.uplink.problems import Broken, Problem, TooLarge, too_large

if TYPE_CHECKING:
    from agent.uplink.flight import Flight
    from config.outward import Broker

SUSPECT_BYTES_MIN = 16 * 1024
"""Well above any event but telemetry, and below the limit of every broker that is known."""

CUTS = 3
"""So many sessions in a row, each cut with the same message on its way: one cut is the network's."""


class Oversize:
    """What has been learned, by broker, since the start."""

    def __init__(self) -> None:
        self._limits: dict[Broker, int] = {}
        self._taken: dict[Broker, int] = {}
        self._suspect: tuple[Broker, str, int] | None = None
        self._cuts = 0

    def packet_bytes_max(self, broker: Broker, said: int) -> int:
        """How large a packet may be; `said` is what the broker itself has said."""
        return min(said, self._limits.get(broker, said))

    def judge(self, broker: Broker, flight: Flight, problem: Problem) -> Problem:
        """What the end of a session really is; `flight` is what was on its way then."""
        taken = self._taken[broker] = max(flight.answered_bytes_max, self._taken.get(broker, 0))
        largest = flight.largest()
        if largest is None or not isinstance(problem, Broken | TooLarge):
            return problem
        size = len(largest.payload)
        if size <= taken or (size < SUSPECT_BYTES_MIN and not isinstance(problem, TooLarge)):
            return problem
        suspect = (broker, largest.topic, size)
        self._cuts = self._cuts + 1 if suspect == self._suspect else 1
        self._suspect = suspect
        # A broker that is known to cut sessions for this needs no further proof.
        if isinstance(problem, TooLarge) or self._cuts >= CUTS or broker in self._limits:
            self._limits[broker] = size + len(largest.topic.encode())
            return too_large(size)
        return problem
