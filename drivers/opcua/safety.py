"""The slow safety read: whether what the server reports is what it holds.

A subscription can stand still while its keep-alives come and the server's clock runs. So every `READ_EVERY_S` some of
the subscribed points are read in one request beside it, and compared with what was reported. Nothing is concluded from
one look: a report may be on its way. A point is unreported when a second look, after the server had twice the time in
which it has to report, finds it changed still and the server has not said a word about it in between.

What is found then is a true value with its own time, and is shown, but as `insufficient_data`: what was between two
looks is lost. Where nothing else of its subscription was reported either, the subscription is dead.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from drivers.contract import Grade, Quality
from drivers.errors import NoAnswer, Refused
from drivers.opcua import requests

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from asyncua import ua

    from drivers.opcua.decode import Sample
    from drivers.opcua.feed import Feed
    from drivers.opcua.session import Session

READ_EVERY_S = 10.0
READS_PER_ROUND_MAX = 10
NODES_PER_READ_MIN = 100
"""A small line is read whole each time, a large one in ten parts."""

UNREPORTED = Quality(Grade.UNCERTAIN, "insufficient_data", "read, because the server did not report it")


@dataclass(frozen=True, slots=True)
class Watched:
    """An item of a subscription, with the times that the server granted it. Changes up to `tolerance`, in the unit of
    the point, need not be reported.
    """

    handle: int
    node: ua.NodeId
    subscription: int
    sampling_s: float
    publishing_s: float
    tolerance: float = 0.0

    @property
    def report_s(self) -> float:
        """How long a change may wait until it is reported."""
        return self.sampling_s + self.publishing_s


@dataclass(slots=True)
class _Suspicion:
    """`spoke` is how much the subscription had said when a look first found something that it had not."""

    since_mono: float
    spoke: int


class Safety:
    """Of one connection. Call `look` after each publication, once the feed has taken it; then `stop`.

    What it finds is counted as `unreported` in `counts`; `has_died` says whether a subscription was found dead.
    """

    def __init__(self, session: Session, feed: Feed, watched: Sequence[Watched], counts: Counter[str]) -> None:
        self.has_died = False
        self._counts = counts
        size = max(NODES_PER_READ_MIN, ceil(len(watched) / READS_PER_ROUND_MAX))
        size = max(1, min(size, session.nodes_per_read))
        parts = [watched[start : start + size] for start in range(0, len(watched), size)]
        self._parts = [
            (part, requests.read([each.node for each in part], max_age_s=READ_EVERY_S / 2)) for part in parts
        ]
        self._next = 0
        self._session = session
        self._feed = feed
        self._spoken: dict[int, int] = {}
        self._suspects: dict[int, _Suspicion] = {}
        self._due_mono: float | None = None
        self._reading: asyncio.Task[Sequence[Sample]] | None = None
        self._meanwhile: set[int] = set()

    def look(self, subscription: int, reported: Sequence[Sample], mono: float) -> bool:
        """Take note of what was reported, and of a read that has been answered; ask for the next one when it is due.

        Gives whether the feed has something new to show. Raises `Unreachable` where the read had no answer.
        """
        if reported:
            self._spoken[subscription] = self._spoken.get(subscription, 0) + 1
            if self._suspects or self._reading is not None:
                self._clear({sample[0] for sample in reported})
        if self._reading is not None:
            return self._reading.done() and self._judge(self._reading, mono)
        if self._due_mono is None:
            self._due_mono = mono + READ_EVERY_S
        elif mono >= self._due_mono and self._parts:
            self._ask(mono)
        return False

    def _clear(self, reported: set[int]) -> None:
        """Of these the server has spoken; what a read that is on its way finds of them may be older than that."""
        for handle in self._suspects.keys() & reported:
            del self._suspects[handle]
        if self._reading is not None:
            self._meanwhile |= reported

    def _ask(self, mono: float) -> None:
        self._due_mono = mono + READ_EVERY_S
        _, request = self._parts[self._next]
        asking = self._session.read(request, "comparing what it holds with what it reports", NoAnswer)
        self._reading = asyncio.create_task(asking, name=f"opcua safety read {self._session.endpoint}")
        # Looked at here: nobody may be listening any more when the connection ends.
        self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _judge(self, reading: asyncio.Task[Sequence[Sample]], mono: float) -> bool:
        self._reading = None
        newer, self._meanwhile = self._meanwhile, set()
        part, _ = self._parts[self._next]
        self._next = (self._next + 1) % len(self._parts)
        try:
            found = reading.result()
        except (NoAnswer, Refused):
            return False  # a server that does not like to be read; its subscription is none the worse for it
        before = self._counts["unreported"]
        for each, sample in zip(part, found, strict=True):
            if each.handle not in newer:
                self._compare(each, sample, mono)
        return self._counts["unreported"] > before

    def _compare(self, each: Watched, sample: Sample, mono: float) -> None:
        if not self._feed.differs(each.handle, sample, each.tolerance):
            self._suspects.pop(each.handle, None)
            return
        spoke = self._spoken.get(each.subscription, 0)
        first = self._suspects.setdefault(each.handle, _Suspicion(mono, spoke))
        if first.since_mono == mono or mono - first.since_mono < 2 * each.report_s:
            return
        del self._suspects[each.handle]
        self._counts["unreported"] += 1
        # A point of which the server never said anything has no subscription that could have died.
        self.has_died |= spoke == first.spoke and self._feed.was_reported(each.handle)
        self._feed.show(each.handle, sample, UNREPORTED)

    def stop(self) -> None:
        """Ask no more."""
        if self._reading is not None:
            self._reading.cancel()
