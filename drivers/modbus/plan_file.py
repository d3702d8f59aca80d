"""What the units of a line have taught, kept over restarts, so that nobody waits while a device is learned again.

Written when something was learned, which is rare. What was learned for other points than are configured now is
forgotten. A file that is missing or damaged means that nothing is known; it is never an error. What is recalled is no
dogma: what was refused is asked for again at once.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, cast

import msgspec

from drivers.modbus.learning import Lesson
from drivers.modbus.state_file import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from config.model import Device
    from drivers.modbus.learning import Learned
    from drivers.modbus.settings import ModbusPoint


class _Kept(msgspec.Struct):
    """The lesson of one unit, and for which points it was learned."""

    mark: int
    lesson: Lesson


_DECODER = msgspec.json.Decoder(dict[int, _Kept])


class PlanFile:
    """`learned` and `marks` by unit number."""

    def __init__(self, path: Path, learned: Mapping[int, Learned], marks: Mapping[int, int]) -> None:
        self._file = StateFile(path, self._content)
        self._learned = learned
        self._marks = marks
        self._versions: dict[int, int] | None = None

    async def recall(self, mono: float) -> None:
        """Before the first request. The first time only: later it is memory that knows best."""
        if self._versions is not None:
            return
        content = await self._file.read()
        try:
            kept = _DECODER.decode(content) if content else {}
        except msgspec.MsgspecError:
            kept = {}
        for unit, one in kept.items():
            if unit in self._learned and one.mark == self._marks[unit]:
                self._learned[unit].resume(one.lesson, mono)
        self._versions = {unit: learned.version for unit, learned in self._learned.items()}
        self._file.is_current()

    def note(self, unit: int) -> None:
        """The unit was asked; what it taught is kept."""
        if self._versions is None or self._versions[unit] == self._learned[unit].version:
            return
        self._versions[unit] = self._learned[unit].version
        self._file.write()

    async def settle(self) -> None:
        """Give what is being written a moment to be done."""
        await self._file.settle()

    def _content(self) -> bytes:
        lessons = {unit: _Kept(self._marks[unit], learned.lesson()) for unit, learned in self._learned.items()}
        return msgspec.json.encode({unit: kept for unit, kept in lessons.items() if kept.lesson != Lesson()})


def mark(devices: Iterable[Device]) -> int:
    """A number that other points, or points elsewhere, would not have."""
    specs = (cast("ModbusPoint", point.spec) for device in devices for point in device.points)
    return zlib.crc32(repr(sorted((spec.table, spec.start, spec.width) for spec in specs)).encode())
