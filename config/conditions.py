"""The condition of an alarm as written to the one that the rules judge, and every way in which it cannot work.

Which keys may stand together is known to `config.files`; here is what the point has to say to that.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from config.directory import Place
from config.formulas import formula
from config.judgement import (
    MEAN_WINDOWS_S,
    Bits,
    Computed,
    Counter,
    Deviation,
    Level,
    LevelName,
    Limit,
    Mean,
    NoUpdate,
    Offline,
    Rate,
    State,
    Stuck,
)
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.files import AlarmSpec
    from config.judgement import Condition, Formula, Measure
    from config.layers import Source
    from config.model import Colour, Point
    from config.validate import Report

RISING: tuple[LevelName, ...] = ("LL", "L", "H", "HH")
"""Levels in the order in which their limits have to rise."""

NUMERIC = frozenset({"number", "integer"})
SAMPLES_MIN = 4
"""A window that holds fewer readings says nothing about what is in it."""

COVERAGE = 0.75
"""A rate may be measured over three quarters of its window, and is then that much steeper."""

PER = {1.0: "s", 60.0: "min", 3600.0: "h", 86_400.0: "d"}
"""Units of time as a rate is told in."""


def condition(spec: AlarmSpec, device: str, point: Point | None, source: Source, report: Report) -> Condition:
    """What the alarm waits for; with a problem for each thing that cannot be on this point."""
    if spec.limit is not None and point is not None:
        return _limit(spec, spec.limit, device, point, source, report)
    colour = _one_colour(spec, source, report)
    if spec.expression is not None:
        _refuse_deadband(spec, "n expression", source, report)
        return Computed(formula(spec.expression, "bool", device, source, ("expression",), report), colour)
    if point is None:
        return Offline(colour)
    return (
        _state(spec, point, colour, source, report)
        if spec.state is not None
        else _other(spec, point, colour, source, report)
    )


def gate(spec: AlarmSpec, device: str, source: Source, report: Report) -> Formula | None:
    """Without which the condition does not count."""
    if spec.when is None:
        return None
    if spec.life_safety:
        report.refuse(source, ("when",), "a life-safety alarm always counts", "remove it, or life_safety")
    return formula(spec.when, "bool", device, source, ("when",), report)


def unit(spec: AlarmSpec, point: Point | None) -> str:
    """Of what is judged: a rate is told per time."""
    if point is None:
        return ""
    if spec.rate is None:
        return point.unit
    per_s = spec.rate.per
    return f"{'' if point.unit == '1' else point.unit}/{PER.get(per_s, f'({per_s:g}.s)')}"


def _other(spec: AlarmSpec, point: Point, colour: Colour, source: Source, report: Report) -> Condition:
    if spec.bit is not None:
        return _bits(spec, point, colour, source, report)
    if spec.counter is not None:
        return _counter(spec, point, colour, source, report)
    if spec.stuck is not None:
        _check_pace("stuck", spec.stuck, 1, point, source, report)
        if spec.deadband and point.type not in NUMERIC:
            report.refuse(source, ("deadband",), f"point {point.id} is of type {point.type}", "remove it")
        return Stuck(spec.stuck, colour, spec.deadband)
    _refuse_deadband(spec, " missing update", source, report)
    after_s = spec.no_update or 0.0
    _check_pace("no_update", after_s, 2, point, source, report)
    return NoUpdate(after_s, colour)


def _limit(
    spec: AlarmSpec, limits: dict[LevelName, float], device: str, point: Point, source: Source, report: Report
) -> Limit:
    if point.type not in NUMERIC:
        report.refuse(source, ("limit",), f"point {point.id} is of type {point.type}", "write state: instead of limit:")
    rising = [(name, limits[name]) for name in RISING if name in limits]
    _check_order(rising, spec.deadband, source, report)
    measure = _measure(spec, device, point, source, report)
    _check_reach(rising, measure, point, source, report)
    colours = _colours(spec, limits, source, report)
    levels = tuple(Level(name, limit, colours.get(name, "red")) for name, limit in rising)
    return Limit(levels, spec.deadband, measure)


def _measure(spec: AlarmSpec, device: str, point: Point, source: Source, report: Report) -> Measure | None:
    if spec.mean is not None:
        if spec.mean not in MEAN_WINDOWS_S:
            report.refuse(source, ("mean",), "not a window that means are kept for", "write 15min, 1h, 8h or 24h")
        _check_pace("mean", spec.mean, SAMPLES_MIN, point, source, report)
        return Mean(spec.mean)
    if spec.rate is not None:
        key = ("rate", "over") if spec.rate.over is not None else ("rate",)
        _check_pace(key, spec.rate.window_s, 1, point, source, report)
        return Rate(spec.rate.per, spec.rate.window_s)
    if isinstance(spec.deviation, str):
        return _deviation(spec.deviation, device, source, report)
    return None if spec.deviation is None else Deviation(value=float(spec.deviation))


def _deviation(written: str, device: str, source: Source, report: Report) -> Deviation:
    """From a point of this device, or of another one: `device/point`. Which points there are is known later."""
    owner, slash, name = written.rpartition("/")
    owner = owner if slash else device

    def check() -> None:
        other = report.directory.find(owner, name, written, Place(source, ("deviation",)), report)
        if other is not None and other.type not in NUMERIC:
            message = f"point {written} is of type {other.type}"
            report.refuse(source, ("deviation",), message, "write a point that is a number, or a number")

    report.later.append(check)
    return Deviation(owner, name)


def _check_pace(
    key: str | tuple[str, ...], window_s: float, readings: int, point: Point, source: Source, report: Report
) -> None:
    """A time in which the point is read less often than that can never be judged."""
    needed_s = readings * point.poll_s
    if window_s < needed_s:
        path = (key,) if isinstance(key, str) else key
        message = f"{window_s:g} s are too short, point {point.id} is read every {point.poll_s:g} s"
        report.refuse(source, path, message, f"write {needed_s:g}s or more, or poll it more often")


def _check_reach(
    rising: list[tuple[LevelName, float]], measure: Measure | None, point: Point, source: Source, report: Report
) -> None:
    """Limits that no plausible value of the point can ever reach."""
    for name, limit in rising:
        low, high = _span(measure, point)
        if (low is not None and limit < low) or (high is not None and limit > high):
            what = point.id if measure is None else f"the {Limit((), measure=measure).kind} of {point.id}"
            message = f"{limit:g} is outside the range of {what}, {_number(low)} to {_number(high)}"
            report.refuse(source, ("limit", name), message, "write a limit inside")


def _span(measure: Measure | None, point: Point) -> tuple[float | None, float | None]:
    """What the judged figure can be, by the plausible range of the point."""
    low, high = point.low, point.high
    if measure is None or isinstance(measure, Mean):
        return low, high
    if isinstance(measure, Deviation) and measure.value is not None:
        return None if low is None else low - measure.value, None if high is None else high - measure.value
    if isinstance(measure, Rate) and low is not None and high is not None:
        most = (high - low) / measure.window_s * measure.per_s / COVERAGE
        return -most, most
    return None, None


def _check_order(rising: list[tuple[LevelName, float]], deadband: float, source: Source, report: Report) -> None:
    for (low, below), (high, above) in pairwise(rising):
        if below >= above:
            message = f"{low} {below:g} is not below {high} {above:g}"
            report.refuse(source, ("limit", high), message, "write them so that LL < L < H < HH")
        elif deadband >= above - below:
            message = f"{deadband:g} is as wide as the distance between {low} {below:g} and {high} {above:g}"
            report.refuse(source, ("deadband",), message, f"write less than {above - below:g}")


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


def _one_colour(spec: AlarmSpec, source: Source, report: Report) -> Colour:
    if isinstance(spec.colour, str):
        return spec.colour
    report.refuse(source, ("colour",), "only a limit has levels", "write one of red, orange, yellow, blue")
    return "red"


def _refuse_deadband(spec: AlarmSpec, what: str, source: Source, report: Report) -> None:
    if spec.deadband:
        report.refuse(source, ("deadband",), f"a{what} has no deadband", "remove it")


def _bits(spec: AlarmSpec, point: Point, colour: Colour, source: Source, report: Report) -> Bits:
    assert spec.bit is not None
    if point.type not in NUMERIC:
        report.refuse(source, ("bit",), f"point {point.id} is of type {point.type}", "write state: instead of bit:")
    elif (point.scale, point.offset) != (1.0, 0.0):
        report.refuse(source, ("bit",), f"point {point.id} is scaled", "remove scale and offset of a word of bits")
    _refuse_deadband(spec, " bit", source, report)
    mask = sum(1 << number for number in set(spec.bit.numbers))
    return Bits(mask, colour, spec.bit.clear)


def _counter(spec: AlarmSpec, point: Point, colour: Colour, source: Source, report: Report) -> Counter:
    assert spec.counter is not None
    if point.type not in NUMERIC:
        report.refuse(source, ("counter",), f"point {point.id} is of type {point.type}", "write a point that counts")
    rule = spec.counter
    if rule.still is not None:
        _check_pace(("counter", "still"), rule.still, 1, point, source, report)
    return Counter(colour, rule.still, rule.backwards, rule.rollover, spec.deadband)


def _state(spec: AlarmSpec, point: Point, colour: Colour, source: Source, report: Report) -> State:
    values = spec.state or ()
    for value in values:
        message, hint = _wrong_state(value, point)
        if message:
            report.refuse(source, ("state",), message, hint)
    _refuse_deadband(spec, " state", source, report)
    return State(values, colour)


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
