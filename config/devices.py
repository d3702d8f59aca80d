"""Device files to devices: common part, profile and the device itself, merged, judged and resolved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from config.alarm_files import AlarmsSpec
from config.alarm_places import Block, Gathering
from config.alarms import Owner
from config.catalog import check_points
from config.checks import check_system
from config.derived import DerivedSpec, derived_points, validate_points
from config.files import DevicesFile, DeviceSpec
from config.gateway import poll_intervals
from config.layers import Layer, Source
from config.lists import point_list
from config.model import Device, Place, Point
from config.selectors import traits
from config.texts import named
from config.validate import validate
from config.wording import closest, near, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from config.catalog import Catalog, Profile
    from config.document import Document
    from config.files import AddressSpec, PointSpec, Protocol
    from config.lines import LineEntry
    from config.lists import PointList, PointLists
    from config.packs import Packs
    from config.selectors import Rules
    from config.validate import Report

DEFAULT_CLASS = "N"
MERGE_DEPTH = 3
"""Down to the fields of one point or alarm: device, its points, the fields of each."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every device is judged against."""

    lines: Mapping[str, LineEntry]
    catalog: Catalog
    packs: Packs
    rules: Rules
    lists: PointLists
    poll_s: Mapping[str, float]
    report: Report
    lines_known: bool = True
    """False where `lines.yaml` could not be read: a line that is missing then is no mistake of the device."""


def device_sources(document: Document, report: Report) -> Iterator[tuple[str, Source]]:
    """Each device of a file, on top of what is common to them."""
    whole = Source(document.data, (Layer(document),))
    validate(DevicesFile, whole, report)
    common = Source(document.data.get("common", {}), (Layer(document, ("common",)),))
    for name, device in whole.mappings("devices"):
        yield name, device.over(common, MERGE_DEPTH)


def read_device(name: str, source: Source, around: Surroundings) -> Device | None:
    """The device, or `None` and problems. Its parts are judged even where another part is wrong."""
    report = around.report
    spec = validate(DeviceSpec, source, report) or _salvaged(source)
    line = _line(source, around)
    profile = _profile(source, around)
    system = _system(spec, source, profile, report)
    protocol = _protocol(source, line, profile, report)
    if protocol is None:
        return None
    place = Place(spec.place.building, spec.place.floor, spec.place.space, spec.place.risk)
    owner = Owner(name, system, named(spec.name, name), place)
    listed = around.lists.get(name, spec.point_list, source, protocol)
    rows, specs = _point_specs(spec, source, _below(profile, listed), protocol, report)
    points = _points(specs, owner, poll_intervals(spec.poll, around.poll_s))
    unsure = (profile is None and "profile" in source.data) or (listed is None and "point_list" in source.data)
    known: dict[str, Point | PointSpec | None] = {**specs, **points}
    report.directory.add(name, known, unsure=unsure)
    derived = derived_points(specs, points, owner, rows, report)
    known.update(derived)
    gathering = Gathering(owner, known, around.packs, report, unsure=unsure)
    alarms = gathering.gather(_blocks(spec, owner, source, around))
    address = _address(source, profile, protocol, report)
    if address is None or line is None:
        return None
    device = Device(
        id=name,
        name=owner.name,
        system=system,
        line=line.id,
        address=address,
        place=place,
        points=tuple(points.values()),
        alarms=alarms.active,
        profile=profile.name if profile else None,
        maker=spec.maker or (profile.spec.maker if profile else ""),
        model=spec.model or (profile.spec.model if profile else ""),
        unconfirmed=alarms.unconfirmed,
        derived=tuple(derived.values()),
    )
    if listed is not None:
        around.lists.check_device(device, listed)
    return device


def _salvaged(source: Source) -> DeviceSpec:
    """What can still be judged of a device with a mistake in its head."""
    points, alarms = ({name: row.data for name, row in source.mappings(key)} for key in ("points", "alarms"))
    alarms.pop("override", None)
    listed, own = point_list(source), AlarmsSpec.model_construct(**alarms)
    return DeviceSpec.model_construct(line="", point_list=listed, points=points, alarms=own)


def _blocks(spec: DeviceSpec, owner: Owner, source: Source, around: Surroundings) -> Iterator[Block]:
    """What is written at the device, and the rules that mean it."""
    if spec.alarms.model_fields_set or spec.alarms.own:
        yield Block(spec.alarms, source.part("alarms"))
    profile = source.data.get("profile")
    for rule in around.rules.of(traits(owner.device, owner.system, str(profile or ""), owner.place)):
        yield Block(rule.spec.alarms, rule.source.part("alarms"), rule.told)


def _line(source: Source, around: Surroundings) -> LineEntry | None:
    """The line; where its name has a slip, the one that was probably meant, so the rest can be judged."""
    name = source.data.get("line")
    if not isinstance(name, str):
        return None
    if name not in around.lines and around.lines_known:
        around.report.refuse(source, ("line",), f"found {shown(name)}, no such line", near(name, around.lines))
    return around.lines.get(name) or around.lines.get(closest(name, around.lines))


