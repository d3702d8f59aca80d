"""How long an uplink waits, and when it concludes that somebody else goes by its client id."""

from __future__ import annotations

import pytest

from agent.uplink.patience import PEACE_S, SHORT_SESSIONS_MAX, Patience
from agent.uplink.problems import Problem, Refused, Taken, Unreachable, ended


def patience() -> Patience:
    return Patience("gw-a1")


@pytest.mark.parametrize(
    ("problem", "low", "high"),
    [(Unreachable("", ""), 0.5, 10.0), (Refused("", ""), 5.0, 60.0), (Taken("", ""), 5.0, 300.0)],
)
def test_waits_grow_with_jitter_up_to_their_limit(problem: Problem, low: float, high: float) -> None:
    """Longer where a person must act, and longest where coming back would throw somebody else out."""
    one = patience()
    waits = [one.next_s(problem) for _ in range(20)]
    assert low / 2 <= waits[0] <= low
    assert all(high / 2 <= wait <= high for wait in waits[8:])
    assert len(set(waits)) == len(waits)


def test_a_good_session_makes_the_waits_short_again() -> None:
    """But not those for a client id that is taken: two gateways would fight on, only slower."""
    one = patience()
    for problem in (Unreachable("", ""), Taken("", "")):
        for _ in range(12):
            one.next_s(problem)
    one.judge(Unreachable("", ""), lasted_s=60.0)
    assert one.next_s(Unreachable("", "")) <= 0.5
    assert one.next_s(Taken("", "")) >= 150
    one.judge(Unreachable("", ""), lasted_s=PEACE_S + 1)
    assert one.next_s(Taken("", "")) <= 5


def test_short_sessions_in_a_row_are_a_conflict_where_the_broker_has_no_word_for_it() -> None:
    """It names the id, and the other thing that it may be."""
    one = patience()
    for _ in range(SHORT_SESSIONS_MAX - 1):
        assert not isinstance(one.judge(ended(), lasted_s=0.2), Taken)
    found = one.judge(ended(), lasted_s=0.2)
    assert isinstance(found, Taken)
    assert "gw-a1" in found.what
    assert "topic" in found.what
    assert one.conflict_after(5.0) is found
    assert one.conflict_after(PEACE_S + 1) is None


def test_a_broker_that_went_away_in_between_is_no_conflict() -> None:
    """Nor are long sessions: a broker that is restarted, or crashes again and again, must not be waited for longer."""
    one = patience()
    for _ in range(20):
        assert not isinstance(one.judge(ended(), lasted_s=0.2), Taken)
        one.judge(Unreachable("", ""), lasted_s=None)
    for _ in range(20):
        assert not isinstance(one.judge(ended(), lasted_s=120.0), Taken)


def test_a_conflict_lasts_until_a_session_has() -> None:
    """While it is on, a longer session that ends the same way is part of it."""
    one = patience()
    for _ in range(SHORT_SESSIONS_MAX):
        one.judge(ended(), lasted_s=0.2)
    assert isinstance(one.judge(ended(), lasted_s=200.0), Taken)
    assert not isinstance(one.judge(ended(), lasted_s=PEACE_S + 1), Taken)
    assert one.conflict is None
