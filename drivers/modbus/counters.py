"""The turns of a line's counters, kept over restarts in a small file of the gateway's state folder.

Written when a counter has begun again, and whenever one has moved on by a sixteenth of its range: a few times a year. A
file that is missing or damaged means that nothing is known; it is never an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, cast

from drivers.modbus.factors import Turns
from drivers.modbus.state_file import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from config.model import Device
    from drivers.modbus.settings import ModbusPoint

_STEP = 1 / 16


class CounterFile(MutableMapping[str, Turns]):
    """Turns by `device/point`. `ranges` says where each counter begins again."""

    def __init__(self, path: Path, ranges: dict[str, float]) -> None:
        self._file = StateFile(path, lambda: json.dumps(self._written).encode())
        self._ranges = ranges
        self._recalled = not ranges
        self._kept: dict[str, Turns] = {}
        self._written: dict[str, Turns] = {}

    async def recall(self) -> None:
        """Before the first request. The first time only: later it is memory that knows best."""
        if not self._recalled:
            self._kept = _turns(await self._file.read())
            self._written = dict(self._kept)
            self._recalled = True

    async def settle(self) -> None:
        """Give what is being written a moment to be done."""
        await self._file.settle()

    def __getitem__(self, name: str) -> Turns:
        return self._kept[name]

    def __setitem__(self, name: str, turns: Turns) -> None:
        self._kept[name] = turns
        written = self._written.get(name)
        if written is None or written._replace(last=turns.last) != turns or self._moved(name, written, turns):
            self._written = dict(self._kept)
            self._file.write()

    def __delitem__(self, name: str) -> None:
        del self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def _moved(self, name: str, written: Turns, now: Turns) -> bool:
        return abs((now.last or 0.0) - (written.last or 0.0)) >= _STEP * self._ranges.get(name, 0.0)


def rollovers(devices: Iterable[Device]) -> dict[str, float]:
    """Where each counter of these devices begins again, by `device/point`."""
    return {
        f"{device.id}/{point.id}": rollover
        for device in devices
        for point in device.points
        if (rollover := cast("ModbusPoint", point.spec).rollover) is not None
    }


def _turns(content: bytes) -> dict[str, Turns]:
    try:
        found = json.loads(content)
        return {name: Turns(int(count), float(last), float(offset)) for name, (count, last, offset) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