def _profile(source: Source, around: Surroundings) -> Profile | None:
    name = source.data.get("profile")
    if not isinstance(name, str):
        return None
    names = around.catalog.names
    if name not in names:
        around.report.refuse(source, ("profile",), f"found {shown(name)}, no such profile", near(name, names))
    return around.catalog.get(name)


def _system(spec: DeviceSpec, source: Source, profile: Profile | None, report: Report) -> str:
    system = spec.system or (profile.spec.system if profile else None)
    if system is None and "system" not in source.data:
        report.refuse(source, ("system",), "missing", "write system: such as pwr.lv, or name a profile that has one")
    elif spec.system is not None:
        check_system(spec.system, source, report)
    return system or ""


def _protocol(source: Source, line: LineEntry | None, profile: Profile | None, report: Report) -> Protocol | None:
    """By the line, else by the profile; both must be of one mind."""
    if line is None or line.protocol is None:
        return profile.protocol if profile else None
    if profile is not None and profile.spec.protocol != line.protocol_name:
        message = f"{profile.name} speaks {profile.spec.protocol}, line {line.id} {line.protocol_name}"
        report.refuse(source, ("profile",), message, "write a profile or a line of the same protocol")
        return None
    return line.protocol


def _address(source: Source, profile: Profile | None, protocol: Protocol, report: Report) -> AddressSpec | None:
    data = source.data.get("address", {})
    if not isinstance(data, dict):
        return None
    own = source.part("address", data)
    if profile is not None:
        own = own.over(profile.source.part("address", profile.spec.address))
    return validate(protocol.address, own, report)


@dataclass(frozen=True, slots=True)
class _Below:
    """The points that profile and list give a device: as written, judged as far as they are whole, and what is wrong
    in the list beyond being judged.
    """

    rows: Mapping[str, Source]
    points: Mapping[str, PointSpec | None]
    wrong: Sequence[str] = ()


def _below(profile: Profile | None, listed: PointList | None) -> _Below:
    """The list on top of the profile, by id."""
    if profile is None or listed is None:
        only = profile or listed
        found = _Below(only.rows, only.points) if only else _Below({}, {})
    else:
        both = listed.rows.keys() & profile.rows.keys()
        rows = {**profile.rows, **listed.rows, **{name: listed.rows[name].over(profile.rows[name]) for name in both}}
        points = {name: point for name, point in {**profile.points, **listed.points}.items() if name not in both}
        found = _Below(rows, points)
    return replace(found, wrong=[name for name in listed.points if name not in listed.rows]) if listed else found


def _point_specs(
    spec: DeviceSpec, source: Source, below: _Below, protocol: Protocol, report: Report
) -> tuple[Mapping[str, Source], dict[str, PointSpec | None]]:
    """Every point of the device as written, and judged: `None` is wrong. What is complete below is shared."""
    inherited, shared = below.rows, below.points
    for index, name in enumerate(spec.omit):
        if name not in inherited and name not in below.wrong:
            where = "the list" if spec.point_list else "the profile"
            report.refuse(source, ("omit", index), f"found {shown(name)}, no point of {where}", near(name, inherited))
    kept = [name for name in inherited if name not in spec.omit]
    own = source.part("points", spec.points)
    rows: dict[str, Source] = {}
    for name in dict.fromkeys((*kept, *spec.points)):
        if name in below.wrong:
            continue
        row = own.part(name, spec.points.get(name, {}))
        if name not in inherited:
            rows[name] = row
        elif name in spec.points or name not in shared:
            rows[name] = row.over(inherited[name])
    judged = validate_points(protocol.point, rows, report)
    check_points(judged, rows, report)
    kept += [name for name in below.wrong if name not in spec.omit]
    return {**inherited, **rows}, {**{name: shared.get(name) for name in kept}, **judged}


def _points(specs: Mapping[str, PointSpec | None], owner: Owner, poll_s: Mapping[str, float]) -> dict[str, Point]:
    """Those that are read."""
    return {
        name: _point(name, spec, owner, poll_s)
        for name, spec in specs.items()
        if spec is not None and not isinstance(spec, DerivedSpec)
    }


def _point(name: str, spec: PointSpec, owner: Owner, poll_s: Mapping[str, float]) -> Point:
    pace = spec.poll if spec.poll is not None else DEFAULT_CLASS
    return Point(
        id=name,
        device=owner.device,
        system=owner.system,
        name=named(spec.name, name),
        type=spec.value,
        unit=spec.unit,
        poll_s=poll_s[pace] if isinstance(pace, str) else pace,
        spec=spec,
        scale=spec.scale,
        offset=spec.offset,
        states=spec.states,
        low=spec.low,
        high=spec.high,
        deadband=spec.deadband,
        heartbeat_s=spec.heartbeat,
    )
