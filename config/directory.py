"""Which points there are, on all devices: what one device says of another is judged when all of them are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.model import Point
from config.wording import near, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.document import Key
    from config.files import PointSpec
    from config.layers import Source
    from config.validate import Report


class Directory:
    """The points of each device; one with a mistake of its own is there, and is not a `Point`."""

    def __init__(self) -> None:
        self._points: dict[str, Mapping[str, Point | PointSpec | None]] = {}
        self._unsure: set[str] = set()

    def add(self, device: str, points: Mapping[str, Point | PointSpec | None], *, unsure: bool) -> None:
        """`unsure`: not every point of the device is known, so a missing one is no mistake."""
        self._points[device] = points
        self._unsure |= {device} if unsure else set()

    def points(self, device: str) -> Mapping[str, Point]:
        """Those without a mistake."""
        found = self._points.get(device, {})
        return {name: point for name, point in found.items() if isinstance(point, Point)}

    def find(
        self, device: str, name: str, written: str, source: Source, path: Sequence[Key], report: Report
    ) -> Point | None:
        """The point, or `None` and, unless that only follows from another mistake, a problem at `path`."""
        points = self._points.get(device)
        if points is None:
            report.refuse(source, path, f"found {shown(written)}, no such device", near(device, self._points))
        elif name not in points and device not in self._unsure:
            hint = near(name, points)
            report.refuse(source, path, f"found {shown(written)}, no point of {device}", hint)
        point = (points or {}).get(name)
        return point if isinstance(point, Point) else None
