"""Sends within one session and settles by what comes back. Knows nothing of how sessions begin and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.envelope import splice
from agent.uplink.feed import TELEMETRY
from agent.uplink.flight import Flight, Sent
from agent.uplink.session import Message
from agent.uplink.settlement import (
    FAILURE,
    HOLD_S_MAX,
    HOLD_S_MIN,
    NOBODY_LISTENS,
    SET_ASIDE,
    TOO_LARGE,
    URGENT,
    Account,
    Batch,
    Hold,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from structlog.typing import FilteringBoundLogger

    from agent.envelope import Origin
    from agent.uplink.feed import Feed
    from agent.uplink.projections import Outbox, Retained
    from agent.uplink.session import Session
    from buffer.record import Record
    from config import outward

BULK = frozenset({"state", "audit", "telemetry"})

READ_AGAIN_S = 0.5
"""How soon a disk that has not answered is asked again, at the latest."""

HEAD_BYTES_MAX = 64
"""MQTT header and properties of one message, with room to spare."""


class Delivery:
    """One session's sending: `send` fills the window, `answered` takes what the broker said of it."""

    def __init__(
        self,
        session: Session,
        feed: Feed,
        retained: Retained,
        outbox: Outbox,
        origin: Origin,
        settings: outward.Uplink,
        account: Account,
        log: FilteringBoundLogger,
        now: float,
    ) -> None:
        self.flight = Flight(max(1, min(settings.window, session.receive_maximum)), now)
        self.holds: dict[str, Hold] = {}
        self._session = session
        self._feed = feed
        self._retained = retained
        self._outbox = outbox
        self._origin = origin
        self._account = account
        self._log = log
        self._expiry_s = {TELEMETRY: settings.telemetry_expiry_s}
        self._batch = Batch()
        self._refusals: dict[str, tuple[str, str]] = {}
        self._reported: set[int] = set()

    @property
    def refused(self) -> tuple[str, str] | None:
        """Something that is no record was not taken when it was sent last: what, and what to do about it."""
        return next(iter(self._refusals.values()), None)

    def publish(self, message: Message, now: float) -> None:
        """Something that is no record. What the broker would end the session for is left out, and told."""
        if self._is_too_large(message):
            self._projection_answered(message, TOO_LARGE)
        else:
            self._put(message, now)

    def _put(self, message: Message, now: float, record: Record | None = None) -> int:
        mid = self._session.publish(message)
        if not message.at_most_once:
            self.flight.add(mid, Sent(message, record), now)
        return mid

    def _is_too_large(self, message: Message) -> bool:
        return len(message.payload) + len(message.topic.encode()) + HEAD_BYTES_MAX > self._session.packet_bytes_max

    def send(self, now: float, *, backlog: bool = True) -> None:
        """What is small and asked for, alarms into every free place, then projections, then the rest."""
        while self.flight.room(urgent=True) and self._outbox.urgent:
            self.publish(self._outbox.urgent.popleft(), now)
        while self.flight.room(urgent=True) and (record := self._feed.take(URGENT, now)):
            self._send_record(record, now)
        while self.flight.room(urgent=False) and self._outbox.bulk:
            self.publish(self._outbox.bulk.popleft(), now)
        while self.flight.room(urgent=False) and (message := self._retained.take()):
            self.publish(message, now)
        while self.flight.room(urgent=False) and (record := self._feed.take(BULK, now, backlog=backlog)):
            self._send_record(record, now)
        self._probe(now)

    def answered(self, acks: Iterable[tuple[int, int]], now: float) -> Batch:
        """What may be settled by these acknowledgements, and by what was too large to be sent."""
        for mid, reason in acks:
            sent = self.flight.land(mid, now)
            if sent is None:
                continue
            if sent.record is None:
                self._projection_answered(sent.message, reason)
            else:
                self._record_answered(mid, sent.record, reason, now)
        batch, self._batch = self._batch, Batch()
        return batch

    def due(self, now: float) -> float | None:
        """When something may go that may not go now, in the seconds of the event loop, where only time is missing."""
        waits = [hold.until for hold in self.holds.values() if hold.probe is None]
        waits += [self._feed.due or now, self._account.discards.due(now) or now]
        waits += [now + READ_AGAIN_S] if self._feed.is_unreadable else []
        return min((at for at in waits if at > now), default=None)

    def _send_record(self, record: Record, now: float) -> int | None:
        message = Message(
            self._origin.root + record.topic,
            splice(record, self._origin),
            expiry_s=self._expiry_s.get(record.stream),
        )
        if self._is_too_large(message):
            self._set_aside(record, TOO_LARGE)
            return None
        return self._put(message, now, record)

    def _record_answered(self, mid: int, record: Record, reason: int, now: float) -> None:
        hold = self.holds.get(record.stream)
        probed = hold is not None and hold.probe == mid
        if reason in SET_ASIDE:
            self._set_aside(record, reason)
        elif reason >= FAILURE:
            self._feed.give_back(record)
            self._hold(record, reason, now, again=probed)
            return
        else:
            self._batch.accept(record)
            self._account.acknowledged += 1
            self._account.unheard += reason == NOBODY_LISTENS
        if probed:
            self._lift(record.stream)

    def _set_aside(self, record: Record, reason: int) -> None:
        self._batch.reject(record, SET_ASIDE[reason])
        self._account.discards.note(record, SET_ASIDE[reason])
        self._account.rejected += 1
        if reason not in self._reported:
            self._reported.add(reason)
            self._log.error(
                "uplink record set aside", reason=SET_ASIDE[reason], topic=record.topic, stream=record.stream
            )

    def _hold(self, record: Record, reason: int, now: float, *, again: bool) -> None:
        what, todo = refusal(reason, self._origin.root + record.topic)
        hold = self.holds.get(record.stream)
        if hold is None:
            self._feed.hold(record.stream)
            self.holds[record.stream] = Hold(HOLD_S_MIN, now + HOLD_S_MIN, what, todo)
            self._log.warning("uplink stream held", stream=record.stream, error=what, todo=todo)
        elif again:
            hold.wait_s = min(HOLD_S_MAX, hold.wait_s * 2)
            hold.until = now + hold.wait_s
            hold.probe = None

    def _probe(self, now: float) -> None:
        """Try each held stream again whose time has come, with one record."""
        for stream, hold in self.holds.items():
            if hold.probe is not None or hold.until > now or not self.flight.room(urgent=stream in URGENT):
                continue
            self._feed.release(stream)
            record = self._feed.take((stream,), now)
            self._feed.hold(stream)
            if record is not None:
                hold.probe = self._send_record(record, now)

    def _lift(self, stream: str) -> None:
        del self.holds[stream]
        self._feed.release(stream)
        self._log.info("uplink stream goes on", stream=stream)

    def _projection_answered(self, message: Message, reason: int) -> None:
        if reason < FAILURE:
            self._refusals.pop(message.topic, None)
            return
        is_first = not self._refusals
        what, todo = self._refusals[message.topic] = refusal(reason, message.topic)
        if is_first:
            self._log.warning("uplink message refused", topic=message.topic, error=what, todo=todo)
