"""Points that are not read but computed from others: how they are written, and what can be wrong with that.

load_ratio: {derived: "p / 400 * 100", unit: "%"}
run_hours:  {derived: {run_hours: pump_1.run}}
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from config.condition_fields import Expression  # noqa: TC001 (pydantic reads it at run time)
from config.directory import Place
from config.fields import DottedId, Spec
from config.files import PointSpec
from config.formulas import formula
from config.model import Derived, Point
from config.texts import named
from config.validate import validate_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.alarms import Owner
    from config.layers import Source
    from config.model import DerivedKind, PointType
    from config.validate import Report

KINDS: tuple[DerivedKind, ...] = ("expression", "run_hours", "starts", "energy", "gap")
UNITS: dict[DerivedKind, str] = {"run_hours": "h", "energy": "kW.h", "gap": "s"}
"""Where no unit is written."""

ACCUMULATING = frozenset({"run_hours", "energy"})
NOT_READ = ("poll", "scale", "offset")
POLL_S = 10.0
"""How often a point is taken to change that is computed from other devices only."""


class HowSpec(Spec):
    """What is computed. Exactly one."""

    expression: Expression | None = None
    run_hours: Expression | None = None
    starts: Expression | None = None
    energy: Expression | None = None
    gap: DottedId | None = None

    @property
    def kind(self) -> DerivedKind:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> HowSpec:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"not one thing to compute; write exactly one of {', '.join(KINDS)}")
        return self


def _how(value: object) -> object:
    return {"expression": value} if isinstance(value, str) else value


How = Annotated[
    HowSpec,
    BeforeValidator(_how),
    Field(description="an expression, or {run_hours: …}, {starts: …}, {energy: …}, {gap: …}"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {kind: {"type": "string"} for kind in KINDS},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }
    ),
]


class DerivedSpec(PointSpec):
    """A point that is computed. What has to do with reading it means nothing here."""

    derived: How

    @model_validator(mode="after")
    def _not_read(self) -> DerivedSpec:
        for key in NOT_READ:
            if key in self.model_fields_set:
                raise ValueError(f"{key}: a derived point is not read; remove it")
        if self.derived.kind != "expression" and self.value not in {"number", "integer"}:
            raise ValueError(f"value: {self.derived.kind} is a number; write number or integer, or remove it")
        return self

    @property
    def where(self) -> str:
        kind = self.derived.kind
        written = getattr(self.derived, kind)
        return f"= {written}" if kind == "expression" else f"= {kind} {written}"


def validate_points(
    model: type[PointSpec], rows: Mapping[str, Source], report: Report, *, template: bool = False
) -> dict[str, PointSpec | None]:
    """Every row as a point that is read, or as one that is computed. As `validate_rows`."""
    computed = {name: row for name, row in rows.items() if isinstance(row.data, dict) and "derived" in row.data}
    if not computed:
        return dict(validate_rows(model, rows, report, template=template))
    read = {name: row for name, row in rows.items() if name not in computed}
    found: dict[str, PointSpec | None] = {
        **validate_rows(model, read, report, template=template),
        **validate_rows(DerivedSpec, computed, report, template=template),
    }
    return {name: found[name] for name in rows if name in found}


def derived_points(
    specs: Mapping[str, PointSpec | None],
    points: Mapping[str, Point],
    owner: Owner,
    rows: Mapping[str, Source],
    report: Report,
) -> dict[str, Point]:
    """The computed points of a device whose names are in the directory."""
    made: dict[str, Point] = {}
    for name, spec in specs.items():
        if isinstance(spec, DerivedSpec):
            row = rows[name]
            derived, path = _derived(spec, owner.device, row, report)
            made[name] = _point(name, spec, derived, {**points, **made}, owner)
            report.later.append(partial(_check_circle, made[name], Place(row, path), report))
    return made


def _point(name: str, spec: DerivedSpec, derived: Derived, points: Mapping[str, Point], owner: Owner) -> Point:
    kind = derived.kind
    own = [point for device, point in _inputs(derived, owner.device) if device == owner.device]
    sources = [points[point].poll_s for point in own if point in points]
    return Point(
        id=name,
        device=owner.device,
        system=owner.system,
        name=named(spec.name, name),
        type="integer" if kind == "starts" else spec.value,
        unit=spec.unit if "unit" in spec.model_fields_set else UNITS.get(kind, "1"),
        poll_s=max(sources, default=POLL_S),
        spec=spec,
        states=spec.states,
        low=spec.low,
        high=spec.high,
        deadband=spec.deadband,
        heartbeat_s=spec.heartbeat,
        derived=derived,
    )


def _derived(spec: DerivedSpec, device: str, row: Source, report: Report) -> tuple[Derived, tuple[str, ...]]:
    """What is computed, and where it is written."""
    how = spec.derived
    kind = how.kind
    path = ("derived",) if isinstance(row.data["derived"], str) else ("derived", kind)
    if how.gap is not None:
        report.later.append(partial(_check_gap, how.gap, device, Place(row, path), report))
        return Derived("gap", of=how.gap), path
    gives: PointType = "bool" if kind in {"run_hours", "starts"} else "number" if kind == "energy" else spec.value
    return Derived(kind, formula(str(getattr(how, kind)), gives, device, row, path, report)), path


def _inputs(derived: Derived, device: str) -> list[tuple[str, str]]:
    """Device and point of everything that it is computed from."""
    if derived.formula is None:
        return [(device, derived.of)]
    return [(each.device, each.point) for each in derived.formula.inputs]


def _check_gap(of: str, device: str, place: Place, report: Report) -> None:
    """Only what adds up over time can have gaps."""
    point = report.directory.find(device, of, of, place, report)
    if point is not None and (point.derived is None or point.derived.kind not in ACCUMULATING):
        message = f"{of} does not add up over time"
        report.refuse(place.source, place.path, message, "write a point that is derived as run_hours or energy")


def _check_circle(point: Point, place: Place, report: Report) -> None:
    """A point that is computed from itself, however far round. Told once, at the first of the circle."""
    start = (point.device, point.id)
    came_from: dict[tuple[str, str], tuple[str, str]] = {}
    waiting = [start]
    while waiting:
        at = waiting.pop()
        found = report.directory.get(*at)
        for each in found.sources if found is not None else ():
            if each == start:
                circle = _way(at, start, came_from)
                if min(circle) == start:
                    what = " → ".join(f"{device}/{name}" for device, name in [*circle, start])
                    report.refuse(place.source, place.path, f"it is computed from itself: {what}", "break the circle")
                return
            if each not in came_from:
                came_from[each] = at
                waiting.append(each)


def _way(
    at: tuple[str, str], start: tuple[str, str], came_from: Mapping[tuple[str, str], tuple[str, str]]
) -> list[tuple[str, str]]:
    way = [at]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]
