"""The file that a backup is: a ZIP with a manifest that names every part with its size and SHA-256.

    config/…  state/…  journal/journal.db    in the clear
    manifest.json                            what there is, of which gateway, by which wardgate
    sealed                                   secrets, and what lies outside the gateway's folders

Always true: it appears under its name only when it is complete and on disk, readable by its owner only; and nothing of
a file is believed before its checksum agrees.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from agent.backup import sealed
from agent.backup.places import CONFIG, ELSEWHERE, JOURNAL, STATE
from agent.control.client import NotDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FORMAT = 1
MANIFEST, SEALED = "manifest.json", "sealed"
PART = ".part"
STEP_BYTES = 1 << 20
FILE_BYTES_MAX = 64_000_000
"""Of anything but the journal: it is held in memory."""

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)
"""What `zipfile` raises for a file that is not as it was written."""


class Entry(msgspec.Struct, frozen=True):
    """One file in the clear; `mode` are its permission bits."""

    name: str
    size: int
    sha256: str
    mode: int = 0o600


class SealedFile(msgspec.Struct, frozen=True):
    name: str
    mode: int
    content: bytes


class Manifest(msgspec.Struct, frozen=True):
    """`made` is RFC 3339; `missing` is what the configuration needs and no backup can hold."""

    wardgate_backup: int
    wardgate: str
    site: str
    gateway: str
    made: str
    files: list[Entry]
    has_secrets: bool
    missing: list[str]


class File(msgspec.Struct, frozen=True):
    """A file to be put somewhere: of a backup, checked."""

    name: str
    mode: int
    content: bytes


class Writer:
    """Fills a backup; `finish` comes last."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._entries: list[Entry] = []

    def add(self, name: str, path: Path) -> None:
        """A file of any size. Raises `OSError`."""
        digest, size = hashlib.sha256(), 0
        how = zipfile.ZIP_STORED if name == JOURNAL else zipfile.ZIP_DEFLATED  # The journal is compressed inside.
        info = zipfile.ZipInfo(name)
        info.compress_type = how
        with (
            open(path, "rb", opener=_unless_led_away(name)) as source,
            self._archive.open(info, "w", force_zip64=True) as target,
        ):
            mode = os.fstat(source.fileno()).st_mode & 0o777
            while step := source.read(STEP_BYTES):
                digest.update(step)
                size += len(step)
                target.write(step)
        self._entries.append(Entry(name, size, digest.hexdigest(), mode))

    def finish(self, manifest: Manifest, secrets: Sequence[SealedFile], passphrase: str | None) -> None:
        """Raises `NotDone` for a passphrase that is too short."""
        whole = msgspec.structs.replace(manifest, files=self._entries, has_secrets=passphrase is not None)
        content = msgspec.json.format(msgspec.json.encode(whole))
        self._archive.writestr(MANIFEST, content)
        if passphrase is not None:
            packed = msgspec.msgpack.encode(list(secrets))
            self._archive.writestr(SEALED, sealed.seal(packed, passphrase, content))


@contextmanager
def created(file: Path) -> Iterator[Writer]:
    """A new backup, which is there when the block has ended well. Raises `NotDone` where it cannot be written."""
    part = file.with_name(file.name + PART)
    try:
        with open(part, "wb", opener=_private) as stream:
            with zipfile.ZipFile(stream, "w") as archive:
                yield Writer(archive)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        _sync(file.absolute().parent)
    except OSError as error:
        raise NotDone(f"the backup {file} cannot be written ({error})", "choose another place") from error
    finally:
        part.unlink(missing_ok=True)


