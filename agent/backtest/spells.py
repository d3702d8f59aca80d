"""From when to when the condition of an alarm stood, from its events. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from config.model import COLOURS, Colour

if TYPE_CHECKING:
    from agent.events import AlarmTransition

BEGINS = frozenset({"raise", "retrigger"})
ENDS = frozenset({"clear", "clear_latched"})


@dataclass(frozen=True, slots=True)
class Spell:
    """Epoch seconds; `ended` is None where it stood at the end. `level` and `colour` are the worst that it reached."""

    alarm_id: str
    began: float
    ended: float | None
    level: str | None
    colour: Colour


@dataclass(slots=True)
class Spells:
    """Of all alarms, by alarm; each in the order of time. Nobody acknowledges here, so occurrences would never end."""

    by_alarm: dict[str, list[Spell]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def note(self, body: AlarmTransition, at_s: float) -> None:
        name = body.alarm_id
        if body.action in BEGINS:
            self._close(name, at_s)
            self.by_alarm.setdefault(name, []).append(Spell(name, at_s, None, body.level, body.colour))
            self._open.add(name)
        elif body.action in ENDS or body.ended:
            self._close(name, at_s)
        elif name in self._open:
            spell = self.by_alarm[name][-1]
            if COLOURS.index(body.colour) < COLOURS.index(spell.colour) or body.action == "escalate":
                self.by_alarm[name][-1] = replace(spell, level=body.level, colour=body.colour)

    def _close(self, name: str, at_s: float) -> None:
        if name in self._open:
            self._open.discard(name)
            self.by_alarm[name][-1] = replace(self.by_alarm[name][-1], ended=at_s)
