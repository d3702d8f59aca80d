"""YAML by the core schema of version 1.2, read with PyYAML's C parser.

PyYAML itself resolves scalars by YAML 1.1, where `on`, `no`, `1_000`, `12:30` and `2026-01-01` are not texts; so the
data are built here, from its events. Duplicate keys, tags and depths that no configuration needs (the C composer
overruns its stack there) are refused. What the data mean, and how a syntax error is worded for the user, is not known
here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

Node = yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode
Scalar = str | int | float | bool | None

DEPTH_MAX = 30

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BASES = {"0o": 8, "0x": 16}


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that YAML allows and we do not. `line` and `column` count from 0."""

    line: int
    column: int
    what: str
    hint: str


@lru_cache(maxsize=65536)
def plain(text: str) -> Scalar:
    """What a scalar without quotes is."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text, _BASES.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.replace(".", "") if text[-1].isalpha() else text)
    return text


def load(text: str) -> tuple[Any, list[Flaw]]:
    """The data of the one document in `text` (`None` for an empty one), and its flaws; a flawed part is left out.

    Raises `yaml.YAMLError`.
    """
    loader = yaml.CSafeLoader(text)
    try:
        return _Builder(loader).document()
    finally:
        loader.dispose()


def compose(text: str) -> Node | None:
    """The tree of nodes, for positions, of a text that `load` has read without raising."""
    loader = yaml.CSafeLoader(text)
    try:
        return cast("Node | None", loader.get_single_node())
    finally:
        loader.dispose()


class _Builder:
    """Builds data from events. An anchor is known from its end on, so nothing can contain itself."""

    def __init__(self, loader: yaml.CSafeLoader) -> None:
        self._next: Callable[[], Any] = loader.get_event  # typed too narrowly: a mark may be of C
        self._flaws: list[Flaw] = []
        self._anchors: dict[str, Any] = {}

    def document(self) -> tuple[Any, list[Flaw]]:
        self._next()
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            return None, []
        data = self._value(self._next(), 0)
        self._next()
        more = self._next()
        if not isinstance(more, yaml.StreamEndEvent):
            raise yaml.composer.ComposerError(None, None, "expected a single document", more.start_mark)
        return data, self._flaws

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            data: Any = self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        elif depth >= DEPTH_MAX:
            raise yaml.composer.ComposerError(None, None, "nested too deep", event.start_mark)
        elif isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event)
            data = self._mapping(depth + 1)
        else:
            self._check_tag(event)
            data = self._sequence(depth + 1)
        if event.anchor:
            self._anchors[event.anchor] = data
        return data

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise yaml.composer.ComposerError(None, None, "undefined alias", event.start_mark)
        return self._anchors[event.anchor]

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if event.tag not in {None, "!", f"{_TAG}str"}:
            self._check_tag(event)
            return event.value
        return plain(event.value) if event.implicit[0] else event.value

    def _sequence(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, depth))
        return items

    def _mapping(self, depth: int) -> dict[Scalar, Any]:
        data: dict[Scalar, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, mark = self._value(event, depth), event.start_mark
            value = self._value(self._next(), depth)
            if isinstance(key, (dict, list)):
                self._flaw(event, "a key that is a mapping or a list", "write a text as key")
            elif key == "<<" and event.implicit[0]:
                self._flaw(event, "a merge key, which YAML 1.2 does not have", "use common: or a profile")
                data |= value if isinstance(value, dict) else {}
            elif str(key) in lines:
                self._flaw(event, f"key {key!r} is here twice", f"line {lines[str(key)]} has it too, remove one")
            else:
                lines[str(key)] = mark.line + 1
                data[key] = value
        return data

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None:
            self._flaw(event, f"the tag {event.tag.replace(_TAG, '!!')}", "leave the tag out")

    def _flaw(self, event: Any, what: str, hint: str) -> None:
        self._flaws.append(Flaw(event.start_mark.line, event.start_mark.column, what, hint))