class Reader:
    """A backup that can be trusted as far as its checksums, or its passphrase, go."""

    def __init__(self, file: Path, archive: zipfile.ZipFile) -> None:
        self._file = file
        self._archive = archive
        self._content = self._manifest_bytes()
        self.manifest = self._judged(self._content)

    @property
    def has_journal(self) -> bool:
        return any(each.name == JOURNAL for each in self.manifest.files)

    @property
    def journal_bytes(self) -> int:
        return sum(each.size for each in self.manifest.files if each.name == JOURNAL)

    def files(self) -> list[File]:
        """All in the clear but the journal. Raises `NotDone`."""
        entries = [each for each in self.manifest.files if each.name != JOURNAL]
        return [File(each.name, each.mode, self._checked(each)) for each in entries]

    def secrets(self, passphrase: str) -> list[File]:
        """Raises `NotDone` where the passphrase is wrong or anything was changed."""
        packed = sealed.unseal(self._member(SEALED), passphrase, self._content)
        found = msgspec.msgpack.decode(packed, type=list[SealedFile])
        for each in found:
            self._refuse_strange(each.name, (CONFIG, STATE, ELSEWHERE))
        return [File(each.name, each.mode, each.content) for each in found]

    def extract_journal(self, to: Path) -> None:
        """Raises `NotDone`; then the file is of no use."""
        (entry,) = [each for each in self.manifest.files if each.name == JOURNAL]
        digest = hashlib.sha256()
        with self._told(), self._archive.open(JOURNAL) as source, open(to, "wb", opener=_private) as target:
            while step := source.read(STEP_BYTES):
                digest.update(step)
                target.write(step)
        if digest.hexdigest() != entry.sha256:
            raise self._damaged(JOURNAL)

    def _judged(self, content: bytes) -> Manifest:
        try:
            found = msgspec.json.decode(content, type=Manifest)
        except msgspec.DecodeError as error:
            raise self._foreign() from error
        if found.wardgate_backup > FORMAT:
            raise NotDone(f"{self._file} was made by wardgate {found.wardgate}", "install that release or a newer one")
        for each in found.files:
            self._refuse_strange(each.name, (CONFIG, STATE, "journal"))
        return found

    def _manifest_bytes(self) -> bytes:
        if MANIFEST not in self._archive.namelist():
            raise self._foreign()
        return self._member(MANIFEST)

    def _refuse_strange(self, name: str, parts: tuple[str, ...]) -> None:
        """A name leads nowhere but below the folder of its part."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or len(path.parts) < 2 or path.parts[0] not in parts:  # noqa: PLR2004 - a part and a name
            raise NotDone(f"{self._file} holds {name!r}, which no backup does", "use another backup")

    def _checked(self, entry: Entry) -> bytes:
        content = self._member(entry.name)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise self._damaged(entry.name)
        return content

    def _member(self, name: str) -> bytes:
        with self._told():
            if self._archive.getinfo(name).file_size > FILE_BYTES_MAX:
                raise self._damaged(name)
            return self._archive.read(name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> NotDone:
        return NotDone(f"the backup {self._file} is damaged ({what})", "use another one")

    def _foreign(self) -> NotDone:
        return NotDone(f"{self._file} is not a backup of wardgate", "name a file that `wardgate backup` made")


@contextmanager
def opened(file: Path) -> Iterator[Reader]:
    """Raises `NotDone` for what is no backup, is damaged, or is of a newer wardgate."""
    try:
        archive = zipfile.ZipFile(file)
    except OSError as error:
        raise NotDone(f"cannot read {file} ({error.strerror or error})", "name a backup") from error
    except _BROKEN as error:
        what = f"{file} is not a backup of wardgate, or only a part of one"
        raise NotDone(what, "name a file that `wardgate backup` made") from error
    with archive:
        yield Reader(file, archive)


def _unless_led_away(name: str) -> Callable[[str, int], int]:
    """The daemon's user writes there and a backup is made by root, who must not be sent to read elsewhere."""
    is_theirs = name == JOURNAL or name.startswith(f"{STATE}/")
    return lambda path, flags: os.open(path, flags | (os.O_NOFOLLOW if is_theirs else 0))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
