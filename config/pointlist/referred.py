"""A list that devices refer to: every row is a point, or a mistake of the configuration with its cell.

Read as an import reads it, but nothing is left open: what an import would assume, pass over or rename has to be said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from config.document import has
from config.errors import Problem
from config.fields import DOTTED_ID
from config.pointlist import headings as heads
from config.pointlist import sheet as sheets
from config.pointlist.cells import Refused, attempt
from config.pointlist.point import address_of, is_spare, point_of
from config.pointlist.sheet import SheetUnreadable
from config.wording import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from config.document import Key
    from config.pointlist.cells import Cells
    from config.pointlist.headings import Headings, Vocabulary
    from config.pointlist.listing import Listing
    from config.pointlist.sheet import Sheet

IGNORE = "ignore"
"""In place of a field: the column is for people only."""

FOR_PEOPLE = frozenset({"序号", "备注", "注释", "remark", "remarks", "note", "notes", "comment", "comments", "no"})
"""Headings of columns that are passed over without a word."""

ID_LENGTH_MAX = 40
TITLE_CELLS_MAX = 1
ENCODINGS = frozenset({"UTF-8", "UTF-16", "GB18030"})
PLACE = ("building", "floor", "space", "risk")
OF_DEVICE = ("line", "system", *PLACE)
NAMES_OF_DEVICE = ("device_name_zh", "device_name_en")
WRITTEN_AS = {
    "name": ("name_zh", "name_en"),
    "device_name": NAMES_OF_DEVICE,
    "scale": ("scale", "divisor", "decimals"),
    "low": ("low", "range"),
    "high": ("high", "range"),
}
"""The columns that a field of a point may come from, where they have other names."""

_OPTION = re.compile(r"--(set|column) (\w+=\w+)((?: or \w+=\w+)*)")


class Told(NamedTuple):
    """What a row says of its device: line, system and place; names; address. `row` is the first that says so."""

    row: int
    about: Mapping[str, str]
    names: frozenset[str]
    address: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Referred:
    """The list as a document whose paths begin with device (empty where no column names any) and point.

    `data[device][point]` is as in a device file, and None where the row is wrong. `problems` forbid the list, `doubts`
    do not.
    """

    name: str
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)
    told: dict[str, list[Told]] = field(default_factory=dict)
    headings: Headings | None = None
    rows: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def names_devices(self) -> bool:
        return self.headings is not None and self.headings.of("device") is not None

    def has(self, path: Sequence[Key]) -> bool:
        """Whether something is written at `path`."""
        return has(self.data, path)

    def problem(
        self, path: Sequence[Key], message: str, hint: str = "", *, at_key: bool = False, offset: int = 0
    ) -> Problem:
        """A problem in the cell of what stands at `path`. See `config.document.Document.problem`."""
        del at_key, offset  # a cell is as near as a spreadsheet can show
        device, point, *rest = map(str, path)
        return self.at(self.rows[device, point], ".".join(rest) or "id", message, hint)

    def at(self, row: int, key: str, message: str, hint: str = "") -> Problem:
        """In the column of a field, or where there is none in the whole row."""
        column = self._column(key)
        if column is None:
            return Problem(self.name, row, 0, key, message, hint)
        return Problem(self.name, row, column.index + 1, column.heading, message, hint)

    def _column(self, key: str) -> heads.Column | None:
        first, _, inner = key.partition(".")
        names = (f"{first}_{inner}", first, *WRITTEN_AS.get(first, ()))
        found = (self.headings.of(name) for name in names) if self.headings and key else ()
        return next(filter(None, found), None)


def read(
    name: str, content: bytes, listing: type[Listing], columns: Mapping[str, str], said: Mapping[str, str]
) -> Referred:
    """The list in the file `name`. `columns` are fields by heading, or `ignore`; `said` holds where a cell is empty.

    Their fields are those of `vocabulary(listing)`.
    """
    words = vocabulary(listing)
    chosen = {heading: "" if named == IGNORE else named for heading, named in columns.items()}
    referred = Referred(name)
    try:
        sheet = _sheet(content, words, chosen)
        referred.headings = heads.find(sheet, words, chosen)
        _Rows(referred, referred.headings, listing, sheet, said).enter(chosen, words)
    except SheetUnreadable as error:
        referred.problems.append(Problem(name, 0, 0, "", error.what, error.hint))
    except Refused as refused:
        row = referred.headings.row if referred.headings else 0
        referred.problems.append(referred.at(row, refused.field, refused.what, as_in_file(refused.hint)))
    return referred


def _sheet(content: bytes, words: Vocabulary, chosen: Mapping[str, str]) -> Sheet:
    """Raises `SheetUnreadable`, also for an encoding that could be another one as well."""
    sheet = sheets.read(content, lambda row: heads.known(row, words, chosen))
    if sheet.encoding not in ENCODINGS:
        raise SheetUnreadable("neither UTF-8 nor GB18030", "save it in Excel as `CSV UTF-8`")
    return sheet


def vocabulary(listing: type[Listing]) -> Vocabulary:
    """The headings that a list of this protocol may have, by field."""
    return {**listing.columns, **{key: words for key, words in heads.GENERAL.items() if key not in listing.columns}}


def as_in_file(hint: str) -> str:
    """Options of an import as the keys that a device file has for the same."""
    keys = {"set": "set", "column": "columns"}
    return _OPTION.sub(
        lambda match: f"point_list: {{{keys[match[1]]}: {{{_pair(match[2])}}}}}" + (match[3] or "").replace("=", ": "),
        hint,
    )


def _pair(written: str) -> str:
    return written.replace("=", ": ")


class _Rows:
    """The rows of one list on their way into `referred`."""

    def __init__(
        self, referred: Referred, headings: Headings, listing: type[Listing], sheet: Sheet, said: Mapping[str, str]
    ) -> None:
        self._referred = referred
        self._headings = headings
        self._sheet = sheet
        self._rows = list(headings.below(sheet, said))
        self._of_device = [key for key in OF_DEVICE if key in said or headings.of(key)]
        self._names_of_device = [key for key in NAMES_OF_DEVICE if key in said or headings.of(key)]
        self._listing = listing([cells for cells in self._rows if not is_spare(cells)], headings)

    def enter(self, chosen: Mapping[str, str], words: Vocabulary) -> None:
        """All of them. What is wrong with one does not hide what is wrong with others."""
        self._judge_columns(chosen, words)
        for cells in self._rows:
            if not is_spare(cells):
                self._enter(cells)
        for refused in (*self._listing.wrong, *self._listing.unsaid):
            self._refuse(self._headings.row, refused)

    def _judge_columns(self, chosen: Mapping[str, str], words: Vocabulary) -> None:
        asked = {heads.squeezed(heading) for heading in chosen}
        headed = {column.index for column in self._headings.columns}
        for column in self._headings.columns:
            said = heads.squeezed(column.heading)
            if not column.field and said not in asked and said[0] not in FOR_PEOPLE:
                what, hint = _unknown(column.heading, words)
                self._referred.problems.append(
                    Problem(self._referred.name, self._headings.row, column.index + 1, column.heading, what, hint)
                )
        for row, index in _beside(self._sheet, self._headings.row, headed):
            what, hint = "a value in a column without a heading", "write the heading, or empty the column"
            self._referred.problems.append(Problem(self._referred.name, row, index + 1, "", what, hint))

    def _enter(self, cells: Cells) -> None:
        refused: list[Refused] = []
        is_title = attempt(lambda: self._is_title(cells), refused)
        if is_title is False:
            self._enter_point(cells, refused)
        for each in refused:
            self._refuse(cells.row, each)

    def _enter_point(self, cells: Cells, refused: list[Refused]) -> None:
        names = attempt(lambda: self._names(cells), refused)
        point, doubt = attempt(lambda: point_of(cells, self._listing, self._headings), refused) or (None, None)
        if names is not None:
            attempt(lambda: self._note(cells, names[0]), refused)
            is_sure = not refused and not self._listing.wrong
            self._referred.data.setdefault(names[0], {})[names[1]] = point if is_sure else None
        if doubt is not None:
            self._referred.doubts.append(self._referred.at(cells.row, doubt.field, doubt.what, doubt.hint))

    def _is_title(self, cells: Cells) -> bool:
        if self._listing.is_point(cells) or cells.has("derived"):
            return False
        if cells.filled <= TITLE_CELLS_MAX and not re.fullmatch(DOTTED_ID, cells.raw("id")):
            return True
        raise Refused("no address", "fill it in, or delete the row")

    def _names(self, cells: Cells) -> tuple[str, str]:
        """Device and point; the row counts as theirs from here on. Raises `Refused`."""
        device = cells.raw("device")
        if not device and self._referred.names_devices:
            raise Refused("no device", "write its id in every row", "device")
        name = cells.raw("id")
        if not name:
            raise Refused("no id", "write one of a-z 0-9 _ - and dots; it is part of topics", "id")
        if not re.fullmatch(DOTTED_ID, name) or len(name) > ID_LENGTH_MAX:
            raise Refused(f"{name!r} cannot be an id", _better(name), "id")
        first = self._referred.rows.setdefault((device, name), cells.row)
        if first != cells.row:
            raise Refused(f"{name} is in row {first} already", "write another id", "id")
        return device, name

    def _note(self, cells: Cells, device: str) -> None:
        """What the row says of its device, unless a row above says the same."""
        about = {key: cells.get(key) for key in self._of_device if cells.has(key)}
        names = frozenset(cells.raw(key) for key in self._names_of_device if cells.has(key))
        said = Told(cells.row, about, names, address_of(cells, self._listing))
        told = self._referred.told.setdefault(device, [])
        if not any(said[1:] == each[1:] for each in told):
            told.append(said)

    def _refuse(self, row: int, refused: Refused) -> None:
        self._referred.problems.append(self._referred.at(row, refused.field, refused.what, as_in_file(refused.hint)))


def _unknown(heading: str, words: Vocabulary) -> tuple[str, str]:
    """Why a column is not taken, and what to write."""
    hint = f"write point_list: {{columns: {{{heading}: ignore}}}}, or the field that it is"
    name = heads.squeezed(heading)[0]
    if any(name in each.split() for each in words.values()):
        return "another column says this already", hint
    known = {word: key for key, each in words.items() for word in each.split()}
    match = closest(name, known)
    return "unknown column", f"did you mean {known[match]}? Otherwise {hint}" if match else hint


def _beside(sheet: Sheet, below: int, headed: Iterable[int]) -> list[tuple[int, int]]:
    """Row and index of the first value in each column that has no heading."""
    known, found = set(headed), []
    for row, cells in sheet.numbered():
        for index, cell in enumerate(cells) if row > below else ():
            if cell and index not in known:
                known.add(index)
                found.append((row, index))
    return found


def _better(name: str) -> str:
    lower = re.sub(r"[^a-z0-9_.-]+", "_", name.lower()).strip("_.-") if name.isascii() else ""
    if re.fullmatch(DOTTED_ID, lower) and len(lower) <= ID_LENGTH_MAX:
        return f"write {lower}"
    return "use 1 to 40 of a-z 0-9 _ - and dots"
