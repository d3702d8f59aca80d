"""What a watermark says, against a model that knows of every record what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.uplink.handover import STAMP_EVERY_S, Handover
from agent.uplink.watermark import missing, stream_marks
from buffer.ledger import Kept, Lane, Ledger, Loss

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.events import StreamMark
    from buffer.journal import Journal
    from buffer.ledger import Position, Span

LANE = Lane("e1", "telemetry")
OLDER = Lane("e0", "telemetry")


@dataclass
class Account:
    """A journal of which only the account is real."""

    ledger: Ledger = field(default_factory=lambda: Ledger(["main"]))
    epoch: str = "e1"

    def store(self, records: int, lane: Lane = LANE) -> None:
        kept = self.ledger.kept(lane)
        self.ledger.put(lane, Kept(kept.next + records, kept.first, kept.records + records))

    def stats(self) -> Any:
        return SimpleNamespace(epoch=self.epoch, lanes=self.ledger.lanes(), losses=self.ledger.losses())

    def position(self, cursor: str, lane: Lane) -> Position:
        return self.ledger.position(cursor, lane)

    def settle(
        self,
        cursor: str,
        stream: str,
        accepted: Iterable[Span],
        *,
        rejected: Mapping[int, str] | None = None,
        skipped: Iterable[Span] = (),
        epoch: str = "e1",
    ) -> None:
        lane = Lane(epoch, stream)
        self.ledger.settle(cursor, lane, accepted)
        self.ledger.settle(cursor, lane, skipped, sent=False)
        for sequence, reason in (rejected or {}).items():
            self.ledger.set_aside(cursor, lane, sequence, reason)

    @property
    def journal(self) -> Journal:
        return cast("Journal", self)


def marked(
    account: Account, handover: Handover | None = None, live_from: int | None = None, *, filtered: bool = False
) -> StreamMark:
    (mark,) = stream_marks(account.journal, "main", handover, live_from, filtered=filtered)
    return mark


@dataclass
class Model:
    """Sets of sequences."""

    stored: int = 0
    sent: set[int] = field(default_factory=set)
    confirmed: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)

    def low(self, known: set[int]) -> int:
        low = 0
        while low + 1 in known:
            low += 1
        return low

    def pending(self) -> list[int]:
        done = self.sent | self.skipped | self.lost
        return [sequence for sequence in range(1, self.stored + 1) if sequence not in done]


STEPS = st.lists(
    st.tuples(st.sampled_from(("store", "send", "send", "skip", "reject", "drop", "confirm")), st.integers(0, 40)),
    max_size=60,
)


class Story:
    """One uplink, told step by step, to the account and to the model."""

    def __init__(self, *, confirming: bool, filtered: bool) -> None:
        self.account, self.model = Account(), Model()
        self.handover = Handover(self.account.journal, "main") if confirming else None
        self.filtered = filtered
        self.do("store", 5)

    def do(self, action: str, draw: int) -> None:
        getattr(self, f"_{action}")(draw)

    def _pick(self, draw: int) -> int | None:
        pending = self.model.pending()
        return pending[draw % len(pending)] if pending else None

    def _store(self, draw: int) -> None:
        self.account.store(draw % 6 + 1)
        self.model.stored += draw % 6 + 1

    def _send(self, draw: int) -> None:
        sequence = self._pick(draw % 3)  # about in sequence
        if sequence is None:
            return
        self.model.sent.add(sequence)
        if self.handover is None:
            self.account.settle("main", "telemetry", [(sequence, sequence)])
        else:
            self.handover.take(LANE, [(sequence, sequence)], 0.0)

    def _skip(self, draw: int) -> None:
        sequence = self._pick(draw)
        if self.filtered and sequence is not None:
            self.model.skipped.add(sequence)
            self.account.settle("main", "telemetry", (), skipped=[(sequence, sequence)])

    def _reject(self, draw: int) -> None:
        sequence = self._pick(draw % 3)
        if sequence is not None:
            self.model.lost.add(sequence)
            self.account.settle("main", "telemetry", (), rejected={sequence: "packet_too_large"})

    def _drop(self, draw: int) -> None:
        last = min(self.model.stored, draw // 4)
        settled = self.model.skipped | (self.model.confirmed if self.handover else self.model.sent)
        self.account.ledger.drop(LANE, 1, last, "size_limit")
        self.model.lost |= set(range(1, last + 1)) - settled

    def _confirm(self, draw: int) -> None:
        if self.handover is not None and self.model.stored:
            first = draw % self.model.stored + 1
            last = min(self.model.stored, first + draw % 7)
            span = set(range(first, last + 1))
            already = self.model.confirmed | self.model.skipped | self.model.lost
            assert self.handover.confirm(LANE, [(first, last)]) == len(span - already)
            self.model.confirmed |= span - already
            self.model.sent |= span - already


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("confirming", [False, True])
@example([("send", 0), ("reject", 0), ("reject", 0), ("reject", 1), ("drop", 4)])
@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_a_watermark_says_what_became_of_every_record(
    confirming: bool, filtered: bool, steps: list[tuple[str, int]]
) -> None:
    """Whatever is sent, skipped, set aside, dropped and confirmed in whatever order."""
    story = Story(confirming=confirming, filtered=filtered)
    for step in steps:
        story.do(*step)
        check(story)


def check(story: Story) -> None:
    model = story.model
    mark = marked(story.account, story.handover, filtered=story.filtered)
    assert mark.complete_to == model.low(model.sent | model.skipped | model.lost)
    below = set(range(1, mark.complete_to + 1))
    assert mark.count == len(model.sent & below)
    assert mark.backlog == len(model.pending())
    named = {sequence for each in mark.missing for sequence in range(each.first, each.last + 1)}
    assert model.lost & below <= named <= below
    given_up = sum(each.records for each in mark.missing)
    assert given_up >= len(model.lost & below)
    if not story.filtered:
        assert given_up == len(model.lost & below)
        assert mark.count + given_up - len(model.lost & model.sent & below) == mark.complete_to
    if story.handover is None:
        assert mark.confirmed_to is None
    else:
        assert mark.confirmed_to == model.low(model.confirmed | model.skipped | model.lost)
        held = model.sent - model.confirmed - model.lost
        assert story.handover.unconfirmed(LANE) == len(held)


def test_a_loss_above_the_mark_is_not_named_yet() -> None:
    """One that reaches beyond it is cut there, with the records that lie beyond taken off."""
    losses = [
        Loss("main", LANE, "packet_too_large", 2, 9, 2),
        Loss("main", LANE, "size_limit", 1, 1, 1),
        Loss("main", LANE, "topic_name_invalid", 8, 8, 1),
    ]
    found = [(each.first, each.last, each.records, each.reason) for each in missing(losses, 5, 2)]
    assert found == [(1, 1, 1, "size_limit"), (2, 5, 1, "packet_too_large")]


def test_older_epochs_are_named_while_something_is_kept_or_missing() -> None:
    """The oldest first; one of which nothing is left and nothing is missing is over."""
    account = Account()
    account.ledger.put(OLDER, Kept(4, 1, 3))
    account.store(2)
    account.settle("main", "telemetry", [(1, 3)], epoch="e0")

    def epochs() -> list[str]:
        return [mark.epoch for mark in stream_marks(account.journal, "main", None, 7, filtered=False)]

    assert epochs() == ["e0", "e1"]
    account.ledger.put(OLDER, Kept(4, 4, 0))
    assert epochs() == ["e1"]
    account.ledger.put(OLDER, Kept(5, 5, 0))
    account.settle("main", "telemetry", (), rejected={4: "packet_too_large"}, epoch="e0")
    assert epochs() == ["e0", "e1"]


def test_live_from_is_said_of_the_telemetry_of_now() -> None:
    """Not of older epochs, nor of other streams."""
    account = Account()
    account.store(3, OLDER)
    account.store(3, Lane("e1", "alarm"))
    account.store(3)
    said = {
        (mark.epoch, mark.stream): mark.live_from
        for mark in stream_marks(account.journal, "main", None, 2, filtered=False)
    }
    assert said == {("e0", "telemetry"): None, ("e1", "alarm"): None, ("e1", "telemetry"): 2}


def test_the_age_of_what_is_not_confirmed() -> None:
    """From the hand-over of the oldest, known to a few seconds; what is confirmed does not count."""
    account = Account()
    account.store(1000)
    handover = Handover(account.journal, "main")
    assert handover.since() is None
    for number in range(1, 501):
        handover.take(LANE, [(number, number)], float(number))
    assert handover.since() == 1.0
    handover.confirm(LANE, [(1, 200)])
    since = handover.since()
    assert since is not None
    assert 201 - STAMP_EVERY_S <= since <= 201
    handover.confirm(LANE, [(201, 500)])
    assert handover.since() is None


def test_a_restart_knows_only_what_was_confirmed() -> None:
    """What was handed over and not confirmed is to be sent again, and is not said to be complete."""
    account = Account()
    account.store(10)
    handover = Handover(account.journal, "main")
    handover.take(LANE, [(1, 8)], 0.0)
    handover.confirm(LANE, [(1, 3), (5, 6)])
    assert marked(account, handover).complete_to == 8
    assert handover.has_confirmed(LANE, 5)
    assert not handover.has_confirmed(LANE, 4)
    again = Handover(account.journal, "main")
    mark = marked(account, again)
    assert (mark.complete_to, mark.count, mark.confirmed_to, mark.backlog) == (3, 3, 3, 5)
    assert not again.has_confirmed(LANE, 5)
    again.take(LANE, [(4, 4)], 0.0)
    assert (marked(account, again).complete_to, marked(account, again).count) == (6, 6)
