"""What is written about people and maintenance to what the rules read, and whether it can be so."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

from config.duty import PRESETS, RESPONSE, MaintenanceWindow, Scope
from config.response_files import Weekday
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from config.duty import Response
    from config.layers import Source
    from config.model import Alarm, Colour, Device
    from config.response_files import MaintenanceSpec, ResponseSpec
    from config.validate import Report

SEVERITIES: Mapping[Colour, tuple[int, int]] = {
    "red": (801, 1000),
    "orange": (601, 800),
    "yellow": (401, 600),
    "blue": (1, 400),
}
"""The part of OPC UA's severities that each colour has, so that a receiver who knows no colours ranks them alike."""

_WEEKDAYS = get_args(Weekday)


def read_responses(specs: Mapping[Colour, ResponseSpec], source: Source, report: Report) -> Mapping[Colour, Response]:
    """Every colour, the defaults under what is written."""
    for colour, spec in specs.items():
        _check(colour, spec, source.part("response").part(colour), report)
    return {**RESPONSE, **{colour: _over(RESPONSE[colour], spec) for colour, spec in specs.items()}}


def _over(default: Response, spec: ResponseSpec) -> Response:
    changes = {name: value for name, value in spec if value is not None and name != "ack_within"}
    if spec.ack_within is not None:
        changes["ack_within_s"] = tuple(spec.ack_within)
    return replace(default, **changes)


def _check(colour: Colour, spec: ResponseSpec, source: Source, report: Report) -> None:
    low, high = SEVERITIES[colour]
    if spec.severity is not None and not low <= spec.severity <= high:
        report.refuse(
            source, ("severity",), f"{spec.severity} is not the severity of {colour}", f"write {low} to {high}"
        )
    for earlier, later in pairwise(spec.ack_within or ()):
        if later <= earlier:
            message = f"{later:g} s is not after {earlier:g} s"
            report.refuse(source, ("ack_within",), message, "write times that rise, such as [1min, 3min, 5min]")
            break


def read_windows(specs: Mapping[str, MaintenanceSpec]) -> tuple[MaintenanceWindow, ...]:
    return tuple(_window(name, spec) for name, spec in specs.items())


def _window(name: str, spec: MaintenanceSpec) -> MaintenanceWindow:
    hour, _, minute = spec.start.partition(":")
    return MaintenanceWindow(
        id=name,
        scope=PRESETS[spec.preset] if spec.preset else _scope(spec),
        is_test=spec.preset is not None,
        start_minute=int(hour) * 60 + int(minute),
        duration_s=spec.duration,
        weekdays=frozenset(_WEEKDAYS.index(day) for day in spec.weekdays),
        weeks=frozenset(spec.weeks),
        days=frozenset(spec.days),
        reason=spec.reason,
    )


def _scope(spec: MaintenanceSpec) -> Scope:
    place = spec.place
    return Scope(
        device=frozenset(spec.device or ()),
        system=frozenset(spec.system or ()),
        building=frozenset((place and place.building) or ()),
        floor=frozenset((place and place.floor) or ()),
        space=frozenset((place and place.space) or ()),
    )


def check_windows(
    windows: Iterable[MaintenanceWindow], devices: Iterable[Device], source: Source, report: Report
) -> None:
    """A window about what is not there is a slip."""
    alarms = [alarm for device in devices for alarm in device.alarms]
    for window in windows:
        written = source.part("maintenance").part(window.id)
        slips = list(_slips(window.scope, alarms))
        if "preset" not in written.data:
            for trait, value, known in slips:
                path = (trait,) if trait in written.data else ("place", trait)
                report.refuse(written, path, f"no alarm has {trait} {shown(value)}", near(value, known))
        if "preset" in written.data or not slips:
            _check_meaning(window, alarms, written, report)


def _slips(scope: Scope, alarms: list[Alarm]) -> Iterator[tuple[str, str, list[str]]]:
    """Values that no alarm has, by trait, with those that there are."""
    for trait, wanted in scope.named():
        known = sorted({scope.trait(alarm, trait) for alarm in alarms} - {""})
        yield from ((trait, value, known) for value in sorted(wanted - set(known)))


def _check_meaning(window: MaintenanceWindow, alarms: list[Alarm], written: Source, report: Report) -> None:
    if not any(window.scope.means(alarm) for alarm in alarms):
        report.refuse(written, (), "no alarm is meant by it", "write another device, system or place", at_key=True)
