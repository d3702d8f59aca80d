"""A gateway out of its backup, on this machine or on another one.

Always true:
- Nothing is touched before everything that the backup holds has been checked, and the journal is put in place first.
- What lies where a file is put is moved aside, never overwritten; outside the gateway's own folders it stays.
- Whoever starts on it begins a new epoch: the platform has seen more than is in the backup.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.backup.container import opened
from agent.backup.places import CONFIG, ELSEWHERE, REPLACED, STATE, Places, own_files, state_files
from agent.backup.room import refuse_narrow
from agent.control.client import NotDone
from buffer import archive
from buffer.database import DATABASE, give
from buffer.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.backup.container import File, Reader

COPY = "restored-copy.db"
FOLDER_MODE = {CONFIG: 0o750, STATE: 0o700, ELSEWHERE: 0o755}


class Restored(msgspec.Struct, frozen=True):
    """What was put where. `aside` is where what was there is now, `kept` what was there and stayed, `missing` what the
    configuration needs and the backup does not hold.
    """

    site: str
    gateway: str
    made: str
    config: str
    files: int
    has_journal: bool
    aside: list[str]
    kept: list[str]
    missing: list[str]


def put_back(file: Path, config: Path, root: Path, passphrase: str | None, now_s: float) -> Restored:
    """`config` is the configuration's folder, without `root`. Without a passphrase the secrets stay in the backup.

    Raises `NotDone`; as long as the journal cannot be put in place, nothing else is.
    """
    with opened(file) as backup:
        contents = [*backup.files(), *(backup.secrets(passphrase) if passphrase is not None else [])]
        gateway = next((each.content for each in contents if each.name == f"{CONFIG}/gateway.yaml"), None)
        if gateway is None:
            raise NotDone(f"{file} has no gateway.yaml", "use another backup")
        places = Places.of(config, root, gateway)
        for each in contents:
            _target(each, places)
        stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        _refuse_running(places.journal, has_journal=backup.has_journal)
        try:
            _make(places.config, FOLDER_MODE[CONFIG])
            journal_aside = _put_journal(backup, places, now_s) if backup.has_journal else None
            aside = [*_set_aside(places, stamp), *([journal_aside] if journal_aside else [])]
            kept = [path for each in contents if (path := _put(each, places)) is not None]
        except OSError as error:
            raise NotDone(f"cannot write {error.filename} ({error.strerror})", "use sudo, or check the disk") from error
        manifest = backup.manifest
    lost = ["secrets"] if manifest.has_secrets and passphrase is None else []
    return Restored(
        manifest.site,
        manifest.gateway,
        manifest.made,
        str(places.config),
        len(contents),
        backup.has_journal,
        [str(path) for path in aside],
        [str(path) for path in kept],
        [*lost, *manifest.missing],
    )


def _put_journal(backup: Reader, places: Places, now_s: float) -> Path | None:
    _make(places.journal, FOLDER_MODE[STATE])
    refuse_narrow(places.journal, 2 * backup.journal_bytes)
    copy = places.journal / COPY
    try:
        backup.extract_journal(copy)
        return archive.restore(places.journal, copy, now_s)
    except JournalError as error:
        raise NotDone(error.what, error.hint) from error
    finally:
        copy.unlink(missing_ok=True)


def _refuse_running(journal: Path, *, has_journal: bool) -> None:
    """Neither under a daemon, nor beside the journal of a gateway that is not this one."""
    if not journal.is_dir():
        return
    try:
        if archive.is_in_use(journal):
            raise NotDone(f"a daemon uses the journal in {journal}", "stop it first (`systemctl stop wardgate`)")
    except JournalError as error:
        raise NotDone(error.what, error.hint) from error
    if not has_journal and (journal / DATABASE).exists():
        raise NotDone(f"the backup has no journal, and there is one in {journal}", "move that away first")


def _set_aside(places: Places, stamp: str) -> list[Path]:
    """What is there now, in a folder beside it. The journal has gone the same way already."""
    moved = [_move(places.config, own_files(_without_journal(places)), stamp)]
    if places.state != places.config:
        moved.append(_move(places.state, state_files(places), stamp))
    return [path for path in moved if path is not None]


def _without_journal(places: Places) -> Places:
    """As the configuration that is there now has it, whose journal must not go with its files."""
    with suppress(OSError, NotDone):
        return Places.of(_rootless(places), places.root, (places.config / "gateway.yaml").read_bytes())
    return places


def _rootless(places: Places) -> Path:
    return Path("/") / places.config.relative_to(places.root)


def _move(folder: Path, files: Iterable[Path], stamp: str) -> Path | None:
    aside = folder.with_name(f"{folder.name}{REPLACED}{stamp}")
    found = list(files)
    for path in found:
        target = aside / path.relative_to(folder)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.rename(target)
    return aside if found else None


def _target(file: File, places: Places) -> Path:
    """Where it belongs. Raises `NotDone` where a link on the way leads elsewhere: it may be an attack."""
    part, _, rest = file.name.partition("/")
    folder = {CONFIG: places.config, STATE: places.state, ELSEWHERE: places.root}[part]
    path = folder / rest
    if part != ELSEWHERE and not path.parent.resolve().is_relative_to(folder.resolve()):
        raise NotDone(f"{path.parent} leads out of {folder}", "remove that link")
    return path


def _put(file: File, places: Places) -> Path | None:
    """Write one file; gives its path where there is another one that stays."""
    part, _, _ = file.name.partition("/")
    path = _target(file, places)
    if part == ELSEWHERE and path.exists():
        return path if path.read_bytes() != file.content else None
    _make(path.parent, FOLDER_MODE[part])
    written = path.with_name(f"{path.name}.part")
    with open(written, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as target:
        target.write(file.content)
        target.flush()
        os.fsync(target.fileno())
    written.chmod(file.mode)
    give(written, path.parent)
    written.rename(path)
    return None


def _make(folder: Path, mode: int) -> None:
    """With those above it; each belongs to whom the one above it belongs."""
    if folder.is_dir():
        return
    _make(folder.parent, mode)
    folder.mkdir(mode=mode)
    give(folder, folder.parent)
