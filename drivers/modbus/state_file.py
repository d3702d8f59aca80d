"""A small file of the gateway's state folder: written as a whole or not at all, and never missed.

A disk that does not answer holds up no poll, so that it is read and written in a thread.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLOSE_S_MAX = 1.0
"""So long closing waits for the disk; what it has not taken by then may be lost."""


class StateFile:
    """One such file; `content` gives what belongs into it now."""

    def __init__(self, path: Path, content: Callable[[], bytes]) -> None:
        self._path = path
        self._content = content
        self._written = b""
        self._writer: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        """Empty where there is none."""
        return await asyncio.to_thread(_read, self._path)

    def is_current(self) -> None:
        """What belongs into it now is what was read."""
        self._written = self._content()

    def write(self) -> None:
        """Begin to write what is new, beside whatever else goes on."""
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name=f"state-file[{self._path.name}]")

    async def settle(self) -> None:
        """Give what is being written a moment to be done."""
        if self._writer is not None:
            await asyncio.wait((self._writer,), timeout=CLOSE_S_MAX)

    async def _write(self) -> None:
        while (content := self._content()) != self._written:
            self._written = content
            await asyncio.to_thread(_write, self._path, content)


def _write(path: Path, content: bytes) -> None:
    """A disk that does not take it changes nothing of what is read; a state folder that is not there is not made."""
    fresh = path.with_suffix(".new")
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def _read(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""
