"""The configuration folder: which files there are, read but not understood.

Its files are on the disk, or were kept from an earlier time (`config.kept`).
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from config.document import Document
from config.errors import ConfigProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WHOLE = ("gateway.yaml", "lines.yaml")
PARTS = ("devices", "profiles", "alarms")
"""What a configuration is read from: files, and folders with files."""

LISTS = "points"
"""The folder with the point lists that devices refer to."""

LIST_NAME = rf"^{LISTS}/[^/\\]+\.[Cc][Ss][Vv]$"
_LIST = re.compile(LIST_NAME)

SHIPPED_PROFILES = Path(__file__).parent / "profiles"
SHIPPED_PACKS = Path(__file__).parent / "alarm_packs"


class Folder:
    """Reads each file once and remembers what it read, for the version of the configuration.

    With `kept`, nothing is read: these are the files, by name, as they were once read from `root`.
    """

    def __init__(self, root: Path, kept: Mapping[str, bytes] | None = None) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self._kept = kept
        self._contents: dict[str, bytes] = {}

    @property
    def contents(self) -> Mapping[str, bytes]:
        """Everything that was read, by name, what came with the product included."""
        return self._contents

    def exists(self) -> bool:
        if self._kept is not None or self.root.is_dir():
            return True
        self._refuse(str(self.root), "no such folder", "name the folder that holds gateway.yaml")
        return False

    def read(self, name: str) -> Document | None:
        """The file at `name`, if it holds a mapping."""
        return self._document(name, self.root / name)

    def read_all(self, part: str) -> dict[str, Document]:
        """The files in a sub-folder, by name without ending; none if there is no such folder."""
        documents: dict[str, Document] = {}
        for path in self._paths(part):
            name = f"{part}/{path.name}"
            if path.suffix == ".yml":
                self._refuse(name, "is not read because of its ending", "rename it to .yaml")
            document = self._document(name, self.root / path) if path.suffix == ".yaml" else None
            if document is not None:
                documents[path.stem] = document
        return documents

    def _paths(self, part: str) -> Iterable[PurePosixPath]:
        """Those of the files in a sub-folder, sorted."""
        if self._kept is None:
            return sorted(PurePosixPath(part, path.name) for path in self.root.joinpath(part).glob("*"))
        return sorted(path for path in map(PurePosixPath, self._kept) if path.parent == PurePosixPath(part))

    def lists(self) -> list[str]:
        """The names of all point lists, whether a device refers to them or not."""
        return [str(path) for path in self._paths(LISTS) if _LIST.fullmatch(str(path))]

    def read_list(self, name: str) -> bytes:
        """The point list at `name`. Raises `ConfigProblem` where there is none inside the folder."""
        if not _LIST.fullmatch(name):
            raise ConfigProblem(f"not a list in the folder {LISTS}", f"write such as {LISTS}/chiller-1.csv")
        try:
            content = self._inside(name).read_bytes() if self._kept is None else self._kept[name]
        except (FileNotFoundError, KeyError):
            raise ConfigProblem("no such file") from None
        except OSError as error:
            hint = "make it a file that the gateway's user may read"
            raise ConfigProblem(f"cannot be read: {error.strerror}", hint) from error
        self._contents[name] = content
        return content

    def _inside(self, name: str) -> Path:
        """The file itself. Raises `ConfigProblem` where a link leads elsewhere: what lies there is not kept."""
        path = (self.root / name).resolve(strict=True)
        if not path.is_relative_to(self.root.resolve()):
            raise ConfigProblem("which leads out of the configuration folder", "copy the file itself there")
        return path

    def read_shipped_profile(self, name: str) -> Document | None:
        """A profile that came with the product."""
        path = SHIPPED_PROFILES / f"{name}.yaml"
        return self._document(f"(shipped) profiles/{name}.yaml", path) if name in shipped_profiles() else None

    def read_shipped_pack(self, name: str) -> Document | None:
        """An alarm pack that came with the product."""
        path = SHIPPED_PACKS / f"{name}.yaml"
        return self._document(f"(shipped) alarm_packs/{name}.yaml", path) if name in shipped_packs() else None

    def version(self) -> str:
        """Short hash over everything that was read."""
        digest = hashlib.sha256()
        for name, content in sorted(self._contents.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return f"c-{digest.hexdigest()[:8]}"

    def _document(self, name: str, path: Path) -> Document | None:
        try:
            content = path.read_bytes() if self._kept is None else self._kept[name]
        except (FileNotFoundError, KeyError):
            self._refuse(name, "no such file", "see the examples for what belongs into it")
            return None
        except OSError as error:
            self._refuse(name, f"cannot be read: {error.strerror}", "make it a file that the gateway's user may read")
            return None
        self._contents[name] = content
        document = Document(name, content)
        self.problems += document.problems
        return document if document.data is not None else None

    def _refuse(self, name: str, message: str, hint: str) -> None:
        self.problems.append(Problem(name, 0, 0, "", message, hint))


def shipped_profiles() -> tuple[str, ...]:
    """The names of the profiles that came with the product."""
    return tuple(sorted(path.stem for path in SHIPPED_PROFILES.glob("*.yaml")))


@cache
def shipped_packs() -> tuple[str, ...]:
    """The names of the alarm packs that came with the product."""
    return tuple(sorted(path.stem for path in SHIPPED_PACKS.glob("*.yaml")))
