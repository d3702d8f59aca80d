"""When a gateway is alive, and when it is ready."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import fake_desk
import pytest

from agent.vitals import STUCK_S_MAX, Vitals

if TYPE_CHECKING:
    from buffer.journal import Stats


@dataclass
class Written:
    """A journal that is as the test says."""

    stuck: float = 0.0
    error: str = ""
    away: str = ""

    def stuck_s(self) -> float:
        return self.stuck

    def stats(self) -> Stats:
        return replace(fake_desk.scrape().journal, error=self.error, away=self.away)


@pytest.mark.parametrize(("stuck_s", "lives"), [(0.0, True), (STUCK_S_MAX, True), (STUCK_S_MAX + 1, False)])
def test_6_a_writer_that_is_stuck_does_not_live(stuck_s: float, lives: bool) -> None:
    """And says for how long; as soon as it goes on it lives again."""
    journal = Written(stuck=stuck_s)
    vitals = Vitals(journal)
    vitals.look()
    assert (vitals.alive().ok, vitals.ready().ok) == (lives, lives)
    assert ("31 s" in vitals.alive().checks["writer"]) is not lives
    journal.stuck = 0.0
    vitals.look()
    assert vitals.alive().ok


@pytest.mark.parametrize("trouble", [{"away": "no space left"}, {"error": "the file is gone"}])
def test_6_a_journal_that_is_not_on_disk_is_not_ready_and_lives(trouble: dict[str, str]) -> None:
    """To begin anew would lose what only memory holds, so nobody is asked to."""
    vitals = Vitals(Written(**trouble))  # type: ignore[arg-type]  # one of its texts
    vitals.look()
    assert vitals.alive().ok
    (said,) = trouble.values()
    assert (vitals.ready().ok, vitals.ready().checks["journal"]) == (False, said)
