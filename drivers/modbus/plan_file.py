"""What the units of a line have taught, kept over restarts, so that nobody waits while a device is learned again.

Written in a thread when something was learned, which is rare: a disk that does not answer holds up no poll. What was
learned for other points than are configured now is forgotten. A file that is missing or damaged means that nothing is
known; it is never an error. What is recalled is no dogma: what was refused is asked for again at once.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, cast

import msgspec

from drivers.modbus import state_file
from drivers.modbus.learning import Lesson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from config.model import Device
    from drivers.modbus.learning import Learned
    from drivers.modbus.settings import ModbusPoint

CLOSE_S_MAX = 1.0
"""So long closing waits for the disk; what it has not taken by then may be lost."""


class _Kept(msgspec.Struct):
    """The lesson of one unit, and for which points it was learned."""

    mark: int
    lesson: Lesson


_DECODER = msgspec.json.Decoder(dict[int, _Kept])


class PlanFile:
    """`learned` and `marks` by unit number."""

    def __init__(self, path: Path, learned: Mapping[int, Learned], marks: Mapping[int, int]) -> None:
        self._path = path
        self._learned = learned
        self._marks = marks
        self._versions: dict[int, int] | None = None
        self._written = b""
        self._writer: asyncio.Task[None] | None = None

    async def recall(self, mono: float) -> None:
        """Before the first request. The first time only: later it is memory that knows best."""
        if self._versions is not None:
            return
        content = await asyncio.to_thread(state_file.read, self._path)
        try:
            kept = _DECODER.decode(content) if content else {}
        except msgspec.MsgspecError:
            kept = {}
        for unit, one in kept.items():
            if unit in self._learned and one.mark == self._marks[unit]:
                self._learned[unit].resume(one.lesson, mono)
        self._versions = {unit: learned.version for unit, learned in self._learned.items()}
        self._written = self._content()

    def note(self, unit: int) -> None:
        """The unit was asked; what it taught is kept."""
        if self._versions is None or self._versions[unit] == self._learned[unit].version:
            return
        self._versions[unit] = self._learned[unit].version
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="modbus-plan-file")

    async def settle(self) -> None:
        """Give what is being written a moment to be done."""
        if self._writer is not None:
            await asyncio.wait((self._writer,), timeout=CLOSE_S_MAX)

    async def _write(self) -> None:
        while (content := self._content()) != self._written:
            self._written = content
            await asyncio.to_thread(state_file.write, self._path, content)

    def _content(self) -> bytes:
        lessons = {unit: _Kept(self._marks[unit], learned.lesson()) for unit, learned in self._learned.items()}
        return msgspec.json.encode({unit: kept for unit, kept in lessons.items() if kept.lesson != Lesson()})


def mark(devices: Iterable[Device]) -> int:
    """A number that other points, or points elsewhere, would not have."""
    specs = (cast("ModbusPoint", point.spec) for device in devices for point in device.points)
    return zlib.crc32(repr(sorted((spec.table, spec.start, spec.width) for spec in specs)).encode())
