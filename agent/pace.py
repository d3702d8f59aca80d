"""Which lines cannot keep their pace: a health condition while too many of their polls come late.

A poll is late whose time had passed before the one before it was done. Some are on any bus; a tenth of them is a line
that has more to do than it can, and whose alarms come later than they should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.clock import Clock
    from agent.health import Health
    from agent.poll import LineWorker

LOOK_EVERY_S = 60.0
PART_MAX = 0.1
POLLS_MIN = 10
"""Fewer within a look say nothing."""


class _Counts(NamedTuple):
    polls: int
    late: int


class PaceWatch:
    """`look` as often as one likes; it judges by the minute. `workers` are gone through anew each time."""

    def __init__(self, workers: Iterable[LineWorker], health: Health, clock: Clock) -> None:
        self._workers = workers
        self._health = health
        self._clock = clock
        self._due = clock.mono() + LOOK_EVERY_S
        self._before = {worker.line.id: _counts(worker) for worker in workers}

    def look(self) -> None:
        now = self._clock.now()
        if now.mono < self._due:
            return
        self._due = now.mono + LOOK_EVERY_S
        before, self._before = self._before, {worker.line.id: _counts(worker) for worker in self._workers}
        for line in before.keys() - self._before.keys():
            self._health.release(line, "line_late")
        for line, counts in self._before.items():
            self._judge(line, counts, before.get(line, counts), now.wall)

    def _judge(self, line: str, counts: _Counts, before: _Counts, wall: float) -> None:
        polls, late = counts.polls - before.polls, counts.late - before.late
        if polls >= POLLS_MIN and late > PART_MAX * polls:
            self._health.hold("line_late", line, wall, f"{late} of {polls} polls of the last minute were late")
        else:
            self._health.release(line, "line_late")


def _counts(worker: LineWorker) -> _Counts:
    devices = worker.devices.values()
    return _Counts(sum(each.read_count + each.miss_count for each in devices), sum(each.late_count for each in devices))
