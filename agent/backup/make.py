"""A backup of a gateway that runs, or of one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent import __version__
from agent.backup.container import FILE_BYTES_MAX, FORMAT, PART, Manifest, SealedFile, created
from agent.backup.places import JOURNAL, items, missing
from agent.backup.room import refuse_narrow
from agent.control.client import NotDone
from agent.events import rfc3339
from buffer.database import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.backup.places import Item, Places

COPY = "backup-copy.db"
"""In the journal's folder, where the daemon can write wherever it may write nothing else."""


class Made(msgspec.Struct, frozen=True):
    """What went into a backup; `left_out` are secrets that are there and were not wanted, `missing` what is not there.

    `journal_bytes` is 0 where the gateway has none yet.
    """

    file: str
    site: str
    gateway: str
    size_bytes: int
    files: int
    secrets: int
    journal_bytes: int
    left_out: list[str]
    missing: list[str]


def make(
    places: Places, file: Path, passphrase: str | None, now_s: float, copy_journal: Callable[[Path], None]
) -> Made:
    """`copy_journal` puts a copy of the journal where it is told to; without a passphrase no secret is in the backup.

    Raises `NotDone`.
    """
    found = [item for item in items(places) if item.path.absolute() not in {file.absolute(), _part(file)}]
    plain = [item for item in found if not item.secret]
    hidden = [item for item in found if item.secret]
    absent = missing(places)
    manifest = Manifest(FORMAT, __version__, places.site, places.gateway, rfc3339(now_s), [], False, absent)
    with created(file) as writer:
        for item in plain:
            writer.add(item.name, item.path)
        journal_bytes = _add_journal(places, writer.add, copy_journal)
        writer.finish(manifest, _read(hidden) if passphrase is not None else [], passphrase)
    return Made(
        str(file),
        places.site,
        places.gateway,
        file.stat().st_size,
        len(plain),
        len(hidden) if passphrase is not None else 0,
        journal_bytes,
        [] if passphrase is not None else [str(item.path) for item in hidden],
        absent,
    )


def _part(file: Path) -> Path:
    return file.with_name(file.name + PART).absolute()


def _add_journal(places: Places, add: Callable[[str, Path], None], copy_journal: Callable[[Path], None]) -> int:
    original = places.journal / DATABASE
    if not original.exists():
        return 0
    refuse_narrow(places.journal, original.stat().st_size)
    copy = places.journal / COPY
    try:
        copy_journal(copy)
        add(JOURNAL, copy)
        return copy.stat().st_size
    finally:
        copy.unlink(missing_ok=True)


def _read(hidden: Sequence[Item]) -> list[SealedFile]:
    try:
        large = [item for item in hidden if item.path.stat().st_size > FILE_BYTES_MAX]
        if large or sum(item.path.stat().st_size for item in hidden) > FILE_BYTES_MAX:
            worst = max(hidden, key=lambda item: item.path.stat().st_size)
            what = f"{worst.path} cannot be sealed, files that may be secret have at most {FILE_BYTES_MAX:,} bytes"
            raise NotDone(what, "move it out of the configuration folder")
        return [SealedFile(item.name, item.path.stat().st_mode & 0o777, item.path.read_bytes()) for item in hidden]
    except OSError as error:
        raise NotDone(f"cannot read {error.filename} ({error.strerror})", "use sudo") from error
