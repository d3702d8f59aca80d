"""What CEL is given in place of what people write, and which place of theirs a place in it means."""

from __future__ import annotations

import pytest

from config.cel import compiled
from config.formula_text import translated

OWN = ["run", "pump_1.fault", "pump_2.fault", "zone-1", "zone-b"]


@pytest.mark.parametrize(
    ("written", "cel", "points"),
    [
        ("run && 400 > 3", "run && 400.0 > 3.0", ["run"]),
        ('all("pump_{n}.fault")', "(pump_1.fault && pump_2.fault)", ["pump_1.fault", "pump_2.fault"]),
        ("any('zone-{n}') || run", "(_0 || _1)      || run", ["zone-1", "zone-b", "run"]),
        ('point("zone-b") || any("zone-{n}")', "_0              || (_1 || _0)     ", ["zone-b", "zone-1"]),
        ('[1].all(x, x > 0) && "all(pump)" != "a"', '[1.0].all(x, x > 0.0) && "all(pump)" != "a"', []),
    ],
)
def test_2_expression_names_all_or_any_of_the_points_that_are_called_alike(
    written: str, cel: str, points: list[str]
) -> None:
    """Each point is one variable, however often it is named; CEL's own `all` and texts are left alone."""
    made = translated(written, OWN)
    assert (made.cel, list(made.inputs.values())) == (cel, points)
    compiled(made.cel, tuple((name, "bool") for name in made.inputs))


def test_2_expression_tells_a_mistake_where_it_was_written() -> None:
    """What was put in before moves it; within what was put in it is where that begins."""
    written = '400 < 1 || all("pump_{n}.fault") && oops'
    made = translated(written, OWN)
    assert made.original(made.cel.index("oops")) == written.index("oops")
    assert made.original(made.cel.index("pump_2")) == written.index("all(")
    assert made.original(made.cel.index("1.0")) == written.index("1 ")
