"""What another configuration would have made of the same input. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.backtest.spells import Spell, Spells

Kind = Literal["appears", "vanishes", "moves", "stays"]


@dataclass(frozen=True, slots=True)
class Change:
    """One spell of an alarm before and after; the same one where it `stays` or `moves`."""

    kind: Kind
    before: Spell | None
    after: Spell | None

    @property
    def spell(self) -> Spell:
        found = self.after or self.before
        assert found is not None, "one of both is there"
        return found


def compare(before: Spells, after: Spells) -> list[Change]:
    """By time. Two spells of an alarm that overlap are the same one, which stays or moves."""
    names = before.by_alarm.keys() | after.by_alarm.keys()
    changes = [
        change for name in names for change in _paired(before.by_alarm.get(name, []), after.by_alarm.get(name, []))
    ]
    return sorted(changes, key=lambda change: (change.spell.began, change.spell.alarm_id, change.kind))


def _paired(before: Sequence[Spell], after: Sequence[Spell]) -> Iterator[Change]:
    """Both are in the order of time and do not overlap among themselves."""
    old, new = list(before), list(after)
    while old and new:
        if _end(old[0]) < new[0].began:
            yield Change("vanishes", old.pop(0), None)
        elif _end(new[0]) < old[0].began:
            yield Change("appears", None, new.pop(0))
        else:
            one, other = old.pop(0), new.pop(0)
            yield Change("stays" if one == other else "moves", one, other)
    yield from (Change("vanishes", spell, None) for spell in old)
    yield from (Change("appears", None, spell) for spell in new)


def _end(spell: Spell) -> float:
    return float("inf") if spell.ended is None else spell.ended
