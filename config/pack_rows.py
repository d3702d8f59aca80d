"""One row of a pack for one device: what is overridden, which of the device's points it means, what of it fits them.

Three things a pack may write that others may not: a list of points (the first that the device has is meant), states for
points of different kinds (those of the other kind are left out), and `needs`, the other points of an expression.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from config.layers import Layer, Source
from config.model import Point
from config.open_ids import NUMBER, opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from config.alarm_files import AlarmsSpec
    from config.document import Key
    from config.errors import Problem
    from config.files import PointSpec

    Points = Mapping[str, Point | PointSpec | None]

OVERRIDE_DEPTH = 2
"""Down to single levels and languages: who moves H keeps HH, L and LL."""

FORMULAS = {"expression", "when"}


@dataclass(frozen=True, slots=True)
class PackSource(Source):
    """An alarm of a pack: what is wrong with it is told at its override, else where the pack is named."""

    key: str = ""
    block: Source | None = None

    def problem(
        self, path: Sequence[Key], message: str, hint: str = "", *, at_key: bool = False, offset: int = 0
    ) -> Problem:
        override = self.layers[0]
        if self.block is None or override.document.has((*override.path, *path)):
            return Source.problem(self, path, message, hint, at_key=at_key, offset=offset)
        return self.block.problem(("pack",), f"{self.key}: {message}", hint)


@dataclass(frozen=True, slots=True)
class Row:
    """One alarm as written, for one point. `pack` is where it comes from, if from one."""

    key: str
    source: Source
    pack: str = ""

    @property
    def point(self) -> str | None:
        point = self.source.data.get("point")
        return point if isinstance(point, str) else None

    @property
    def needs(self) -> list[str]:
        """Of a pack's row: points that have to be there beside its own."""
        needs: list[str] = self.source.data.get("needs", [])
        return needs


def overridden(row: Row, spec: AlarmsSpec, block: Source) -> Row:
    """An alarm of a pack, with what is written about it at the place that names the pack (`block`)."""
    written = spec.override.get(row.key, {})
    layers = tuple(Layer(layer.document, (*layer.path, "override", row.key)) for layer in block.layers)
    over = Source(written, layers).over(row.source, OVERRIDE_DEPTH)
    data = {**over.data, "needs": []} if FORMULAS & written.keys() else over.data
    return Row(row.key, PackSource(data, over.layers, row.key, block), row.pack)


def bound_rows(row: Row, spec: AlarmsSpec, block: Source, points: Points) -> Iterator[Row]:
    """The row for each point that it means; none where the device lacks a point that it is about."""
    for each in numbered(_chosen(row, points), points):
        if missing(each, points):
            continue
        is_one = each.key != row.key and each.key in spec.override
        yield _fitting(overridden(each, spec, block) if is_one else each, points)


def missing(row: Row, points: Points) -> str:
    """The first point of a pack's row that the device lacks, or nothing."""
    point = row.source.data.get("point", "")
    choices = point if isinstance(point, list) else [point] if point else []
    if choices and not any(choice in points for choice in choices):
        return " or ".join(choices)
    return next((name for name in row.needs if name not in points and not _names_several(name, points)), "")


def _names_several(name: str, points: Points) -> bool:
    """Whether it leaves a number open that a point of the device fills."""
    return NUMBER in name and any(map(opened(name).fullmatch, points))


def numbered(row: Row, points: Points) -> Iterator[Row]:
    """The row itself where the device has its point; one for each fitting point where it leaves the number open."""
    if row.point is None or row.point in points:
        yield row
    elif NUMBER in row.point:
        for match in filter(None, map(opened(row.point).fullmatch, points)):
            key = row.key.replace(NUMBER, match[1].replace(".", "-"))
            yield Row(key, replace(row.source, data=_filled(row.source.data, match[1])), row.pack)


def _chosen(row: Row, points: Points) -> Row:
    """Of several points that would do, the first that the device has."""
    choices = row.source.data.get("point")
    found = next((one for one in choices if one in points), None) if isinstance(choices, list) else None
    return row if found is None else _with(row, point=found)


def _fitting(row: Row, points: Points) -> Row:
    """Without what only a pack writes, and without states that a point of this kind cannot have."""
    data = {key: value for key, value in row.source.data.items() if key != "needs"}
    point = points.get(row.point) if row.point else None
    states = data.get("state")
    if isinstance(states, list) and isinstance(point, Point):
        data["state"] = [state for state in states if isinstance(state, bool) == (point.type == "bool")] or states
    return Row(row.key, replace(row.source, data=data), row.pack)


def _with(row: Row, **changed: Any) -> Row:
    return Row(row.key, replace(row.source, data={**row.source.data, **changed}), row.pack)


def _filled(data: Any, number: str) -> Any:
    """Every text in it with the number in its place."""
    if isinstance(data, str):
        return data.replace(NUMBER, number)
    if isinstance(data, dict):
        return {key: _filled(value, number) for key, value in data.items()}
    return [_filled(value, number) for value in data] if isinstance(data, list) else data
