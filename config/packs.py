"""The shipped alarm packs: templates of alarms for the systems of a hospital, each read and judged at most once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.alarm_files import PackFile
from config.folder import shipped_packs
from config.layers import Layer, Source
from config.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.folder import Folder
    from config.validate import Report


@dataclass(frozen=True, slots=True)
class Pack:
    """Alarms by key, each where it was written."""

    name: str
    rows: Mapping[str, Source]


class Packs:
    """Packs by name."""

    def __init__(self, folder: Folder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._packs: dict[str, Pack | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return shipped_packs()

    def get(self, name: str) -> Pack | None:
        """The pack, or `None` where there is none of that name."""
        if name not in self._packs:
            self._packs[name] = self._read(name)
        return self._packs[name]

    def _read(self, name: str) -> Pack | None:
        document = self._folder.read_shipped_pack(name)
        if document is None:
            return None
        source = Source(document.data, (Layer(document),))
        validate(PackFile, source, self._report)
        return Pack(name, dict(source.mappings("alarms")))
