"""The consumer at work: receives, stores, acknowledges, confirms and asks again, until it is told to stop.

Order of one batch: account, store (events and account together), acknowledge to the broker, speak to the gateways. A
crash between any two of these costs nothing: what was not acknowledged comes again, and is known by its number.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumer import events
from consumer.events import Unreadable
from consumer.link import Link, Lost, TakenOver

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.account import Account
    from consumer.events import Event
    from consumer.link import Arrived, Broker
    from consumer.requests import Requests
    from consumer.sinks import Sink

TURN_S = 0.2
"""How often it is looked whether something is due, while nothing comes."""

RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0

STABLE_S = 10.0
"""A session that lasted this long was a good one: after it, the first waits are short again."""

LAST_WORDS_S_MAX = 3.0


@dataclass(frozen=True, slots=True)
class Scope:
    """What to subscribe to: everything below one topic root, or one gateway of it (`site/gateway`)."""

    root: str = events.ROOT
    gateway: str | None = None

    @property
    def filters(self) -> list[str]:
        return [f"{self.root}/{self.gateway or '+/+'}/#"]


class Consumer:
    """`run` returns when `stop` says so. `notice` is told, in one line each, what a person should know."""

    def __init__(
        self,
        broker: Broker,
        scope: Scope,
        sink: Sink,
        account: Account,
        requests: Requests,
        notice: Callable[[str], None],
    ) -> None:
        self.connections = 0
        self._broker = broker
        self._scope = scope
        self._sink = sink
        self._account = account
        self._requests = requests
        self._notice = notice
        self._said = ""
        self._since_s: float | None = None
        self._marked: set[str] = set()

    def run(self, stop: Callable[[], bool]) -> None:
        """Raises `SinkError` when nothing can be stored any more, `TakenOver` when another has our client id."""
        failures = 0
        while not stop():
            self._since_s = None
            try:
                with Link(self._broker, self._scope.filters) as link:
                    self._serve(link, stop)
                    self._last_words(link)
            except TakenOver:
                raise
            except Lost as lost:
                lasted_s = 0.0 if self._since_s is None else time.monotonic() - self._since_s
                failures = 0 if lasted_s > STABLE_S else failures + 1
                self._say(f"{lost}{_suspicion(self._since_s, failures)}")
                _wait(min(RETRY_S_MAX, RETRY_S_MIN * 2**failures), stop)

    def _serve(self, link: Link, stop: Callable[[], bool]) -> None:
        self.connections += 1
        self._since_s = time.monotonic()
        self._requests.connected()
        self._say(f"connected to {self._broker.address}" + (", session resumed" if link.resumed else ""))
        while not stop():
            self._turn(link)

    def _turn(self, link: Link) -> None:
        self._batch(link)
        for message in self._requests.due(time.time(), time.monotonic()):
            link.publish(message)
        if link.refused_topic is not None:
            self._say(f"the broker does not let us publish to {link.refused_topic}; give us write rights there")
            link.refused_topic = None

    def _batch(self, link: Link) -> None:
        arrived = link.receive(TURN_S)
        records = [event for message in arrived if (event := self._take(message)) is not None]
        self._sink.store(records, self._account.changes())
        link.acknowledge(arrived)

    def _take(self, message: Arrived) -> Event | None:
        """The record in it, if it is new."""
        if not message.payload or "/cmd/" in message.topic:
            return None
        try:
            event = events.read(message.topic, message.payload, self._scope.root)
            if event.kind == events.CMD_RESULT:
                self._hear(event)
            elif event.kind == events.WATERMARK:
                self._marked.add(event.gateway)
            return event if self._account.take(event) else None
        except Unreadable as error:
            self._account.refuse(f"{message.topic}: {error}")
            # Said for the 1st, 2nd, 4th, 8th …: whoever sends nonsense must not fill the log.
            if self._account.unreadable.bit_count() == 1:
                self._say(f"no event: {self._account.complaint}")
            return None

    def _hear(self, answer: Event) -> None:
        complaint = self._requests.answered(answer, time.monotonic())
        if complaint is not None:
            self._say(complaint)

    def _last_words(self, link: Link) -> None:
        """Confirm the rest, and have every gateway say once more what is complete; not for long."""
        if self._requests.silent:
            return
        until_s = time.monotonic() + LAST_WORDS_S_MAX
        while self._requests.confirming and time.monotonic() < until_s:
            self._turn(link)
        self._marked.clear()
        pings = self._requests.ping(time.time(), time.monotonic())
        for message in pings:
            link.publish(message)
        while len(self._marked) < len(pings) and time.monotonic() < until_s:
            self._batch(link)

    def _say(self, what: str) -> None:
        """Each thing once, until something else was said."""
        if what != self._said:
            self._said = what
            self._notice(what)


def _suspicion(since_s: float | None, failures: int) -> str:
    """Mosquitto 2.0.11 throws a client out without a word when another comes with its client id."""
    thrown_out = since_s is not None and failures > 1
    return "; if this repeats, another client has our client id: use --client-id" if thrown_out else ""


def _wait(wait_s: float, stop: Callable[[], bool]) -> None:
    until_s = time.monotonic() + wait_s * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, keeps no secret
    while time.monotonic() < until_s and not stop():
        time.sleep(min(TURN_S, wait_s))
