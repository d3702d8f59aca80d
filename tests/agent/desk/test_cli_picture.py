"""The picture of the live view: what a browser makes of it."""

from __future__ import annotations

import re

from rich.text import Text

from agent.cli.picture import svg


def lengths(picture: str) -> dict[str, float]:
    found = re.findall(r'<text [^>]*textLength="([\d.]+)"[^>]*>([^<]+)<', picture)
    return {text: float(length) for length, text in found}


def test_wide_characters_have_the_width_of_two() -> None:
    """Four Chinese characters take as much room as eight letters."""
    picture = svg(Text.assemble(("火灾报警", "red"), ("abcdefgh", "blue")), "x", 40, 3)
    found = lengths(picture)
    assert found["火灾报警"] == found["abcdefgh"]


def test_the_picture_asks_nobody_for_a_font() -> None:
    """Nothing in it is loaded from elsewhere."""
    assert not re.search(r"@font-face|url\(['\"]?http|href", svg(Text("x"), "x", 40, 3))
