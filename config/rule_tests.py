"""Tests that users write for their own rules: readings over time, and the alarms that have to come of them.

Here is what may be written and whether it can be meant; how it is played is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from config.alarm_files import Names  # noqa: TC001 (pydantic reads these at run time)
from config.document import Document
from config.errors import ConfigInvalid, Problem
from config.fields import Spec
from config.judgement import LevelName
from config.layers import Layer, Source
from config.model import COLOURS, Colour
from config.units import seconds
from config.validate import Report, validate
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from config.model import Config, Device, Point

Scalar = float | int | bool | str
Worth = Literal["good", "uncertain", "bad", "over_range", "under_range"]
BEYOND = ("over_range", "under_range")
Verb = Literal["ack", "reset"]

LEVELS: tuple[LevelName, ...] = get_args(LevelName)
EXAMPLE = "tests: {hot: {0s: {set: {DEVICE/POINT: 20}}, 1min: {set: {DEVICE/POINT: 90}, expect: {ALARM: raise}}}}"
EXPECTATION = "write one of the actions, then if you like level and colour, such as raise HH red"


def _moment(value: object) -> object:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("not a time; write such as 2026-11-22T08:00") from None


class ValueSpec(Spec):
    """A value that is not plainly good."""

    value: Scalar | None = None
    quality: Worth


class StepSpec(Spec):
    """What happens at one moment, and which alarm events have to come at it."""

    set: dict[str, Any] = Field(default_factory=dict)
    silent: Names = Field(default_factory=list)
    ack: Names = Field(default_factory=list)
    reset: Names = Field(default_factory=list)
    expect: dict[str, Names] = Field(default_factory=dict)


Steps = Annotated[dict[str, StepSpec], Field(min_length=1)]


class RuleTestFile(Spec):
    """A file of tests. `start` is the site's local time at which each test begins."""

    start: Annotated[datetime, BeforeValidator(_moment)] = datetime(2026, 1, 1)  # noqa: DTZ001 (the site's zone is added)
    tests: Annotated[dict[str, Steps], Field(min_length=1, description="TEST: {0s: {set: …, expect: …}}")]


@dataclass(frozen=True, slots=True)
class Given:
    """A point gets a value."""

    device: str
    point: str
    value: Scalar | None
    quality: Worth


@dataclass(frozen=True, slots=True)
class Expected:
    """An event of an alarm. What is `None` does not matter."""

    alarm: str
    action: str
    level: str | None = None
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything at `at_s` seconds after the beginning."""

    at_s: float
    given: tuple[Given, ...]
    silent: tuple[str, ...]
    orders: tuple[tuple[Verb, str], ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test; `line` of `file` is where it begins."""

    file: str
    line: int
    name: str
    start: datetime
    moments: tuple[Moment, ...]


def read_rule_tests(path: Path, config: Config, actions: Sequence[str]) -> list[RuleTest]:
    """All tests of a file, or of the files in a folder; `actions` are what an alarm can do. Raises `ConfigInvalid`."""
    if not path.exists():
        where = path if path.suffix == ".yaml" else path / "NAME.yaml"
        hint = f"write a test in {where}, such as {EXAMPLE}, or name another file"
        raise ConfigInvalid([Problem(str(path), 0, 0, "", "there is no rule test", hint)])
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    if not files:
        hint = f"write one in a file NAME.yaml, such as {EXAMPLE}"
        raise ConfigInvalid([Problem(str(path), 0, 0, "", "holds no rule test", hint)])
    report = Report()
    tests = [test for file in files for test in _file(file, _Judge(config, actions, report), report)]
    if report.problems:
        raise ConfigInvalid(report.problems)
    return tests


def _file(path: Path, judge: _Judge, report: Report) -> Iterator[RuleTest]:
    try:
        document = Document(str(path), path.read_bytes())
    except OSError as error:
        report.problems.append(Problem(str(path), 0, 0, "", f"cannot be read: {error.strerror}", "name another file"))
        return
    report.problems += document.problems
    if document.data is None:
        return
    source = Source(document.data, (Layer(document),))
    spec = validate(RuleTestFile, source, report)
    if spec is None:
        return
    for name, steps in spec.tests.items():
        part = source.part("tests").part(name)
        yield RuleTest(document.name, part.problem((), "").line, name, spec.start, judge.moments(steps, part))


