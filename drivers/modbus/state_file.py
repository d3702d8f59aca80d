"""A small file of the gateway's state folder: written as a whole or not at all, and never missed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """A disk that does not take it changes nothing of what is read; a state folder that is not there is not made."""
    fresh = path.with_suffix(".new")
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def read(path: Path) -> bytes:
    """Empty where there is none."""
    with suppress(OSError):
        return path.read_bytes()
    return b""
