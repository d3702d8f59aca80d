"""The device profiles that a configuration may name: its own first, then the shipped ones.

A profile's points are validated once and shared by all devices that leave them unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.checks import check_point
from config.derived import validate_points
from config.errors import ConfigProblem
from config.files import ProfileFile
from config.folder import shipped_profiles
from config.layers import Layer, Source
from config.validate import validate
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.document import Document
    from config.files import PointSpec, Protocol
    from config.folder import Folder
    from config.validate import Report


@dataclass(frozen=True, slots=True)
class Profile:
    """`points[id]` is `None` where the row is wrong, and absent where it leaves something to the device."""

    name: str
    spec: ProfileFile
    protocol: Protocol
    source: Source
    rows: Mapping[str, Source]
    points: Mapping[str, PointSpec | None]


class Catalog:
    """Profiles by name, each read and judged at most once."""

    def __init__(self, folder: Folder, protocols: Mapping[str, Protocol], report: Report) -> None:
        self._folder = folder
        self._protocols = protocols
        self._report = report
        own = folder.read_all("profiles")
        self.names = sorted({*own, *shipped_profiles()})
        self._profiles = {name: self._judged(name, document) for name, document in own.items()}

    def get(self, name: str) -> Profile | None:
        """The profile, or `None` where it is wrong or does not exist; what is wrong in it is reported."""
        if name not in self._profiles:
            document = self._folder.read_shipped_profile(name)
            self._profiles[name] = self._judged(name, document) if document else None
        return self._profiles[name]

    def _judged(self, name: str, document: Document) -> Profile | None:
        source = Source(document.data, (Layer(document),))
        spec = validate(ProfileFile, source, self._report)
        name_of_protocol = document.data.get("protocol")
        if not isinstance(name_of_protocol, str):
            return None
        protocol = find_protocol(name_of_protocol, source, self._protocols, self._report)
        if protocol is None:
            return None
        rows = dict(source.mappings("points"))
        points = validate_points(protocol.point, rows, self._report, template=True)
        check_points(points, rows, self._report)
        return Profile(name, spec, protocol, source, rows, points) if spec else None


def check_points(points: Mapping[str, PointSpec | None], rows: Mapping[str, Source], report: Report) -> None:
    """Whether the fields of each point agree."""
    for name, point in points.items():
        if point is not None:
            check_point(point, rows[name], report)


def find_protocol(name: str, source: Source, protocols: Mapping[str, Protocol], report: Report) -> Protocol | None:
    """The settings types of a protocol, or `None` and a problem."""
    try:
        return protocols[name]
    except KeyError:
        report.refuse(source, ("protocol",), f"found {shown(name)}, not a protocol", near(name, protocols))
    except ConfigProblem as problem:
        report.refuse(source, ("protocol",), problem.message, problem.hint)
    return None
