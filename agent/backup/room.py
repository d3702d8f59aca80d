"""Whether a disk has room for what is about to be written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from agent.control.client import NotDone

if TYPE_CHECKING:
    from pathlib import Path

ROOM_BYTES = 64_000_000
"""What must be left when it is written: a disk must not become full for a copy, the daemon needs it more."""


def refuse_narrow(folder: Path, size: int) -> None:
    """Raises `NotDone` where `size` more bytes would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < size + ROOM_BYTES:
        raise NotDone(f"{folder} has {free:,} bytes left, a copy of the journal takes {size:,}", "make room there")
