"""Issue lines 1 and 2: whatever is read, lost, restarted or waited for, every kind of condition keeps its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from condition_bench import LAST_KNOWN, LOST, OVER_RANGE, Room, alarm
from hypothesis import given, settings
from hypothesis import strategies as st

from config.judgement import (
    Bits,
    Computed,
    Condition,
    Counter,
    Deviation,
    Formula,
    Input,
    Level,
    Limit,
    Mean,
    NoUpdate,
    Rate,
    Stuck,
)

if TYPE_CHECKING:
    from agent.events import AlarmTransition

PLAYED = settings(max_examples=60, deadline=None, derandomize=True)
LEVELS = (Level("L", 3.0, "yellow"), Level("H", 8.0, "yellow"), Level("HH", 9.0, "red"))
SUM = Formula("t + sp > 12.0", "t + sp > 12.0", (Input("t", "or-1", "t", "t"), Input("sp", "or-1", "sp", "sp")))
CONDITIONS: dict[str, Condition] = {
    "limit": Limit(LEVELS, 0.5),
    "mean": Limit(LEVELS, 0.5, Mean(900.0)),
    "rate": Limit((Level("L", -0.5, "yellow"), Level("H", 0.5, "yellow")), 0.1, Rate(60.0, 120.0)),
    "deviation": Limit((Level("H", 2.0, "yellow"),), 0.5, Deviation("or-1", "sp")),
    "bit": Bits(0b101, "yellow"),
    "no_update": NoUpdate(60.0, "yellow"),
    "stuck": Stuck(120.0, "yellow", 0.5),
    "counter": Counter("yellow", 120.0, backwards=True, rollover=8.0),
    "expression": Computed(SUM, "red"),
}
QUALITIES = {"good": None, "lost": LOST, "over range": OVER_RANGE, "last known": LAST_KNOWN}
WORDS = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(["t", "sp"]), st.integers(0, 10), st.sampled_from(sorted(QUALITIES))),
    st.tuples(st.just("hold"), st.sampled_from(["t", "sp"]), st.sampled_from([1, 30, 400]), st.just("")),
    st.tuples(st.just("wait"), st.just("t"), st.sampled_from([1, 45, 600]), st.just("")),
    st.tuples(st.just("restart"), st.just("t"), st.sampled_from([0, 20, 2_000]), st.just("")),
)


@pytest.mark.parametrize("kind", CONDITIONS)
@PLAYED
@given(story=st.lists(WORDS, max_size=25))
def test_an_occurrence_has_one_raise_and_one_end_whatever_happens(
    kind: str, story: list[tuple[str, str, int, str]]
) -> None:
    """Raises and clears alternate, over restarts too; an uncertain or unknown value never clears; nothing spins."""
    room = Room(alarm(CONDITIONS[kind], on_delay_s=5.0))
    stands = False
    for word, point, number, quality in story:
        if word == "restart":
            room = room.restarted(after_s=float(number))
            continue
        events = _played(room, word, point, number, quality)
        for event in events:
            assert event.action in ({"clear", "escalate", "deescalate"} if stands else {"raise"})
            stands = event.state != "NORM"
            if event.action == "clear" and kind != "no_update":
                assert event.q == "good"
        assert room.next_due is None or room.next_due > room.mono - 1e-6
    (run,) = room.rules.runs.values()
    assert (run.state != "NORM") is stands


def _played(room: Room, word: str, point: str, number: int, quality: str) -> list[AlarmTransition]:
    if word == "read":
        known = QUALITIES[quality]
        value = None if known is LOST else float(number)
        return room.read(value, known, point=point, after_s=1.0)
    if word == "hold":
        return room.hold(float(number), point=point)
    return room.wait(float(number))
