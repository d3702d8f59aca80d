"""Looks back into the journal for whoever asks over the control socket. What is found there is `agent.history`'s."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agent.control.desk import Refusal
from agent.events import rfc3339
from agent.history import (
    BEGUN_S_MAX,
    Gaps,
    Ordered,
    Thinner,
    around,
    hold_s,
    occurrence,
    plain,
    samples,
    transitions,
)
from agent.status import EvidenceView, HistoryView, OccurrenceView, SampleView
from buffer.errors import JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from agent.clock import Clock
    from agent.history import Around, Reading
    from agent.status import GapView, HistoryRow, TransitionView
    from buffer.journal import Journal
    from buffer.record import Record
    from config.model import Point

ROWS_MAX = 20_000
ANSWER_S_MAX = 12.0
"""Less than a client waits for an answer."""

DAY_S = 86_400.0
LOOK_BACK_S = (DAY_S, 30 * DAY_S, 1e9)
"""An alarm's last occurrence is mostly a recent one."""

SPANS_MAX = 9
"""Of an occurrence that came and went many times, the first span and so many of the last are shown."""

SECOND_S = 1.0
MILLISECOND_S = 0.001
SETTLED_S = 2.0
"""After that what was read is stored, with the usual telemetry window."""

ALARM_STREAMS = ("critical", "alarm")

T = TypeVar("T")


class Past:
    """Every method raises `Refusal` where the answer would be too much, or the journal cannot be read now."""

    def __init__(self, journal: Journal, clock: Clock, points: Iterable[Point]) -> None:
        self._journal = journal
        self._clock = clock
        self.renew(points)

    def renew(self, points: Iterable[Point]) -> None:
        """Those of another configuration; what is stored of others is still found."""
        self._units = {f"{point.device}/{point.id}": point.unit for point in points}

    async def of_point(self, point: Point, from_s: float, to_s: float, every_s: float | None) -> HistoryView:
        """What it was between two moments, epoch seconds."""
        thinner = Thinner(every_s, hold_s(point)) if every_s is not None else None
        gaps = Gaps(from_s, hold_s(point))
        rows: list[HistoryRow] = []
        found: list[GapView] = []
        async for readings in self.samples(point.device, point.id, from_s, to_s):
            rows += thinner.take(readings) if thinner else plain(readings)
            found += gaps.take(readings)
            bounded(rows)
        rows += thinner.end() if thinner else ()
        found += gaps.end(min(to_s, self._clock.wall()))
        name = f"{point.device}/{point.id}"
        return HistoryView(point=name, unit=point.unit, every_s=every_s, hold_s=hold_s(point), rows=rows, gaps=found)

    async def of_alarms(self, alarm_id: str | None, from_s: float, to_s: float) -> list[TransitionView]:
        """What alarms did between two moments, the oldest first; of one alarm, where one is named."""
        rows: list[TransitionView] = []
        for stream in ALARM_STREAMS:
            async for found in self._each(stream, from_s, to_s, partial(transitions, alarm_id=alarm_id)):
                rows += found
                bounded(rows)
        return sorted(rows, key=lambda row: row.time)

    async def of_occurrence(self, alarm_id: str, occurrence_id: str | None) -> OccurrenceView | None:
        """One occurrence of an alarm, the last one where none is named, with its evidence; None where none is kept."""
        rows: list[TransitionView] = []
        now_s = self._clock.wall()
        for back_s in LOOK_BACK_S:
            rows = occurrence(await self.of_alarms(alarm_id, now_s - back_s, now_s + SECOND_S), occurrence_id)
            if rows and rows[0].n == 1:
                break
        if not rows:
            return None
        spans = around(rows)
        chosen = spans[:1] + spans[1:][-SPANS_MAX:]
        found = [await self._evidence(span, name) for span in chosen for name in span.points]
        return OccurrenceView(alarm_id=alarm_id, occurrence_id=rows[0].occurrence_id, transitions=rows, evidence=found)

    async def _evidence(self, span: Around, name: str) -> EvidenceView:
        device, _, point = name.partition("/")
        rows: list[SampleView] = []
        async for readings in self.samples(device, point, span.begin_s, span.end_s + MILLISECOND_S):
            rows += (SampleView(time=rfc3339(each.time_s), value=each.value, q=each.q) for each in readings)
        return EvidenceView(
            point=name,
            unit=self._units.get(name, ""),
            begin=rfc3339(span.begin_s),
            end=rfc3339(span.end_s),
            complete=span.end_s + SETTLED_S < self._clock.wall(),
            samples=rows,
        )

    async def samples(self, device: str, point: str, from_s: float, to_s: float) -> AsyncGenerator[list[Reading], None]:
        """What was stored of a point from one moment on and before another, in the order of time."""
        ordered = Ordered(from_s, to_s)
        decode = partial(samples, device=device, point=point)
        async for readings in self._each("telemetry", from_s - BEGUN_S_MAX, to_s, decode):
            yield ordered.take(readings)
        yield ordered.end()

    async def _each(
        self, stream: str, from_s: float, to_s: float, decode: Callable[[list[Record]], list[T]]
    ) -> AsyncGenerator[list[T], None]:
        """What is in the records of a time, some at a time."""
        until = self._clock.mono() + ANSWER_S_MAX
        try:
            async for records in self._journal.history(stream, round(from_s * 1000), round(to_s * 1000)):
                # Decoding is work for a thread: the loop has alarms to see to.
                yield await asyncio.to_thread(decode, records)
                if self._clock.mono() > until:
                    raise too_much("ask for less time at once")
        except JournalUnavailable as error:
            raise Refusal(error.what, "try again when the journal's disk is back") from error


def too_much(hint: str) -> Refusal:
    return Refusal("that is too much history for one answer", hint)


def bounded(rows: Sequence[object]) -> None:
    if len(rows) > ROWS_MAX:
        raise too_much("ask for less time, or for longer --every")
