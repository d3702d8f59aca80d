"""One file of the configuration: its data, what keeps it from being read, and where each part of it stands.

Positions are looked up only when there is something to say about a file; the tree of nodes is made again for that and
not kept before. What the data mean is not known here.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from config import yaml12
from config.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.yaml12 import Node

Key = str | int
Path = tuple[Key, ...]

_SAYINGS = (
    (
        "mapping values are not allowed",
        "a colon where none can be",
        "check the indentation; quote a text that holds ': '",
    ),
    ("could not find expected ':'", "a key without a colon", "write KEY: VALUE, with a blank after the colon"),
    ("did not find expected key", "this line fits nowhere", "start the keys of one mapping in the same column"),
    ("did not find expected '-'", "this line fits nowhere", "start the items of one list in the same column"),
    (
        "did not find expected ','",
        "a list or mapping without its end",
        "write the closing bracket, and commas between items",
    ),
    ("unexpected end of stream", "a quoted text without its end", "write the closing quote"),
    ("cannot start any token", "a character that cannot stand here", "put the text into quotes"),
    ("nested too deep", "too many levels", "write fewer levels into each other"),
    ("undefined alias", "a reference to an anchor that is not there", "quote a text that starts with *"),
    ("expected a single document", "a second document", "remove the line ---"),
    ("control characters are not allowed", "a control character", "remove it"),
)
_UNCLOSED = ("did not find expected ','", "unexpected end of stream")
"""What is told where it begins, because its end is missing."""
FULL_WIDTH = dict(zip("：，“”｛｝［］\u3000", ':,""{}[] ', strict=True))  # noqa: RUF001 (what a Chinese keyboard gives)


class Document:
    """A file that was read. `data` is `None` where nothing in it can be used; `problems` says why."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self._text = self._decoded(content)
        self.data: Any = None if self.problems else self._data()

    def problem(
        self, path: Sequence[Key], message: str, hint: str = "", *, at_key: bool = False, offset: int = 0
    ) -> Problem:
        """A problem of what stands at `path`, `offset` characters into it where it is a text."""
        line, column = self.where(path, at_key=at_key)
        if offset:
            line, column = self._inside(path, offset) or (line, column)
        return Problem(self.name, line, column, ".".join(map(str, path)), message, hint)

    def where(self, path: Sequence[Key], *, at_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at `path`, or of its key, or of the nearest part that exists.

        A mapping or a list is shown by its key: that is what a person looks for.
        """
        node, shown = self._root, None
        for depth, key in enumerate(path, 1):
            found = next((pair for pair in _children(node) if str(pair[0]) == str(key)), None)
            if found is None:
                break
            _, key_node, node = found
            plain = isinstance(node, yaml.ScalarNode) and node.value and not (at_key and depth == len(path))
            shown = node if plain else key_node
        mark = shown.start_mark if shown is not None else None
        return (mark.line + 1, mark.column + 1) if mark else (1, 1)

    def _inside(self, path: Sequence[Key], offset: int) -> tuple[int, int] | None:
        """Where a character of a text stands; `None` where the text is not written as it reads."""
        node = self._root
        for key in path:
            node = next((child for name, _, child in _children(node) if str(name) == str(key)), None)
        if not isinstance(node, yaml.ScalarNode):
            return None
        before = node.value[:offset].split("\n")
        lines, start = self._text.splitlines(), node.start_mark
        row = start.line + len(before) - 1 + (node.style == "|")
        text = node.value.split("\n")[len(before) - 1]
        begin = lines[row].find(text, start.column if row == start.line else 0) if row < len(lines) else -1
        return (row + 1, begin + len(before[-1]) + 1) if begin >= 0 else None

    def has(self, path: Sequence[Key]) -> bool:
        """Whether something is written at `path`."""
        return has(self.data, path)

    @cached_property
    def _root(self) -> Node | None:
        return yaml12.compose(self._text)

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line, column = _line_column(content[: error.start].decode("utf-8-sig"))
            self._refuse(line, column, f"byte 0x{content[error.start]:02X} is not UTF-8", "save the file as UTF-8")
            return ""

    def _data(self) -> Any:
        try:
            data, flaws = yaml12.load(self._text)
        except yaml.MarkedYAMLError as error:
            self._refuse_syntax(error)
            return None
        except yaml.reader.ReaderError as error:
            line, column = _line_column(self._text[: error.position])
            self._refuse(line, column, f"character U+{error.character:04X} is not allowed", "remove it")
            return None
        for flaw in flaws:
            self._refuse(flaw.line + 1, flaw.column + 1, flaw.what, flaw.hint)
        if data is None:
            self._refuse(0, 0, "the file is empty", "see the examples")
        elif not isinstance(data, dict):
            self._refuse(1, 1, "the file is not a mapping", "write KEY: VALUE lines")
        return data if isinstance(data, dict) else None

    def _refuse_syntax(self, error: yaml.MarkedYAMLError) -> None:
        said = error.problem or error.context or str(error)
        unclosed = any(sign in said for sign in _UNCLOSED)
        mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        what, hint = next(((what, hint) for part, what, hint in _SAYINGS if part in said), (said, "see the examples"))
        lines = self._text.splitlines()
        near = lines[max(0, line - 1) : line + 1]
        wide = next((sign for sign in FULL_WIDTH if any(sign in text for text in near)), None)
        if any("\t" in text[: len(text) - len(text.lstrip())] for text in near):
            what, hint = "a tab", "indent with blanks"
        elif wide is not None:
            hint = f"write {FULL_WIDTH[wide]!r} instead of the full-width {wide!r}"
        self._refuse(line + 1, column + 1, what, hint)

    def _refuse(self, line: int, column: int, what: str, hint: str) -> None:
        self.problems.append(Problem(self.name, line, column, "", what, hint))


def has(data: Any, path: Sequence[Key]) -> bool:
    """Whether the data hold something at `path`."""
    for key in path:
        children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        found = [value for name, value in children if str(name) == str(key)]
        if not found:
            return False
        data = found[0]
    return True


def _children(node: Node | None) -> Iterator[tuple[yaml12.Scalar, Node, Node]]:
    """Key, what shows it, and value of each part of a node."""
    if isinstance(node, yaml.MappingNode):
        yield from (
            (yaml12.plain(key.value), key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)
        )
    elif isinstance(node, yaml.SequenceNode):
        yield from ((index, item, item) for index, item in enumerate(node.value))


def _line_column(before: str) -> tuple[int, int]:
    lines = before.split("\n")
    return len(lines), len(lines[-1]) + 1
