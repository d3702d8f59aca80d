"""How anything is shown: tables, colours only on a terminal, JSON on request. What is shown is not decided here."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.events import Value

STYLES = {
    "red": "bold white on red",
    "orange": "bold black on dark_orange",
    "yellow": "bold black on yellow",
    "blue": "bold white on blue",
    "good": "green",
    "uncertain": "yellow",
    "bad": "red",
    "online": "green",
    "up": "green",
    "connected": "green",
    "degraded": "yellow",
    "connecting": "yellow",
    "waiting": "yellow",
    "offline": "red",
    "down": "red",
    "refused": "red",
    "fault": "red",
    "error": "red",
    "warning": "yellow",
    "unknown": "dim",
    "disabled": "dim",
    "info": "blue",
    "holdover": "yellow",
    "unsynced": "red",
}
"""How a word of the status looks, wherever it stands."""

KEEP_GOING_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
UNITS = {"1": "", "Cel": "°C", "[ppm]": "ppm", "kW.h": "kWh", "Ohm": "Ω", "kOhm": "kΩ", "ug/m3": "µg/m³"}
SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
BINARY_STEP = 1024
DECIMALS = ((10_000, 0), (100, 1), (1, 2))
"""From which size on a number is shown with how many decimals; smaller ones have three."""
YOUNG_S = 10.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and how it looks on a terminal."""

    text: str
    style: str = ""


Row = list[str | Cell]


class _Screen(Protocol):
    def isatty(self) -> bool: ...


def on_terminal(screen: _Screen) -> bool:
    return screen.isatty()


def json(view: object) -> None:
    """Pretty, and by the types of `agent.status`."""
    print(msgspec.json.format(msgspec.json.encode(view)).decode())


def line(text: str) -> None:
    """One line now, even into a pipe."""
    print(text, flush=True)


def table(headings: Sequence[str], rows: Sequence[Row], *, title: str = "") -> None:
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    if on_terminal(sys.stdout):
        _rich(headings, cells, title)
    else:
        _plain(headings, cells, title)


def _plain(headings: Sequence[str], rows: Sequence[Sequence[Cell]], title: str) -> None:
    texts = [list(headings), *([cell.text.strip() for cell in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*texts, strict=True)]
    if title:
        print(title)
    for row in texts:
        print("  ".join(text + " " * (wide - width(text)) for text, wide in zip(row, widths, strict=True)).rstrip())


def _rich(headings: Sequence[str], rows: Sequence[Sequence[Cell]], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*headings, title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for row in rows:
        shown.add_row(*(Text(cell.text, style=cell.style) for cell in row))
    Console().print(shown)


def width(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def number(measured: float) -> str:
    """Three to five digits, without an exponent where people read it."""
    magnitude = abs(measured)
    decimals = next((places for least, places in DECIMALS if magnitude >= least), 3)
    return f"{measured:,.{decimals}f}" if magnitude else "0"


def value(held: Value) -> str:
    if held is None:
        return "—"
    if isinstance(held, bool):
        return "true" if held else "false"
    return number(held) if isinstance(held, float) else str(held)


def unit(code: str) -> str:
    """UCUM as people write it."""
    return UNITS[code] if code in UNITS else code.replace("{", "").replace("}", "").replace("m3", "m³")


def size(size_bytes: float) -> str:
    for name in SIZES[:-1]:
        if size_bytes < BINARY_STEP:
            return f"{size_bytes:.0f} {name}" if name == "B" else f"{size_bytes:.1f} {name}"
        size_bytes /= BINARY_STEP
    return f"{size_bytes:.1f} {SIZES[-1]}"


def age(age_s: float | None, decimals: int = 1) -> str:
    if age_s is None:
        return "—"
    for length, name in KEEP_GOING_UNITS:
        if age_s >= length:
            return f"{age_s / length:.0f} {name}"
    return f"{age_s:.{decimals if age_s < YOUNG_S else 0}f} s"


def duration(length_s: float) -> str:
    """As configuration writes it, in the largest unit that leaves nothing over."""
    for unit_s, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if length_s and length_s % unit_s == 0:
            return f"{length_s / unit_s:.0f}{name}"
    return f"{length_s:g}s"


def seconds_between(earlier: str, later: str) -> float:
    return (moment(later) - moment(earlier)).total_seconds()


def moment(rfc3339: str) -> datetime:
    return datetime.fromisoformat(rfc3339)


def local_time(rfc3339: str | None) -> str:
    """Time of day here; with the date unless it is today."""
    if rfc3339 is None:
        return "—"
    here = moment(rfc3339).astimezone()
    return here.strftime("%H:%M:%S" if here.date() == datetime.now(UTC).astimezone().date() else "%Y-%m-%d %H:%M:%S")


def local_time_ms(rfc3339: str) -> str:
    """The same with milliseconds."""
    return f"{local_time(rfc3339)}.{moment(rfc3339).microsecond // 1000:03d}"
