"""Files of the configuration that a verb writes: complete or not there, and readable for the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buffer.database import give

if TYPE_CHECKING:
    from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o750, 0o640
"""The group of the folder may read; for an installed gateway that is the daemon's."""


def put(file: Path, text: str) -> None:
    """In the place of one that is there. Folders that are missing are made. Raises `OSError`."""
    make(file.parent)
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(FILE_MODE)
    give(part, file.parent)
    part.replace(file)


def make(folder: Path) -> None:
    """With those above it; each belongs to whom the one above it belongs."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(mode=FOLDER_MODE)
        give(folder, folder.parent)
