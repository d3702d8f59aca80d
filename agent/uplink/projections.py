"""What holds now: never journaled, never numbered.

Status of the gateway, state and meta of each device are retained by the broker for whoever comes later: published after
every connect and on every change, only the newest of each topic. Health goes the same way, and nobody keeps it.
Watermarks, snapshots and answers are said once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agent.envelope import AsOf, project
from agent.events import GATEWAY_STATUS, Event, GatewayStatus, rfc3339
from agent.uplink.session import Message

if TYPE_CHECKING:
    from typing import Literal

    from agent.envelope import Origin
    from agent.events import ClockState


OUTBOX_MAX = 1000
"""Answers that may wait; a platform that asks for more at once gets the last ones."""


class Retained:
    """The newest message of each topic, for the broker to keep or for whoever listens, and which of them this session
    has still to publish.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Message] = {}
        self._due: dict[str, None] = {}

    def put(self, message: Message) -> None:
        self._latest[message.topic] = message
        self._due[message.topic] = None

    def begin(self) -> None:
        """A new session: the broker may know nothing."""
        self._due = dict.fromkeys(self._latest)

    def take(self) -> Message | None:
        """The next one to publish."""
        for topic in self._due:
            del self._due[topic]
            return self._latest[topic]
        return None

    @property
    def empty(self) -> bool:
        return not self._due


class Outbox:
    """What is to be said in this session: `urgent` is small and goes before alarms, `bulk` after them."""

    def __init__(self) -> None:
        self.urgent: deque[Message] = deque(maxlen=OUTBOX_MAX)
        self.bulk: deque[Message] = deque()

    def clear(self) -> None:
        self.urgent.clear()
        self.bulk.clear()


class Speaker:
    """Makes the messages of one uplink. Ids hold the time in milliseconds, so that a restart does not repeat one."""

    def __init__(self, uplink: str, origin: Origin) -> None:
        self._uplink = uplink
        self._origin = origin
        self._number = 0

    def message(
        self, event: Event, clock_state: ClockState, as_of: AsOf, *, retain: bool = True, at_most_once: bool = False
    ) -> Message:
        self._number = max(self._number + 1, int(event.time * 1000))
        projection = project(event, self._origin, clock_state, as_of, f"{self._uplink}-{self._number:016d}")
        topic = self._origin.root + projection.topic
        return Message(topic, projection.payload, retain=retain, at_most_once=at_most_once)

    def status(
        self,
        state: Literal["online", "offline"],
        wall: float,
        clock_state: ClockState,
        as_of: AsOf,
        *,
        connection: int,
        live_from: int | None = None,
        sw: str,
        cfg_ver: str,
    ) -> Message:
        """Birth (`online`), last word and will (`offline`); the will's time is that of its connection."""
        body = GatewayStatus(
            state=state,
            epoch=as_of.epoch,
            since=rfc3339(wall),
            sw=sw,
            cfg_ver=cfg_ver,
            connection=connection,
            last_seq=as_of.sequences,
            live_from=live_from,
        )
        return self.message(Event(GATEWAY_STATUS, "state", wall, self._origin.gateway, body), clock_state, as_of)
