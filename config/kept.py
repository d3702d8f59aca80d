"""Every configuration that the gateway has run with, kept so that the last good one can be seen and come back.

One ZIP file for each in the folder `configurations` of the gateway's state, readable by its user only: a configuration
may hold what not everybody should read. A file is complete or not there; its name says number and version, its comment
when it began to run and by whom. Numbers grow and are never used again. The oldest beyond `KEPT_MAX` are deleted here
and nowhere else. What the files mean is not known here.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "configurations"
KEPT_MAX = 50
SIZE_BYTES_MAX = 100_000_000
"""More than any configuration has when it is unpacked; a file that says more is damaged."""

_NAME = re.compile(r"^(\d{6})-(c-[0-9a-f]{8})\.zip$")
_TIME = (1980, 1, 1, 0, 0, 0)
"""ZIP wants a time for each file; these have none."""


class KeptUnreadable(Exception):
    """A kept configuration that cannot be read; the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One of them. `since` is when it began to run, epoch seconds; `by` who wanted it."""

    number: int
    version: str
    since: float
    by: str
    path: Path

    def files(self) -> dict[str, bytes]:
        """Its files, by name. Raises `KeptUnreadable`."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                if sum(each.file_size for each in archive.infolist()) > SIZE_BYTES_MAX:
                    raise KeptUnreadable(f"{self.path} is too large to be a configuration")
                return {name: archive.read(name) for name in archive.namelist()}
        except (OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise KeptUnreadable(f"cannot read {self.path}: {error}") from error


def all_kept(state: Path) -> list[Kept]:
    """What is kept below the state folder, the newest last; files that are damaged or not of ours are left out.

    Raises `PermissionError` where they are not for this user.
    """
    try:
        paths = sorted((state / FOLDER).iterdir())
    except FileNotFoundError:
        return []
    return [entry for path in paths if (entry := _entry(path)) is not None]


def keep(state: Path, files: Mapping[str, bytes], version: str, since: float, by: str) -> Kept:
    """Keep one more, unless it is the newest already. Raises `OSError`."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = all_kept(state)
    if before and before[-1].version == version:
        return before[-1]
    number = _highest(folder) + 1
    path = folder / f"{number:06d}-{version}.zip"
    _write(path, _packed(files, {"since": since, "by": by}))
    for old in before[: max(0, len(before) + 1 - KEPT_MAX)]:
        old.path.unlink()
    return Kept(number, version, since, by, path)


def save(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Files that are about to be replaced, in a ZIP file of their own. Raises `OSError`."""
    number = 1
    while (path := folder / f"before-rollback-{number}.zip").exists():
        number += 1
    _write(path, _packed(files, {}))
    return path


def _entry(path: Path) -> Kept | None:
    named = _NAME.match(path.name)
    if named is None:
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            told = json.loads(archive.comment)
        return Kept(int(named[1]), named[2], float(told["since"]), str(told["by"]), path)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, FileNotFoundError):
        return None


def _highest(folder: Path) -> int:
    """Also that of a damaged one: its name is taken."""
    return max((int(named[1]) for path in folder.iterdir() if (named := _NAME.match(path.name))), default=0)


def _packed(files: Mapping[str, bytes], comment: Mapping[str, object]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
        archive.comment = json.dumps(comment, ensure_ascii=False).encode()
    return content.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Complete and on the disk, or not there."""
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
