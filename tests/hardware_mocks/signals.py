"""What the physics is drawn with: repeatable noise and first-order lag. Pure."""

from __future__ import annotations

import math
import random

Value = float | int | bool
Points = dict[str, Value | None]
"""Values of one device by point name, in the units of the README; `None` where the device cannot measure."""

DAY_S = 86_400.0


class Noise:
    """Smooth deviations between -1 and 1 that depend on seed, name and time only, so every process sees the same."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._phases: dict[str, tuple[float, float, float]] = {}

    def at(self, name: str, t: float, period_s: float = 20.0) -> float:
        a, b, c = self._phases.get(name) or self._draw(name)
        turn = math.tau * t / period_s
        return 0.5 * math.sin(turn + a) + 0.3 * math.sin(2.7 * turn + b) + 0.2 * math.sin(7.1 * turn + c)

    def _draw(self, name: str) -> tuple[float, float, float]:
        draw = random.Random(f"{self._seed}/{name}")
        phases = (draw.uniform(0, math.tau), draw.uniform(0, math.tau), draw.uniform(0, math.tau))
        self._phases[name] = phases
        return phases

    def choice(self, name: str, number: int, low: int, high: int) -> int:
        """The `number`-th draw of `name`, between `low` and `high`, both included."""
        return random.Random(f"{self._seed}/{name}/{number}").randint(low, high)


def day(t: float) -> float:
    """The rhythm of the day, -1 to 1."""
    return math.sin(math.tau * t / DAY_S)


def approach(value: float, target: float, dt: float, tau_s: float) -> float:
    """One step of a first-order lag towards `target`."""
    return target + (value - target) * math.exp(-dt / tau_s)
