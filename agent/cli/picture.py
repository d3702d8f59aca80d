"""A frame of the terminal as an SVG that looks the same everywhere: no fonts from elsewhere, wide characters wide."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_TEXT = re.compile(r'(<text [^>]*textLength=")([\d.]+)("[^>]*>)([^<]*)')


def svg(frame: RenderableType, title: str, columns: int, rows: int) -> str:
    """What a terminal of this size shows of `frame`."""
    recorder = Console(
        record=True, file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system="truecolor"
    )
    recorder.print(frame)
    # Without its fonts from elsewhere, so that looking at it asks nobody else for anything.
    return widened(_FONTS.sub("", recorder.export_svg(title=title)))


def widened(picture: str) -> str:
    """Rich gives every character the width of one cell; Chinese ones have two and would be squeezed over each other."""

    def widen(match: re.Match[str]) -> str:
        text = html.unescape(match[4])
        length = float(match[2]) * cell_len(text) / len(text) if text else float(match[2])
        return f"{match[1]}{length:g}{match[3]}{match[4]}"

    return _TEXT.sub(widen, picture)
