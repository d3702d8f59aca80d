"""What is different between two configurations: added, removed, changed, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.outline import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from config.outline import Fields, Kind, Outline


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field; `None` is where it was not written, or is not any more, so that its default holds."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What the newer of two configurations has, has not, and has otherwise, of one kind; sorted by id."""

    kind: Kind
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, tuple[FieldChange, ...]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def differences(before: Outline, after: Outline) -> list[Difference]:
    """One for each kind, also where nothing differs."""
    return [_difference(kind, before.get(kind, {}), after.get(kind, {})) for kind in KINDS]


def _difference(kind: Kind, before: Mapping[str, Fields], after: Mapping[str, Fields]) -> Difference:
    both = sorted(before.keys() & after.keys())
    return Difference(
        kind,
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        {name: tuple(_changes(before[name], after[name])) for name in both if before[name] != after[name]},
    )


def _changes(before: Fields, after: Fields) -> Iterator[FieldChange]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield FieldChange(name, before.get(name), after.get(name))
