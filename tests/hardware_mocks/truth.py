"""The ground truth: one JSON line for what was served, written when it was served. Tests compare others against it.

Several processes append to one file: each flush is a single write to a descriptor opened for appending, so lines
never mix. Not a log for people.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FLUSH_S = 0.05


class TruthLog:
    """Buffered. `path` may be `None`: then nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lines: list[str] = []

    def write(self, device: str, **fields: Any) -> None:
        """Note `fields` for `device` with the wall time of now, in seconds since the epoch."""
        if self._file is not None:
            self._lines.append(json.dumps({"t": time.time(), "device": device, **fields}, separators=(",", ":")))

    def flush(self) -> None:
        if self._file is None or not self._lines:
            return
        data = ("\n".join(self._lines) + "\n").encode()
        self._lines.clear()
        while data:
            data = data[os.write(self._file, data) :]

    async def run(self) -> None:
        """Flush for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            self.flush()

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None
