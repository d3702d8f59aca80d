"""Plays one input through two configurations, and says what differs and how fine the input is. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.backtest.compare import compare
from agent.backtest.recorded import Unusable
from agent.backtest.replay import Replay
from agent.events import rfc3339
from config.model import Colour

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.backtest.compare import Change
    from agent.backtest.recorded import Item
    from agent.backtest.spells import Spell
    from config.model import Config


class InputView(msgspec.Struct, frozen=True, kw_only=True):
    """What was played. `spacing_s` is how far the samples of a point lie apart: of half of the points less, and of the
    densest and the thinnest point. `missing` are points that alarms look at and of which nothing was told, `unknown`
    points that were told of and that the rules do not know.
    """

    begin: str
    end: str
    points: int
    samples: int
    states: int
    spacing_s: float
    spacing_s_min: float
    spacing_s_max: float
    missing: list[str]
    unknown: list[str]


class SpellView(msgspec.Struct, frozen=True, kw_only=True):
    """`ended` is null where it stood at the end of the input."""

    began: str
    ended: str | None
    lasted_s: float | None
    level: str | None
    colour: Colour


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """`before` with the present rules, `after` with the others."""

    change: Literal["appears", "vanishes", "moves", "stays"]
    alarm_id: str
    before: SpellView | None
    after: SpellView | None


class BacktestView(msgspec.Struct, frozen=True, kw_only=True):
    """All changes by time; `counts` has each kind of them."""

    input: InputView
    counts: dict[str, int]
    changes: list[ChangeView]


class Tally:
    """Counts what was told of each point."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.ended = 0.0
        self.states = 0
        self._points: dict[str, dict[str, list[float]]] = {}

    def note(self, item: Item) -> None:
        time_s, _, device, said = item
        if self.began is None:
            self.began = time_s
        self.ended = time_s
        if isinstance(said, str):
            self.states += 1
            return
        points = self._points.setdefault(device, {})
        for told in said:
            seen = points.get(told.p)
            if seen is None:
                points[told.p] = [1, time_s, time_s]
            else:
                seen[0] += 1
                seen[2] = time_s

    def view(self, after: Config) -> InputView:
        told = {f"{device}/{point}": seen for device, points in self._points.items() for point, seen in points.items()}
        known = {f"{device.id}/{point.id}" for device in after.devices for point in device.all_points}
        derived = {f"{device.id}/{point.id}" for device in after.devices for point in device.derived}
        wanted = {"/".join(key) for device in after.devices for alarm in device.alarms for key in alarm.points}
        spacings = sorted((last - first) / (count - 1) for count, first, last in told.values() if count > 1) or [0.0]
        return InputView(
            begin=rfc3339(self.began or 0.0),
            end=rfc3339(self.ended),
            points=len(told),
            samples=round(sum(seen[0] for seen in told.values())),
            states=self.states,
            spacing_s=round(median(spacings), 3),
            spacing_s_min=round(spacings[0], 3),
            spacing_s_max=round(spacings[-1], 3),
            missing=sorted(wanted - told.keys() - derived),
            unknown=sorted(told.keys() - known),
        )


def backtest(items: Iterable[Item], before: Config, after: Config, *, stands: bool) -> BacktestView:
    """`stands` says that a value stands until the next one, however long that takes.

    Raises `Unusable` where there is nothing to play, and what the input raises.
    """
    tally = Tally()
    replays: list[Replay] = []
    for item in items:
        tally.note(item)
        if not replays:
            replays = [Replay(config, item[0], stands=stands) for config in (before, after)]
        for replay in replays:
            replay.take(item)
    if not replays:
        raise Unusable("there is nothing in this time; look at --from and --to")
    for replay in replays:
        replay.end(tally.ended)
    changes = compare(*(replay.spells for replay in replays))
    kinds = ("appears", "vanishes", "moves", "stays")
    return BacktestView(
        input=tally.view(after),
        counts={kind: sum(change.kind == kind for change in changes) for kind in kinds},
        changes=[_change(change) for change in changes],
    )


def _change(change: Change) -> ChangeView:
    return ChangeView(
        change=change.kind,
        alarm_id=change.spell.alarm_id,
        before=_spell(change.before),
        after=_spell(change.after),
    )


def _spell(spell: Spell | None) -> SpellView | None:
    if spell is None:
        return None
    return SpellView(
        began=rfc3339(spell.began),
        ended=None if spell.ended is None else rfc3339(spell.ended),
        lasted_s=None if spell.ended is None else round(spell.ended - spell.began, 3),
        level=spell.level,
        colour=spell.colour,
    )
