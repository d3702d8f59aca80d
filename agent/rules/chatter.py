"""A level that comes and goes too often: it still comes at once, and goes only when it has stayed away for a while.

Nothing is dropped: every beginning that is held back from people is counted. Life safety and fire never get one of
these.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

CYCLES = 3
WINDOW_S = 60.0
"""So many beginnings within so long are chatter, `domain.md` 4.5."""

HOLD_S = 60.0
"""A chattering level goes when it has been away for so long."""


@dataclass(slots=True)
class Chatter:
    """How often one level began. `count` is of the present or the last spell of chatter; `holds` while it lasts."""

    count: int = 0
    holds: bool = False
    begins: deque[float] = field(default_factory=lambda: deque(maxlen=CYCLES))

    def began(self, mono: float) -> None:
        """The level came on."""
        if self.count and not self.holds:
            self.count = 0
            self.begins.clear()
        self.begins.append(mono)
        if len(self.begins) == CYCLES and mono - self.begins[0] <= WINDOW_S:
            self.count, self.holds = CYCLES, True

    def came_back(self) -> None:
        """It asked to go and came again before it went: nobody was told, so it is counted."""
        self.count += self.holds

    def ended(self) -> None:
        """The level went off."""
        self.holds = False
