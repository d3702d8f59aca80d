"""Devices and lines that are lost, and which alarms need not be shown meanwhile; the loss is one (`config.losses`).

What is lost with a device or a line is suppressed by design, and told only where it stood; what protects life is never
hidden, its condition is merely not known.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from agent.rules.stored import Cause
from config.judgement import LineDown, Offline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.events import DeviceCondition
    from agent.rules.occurrence import Run
    from config.model import Line

STATE_KEY = "losses"
"""Key of the state that the journal keeps for what is lost."""


class Losses:
    """Who is lost, and what that hides. `lost` is by source, `device/ID` or `line/ID`, as it is told in an overlay."""

    def __init__(self, lines: Sequence[Line] = (), stored: bytes | None = None) -> None:
        self._line_of = {device.id: line for line in lines for device in line.devices if len(line.devices) > 1}
        self._carried: dict[str, list[Run]] = defaultdict(list)
        known = {f"line/{line.id}" for line in lines} | {f"device/{each.id}" for line in lines for each in line.devices}
        found = msgspec.json.decode(stored, type=dict[str, Cause]) if stored else {}
        self._lost = {source: cause for source, cause in found.items() if source in known}

    def add(self, run: Run) -> None:
        """Note what is lost with which source; what is lost already is hidden, as it was before the restart."""
        alarm = run.alarm
        if alarm.life_safety or not alarm.shelvable or isinstance(alarm.condition, LineDown):
            return
        is_loss = isinstance(alarm.condition, Offline)
        line = self._line_of.get(alarm.device)
        source = f"device/{alarm.device}" if not is_loss else f"line/{line.id}" if line is not None else None
        if source is not None:
            self._carried[source].append(run)
            if source in self._lost:
                run.suppressed_by[source] = self._lost[source]

    def note(self, device: str, state: DeviceCondition, wall: float) -> list[Run]:
        """A device came or went; gives the alarms that are hidden now and were not, or the other way round."""
        changed = self._set(f"device/{device}", state == "offline", "the device does not answer", wall)
        line = self._line_of.get(device)
        if line is not None:
            is_down = all(f"device/{other.id}" in self._lost for other in line.devices)
            changed += self._set(f"line/{line.id}", is_down, "nobody answers on its line", wall)
        return changed

    def line_state(self, device: str) -> tuple[str, bool] | None:
        """The line of a device, and whether it is down; None where the device is alone on it."""
        line = self._line_of.get(device)
        return None if line is None else (line.id, f"line/{line.id}" in self._lost)

    def store(self) -> bytes:
        return msgspec.json.encode(self._lost)

    def _set(self, source: str, is_lost: bool, reason: str, wall: float) -> list[Run]:
        if is_lost == (source in self._lost):
            return []
        if is_lost:
            self._lost[source] = Cause(reason, wall, None)
        else:
            del self._lost[source]
        for run in self._carried[source]:
            if is_lost:
                run.suppressed_by[source] = self._lost[source]
            else:
                run.suppressed_by.pop(source, None)
        return list(self._carried[source])
