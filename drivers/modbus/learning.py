"""What a device has taught by its refusals and its silence: how to ask it so that nobody pays for another's mistake.

Pure: time comes in. Always true here:

- A *cut* is an address that no request reaches across. A *refused* stretch stands alone between two cuts, is asked for
  again ever more rarely, and has the quality of its refusal meanwhile.
- Requests become smaller when a device is slow or says nothing to large ones, never larger than the configuration says;
  every `GROW_S` a larger one is tried again.
- Nothing is learned from a device that is merely away: a size that was answered once is not made smaller by silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from drivers.contract import Grade, Quality, Reason

if TYPE_CHECKING:
    from drivers.modbus.plan import Block

REFUSED_S_MIN, REFUSED_S_MAX = 10.0, 600.0
_PATIENCE = 3
"""From so many refusals on a stretch is left out for a while, twice as long each time: it may only be starting."""

GROW_S = 600.0
SLOW_SHARE = 0.5
"""An answer that takes more of its timeout than this is slow: the next larger block might not come at all."""

REGISTERS_MIN = 8
"""Requests are not made smaller than this, because then it is not their size."""

_SILENCES = 2
"""So many silences in a row, of a block that never came, before a smaller one is tried."""


class Stretch(NamedTuple):
    """Half-open range of registers or bits of one function."""

    function: int
    first: int
    end: int


class Refusal(NamedTuple):
    """What the device said, how often in a row, and when it is asked again (monotonic seconds)."""

    quality: Quality
    times: int
    again_at: float


class RefusedStretch(NamedTuple):
    """Part of a lesson: what was refused, and with which words."""

    function: int
    first: int
    end: int
    reason: Reason
    raw: str


class Lesson(msgspec.Struct):
    """What is worth knowing after a restart. `registers` is 0 where the device bears as many as are configured."""

    registers: int = 0
    proven: int = 0
    cuts: dict[int, list[int]] = {}
    refused: list[RefusedStretch] = []


@dataclass(slots=True)
class Learned:
    """About one device. `version` grows with everything that changes its plan."""

    registers_most: int
    registers_max: int = 0
    version: int = 0
    refused: dict[Stretch, Refusal] = field(default_factory=dict)
    _cuts: dict[int, set[int]] = field(default_factory=dict)
    _proven: int = 0
    _silences: dict[Stretch, int] = field(default_factory=dict)
    _grow_at: float | None = None

    def __post_init__(self) -> None:
        self.registers_max = self.registers_most

    def is_cut(self, function: int, first: int, joining: int) -> bool:
        """Whether a block from `first` on must not take in what begins at `joining`."""
        if any(first < at <= joining for at in self._cuts.get(function, ())):
            return True
        return any(
            one.function == function and (first < one.first <= joining or first < one.end <= joining)
            for one in self.refused
        )

    def cut(self, function: int, at: int) -> None:
        """Never ask for both sides of this address at once."""
        self._cuts.setdefault(function, set()).add(at)
        self.version += 1

    def refuse(self, stretch: Stretch, quality: Quality, now: float) -> None:
        """This stretch was refused by itself."""
        last = self.refused.get(stretch)
        if last is None:
            self.version += 1
        count = 1 if last is None else last.times + 1
        wait_s = 0.0 if count < _PATIENCE else min(REFUSED_S_MIN * 2.0 ** min(count - _PATIENCE, 16), REFUSED_S_MAX)
        self.refused[stretch] = Refusal(quality, count, now + wait_s)

    def lesson(self) -> Lesson:
        """To be kept. Silences are not: the device may only have been away."""
        return Lesson(
            self.registers_max if self.registers_max < self.registers_most else 0,
            self._proven if self.registers_max < self.registers_most else 0,
            {function: sorted(cuts) for function, cuts in sorted(self._cuts.items()) if cuts},
            [RefusedStretch(*at, one.quality.reason, one.quality.raw) for at, one in sorted(self.refused.items())],
        )

    def resume(self, lesson: Lesson, now: float) -> None:
        """Go on from a lesson that was kept; what was refused is asked for again at once, by itself."""
        if lesson.registers:
            self._limit(lesson.registers, now)
            self._proven = min(lesson.proven, self.registers_max)
        self._cuts = {function: set(cuts) for function, cuts in lesson.cuts.items()}
        self.refused = {
            Stretch(one.function, one.first, one.end): Refusal(Quality(Grade.BAD, one.reason, one.raw), 1, 0.0)
            for one in lesson.refused
        }
        self.version += 1

    def reconsider(self) -> None:
        """The connection is a new one, so the device may be: what it refused is asked for again at once."""
        for stretch, refusal in self.refused.items():
            self.refused[stretch] = Refusal(refusal.quality, 1, 0.0)

    def accept(self, stretch: Stretch) -> None:
        """It was answered after all."""
        if self.refused.pop(stretch, None) is not None:
            self.version += 1

    def forget_cuts(self, within: Stretch) -> None:
        """What was split in search of a refused stretch can be asked together again: the stretch stands alone now."""
        cuts = self._cuts.get(within.function, set())
        self._cuts[within.function] = {at for at in cuts if not within.first < at < within.end}
        self.version += 1

    def is_at_rest(self, size: int) -> bool:
        """Whether an answer of so many registers that came in good time teaches nothing: nearly always so."""
        return size <= self._proven and self._grow_at is None and not self._silences and not self.refused

    def answered(self, block: Block, took: float, now: float) -> None:
        """A block came, after this share of its timeout."""
        size = block.registers
        self._proven = max(self._proven, size)
        self._silences.pop(block.stretch, None)
        if took > SLOW_SHARE and size > REGISTERS_MIN:
            self._limit(size // 2, now)
        elif self._grow_at is not None and now >= self._grow_at:
            self._limit(2 * self.registers_max, now)

    def silent(self, block: Block, now: float, *, others_answered: bool) -> None:
        """A block did not come, though perhaps others of the device did."""
        count = self._silences[block.stretch] = self._silences.get(block.stretch, 0) + 1
        if count % _SILENCES:
            return
        size = block.registers
        if size > REGISTERS_MIN:
            if others_answered or size > self._proven:
                self._limit(size // 2, now)
        elif not self._proven:
            self._limit(self.registers_most, now)  # it is not the size: the device is away

    def _limit(self, registers: int, now: float) -> None:
        registers = min(max(registers, REGISTERS_MIN), self.registers_most)
        if registers != self.registers_max:
            self.version += 1
        self.registers_max = registers
        self._grow_at = now + GROW_S if registers < self.registers_most else None
