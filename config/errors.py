"""What is wrong with a configuration, in words that tell the person at the keyboard what to write instead.

ConfigInvalid     every problem of every file, found before anything is opened (`config.load`)
ConfigProblem     one problem that only a driver can see, without a place (`config.load.locate` finds it)
ConcealedError    a value that must not be repeated in a message, because it may be a secret
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `file` is relative to the configuration folder; `line` and `column` from 1, 0 is the whole file."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{where}: {what}" + (f"; {self.hint}" if self.hint else "")


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
