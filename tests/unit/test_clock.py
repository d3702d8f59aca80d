"""What the clock is worth, as the kernel says, and that every event carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent import asyncapi
from agent.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

DISCIPLINED, UNDISCIPLINED, REFUSED = 0, 5, -1
"""Answers of adjtimex(2)."""


@pytest.mark.parametrize(
    ("answers", "states"),
    [
        ([UNDISCIPLINED, UNDISCIPLINED], ["unsynced", "unsynced"]),
        ([UNDISCIPLINED, DISCIPLINED, UNDISCIPLINED, DISCIPLINED], ["unsynced", "synced", "holdover", "synced"]),
        ([REFUSED], ["unsynced"]),
    ],
)
def test_7_the_kernel_says_what_the_clock_is_worth(answers: Sequence[int], states: Sequence[str]) -> None:
    """Set by a server, set before, or never; who may not ask knows nothing, and says the worst."""
    clock, left = SystemClock(), iter(answers)
    clock._adjtimex = lambda _: next(left)  # type: ignore[assignment]  # the kernel's door
    assert [clock.state() for _ in answers] == states


def test_7_the_real_kernel_answers() -> None:
    """Whatever it says here, it is one of the words, without a right that a service lacks."""
    assert SystemClock().state() in {"synced", "holdover", "unsynced"}


def test_7_every_event_says_what_the_clock_was_worth() -> None:
    """Of records and of projections alike the schema demands it."""
    told = [subject.schema() for subject in asyncapi.subjects() if subject.kind != "command"]
    assert len(told) > 10
    for schema in told:
        (envelope,) = [each for each in schema["$defs"].values() if "specversion" in each["properties"]]
        assert "clockstate" in envelope["required"]
        assert envelope["properties"]["clockstate"]["enum"] == ["holdover", "synced", "unsynced"]
