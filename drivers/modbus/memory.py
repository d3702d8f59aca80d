"""What is remembered of one poll from one read to the next: its blocks, their last replies, and what those meant.

Always true here: a block whose reply equals the last one is not decoded, and is `changed` only when the caller may not
have seen the last reading (a read that failed or was cancelled). A list that was handed out is never altered.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, cast

from drivers.contract import NO_FLAWS, Grade, Quality
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.factors import Afterwards, Turns
from drivers.modbus.plan import halves, plan
from drivers.modbus.replies import NOT_ASKED

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from config.model import Point
    from drivers.contract import Poll, Span, Value
    from drivers.modbus.learning import Learned
    from drivers.modbus.plan import Block
    from drivers.modbus.settings import ModbusAddress

Outcome = bytes | Quality
"""Of one block: its payload, or what every point of it becomes."""


BUSY_MAX = 3
"""A device may say so many times in a row that it is busy; the last time, what it had said before counts no more."""


class _Run(NamedTuple):
    """Points that are neighbours both in the poll (`first` to `end`) and in their block (from `at`)."""

    first: int
    end: int
    at: int


class Part:
    """One block, compiled, with its last outcome, and how often in a row that was that the device is busy."""

    __slots__ = ("block", "busy", "decoder", "flaws", "last", "pdu", "registers", "runs", "size_bytes")

    def __init__(self, block: Block, points: Sequence[Point]) -> None:
        self.block = block
        self.pdu = block.pdu
        self.size_bytes = block.size_bytes
        self.registers = block.registers
        self.decoder = BlockDecoder(block, points)
        self.runs = _runs(block.indexes)
        self.last: Outcome | None = None
        self.busy = 0
        self.flaws: Mapping[int, Quality] = NO_FLAWS

    def graded(self, outcome: Outcome) -> Outcome:
        """The same, but that a device that is busy for a moment leaves the values of its last reply in doubt only."""
        if not isinstance(outcome, Quality) or outcome.reason != "busy":
            self.busy = 0
            return outcome
        self.busy = self.busy + 1 if self.last is not None else BUSY_MAX
        return outcome if self.busy >= BUSY_MAX else Quality(Grade.UNCERTAIN, "busy", outcome.raw)

    def put(self, outcome: Outcome, values: list[Value]) -> None:
        """Write what the outcome means into the poll's values, and keep the flaws."""
        self.last = outcome
        if isinstance(outcome, Quality) and outcome.grade is Grade.UNCERTAIN:
            kept = {index: flaw for index, flaw in self.flaws.items() if flaw.grade is Grade.BAD}
            self.flaws = dict.fromkeys(self.block.indexes, outcome) | kept
            return
        if isinstance(outcome, Quality):
            self.flaws = dict.fromkeys(self.block.indexes, outcome)
            decoded: Sequence[Value] = (None,) * len(self.block.indexes)
        else:
            decoded, self.flaws = self.decoder.decode(outcome)
        for first, end, at in self.runs:
            values[first:end] = decoded[at : at + end - first]


class Memory:
    """The compiled poll. `order` are its parts, those last that were silent when they were asked."""

    __slots__ = ("_afterwards", "_flaws", "_seen", "_shown", "_values", "_version", "_whole", "order", "points")

    def __init__(self, poll: Poll, learned: Learned, turns: MutableMapping[str, Turns]) -> None:
        afterwards = Afterwards(poll.points, turns)
        self.points = afterwards.points
        self._afterwards = afterwards if afterwards.is_needed else None
        self._whole = ((0, len(poll.points)),)
        self._values: list[Value] = [None] * len(self.points)
        self._shown: Sequence[Value] = self._values
        self._flaws: Mapping[int, Quality] = NO_FLAWS
        self._seen = False
        self.order: list[Part] = []
        self._plan(poll, learned)

    def _plan(self, poll: Poll, learned: Learned) -> None:
        self._version = learned.version
        address = cast("ModbusAddress", poll.device.address)
        known = {part.block: part for part in self.order}
        self.order = [known.get(block) or Part(block, self.points) for block in plan(self.points, address, learned)]

    def begin(self, poll: Poll, learned: Learned) -> None:
        """A read starts; until `take`, the caller may believe anything. What was learned since is heeded now."""
        if self._version != learned.version:
            self._plan(poll, learned)
        self._seen, seen = False, self._seen
        if not seen:
            for part in self.order:
                part.last = None

    def postpone(self, part: Part) -> None:
        """Ask a silent part after the others from now on, so that it costs them nothing."""
        self.order.remove(part)
        self.order.append(part)

    def split(self, part: Part) -> tuple[Part, Part] | None:
        """Two parts in the place of one, or None where it cannot be split."""
        both = halves(part.block, self.points)
        if both is None:
            return None
        one, other = (Part(block, self.points) for block in both)
        place = self.order.index(part)
        self.order[place : place + 1] = [one, other]
        return one, other

    def take(self, outcomes: Mapping[Part, Outcome]) -> tuple[Sequence[Value], Mapping[int, Quality], Sequence[Span]]:
        """Values, flaws and changed spans of the whole poll, from one outcome for each part that was asked."""
        self._seen = True
        news = [(part, part.graded(outcomes.get(part, NOT_ASKED))) for part in self.order]
        fresh = [(part, new) for part, new in news if new != part.last]
        if not fresh:
            return self._shown, self._flaws, ()
        values = list(self._values)
        for part, outcome in fresh:
            part.put(outcome, values)
        self._values = self._shown = values
        self._flaws = self._merged_flaws()
        if self._afterwards is not None:
            self._shown, self._flaws = self._afterwards.apply(values, self._flaws)
            return self._shown, self._flaws, self._whole
        if len(fresh) == len(self.order):
            return values, self._flaws, self._whole
        return values, self._flaws, sorted((first, end) for part, _ in fresh for first, end, _ in part.runs)

    def _merged_flaws(self) -> Mapping[int, Quality]:
        flawed = [part.flaws for part in self.order if part.flaws]
        if not flawed:
            return NO_FLAWS
        return {index: quality for flaws in flawed for index, quality in flaws.items()}


def _runs(indexes: Sequence[int]) -> tuple[_Run, ...]:
    """Ascending indexes as few ranges."""
    runs = []
    for _, pairs in groupby(enumerate(indexes), key=lambda pair: pair[1] - pair[0]):
        (at, first), *rest = pairs
        runs.append(_Run(first, first + 1 + len(rest), at))
    return tuple(runs)
