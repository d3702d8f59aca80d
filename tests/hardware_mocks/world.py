"""One process's view of the hospital: the shared clock, and values that a test has pinned.

The origin is a moment of the machine's monotonic clock, which all processes share and no clock jump moves.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware_mocks.hospital import Act, Hospital
    from hardware_mocks.signals import Points, Value


class World:
    """`pins` lie over the physics: they change what one device serves, not what happens."""

    def __init__(self, hospital: Hospital, origin_mono: float) -> None:
        self.hospital = hospital
        self._origin = origin_mono
        self._pins: dict[str, Points] = {}

    def now(self) -> float:
        """Seconds since the hospital began."""
        return time.monotonic() - self._origin

    def advance(self) -> bool:
        return self.hospital.step(self.now())

    def points(self, device: str) -> Points:
        self.advance()
        return self.hospital.points(device) | self._pins.get(device, {})

    def act(self, act: Act) -> None:
        self.hospital.schedule(act)

    def pin(self, device: str, point: str, value: Value | None) -> None:
        """Serve `value` for this point from now on; `None` is a failed sensor. Raises `ValueError` if unknown."""
        known = self.hospital.points(device)
        if point not in known:
            raise ValueError(f"{device} has no point {point!r}; it has {', '.join(known)}")
        self._pins.setdefault(device, {})[point] = value

    def release(self, device: str, point: str | None = None) -> None:
        """Serve the physics again, for one point or for all of the device."""
        if point is None:
            self._pins.pop(device, None)
        else:
            self._pins.get(device, {}).pop(point, None)
