"""Expressions as people write them to formulas that can be evaluated, and what is wrong with them.

    supply_lost && !point("gen-1/running") && load_pct > 80

A point of the own device is its id; any point is `point("DEVICE/POINT")`, and an id that is no CEL name (with a hyphen,
say) is `point("POINT")`. `all("pump_{n}.fault")` is true where it is so of every point of the own device that is called
so, `any(…)` where it is of one. What CEL itself has to say is told at the place in the expression that it means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from config.cel import CelMistake, compiled
from config.directory import Place
from config.formula_text import NAME, compared, tokens, translated
from config.judgement import Formula, Input
from config.open_ids import NUMBER
from config.wording import closest, near, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.document import Key
    from config.layers import Source
    from config.model import Point, PointType
    from config.validate import Report

_KINDS = {"double": "a number", "int": "a number", "bool": "a truth value", "string": "a text"}
_TOLD = {"number": "a number", "bool": "true or false", "string": "a text"}
_TOLD_TYPE: Mapping[PointType, str] = {
    "number": "a number",
    "integer": "a number",
    "enum": "a state",
    "string": "a text",
}
_RESULTS = {"integer": "number", "enum": "string"}
_HELP = "see docs/alarms.md"
_INSTEAD = {"and": "write &&", "or": "write ||", "not": "write !", "=": "write == to compare", "＆＆": "write &&"}  # noqa: RUF001 (what a Chinese keyboard gives)
_OVERLOAD = re.compile(r"found no matching overload for '([^']+)' applied to '\(?([^')]*)\)?'")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")


def formula(
    written: str, gives: PointType, device: str, source: Source, path: Sequence[Key], report: Report
) -> Formula:
    """What is written at a device that is in the directory. Whether it fits all its points is told later."""
    made = translated(written, report.directory.names(device))
    found = Formula(written, made.cel, tuple(_input(name, point, device) for name, point in made.inputs.items()))
    report.later.append(lambda: _check(_Check(found, device, source, path, report), gives))
    return found


def _check(check: _Check, gives: PointType) -> None:
    """Once all devices are read: does it fit its points, and give what is wanted?"""
    if check.is_unsure or not check.groups_exist():
        return
    points = {each: check.find(each) for each in check.formula.inputs}
    known = {each: point for each, point in points.items() if point is not None}
    if len(known) == len(points):
        check.types(known, gives)


class _Check:
    """One formula under its points."""

    def __init__(self, found: Formula, device: str, source: Source, path: Sequence[Key], report: Report) -> None:
        self.formula = found
        self._device = device
        self._source = source
        self._path = path
        self._report = report
        self._names = report.directory.names(device)
        self._tokens = list(tokens(found.text, self._names))

    @property
    def is_unsure(self) -> bool:
        """Whether a name that is not known may be a point all the same."""
        return self._report.directory.is_unsure(self._device)

    def refuse(self, offset: int, message: str, hint: str) -> None:
        self._report.refuse(self._source, self._path, message, hint, offset=offset)

    def find(self, each: Input) -> Point | None:
        offset = next(token.start for token in self._tokens if each.written in token.points)
        place = Place(self._source, self._path, offset)
        return self._report.directory.find(each.device, each.point, each.written, place, self._report)

    def groups_exist(self) -> bool:
        """Whether each `all()` and `any()` means a point."""
        empty = [token for token in self._tokens if token.kind == "group" and not token.members]
        for token in empty:
            if NUMBER in token.pattern:
                hint = near(token.pattern, self._names)
                self.refuse(token.start, f"no point of {self._device} is called {token.pattern}", hint)
            else:
                message = f"found {shown(token.pattern)}, which leaves no number open"
                self.refuse(token.start, message, f'write such as {token.text[:3]}("pump_{NUMBER}.fault")')
        return not empty

    def _groups_fit(self, points: Mapping[Input, Point]) -> bool:
        """Whether what is in them is true or false."""
        by_written = {each.written: point for each, point in points.items()}
        groups = [token for token in self._tokens if token.members]
        found = [
            next((by_written[name] for name in token.members if by_written[name].type != "bool"), None)
            for token in groups
        ]
        misfits = [(token, point) for token, point in zip(groups, found, strict=True) if point is not None]
        for token, point in misfits:
            message = f"{token.text[:3]}() takes points that are true or false, {point.id} is {_TOLD_TYPE[point.type]}"
            self.refuse(token.start, message, _HELP)
        return not misfits

    def compiles(self, points: Mapping[Input, Point]) -> str:
        """What it gives; empty, and a problem, where CEL refuses it."""
        alone = next(iter(points), None)
        if alone is not None and self.formula.cel.strip() == alone.name:  # a point by itself needs no compiler
            return _RESULTS.get(points[alone].type, points[alone].type)
        types = tuple((each.name, point.type) for each, point in points.items())
        try:
            return compiled(self.formula.cel, types).gives
        except CelMistake as mistake:
            offset = self._original(mistake)
            self.refuse(offset, *self._explained(mistake.what, offset))
            return ""

    def types(self, points: Mapping[Input, Point], gives: PointType) -> None:
        if not self._groups_fit(points):
            return
        found = self.compiles(points)
        wanted = _RESULTS.get(gives, gives)
        if found and found != wanted:
            hint = "compare it, such as … > 0" if wanted == "bool" else f"write what gives {_TOLD[wanted]}"
            self.refuse(0, f"it gives {_TOLD.get(found, found)}, not {_TOLD[wanted]}", hint)
        elif found and not points:
            self.refuse(0, "no point is in it", near(self._word(0), self._names))
        if found:
            self._check_states(points)

    def _original(self, mistake: CelMistake) -> int:
        """Where in the written text CEL means: lines keep their order, columns move with what was put in before."""
        lines = self.formula.cel.split("\n")[: mistake.line - 1]
        at = sum(len(line) + 1 for line in lines) + mistake.column - 1
        found = translated(self.formula.text, self._names).original(at)
        return min(found, max(0, len(self.formula.text) - 1))

    def _explained(self, what: str, offset: int) -> tuple[str, str]:
        undeclared = _UNDECLARED.search(what)
        if undeclared:
            return self._unknown(self._word(offset) or undeclared[1])
        overload = _OVERLOAD.search(what)
        if overload:
            operator = overload[1].strip("_@!").replace("_", " ").strip() or overload[1].strip("_")
            kinds = [_KINDS.get(kind.strip(), kind.strip()) for kind in overload[2].split(",")]
            stand = "between" if len(kinds) > 1 else "before"
            return f"{shown(operator)} cannot stand {stand} {' and '.join(kinds)}", _advice(operator, overload[2])
        if "'<EOF>'" in what:
            return "it ends too early", "write the rest, or the closing bracket"
        if "Syntax error" in what:
            piece = self._piece(offset)
            return f"found {shown(piece)} where it cannot be", _INSTEAD.get(piece) or self._called()
        return what[:1].lower() + what[1:], _HELP

    def _unknown(self, name: str) -> tuple[str, str]:
        if name == "point":
            return "point() names a point", 'write it as a text: point("DEVICE/POINT")'
        if name in {"all", "any"}:
            return f"{name}() names points", f'write it as a text: {name}("pump_{NUMBER}.fault")'
        return f"found {shown(name)}, no point of {self._device} and no word of CEL", self._near(name)

    def _near(self, name: str) -> str:
        match = closest(name, self._names)
        return f'write point("{match}")' if match and not NAME.fullmatch(match) else near(name, self._names)

    def _called(self) -> str:
        """Which point it may be that is written as it cannot be."""
        odd = [name for name in self._names if not NAME.fullmatch(name) and name in self.formula.text]
        return f'write point("{max(odd, key=len)}")' if odd else _HELP

    def _piece(self, offset: int) -> str:
        return self.formula.text[offset : offset + 20].split(" ")[0]

    def _word(self, offset: int) -> str:
        match = re.compile(r"[A-Za-z_][\w.]*").match(self.formula.text, offset)
        return match[0].rstrip(".") if match else ""

    def _check_states(self, points: Mapping[Input, Point]) -> None:
        """A comparison with a state that the point does not have is never true, and nobody would notice."""
        by_written = {each.written: point for each, point in points.items()}
        for name, text in compared(self._tokens):
            point, state = by_written.get(name.point), text.text[1:-1]
            if point is not None and point.type == "enum" and state not in point.states.values():
                hint = near(state, point.states.values())
                self.refuse(text.start, f"found {shown(state)}, not a state of {point.id}", hint)


def _input(name: str, written: str, device: str) -> Input:
    owner, slash, point = written.rpartition("/")
    return Input(name, owner if slash else device, point, written)


def _advice(operator: str, kinds: str) -> str:
    if operator in {"&&", "||", "!", "? :", "?:"}:
        return "write comparisons there, such as p > 3"
    if "string" in kinds:
        return "put a text into quotes, and compare it with a text"
    if "bool" in kinds:
        return "true and false are no numbers; write && or ||, or (x ? 1 : 0)"
    return _HELP
