"""A consumer at work in a thread beside its test."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from mqtt_peer import HOST

from consumer.account import Account
from consumer.link import Broker, TakenOver
from consumer.report import Report, report
from consumer.requests import Requests
from consumer.session import Consumer, Scope
from consumer.sinks import NoSink, SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mqtt_peer import Mosquitto

    from consumer.sinks import Sink

WITHIN_S = 60.0


class StartMosquitto(Protocol):
    def __call__(self, *lines: str, port: int | None = None) -> Mosquitto: ...


def wait(condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Until the other side has brought it about."""
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.01)


@dataclass
class Running:
    """A consumer in a thread of its own. `error` is what its run raised."""

    broker: Broker
    sink: Sink = field(default_factory=NoSink)
    confirm: bool = True
    resend: bool = True
    notices: list[str] = field(default_factory=list)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.account = Account(self.sink.load())
        requests = Requests(
            self.account, "test", f"test-{time.monotonic_ns()}", confirm=self.confirm, resend=self.resend
        )
        self.consumer = Consumer(self.broker, Scope(), self.sink, self.account, requests, self.notices.append)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.sink.close()

    def ask_to_stop(self) -> None:
        self._stop.set()

    def stop(self) -> Report:
        self.ask_to_stop()
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive()
        return report(self.account)

    def said(self, what: str) -> bool:
        return any(what in notice for notice in self.notices)

    def connected(self) -> bool:
        return self.said("connected to")

    def has(self, *received: tuple[str, int]) -> bool:
        """Whether of each of these streams so many records were received."""
        counts = {account.lane.stream: account.received.count for account in list(self.account.lanes.values())}
        return all(counts.get(stream, 0) >= count for stream, count in received)

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.consumer.run(self._stop.is_set)
        except (SinkError, TakenOver) as error:
            self.error = error


def at(mosquitto: Mosquitto, client_id: str = "platform", session_s: int = 3600) -> Broker:
    return Broker(HOST, mosquitto.port, client_id, session_s=session_s)
