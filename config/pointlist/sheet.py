"""The bytes of a spreadsheet that was saved as text, to rows of cells. Knows no column.

What Excel does on the way is undone here, as far as nothing is lost by it: byte order marks, GB18030 and Windows-1252,
comma, semicolon or tab, a first line `sep=;`, cells written as `="0010"` or `'0010`, blanks that are none.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BYTES_MAX = 20_000_000
ROWS_MAX = 100_000
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
TITLES_MAX = 30
"""So many rows may stand above the headings."""

_MARKS = {b"\xef\xbb\xbf": "UTF-8-SIG", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_FORMULA_TEXT = re.compile(r'="(.*)"', re.DOTALL)
_BLANKS = "\ufeff\u200b\u00a0\u3000 \t\r\n"
_HIGH_PAIR = re.compile(rb"[\x80-\xff]{2}")


class SheetUnreadable(Exception):
    """It is no table that we can read; says what to save instead."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Sheet:
    """`rows` are all of them, as the spreadsheet numbers them from 1, with trimmed cells."""

    encoding: str
    delimiter: str
    rows: tuple[tuple[str, ...], ...]

    def numbered(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        return enumerate(self.rows, 1)


def read(content: bytes, score: Callable[[tuple[str, ...]], int]) -> Sheet:
    """The table in a file. `score` says how many headings a row has that are known: so the delimiter is found.

    Raises `SheetUnreadable`.
    """
    if len(content) > BYTES_MAX:
        raise SheetUnreadable(f"the file has more than {BYTES_MAX:,} bytes", "split the list")
    encoding, text = decoded(content)
    told = _SEPARATOR.match(text)
    if told:
        return Sheet(encoding, told[1], (("",), *_rows(text[told.end() :], told[1])))
    told_by = [delimiter for delimiter in DELIMITERS if delimiter in text] or [","]
    scores = [max(map(score, _rows(text, delimiter, TITLES_MAX)), default=0) for delimiter in told_by]
    delimiter = told_by[scores.index(max(scores))]
    return Sheet(encoding, delimiter, _rows(text, delimiter))


def plain(text: str) -> str:
    """Full-width signs as ASCII, `℃` as `°C`, `m³` as `m3`: for what is looked up, never for names."""
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip(_BLANKS)


def decoded(content: bytes) -> tuple[str, str]:
    """The name of the encoding, and the text. Raises `SheetUnreadable`."""
    if content.startswith(_WORKBOOKS):
        raise SheetUnreadable("this is a workbook, not a text", "save it in Excel as `CSV UTF-8`")
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    for encoding in (marked,) if marked else ("UTF-8", "GB18030" if _HIGH_PAIR.search(content) else "Windows-1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return encoding.removesuffix("-SIG"), text
    raise SheetUnreadable("neither UTF-8 nor GB18030", "save it in Excel as `CSV UTF-8`")


def _rows(text: str, delimiter: str, first: int = ROWS_MAX + 1) -> tuple[tuple[str, ...], ...]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = tuple(tuple(map(_cell, row)) for row in islice(lines, first))
    except csv.Error as error:
        raise SheetUnreadable(f"the table is broken ({error})", "save it in Excel as `CSV UTF-8`") from error
    if len(rows) > ROWS_MAX:
        raise SheetUnreadable(f"there are more than {ROWS_MAX:,} rows", "split the list")
    return rows


def _cell(text: str) -> str:
    trimmed = text.strip(_BLANKS)
    formula = _FORMULA_TEXT.fullmatch(trimmed) if trimmed.startswith("=") else None
    return (formula[1] if formula else trimmed.removeprefix("'")).strip(_BLANKS)
