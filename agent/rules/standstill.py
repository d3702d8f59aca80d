"""Values that do not do what they should: stand still, run backwards, are not confirmed any more.

Each is a gauge whose answer is true or false. Time counts only while the value is known good, except for the one that
is about that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.rules.gauges import GOOD, LOOK_S_MIN, UNKNOWN, number, usable
from drivers.contract import Grade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.judgement import Counter
    from drivers.contract import Quality, Value


class _Timer:
    """Known-good seconds since something last happened."""

    __slots__ = ("elapsed_s", "mark")

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.mark: float | None = None

    def count(self, mono: float) -> None:
        if self.mark is not None and mono > self.mark:
            self.elapsed_s += mono - self.mark
            self.mark = mono

    def pause(self, known_until: float) -> None:
        self.count(known_until)
        self.mark = None

    def run(self, mono: float) -> None:
        self.count(mono)
        self.mark = mono if self.mark is None else max(mono, self.mark)

    def serves(self, after_s: float) -> bool:
        return self.elapsed_s >= after_s - 1e-9

    def due(self, after_s: float) -> float | None:
        left_s = after_s - self.elapsed_s
        return None if self.mark is None or left_s <= 0 else self.mark + left_s


class Standstill:
    """True once the value has been good for `after_s` and has stayed within `band` of where it was."""

    __slots__ = ("_after_s", "_band", "_quality", "_timer", "_value")

    def __init__(self, after_s: float, band: float) -> None:
        self._after_s = after_s
        self._band = band
        self._timer = _Timer()
        self._value: Value = None
        self._quality = UNKNOWN

    def take(self, value: Value, quality: Quality, mono: float, known_until: float) -> None:
        self._quality = quality
        if quality.grade is not Grade.GOOD or value is None:
            self._timer.pause(min(known_until, mono))
            return
        if self._moved(value):
            self._value = value
            self._timer.elapsed_s = 0.0
            self._timer.mark = None
        self._timer.run(mono)

    def _moved(self, value: Value) -> bool:
        last = self._value
        if isinstance(value, (int, float)) and isinstance(last, (int, float)):
            return abs(value - last) > self._band
        return value != last

    def look(self, _mono: float, confirmed: float) -> tuple[Value, Quality]:
        self._timer.count(confirmed)
        if self._quality.grade is not Grade.GOOD:
            return None, self._quality
        return self._timer.serves(self._after_s), GOOD

    def next_due(self) -> float | None:
        return self._timer.due(self._after_s)

    def store(self, _mono: float) -> list[Value]:
        return [self._value, self._timer.elapsed_s]

    def restore(self, stored: Sequence[Value], _gap_s: float, _mono: float) -> None:
        self._value = stored[0]
        self._timer.elapsed_s = float(stored[1] or 0.0)


class CounterCheck:
    """True while a counter has not grown for `still_s`, or from a step back until the next step forward."""

    __slots__ = ("_back", "_quality", "_rule", "_timer", "_value")

    def __init__(self, rule: Counter) -> None:
        self._rule = rule
        self._timer = _Timer()
        self._value: float | None = None
        self._back = False
        self._quality = UNKNOWN

    def take(self, value: Value, quality: Quality, mono: float, known_until: float) -> None:
        self._quality = quality
        found = number(value, quality)
        if found is None:
            self._timer.pause(min(known_until, mono))
            return
        step = 0.0 if self._value is None else self._step(found - self._value)
        if self._value is None or abs(step) > self._rule.band:
            self._value, self._back = found, step < 0
            self._timer.elapsed_s = 0.0
            self._timer.mark = None
        self._timer.run(mono)

    def _step(self, difference: float) -> float:
        """A fall by more than half of its range is no way back: the counter began again."""
        rollover = self._rule.rollover
        return difference + rollover if rollover is not None and difference < -rollover / 2 else difference

    def look(self, _mono: float, confirmed: float) -> tuple[Value, Quality]:
        self._timer.count(confirmed)
        if self._quality.grade is not Grade.GOOD:
            return None, self._quality
        still = self._rule.still_s is not None and self._timer.serves(self._rule.still_s)
        return still or (self._rule.backwards and self._back), GOOD

    def next_due(self) -> float | None:
        return None if self._rule.still_s is None else self._timer.due(self._rule.still_s)

    def store(self, _mono: float) -> list[Value]:
        return [self._value, self._timer.elapsed_s, self._back]

    def restore(self, stored: Sequence[Value], _gap_s: float, _mono: float) -> None:
        value, elapsed_s, back = stored
        self._value = None if value is None else float(value)
        self._timer.elapsed_s = float(elapsed_s or 0.0)
        self._back = bool(back)


class Silence:
    """True when nobody has confirmed a usable value for `after_s`. It is always known."""

    __slots__ = ("_after_s", "_mark", "_since", "_usable")

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._since: float | None = None
        self._usable = False
        self._mark = 0.0

    def take(self, value: Value, quality: Quality, mono: float, known_until: float) -> None:
        now_usable = usable(value, quality)
        if now_usable or self._since is None:
            self._since = mono if self._since is None else max(mono, self._since)
        elif self._usable:
            self._since = max(self._since, min(known_until, mono))
        self._usable = now_usable

    def look(self, mono: float, confirmed: float) -> tuple[Value, Quality]:
        self._mark = mono
        if self._since is None:
            return False, GOOD
        if self._usable:
            self._since = max(self._since, confirmed)
        return mono - self._since >= self._after_s - 1e-9, GOOD

    def next_due(self) -> float | None:
        """While it is silent it asks again and again whether it still is: a reading without a change tells nobody."""
        if self._since is None:
            return None
        due = self._since + self._after_s
        return due if due > self._mark else self._mark + LOOK_S_MIN if self._usable else None

    def store(self, mono: float) -> list[Value]:
        return [0.0 if self._since is None or self._usable else mono - self._since]

    def restore(self, stored: Sequence[Value], _gap_s: float, mono: float) -> None:
        self._since = mono - float(stored[0] or 0.0)
