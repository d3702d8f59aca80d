"""The point lists that devices refer to, each read and judged once however many devices share it.

What a list says is `config.pointlist.referred`; here is which file is meant, and whether it fits the devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from config.catalog import check_points
from config.derived import validate_points
from config.errors import ConfigProblem
from config.files import PointListReference
from config.layers import Layer, Source
from config.pointlist.headings import squeezed
from config.pointlist.referred import IGNORE, PLACE, read, vocabulary
from config.pointlist.written import flow_text
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from config.document import Path
    from config.files import AddressSpec, PointListSpec, PointSpec, Protocol
    from config.folder import Folder
    from config.model import Device
    from config.pointlist.listing import Listing
    from config.pointlist.referred import Referred, Told
    from config.validate import Report

KEY = "point_list"
OF_ROWS = frozenset({"id", "device"})
"""What no two rows have in common, or only a column can say."""

_LIST: TypeAdapter[PointListSpec | None] = TypeAdapter(PointListReference | None)


@dataclass(frozen=True, slots=True)
class PointList:
    """The part of a list that is one device's. `points[id]` is `None` where the row is wrong."""

    referred: Referred
    device: str
    rows: Mapping[str, Source]
    points: Mapping[str, PointSpec | None]


def point_list(source: Source) -> PointListSpec | None:
    """What is written of a device's list; `None` where that is wrong, or nothing."""
    try:
        return _LIST.validate_python(source.data.get(KEY))
    except ValidationError:
        return None


class PointLists:
    """Lists by what is written of them, and which devices refer to which file."""

    def __init__(self, folder: Folder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._read: dict[tuple[object, ...], Referred] = {}
        self._parts: dict[tuple[Referred, str], PointList] = {}
        self._claims: dict[str, set[str]] = {}

    def get(self, device: str, spec: PointListSpec | None, source: Source, protocol: Protocol) -> PointList | None:
        """What the list of a device has for it; `None` where it has none, and problems where it cannot be used."""
        listing = self._listing(source, protocol) if spec is not None else None
        referred = self._referred(spec, source, listing) if spec is not None and listing is not None else None
        if referred is None:
            return None
        name = device if referred.names_devices else ""
        self._claims.setdefault(referred.name, set()).add(name)
        if name not in referred.data and not referred.problems:
            hint = near(device, referred.data) if referred.data else "write a row for each point"
            self._report.refuse(source, _path(source), f"{referred.name} has no point of {device}", hint)
        key = referred, name
        if key not in self._parts:
            self._parts[key] = self._part(referred, name, protocol)
        return self._parts[key]

    def check(self) -> None:
        """Rows of devices that do not refer to their list would be lost without a word."""
        for referred in self._read.values():
            claimed = self._claims.get(referred.name, set())
            for device in referred.data.keys() - claimed:
                row = min(row for (owner, _), row in referred.rows.items() if owner == device)
                what = f"found {shown(device)}, and no device of this id refers to this list"
                self._report.problems.append(referred.at(row, "device", what, near(device, claimed)))

    def check_device(self, device: Device, part: PointList) -> None:
        """Whether what the rows say of the device is what its file says."""
        for told in part.referred.told.get(part.device, ()):
            for key, here, there in _disagreements(told, device):
                what = f"found {here}, the device file says {there}"
                self._report.problems.append(part.referred.at(told.row, key, what, "correct one of them"))

    def _listing(self, source: Source, protocol: Protocol) -> type[Listing] | None:
        try:
            if protocol.listing is not None:
                return protocol.listing()
        except ConfigProblem as problem:
            self._report.refuse(source, (KEY,), problem.message, problem.hint)
            return None
        self._report.refuse(source, (KEY,), "the driver of this protocol reads no lists", "write points: instead")
        return None

    def _referred(self, spec: PointListSpec, source: Source, listing: type[Listing]) -> Referred | None:
        said = {key: str(value) for key, value in spec.given.items()}
        if not self._fields_fit(spec.columns, said, source, vocabulary(listing)):
            return None
        key = spec.csv, tuple(spec.columns.items()), tuple(said.items()), listing
        if key not in self._read:
            try:
                content = self._folder.read_list(spec.csv)
            except ConfigProblem as problem:
                hint = problem.hint or near(spec.csv, self._folder.lists())
                self._report.refuse(source, _path(source), f"found {shown(spec.csv)}, {problem.message}", hint)
                return None
            self._read[key] = read(spec.csv, content, listing, spec.columns, said)
            self._report.problems += self._read[key].problems
            self._report.warnings += self._read[key].doubts
        self._columns_are_there(spec, source, self._read[key])
        return self._read[key]

    def _fields_fit(
        self, columns: Mapping[str, str], said: Mapping[str, str], source: Source, words: Mapping[str, str]
    ) -> bool:
        before = len(self._report.problems)
        for heading, name in columns.items():
            if name not in words and name != IGNORE:
                path = (KEY, "columns", heading)
                self._report.refuse(source, path, f"found {shown(name)}, no field", near(name, [IGNORE, *words]))
        for name in said:
            if name not in words or name in OF_ROWS:
                choices = [word for word in words if word not in OF_ROWS]
                self._report.refuse(source, (KEY, "set", name), "no field", near(name, choices), at_key=True)
        return len(self._report.problems) == before

    def _columns_are_there(self, spec: PointListSpec, source: Source, referred: Referred) -> None:
        """A slip in a heading would leave its column to be read otherwise."""
        headings = [column.heading for column in referred.headings.columns] if referred.headings else list(spec.columns)
        known = set(map(squeezed, headings))
        for heading in spec.columns:
            if squeezed(heading) not in known:
                what = f"no column of {referred.name}"
                self._report.refuse(source, (KEY, "columns", heading), what, near(heading, headings), at_key=True)

    def _part(self, referred: Referred, device: str, protocol: Protocol) -> PointList:
        written = referred.data.get(device, {})
        rows = {
            name: Source(row, (Layer(referred, (device, name)),)) for name, row in written.items() if row is not None
        }
        points = validate_points(protocol.point, rows, self._report)
        check_points(points, rows, self._report)
        return PointList(referred, device, rows, {name: points.get(name) for name in written})


def _path(source: Source) -> Path:
    """Where the name of the file is written."""
    return (KEY, "csv") if isinstance(source.data[KEY], dict) else (KEY,)


def _disagreements(told: Told, device: Device) -> Iterator[tuple[str, str, str]]:
    """The field in the list, what is found there, and what the device has."""
    place = {key: getattr(device.place, key) or "" for key in PLACE}
    has = {"line": device.line, "system": device.system, **place}
    for key in has.keys() & told.about.keys():
        if told.about[key] != has[key]:
            yield key, shown(told.about[key]), shown(has[key])
    names = {device.name.zh, device.name.en}
    if not told.names <= names:
        yield "device_name", " / ".join(sorted(told.names)), " / ".join(sorted(names))
    if told.address and not _is_same(device.address, told.address):
        written = device.address.model_dump(by_alias=True)
        yield "device_address", flow_text(told.address), flow_text({key: written.get(key) for key in told.address})


def _is_same(address: AddressSpec, said: Mapping[str, object]) -> bool:
    """Whether the address stays as it is when this is said of it too."""
    written = address.model_dump(by_alias=True, exclude_defaults=True)
    try:
        return type(address).model_validate({**written, **said}) == address
    except ValidationError:
        return False
