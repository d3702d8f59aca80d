"""The text of an expression: its words, the points that it names, and what CEL is given in its place.

`point("DEVICE/POINT")` becomes a variable; `all("pump_{n}.fault")` and `any(…)` become all points of the own device
that are called so, joined by `&&` or `||`; a whole number gets its `.0`. Nothing is judged here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from config.open_ids import NUMBER, opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(
    r"""
    (?P<call>\bpoint\(\s*(?:"(?P<double>[^"\\\n]*)"|'(?P<single>[^'\\\n]*)')\s*\))
  | (?P<group>(?<![\w.])(?P<which>all|any)\(\s*(?:"(?P<several>[^"\\\n]*)"|'(?P<many>[^'\\\n]*)')\s*\))
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<number>\b(?:0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+u?)\b)
  | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
  | (?P<operator>==|!=|\S)
""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"\d+")
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
"""What CEL can call a variable."""

_JOINED = {"all": " && ", "any": " || "}


@dataclass(frozen=True, slots=True)
class Token:
    """One word. Of a point `point` is how it is written, `POINT` or `DEVICE/POINT`; of a group `pattern` is what is
    written in it, and `members` are the points that are called so.
    """

    kind: str
    text: str
    start: int
    point: str = ""
    pattern: str = ""
    members: tuple[str, ...] = ()

    @property
    def points(self) -> tuple[str, ...]:
        return self.members or ((self.point,) if self.point else ())

    @property
    def joint(self) -> str:
        """What stands between the members of a group."""
        return _JOINED[self.text[:3]]


class _Move(NamedTuple):
    """A token that became longer by `longer`: from `start` to `end` of the text for CEL."""

    start: int
    end: int
    longer: int


@dataclass(frozen=True, slots=True)
class Translation:
    """The text for CEL, and its variables with the points that they stand for."""

    cel: str
    inputs: dict[str, str]
    moves: tuple[_Move, ...]

    def original(self, at: int) -> int:
        """The place in the written text that `at` in the text for CEL means; within a group, where that begins."""
        moved = 0
        for move in self.moves:
            if at >= move.end:
                moved += move.longer
            elif at > move.start:
                return move.start - moved
        return at - moved


def tokens(text: str, own: Sequence[str]) -> Iterator[Token]:
    """Word by word; `own` are the points of the own device."""
    names = set(own)
    for match in _TOKEN.finditer(text):
        kind, found, start = str(match.lastgroup), match[0], match.start()
        if match["call"]:
            yield Token("point", found, start, match["double"] or match["single"] or "")
        elif match["group"]:
            pattern = match["several"] or match["many"] or ""
            fits = opened(pattern).fullmatch
            members = tuple(name for name in own if fits(name)) if NUMBER in pattern else ()
            yield Token("group", found, start, pattern=pattern, members=members)
        elif match["name"]:
            called = text[match.end() :].lstrip().startswith("(")
            point = _longest(found, names, called=called)
            yield Token("point" if point else "name", found, start, point)
        else:
            yield Token(kind, found, start)


def _longest(path: str, names: set[str], *, called: bool) -> str:
    """The longest beginning of a dotted path that is a point; what is called at its end is a function."""
    parts = path.split(".")
    for size in range(len(parts) - called, 0, -1):
        name = ".".join(parts[:size])
        if name in names:
            return name
    return ""


def compared(found: list[Token]) -> Iterator[tuple[Token, Token]]:
    """Each point with each text that it is compared with: `a == "x"`, `"x" != a`, `a in ["x", "y"]`."""
    for at, (left, operator, right) in enumerate(zip(found, found[1:], found[2:], strict=False)):
        if operator.text in {"==", "!="}:
            pairs = ((left, right), (right, left))
            yield from ((one, other) for one, other in pairs if one.point and other.kind == "text")
        elif operator.text == "in" and right.text == "[" and left.point:
            listed = takewhile(lambda token: token.text != "]", found[at + 3 :])
            yield from ((left, token) for token in listed if token.kind == "text")


def translated(text: str, own: Sequence[str]) -> Translation:
    """What is put in is never shorter than what was written, so lines and columns only move onwards."""
    parts: list[str] = []
    inputs: dict[str, str] = {}
    moves: list[_Move] = []
    end = size = 0
    for token in tokens(text, own):
        put = _put(token, inputs).ljust(len(token.text))
        parts += [text[end : token.start], put]
        size += len(parts[-2]) + len(put)
        if len(put) > len(token.text):
            moves.append(_Move(size - len(put), size, len(put) - len(token.text)))
        end = token.start + len(token.text)
    return Translation("".join([*parts, text[end:]]), inputs, tuple(moves))


def _put(token: Token, inputs: dict[str, str]) -> str:
    """What CEL reads for it; a point that is new gets a variable in `inputs`."""
    if token.kind == "group":
        return f"({token.joint.join(_variable(member, inputs) for member in token.members) or 'false'})"
    if token.point and token.text.startswith("point("):
        return _variable(token.point, inputs, is_called=True)
    if token.point:
        return _variable(token.point, inputs)
    return f"{token.text}.0" if token.kind == "number" and _INTEGER.fullmatch(token.text) else token.text


def _variable(point: str, inputs: dict[str, str], *, is_called: bool = False) -> str:
    """A point stands for itself where CEL can call it so."""
    if not is_called and NAME.fullmatch(point):
        inputs[point] = point
        return point
    name = next((name for name, known in inputs.items() if known == point), f"_{len(inputs)}")
    inputs[name] = point
    return name
