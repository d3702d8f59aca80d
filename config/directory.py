"""Which points there are, on all devices: what one device says of another is judged when all of them are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.model import Point
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.document import Key
    from config.files import PointSpec
    from config.layers import Source
    from config.validate import Report


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is written: `offset` characters into the text at `path`."""

    source: Source
    path: Sequence[Key]
    offset: int = 0


class Directory:
    """The points of each device; one with a mistake of its own is there, and is not a `Point`."""

    def __init__(self) -> None:
        self._points: dict[str, Mapping[str, Point | PointSpec | None]] = {}
        self._unsure: set[str] = set()

    def add(self, device: str, points: Mapping[str, Point | PointSpec | None], *, unsure: bool) -> None:
        """`unsure`: not every point of the device is known, so a missing one is no mistake."""
        self._points[device] = points
        self._unsure |= {device} if unsure else set()

    def names(self, device: str) -> list[str]:
        """All of them, also those with a mistake."""
        return list(self._points.get(device, ()))

    def is_unsure(self, device: str) -> bool:
        return device in self._unsure

    def get(self, device: str, name: str) -> Point | None:
        """The point, if it is there and without a mistake."""
        found = self._points.get(device, {}).get(name)
        return found if isinstance(found, Point) else None

    def find(self, device: str, name: str, written: str, place: Place, report: Report) -> Point | None:
        """The point, or `None` and, unless that only follows from another mistake, a problem at its place."""
        points = self._points.get(device)
        message, hint = "", ""
        if points is None:
            message, hint = f"found {shown(written)}, no such device", near(device, self._points)
        elif name not in points and device not in self._unsure:
            message, hint = f"found {shown(written)}, no point of {device}", near(name, points)
        if message:
            report.refuse(place.source, place.path, message, hint, offset=place.offset)
        return self.get(device, name)
