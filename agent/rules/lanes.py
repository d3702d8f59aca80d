"""Conditions with deadband and delays. Each level of an alarm is a lane: a boolean that follows the value.

It follows late and with hysteresis. Invariants: a lane turns only after its value has demanded it for the whole delay
while known good; time during which the value is bad, or merely the last known one, does not count; an uncertain value
may turn a lane on, never off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.judgement import Bits, Limit, State

if TYPE_CHECKING:
    from agent.rules.chatter import Chatter
    from config.judgement import Condition
    from config.model import Alarm, Colour
    from drivers.contract import Value

_RANK = {"HH": 2, "LL": 2, "H": 1, "L": 1}


@dataclass(slots=True)
class Lane:
    """One level of one alarm, and where it stands.

    The value demands it at or above `limit` (or at or below), while a bit of `mask` is set (with `inverted`, clear), or
    while it is one of `values`. While `turning`, the lane has been asked to change for `elapsed_s` known-good seconds
    up to the monotonic time `mark` (None: paused); `since` is the wall time at which the value first asked.
    `chatter` is None where it is never held back from going.
    """

    name: str | None
    colour: Colour
    rank: int
    limit: float | None = None
    on_at_or_above: bool = False
    deadband: float = 0.0
    values: tuple[Value, ...] = ()
    mask: int = 0
    inverted: bool = False
    on: bool = False
    turning: bool = False
    elapsed_s: float = 0.0
    mark: float | None = None
    since: float = 0.0
    chatter: Chatter | None = None

    def demand(self, value: Value) -> bool:
        """Does this value ask the lane to be on, given that it is on or off now?"""
        if self.limit is None:
            return value in self.values if not self.mask else self._has_bit(value)
        if isinstance(value, str) or value is None:
            return self.on
        if self.on_at_or_above:
            return value > self.limit - self.deadband if self.on and self.deadband else value >= self.limit
        return value < self.limit + self.deadband if self.on and self.deadband else value <= self.limit

    def _has_bit(self, value: Value) -> bool:
        if not isinstance(value, (int, float)):
            return self.on
        word = int(value)
        return bool((~word if self.inverted else word) & self.mask)

    def count(self, mono: float) -> None:
        """The value was known good until `mono`."""
        if self.mark is not None:
            self.elapsed_s += max(0.0, mono - self.mark)
            self.mark = max(mono, self.mark)

    def follow(self, wanted: bool, delay_s: float, mono: float, wall: float) -> bool:
        """A usable value asks for `wanted` at this moment; true when the lane turned."""
        if wanted == self.on:
            if self.turning and self.chatter is not None:
                self.chatter.came_back()
            self.rest()
            return False
        if not self.turning:
            self.turning, self.elapsed_s, self.mark, self.since = True, 0.0, mono, wall
        elif self.mark is None:
            self.mark = mono
        else:
            self.count(mono)
        return self.turn(delay_s, mono)

    def turn(self, delay_s: float, mono: float) -> bool:
        """Change sides if the delay is served; true when it did."""
        if not self.turning or self.elapsed_s < delay_s - 1e-9:
            return False
        self.on = not self.on
        self.rest()
        if self.chatter is not None:
            self.chatter.began(mono) if self.on else self.chatter.ended()
        return True

    def pause(self, mono: float) -> None:
        """The value is not known any more; it was, until `mono`."""
        self.count(mono)
        self.mark = None

    def rest(self) -> None:
        """Nothing is asked of the lane."""
        self.turning, self.elapsed_s, self.mark = False, 0.0, None


def lanes(condition: Condition) -> list[Lane]:
    """The lanes of a condition, the highest rank first, all off."""
    if isinstance(condition, Bits):
        return [Lane(None, condition.colour, 1, mask=condition.mask, inverted=condition.inverted)]
    if not isinstance(condition, Limit):
        return [Lane(None, condition.colour, 1, values=condition.values if isinstance(condition, State) else (True,))]
    made = [
        Lane(
            level.name,
            level.colour,
            _RANK[level.name],
            limit=level.limit,
            on_at_or_above=level.name in ("HH", "H"),
            deadband=condition.deadband,
        )
        for level in condition.levels
    ]
    return sorted(made, key=lambda lane: -lane.rank)


def quiet_band(alarm: Alarm) -> tuple[float, float] | None:
    """Between these two, exclusive, no lane that is off and at rest can be asked to turn. None: it is not a limit."""
    if not isinstance(alarm.condition, Limit) or alarm.condition.measure is not None:
        return None
    levels = alarm.condition.levels
    return (
        max((level.limit for level in levels if level.name in ("L", "LL")), default=float("-inf")),
        min((level.limit for level in levels if level.name in ("H", "HH")), default=float("inf")),
    )
