"""The account of one stream in one epoch, and that of one gateway over all of its streams. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consumer import watermark
from consumer.alarms import Alarms
from consumer.events import mapping, mappings, number, text
from consumer.ranges import Ranges
from consumer.watermark import Missing

if TYPE_CHECKING:
    from consumer.events import Lane
    from consumer.watermark import Mark, Verdict

RANGES_MAX = 2000
"""Of one stream and epoch: so many holes may be open at once."""

EPOCHS_MAX = 200
"""Of one gateway: so far back its epochs are chained."""

CONDITIONS_MAX = 100
"""Of one gateway: what holds beyond that is not shown."""

ENDED = ""
"""Stands in place of an uplink's name for the mark of an epoch that the gateway has settled and forgotten."""


@dataclass(slots=True)
class LaneAccount:
    """One stream of one gateway in one epoch.

    `start` is the first sequence that is expected, `final` the last one, known when the next epoch names it. What the
    gateway says that it cannot send again is in `gone` by its reason, or, where a filter hides which sequences were
    due, in `excuses`. With a filter, `excused` records altogether are not expected.
    """

    lane: Lane
    received: Ranges = field(default_factory=Ranges)
    confirmed: Ranges = field(default_factory=Ranges)
    gone: dict[str, Ranges] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    duplicates: int = 0
    start: int = 1
    excused: int = 0
    final: int | None = None
    excuses: list[Missing] = field(default_factory=list)

    def take(self, sequence: int) -> bool | None:
        """Whether it is new; None if it is beyond the limits."""
        if sequence in self.received:
            self.duplicates += 1
            # The gateway sends again what it does not know to be confirmed.
            self.confirmed = self.confirmed.minus([(sequence, sequence)])
            return False
        if len(self.received) >= RANGES_MAX and not self.received.touches(sequence):
            return None
        self.received.add(sequence, sequence)
        return True

    def mark(self, uplink: str, mark: Mark) -> None:
        self.marks.pop(ENDED, None)
        self.marks[uplink] = mark
        if mark.confirmed_to is not None:
            self.confirmed = self.confirmed.within(1, mark.confirmed_to)

    def begin_now(self, mark: Mark) -> None:
        """Expect nothing of what was sent before we came."""
        self.start = self.received.first or mark.complete_to + 1
        self.excused = mark.count - self.received.within(1, mark.complete_to).count

    def give_up(self, reason: str, first: int, last: int) -> None:
        """The gateway, asked for these, has them no more."""
        lacking = [verdict.records for mark, verdict in self._judged() if mark.filtered]
        if not lacking:
            self.gone.setdefault(reason, Ranges()).add(first, last)
            return
        absent = Ranges([(first, last)]).minus(self.received).count
        records = min(max(lacking), absent)
        if records:
            self.excused += records
            self.excuses.append(Missing(first, last, records, reason))

    def end(self) -> bool:
        """The gateway says nothing of this epoch any more: it has settled all of it. Returns whether that is news."""
        before = next(iter(self.marks.values()), None)
        mark = None if self.final is None else watermark.ended(before, self.final)
        if mark is not None:
            self.marks = {ENDED: mark}
        return mark is not None

    def verdicts(self) -> list[Verdict]:
        """One for each mark."""
        return [verdict for _, verdict in self._judged()]

    def _judged(self) -> list[tuple[Mark, Verdict]]:
        gone = Ranges(range_ for ranges in self.gone.values() for range_ in ranges)
        return [
            (mark, watermark.judge(mark, self.received, start=self.start, excused=self.excused, gone=gone))
            for mark in self.marks.values()
        ]

    def to_confirm(self) -> Ranges:
        return self.received.minus(self.confirmed)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that a gateway says is not well: of what it is true, and what it is called."""

    code: str
    severity: str
    target: str
    zh: str
    en: str


@dataclass(slots=True)
class GatewayAccount:
    """One gateway. `base` is the topic before its relative topics, with its slash."""

    source: str
    base: str
    alarms: Alarms = field(init=False)
    epochs: dict[str, str | None] = field(default_factory=dict)
    marked: bool = False
    connection: int = 0
    online: bool | None = None
    confirming: bool = True
    conditions: tuple[Condition, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.descends)
        self.conditions = ()

    def descends(self, epoch: str, ancestor: str) -> bool:
        """Whether the first epoch is known to follow upon the second."""
        previous = self.epochs.get(epoch)
        for _ in range(len(self.epochs)):
            if previous is None or previous == ancestor:
                break
            previous = self.epochs.get(previous)
        return previous == ancestor

    def chain(self, epoch: str, previous: str | None) -> None:
        if epoch in self.epochs or len(self.epochs) < EPOCHS_MAX:
            self.epochs[epoch] = previous if previous is not None else self.epochs.get(epoch)

    def heard(self, data: dict[str, Any]) -> None:
        """Its status. An older connection's will may come late. Raises `Unreadable`."""
        connection = number(data, "connection")
        if connection >= self.connection:
            self.confirming = self.confirming or connection > self.connection
            self.connection, self.online = connection, text(data, "state") == "online"

    def told(self, data: dict[str, Any]) -> None:
        """Its health: what holds replaces what held. Raises `Unreadable`."""
        listed = [(each, mapping(each, "title")) for each in mappings(data, "conditions")[:CONDITIONS_MAX]]
        self.conditions = tuple(
            Condition(
                text(each, "code"), text(each, "severity"), text(each, "target"), text(title, "zh"), text(title, "en")
            )
            for each, title in listed
        )
