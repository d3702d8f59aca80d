"""One thing that several files wrote together: a profile's row, a group's common part, the device itself.

What is merged here is raw data; it is validated afterwards, once. Each layer keeps where it came from, so a mistake is
told at the place where it was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from config.document import Key, Path
    from config.errors import Problem


class Written(Protocol):
    """A file as the place of data: YAML (`config.document.Document`), or a list (`config.pointlist.referred`)."""

    def has(self, path: Sequence[Key]) -> bool: ...

    def problem(
        self, path: Sequence[Key], message: str, hint: str = "", *, at_key: bool = False, offset: int = 0
    ) -> Problem: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """Where data were written."""

    document: Written
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Data and where they were written; the first layer won over those behind it."""

    data: Any
    layers: tuple[Layer, ...]

    def problem(
        self, path: Sequence[Key], message: str, hint: str = "", *, at_key: bool = False, offset: int = 0
    ) -> Problem:
        """A problem at `path`: in the first layer that wrote it, or where the first layer should have."""
        for layer in self.layers:
            if layer.document.has((*layer.path, *path)):
                return layer.document.problem((*layer.path, *path), message, hint, at_key=at_key, offset=offset)
        first = self.layers[0]
        return first.document.problem((*first.path, *path), message, hint, at_key=at_key)

    def part(self, key: Key, data: Any = None) -> Source:
        """What is at `key`, or `data` in its place."""
        found = data if data is not None else self.data[key]
        return Source(found, tuple(Layer(layer.document, (*layer.path, key)) for layer in self.layers))

    def mappings(self, key: Key) -> Iterator[tuple[str, Source]]:
        """Each mapping inside the mapping at `key`, by name; what is none is left out, others tell that."""
        inside = self.part(key, self.data.get(key, {}))
        for name, data in inside.data.items() if isinstance(inside.data, dict) else ():
            if isinstance(data, dict):
                yield str(name), inside.part(name)

    def over(self, below: Source, depth: int = 1) -> Source:
        """This on top of another: mappings are merged down to `depth` levels, everything else is replaced."""
        if not isinstance(self.data, dict) or not isinstance(below.data, dict):
            return self
        return Source(merged(below.data, self.data, depth), self.layers + below.layers)


def merged(below: Mapping[Any, Any], above: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    """`above` over `below`, key by key; mappings in both are merged again while `depth` allows."""
    data = dict(below)
    for key, value in above.items():
        old = data.get(key)
        deeper = depth > 1 and isinstance(old, dict) and isinstance(value, dict)
        data[key] = merged(old, value, depth - 1) if deeper and old is not None else value
    return data
