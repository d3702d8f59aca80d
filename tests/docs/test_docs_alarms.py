"""docs/alarms.md: the picture and the tables are what the gateway does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from alarm_picture import BOXES, WAYS, drawn, picture

from agent.events import Overlay
from agent.rules.machine import STATES
from agent.rules.orders import SHELVED_RED_S_MAX, SHELVED_S_MAX
from config.duty import RESPONSE
from config.model import COLOURS, Colour

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "alarms.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| .* \|$", section, re.MULTILINE)[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_the_picture_is_drawn_from_the_table() -> None:
    """The committed one is what `make diagram` writes today."""
    assert (DOCS / "alarm-states.svg").read_text(encoding="utf-8") == picture()


def test_the_picture_has_a_way_for_every_row_and_no_other() -> None:
    """A change of the table without its line is an error; so is a line that nothing takes."""
    taken = {(row.state, row.to) for row in drawn() if row.state != row.to and row.trigger != "unhide"}
    assert taken == set(WAYS)
    assert set(BOXES) == set(STATES)


def test_every_state_and_overlay_is_explained() -> None:
    """And none that there is not."""
    assert {name for row in rows("States") for name in re.findall(r"`([A-Z]+)`", row[0])} == set(STATES)
    assert [row[0].strip("`") for row in rows("Hidden alarms")] == list(get_args(Overlay))


@pytest.mark.parametrize("colour", COLOURS)
def test_the_table_of_colours_is_that_of_the_code(colour: Colour) -> None:
    """What holds where the site says nothing else."""
    (row,) = [row for row in rows("Colours") if row[0].startswith(colour)]
    response = RESPONSE[colour]
    assert [int(row[1]), int(row[2]), row[3].split("`")[1]] == [response.priority, response.severity, response.level]
    times = [f"{seconds / 60:.0f} min" for seconds in response.ack_within_s]
    assert row[4] == (", ".join(times) or "never")


def test_the_limits_of_shelving_are_those_of_the_code() -> None:
    """Eight hours, and half an hour."""
    assert f"{SHELVED_S_MAX / 3600:.0f} h at most" in PAGE
    assert f"{SHELVED_RED_S_MAX / 60:.0f} min where the alarm can become red" in PAGE
