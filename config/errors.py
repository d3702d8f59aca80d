"""What is wrong with a configuration, in words that tell the person at the keyboard what to write instead.

ConfigInvalid     every problem of every file, found before anything is opened (`config.load`)
ConfigProblem     one problem that only a driver can see, without a place (`config.load.Places` finds it)
ConcealedError    a value that must not be repeated in a message, because it may be a secret
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


SPREADSHEET = ".csv"
"""How the names of files end whose columns have letters."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `file` is relative to the configuration folder; `line` and `column` from 1, 0 is the whole of it.

    In a point list, `line` is the row and `field` the heading, as the spreadsheet shows them.
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""

    @property
    def where(self) -> str:
        """File, line and column, as far as it is one place: `lines.yaml:3:7`, `points/chiller.csv:17:E`."""
        is_sheet = self.file.lower().endswith(SPREADSHEET)
        column = column_name(self.column - 1) if is_sheet and self.column else str(self.column)
        parts = (str(self.line), *([column] if self.column or not is_sheet else [])) if self.line else ()
        return ":".join((self.file, *parts))

    def __str__(self) -> str:
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{self.where}: {what}" + (f"; {self.hint}" if self.hint else "")


def column_name(index: int) -> str:
    """`A` to `Z`, `AA` and so on, as spreadsheets count from 0."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


class ConfigInvalid(Exception):
    """The configuration cannot be used. `problems` is sorted by file and line and never empty."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.warnings = tuple(sorted(set(warnings)))
        super().__init__("\n".join(map(str, self.problems)))


class ConfigProblem(Exception):
    """A mistake that shows only when a driver plans its line. It names what it knows: a device, a point, a field."""

    def __init__(self, message: str, hint: str = "", *, device: str = "", point: str = "", field: str = "") -> None:
        super().__init__(message + (f"; {hint}" if hint else ""))
        self.message = message
        self.hint = hint
        self.device = device
        self.point = point
        self.field = field


class ConcealedError(ValueError):
    """Raised by a validator of a field that may hold a secret: its message is shown, the value found is not."""