class _Judge:
    """Whether what a test names exists in the configuration, and can have what it is given."""

    def __init__(self, config: Config, actions: Sequence[str], report: Report) -> None:
        self._devices: Mapping[str, Device] = {device.id: device for device in config.devices}
        self._alarms = {alarm.id for device in config.devices for alarm in device.alarms}
        self._waiting = {alarm.id for device in config.devices for alarm in device.unconfirmed}
        self._actions = actions
        self._report = report

    def moments(self, steps: Mapping[str, StepSpec], source: Source) -> tuple[Moment, ...]:
        found: list[Moment] = []
        for key, step in steps.items():
            part = source.part(key)
            at_s = self._at(key, found[-1].at_s if found else 0.0, part)
            given = tuple(self._given(name, value, part) for name, value in step.set.items())
            expected = tuple(self._expected(name, text, part) for name, texts in step.expect.items() for text in texts)
            found.append(
                Moment(
                    at_s,
                    tuple(one for one in given if one),
                    tuple(name for name in step.silent if self._device(name, part, ("silent",))),
                    (*self._orders("ack", step.ack, part), *self._orders("reset", step.reset, part)),
                    tuple(one for one in expected if one),
                )
            )
        return tuple(found)

    def _at(self, key: str, after_s: float, source: Source) -> float:
        try:
            at_s = seconds(key)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            self._report.refuse(source, (), f"found {shown(key)}, {message}", hint, at_key=True)
            return after_s
        if at_s < after_s:
            self._report.refuse(
                source, (), f"{key} is before the step above it", "write the steps in order", at_key=True
            )
        return max(at_s, after_s)

    def _device(self, name: str, source: Source, path: tuple[str, ...]) -> Device | None:
        device = self._devices.get(name)
        if device is None:
            hint = near(name, self._devices)
            self._report.refuse(source, path, f"found {shown(name)}, no device", hint, at_key=True)
        return device

    def _given(self, name: str, written: Any, source: Source) -> Given | None:
        owner, _, point_id = name.partition("/")
        device = self._device(owner, source, ("set", name))
        if device is None:
            return None
        points = {point.id: point for point in device.points}
        if point_id not in points:
            message = f"found {shown(point_id)}, no point of {owner}"
            self._report.refuse(source, ("set", name), message, near(point_id, points), at_key=True)
            return None
        spec = self._value(written, source.part("set").part(name))
        if spec is None or not self._fits(points[point_id], spec, source.part("set").part(name)):
            return None
        return Given(owner, point_id, spec.value, spec.quality)

    def _value(self, written: Any, source: Source) -> ValueSpec | None:
        if isinstance(written, dict):
            return validate(ValueSpec, source, self._report)
        return ValueSpec.model_construct(value=written, quality="good")

    def _fits(self, point: Point, spec: ValueSpec, source: Source) -> bool:
        value = spec.value
        if spec.quality == "bad" and value is None:
            return True
        if spec.quality in BEYOND:
            if value is not None or point.type not in ("number", "integer"):
                message = f"{spec.quality} is said of a number, in place of it"
                self._report.refuse(source, ("quality",), message, "leave value out, and name a point with a number")
            return True
        known = tuple(point.states.values())
        fit = {
            "number": isinstance(value, (int, float)) and not isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "enum": value in known,
            "string": isinstance(value, str),
        }[point.type]
        if not fit:
            hint = near(value, known) if point.type == "enum" else "write a value of that type"
            self._report.refuse(source, (), f"found {shown(value)}, but {point.id} is of type {point.type}", hint)
        return fit

    def _orders(self, verb: Verb, alarms: list[str], source: Source) -> Iterator[tuple[Verb, str]]:
        for name in alarms:
            if self._is_alarm(name, source, (verb,)):
                yield verb, name

    def _expected(self, name: str, text: str, source: Source) -> Expected | None:
        if not self._is_alarm(name, source, ("expect", name)):
            return None
        action, *rest = text.split() or [""]
        level = next((word for word in rest if word in LEVELS), None)
        colour = next((word for word in COLOURS if word in rest), None)
        if action not in self._actions:
            message = f"found {shown(action)}, nothing that an alarm does"
            self._report.refuse(source, ("expect", name), message, near(action, self._actions))
        elif len(rest) != (level is not None) + (colour is not None):
            self._report.refuse(source, ("expect", name), f"found {shown(text)}, no event", EXPECTATION)
        return Expected(name, action, level, colour)

    def _is_alarm(self, name: str, source: Source, path: tuple[str, ...]) -> bool:
        if name in self._alarms:
            return True
        if name in self._waiting:
            self._report.refuse(source, path, f"{name} does not run", "confirm it first, see confirmed_by", at_key=True)
        else:
            hint = near(name, self._alarms)
            self._report.refuse(source, path, f"found {shown(name)}, no alarm", hint, at_key=True)
        return False
