"""One alarm as written to one alarm as the rules read it, and every way in which it cannot work on its point."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from config.model import Alarm, Basis, Level, LevelName, Limit, Place, Point, State, Text
from config.texts import named, text_of
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.files import AlarmSpec
    from config.layers import Source
    from config.model import Colour, Condition
    from config.validate import Report

RISING: tuple[LevelName, ...] = ("LL", "L", "H", "HH")
"""Levels in the order in which their limits have to rise."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The device that an alarm is written at."""

    device: str
    system: str
    name: Text
    place: Place


def alarm(key: str, spec: AlarmSpec, owner: Owner, point: Point, source: Source, report: Report) -> Alarm:
    """The alarm; with a problem in `report` for each thing that is wrong with it."""
    if spec.life_safety and spec.shelvable:
        report.refuse(source, ("shelvable",), "a life-safety alarm is never shelved", "leave shelvable out")
    default = Text(f"{owner.name.zh} {point.name.zh}", f"{owner.name.en} {point.name.en}")
    return Alarm(
        id=f"{owner.system}/{owner.device}/{point.id}#{key}",
        key=key,
        device=owner.device,
        system=owner.system,
        point=point.id,
        condition=_condition(spec, point, source, report),
        text=_filled(text_of(spec.text, default), owner, point),
        advice=_filled(text_of(spec.advice, Text("", "")), owner, point),
        place=owner.place,
        on_delay_s=spec.on_delay,
        off_delay_s=spec.off_delay,
        life_safety=spec.life_safety,
        ack_required=spec.ack,
        latching=spec.latching,
        shelvable=not spec.life_safety if spec.shelvable is None else spec.shelvable,
        basis=Basis(spec.basis.source, spec.basis.status) if spec.basis else None,
        depends_on=named(spec.depends_on, "") if spec.depends_on else None,
    )


def _filled(text: Text, owner: Owner, point: Point) -> Text:
    """A sentence that may serve many devices, for this one."""
    if "{" not in text.zh + text.en:
        return text
    zh = text.zh.replace("{device}", owner.name.zh).replace("{point}", point.name.zh)
    return Text(zh, text.en.replace("{device}", owner.name.en).replace("{point}", point.name.en))


def _condition(spec: AlarmSpec, point: Point, source: Source, report: Report) -> Condition:
    if spec.limit is not None:
        return _limit(spec, spec.limit, point, source, report)
    return _state(spec, point, source, report)


def _limit(spec: AlarmSpec, limits: dict[LevelName, float], point: Point, source: Source, report: Report) -> Limit:
    if point.type not in {"number", "integer"}:
        report.refuse(source, ("limit",), f"point {point.id} is of type {point.type}", "write state: instead of limit:")
    rising = [(name, limits[name]) for name in RISING if name in limits]
    _check_order(rising, spec.deadband, source, report)
    for name, limit in rising:
        if not _in_range(limit, point):
            span = f"{_number(point.low)} to {_number(point.high)}"
            report.refuse(
                source, ("limit", name), f"{limit:g} is outside the range of {point.id}, {span}", "write a limit inside"
            )
    colours = _colours(spec, limits, source, report)
    return Limit(tuple(Level(name, limit, colours.get(name, "red")) for name, limit in rising), spec.deadband)


def _check_order(rising: list[tuple[LevelName, float]], deadband: float, source: Source, report: Report) -> None:
    for (low, below), (high, above) in pairwise(rising):
        if below >= above:
            message = f"{low} {below:g} is not below {high} {above:g}"
            report.refuse(source, ("limit", high), message, "write them so that LL < L < H < HH")
        elif deadband >= above - below:
            message = f"{deadband:g} is as wide as the distance between {low} {below:g} and {high} {above:g}"
            report.refuse(source, ("deadband",), message, f"write less than {above - below:g}")


def _in_range(limit: float, point: Point) -> bool:
    return (point.low is None or limit >= point.low) and (point.high is None or limit <= point.high)


def _number(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"


def _colours(
    spec: AlarmSpec, limits: Mapping[LevelName, float], source: Source, report: Report
) -> Mapping[LevelName, Colour]:
    if isinstance(spec.colour, str):
        return dict.fromkeys(limits, spec.colour)
    for name in spec.colour:
        if name not in limits:
            report.refuse(
                source,
                ("colour", name),
                f"there is no limit {name}",
                f"add limit {name}, or remove the colour",
                at_key=True,
            )
    for name in limits:
        if name not in spec.colour:
            report.refuse(source, ("colour",), f"no colour for {name}", f"add {name}: red, orange, yellow or blue")
    return spec.colour


def _state(spec: AlarmSpec, point: Point, source: Source, report: Report) -> State:
    values = spec.state or ()
    for value in values:
        message, hint = _wrong_state(value, point)
        if message:
            report.refuse(source, ("state",), message, hint)
    if spec.deadband:
        report.refuse(source, ("deadband",), "a state has no deadband", "remove it")
    if not isinstance(spec.colour, str):
        report.refuse(source, ("colour",), "a state has no levels", "write one of red, orange, yellow, blue")
        return State(values, "red")
    return State(values, spec.colour)


def _wrong_state(value: bool | int | str, point: Point) -> tuple[str, str]:
    found = shown(value)
    if point.type == "number":
        return f"point {point.id} is a number", "write limit: instead of state:"
    if point.type == "enum" and value not in point.states.values():
        return f"found {found}, not a state of {point.id}", near(value, point.states.values())
    if point.type == "bool" and not isinstance(value, bool):
        return f"found {found}, but point {point.id} is true or false", "write true or false"
    if point.type == "integer" and (isinstance(value, bool) or not isinstance(value, int)):
        return f"found {found}, but point {point.id} is a whole number", "write a whole number"
    if point.type == "string" and not isinstance(value, str):
        return f"found {found}, but point {point.id} is a text", "put it into quotes"
    return "", ""
