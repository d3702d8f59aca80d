"""Looking back into a real journal: points, alarms, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from past_records import NOW, POINT, batch, transition

from agent.clock import ManualClock
from agent.control.desk import Refusal
from agent.events import rfc3339
from agent.past import ROWS_MAX, Past
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(tmp_path, Limits(2**26, 3600.0), wall=lambda: NOW, cursors=["main"])
    yield journal
    await journal.close()


async def test_a_point_by_range_and_thinned(journal: Journal) -> None:
    """Rows for the time that was asked for, with their quality, and the gaps between them."""
    past = Past(journal, ManualClock(NOW), [POINT])
    await journal.append([batch(NOW - 7200, 1.0, 2.0)])
    await journal.append([batch(NOW - 3600, 10.0, 20.0, None), batch(NOW - 60, 30.0, 50.0)])
    seen = await past.of_point(POINT, NOW - 3600, NOW, None)
    assert [(row.last, row.q, row.count) for row in seen.rows] == [
        (10.0, "good", 1),
        (20.0, "good", 1),
        (None, "bad", 1),
        (30.0, "good", 1),
        (50.0, "good", 1),
    ]
    assert [(gap.begin, gap.end) for gap in seen.gaps] == [(rfc3339(NOW - 3598), rfc3339(NOW - 60))]
    thin = await past.of_point(POINT, NOW - 3600, NOW, 60.0)
    assert [(row.min, row.max, row.q, row.count) for row in thin.rows] == [
        (10.0, 20.0, "bad", 3),
        (30.0, 50.0, "good", 2),
    ]
    assert thin.gaps == seen.gaps
    assert (seen.point, seen.unit, seen.hold_s) == ("m1/u", "V", 302.0)


async def test_more_than_one_answer_should_hold_is_refused(journal: Journal) -> None:
    """With what to ask for instead; thinned it is welcome."""
    past = Past(journal, ManualClock(NOW), [POINT])
    await journal.append([batch(NOW - 30_000 + 500 * at, *map(float, range(500))) for at in range(ROWS_MAX // 500 + 1)])
    with pytest.raises(Refusal, match="too much history") as caught:
        await past.of_point(POINT, NOW - 40_000, NOW, None)
    assert "ask for less time" in caught.value.hint
    assert len((await past.of_point(POINT, NOW - 40_000, NOW, 600.0)).rows) > 30


async def test_a_journal_that_cannot_be_read_now_is_said(journal: Journal, tmp_path: Path) -> None:
    """Not an empty answer, which would look like a gap."""
    await journal.append([batch(NOW, 1.0)])
    (tmp_path / "journal.db").rename(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match="telemetry"):
        await Past(journal, ManualClock(NOW), [POINT]).of_point(POINT, NOW - 60, NOW, None)
    (tmp_path / "elsewhere").rename(tmp_path / "journal.db")


async def test_what_alarms_did_is_in_the_order_of_time(journal: Journal, tmp_path: Path) -> None:
    """Of both streams together; or of one alarm."""
    past = Past(journal, ManualClock(NOW), [POINT])
    await journal.append(
        [transition("alarm", "a", NOW - 30), transition("critical", "c", NOW - 20), transition("alarm", "a", NOW - 10)]
    )
    assert [row.alarm_id for row in await past.of_alarms(None, NOW - 60, NOW)] == ["a", "c", "a"]
    assert [row.time for row in await past.of_alarms("a", NOW - 25, NOW)] == [rfc3339(NOW - 10)]


async def test_an_occurrence_is_shown_with_the_samples_around_it(journal: Journal) -> None:
    """The last one, from its raise on, also where that was long ago; times that overlap are one."""
    past = Past(journal, ManualClock(NOW), [POINT])
    await journal.append(
        [
            transition("alarm", "a", NOW - 200_000, occurrence=1),
            transition("alarm", "a", NOW - 100_000, occurrence=2),
            transition("alarm", "a", NOW - 99_970, action="clear", n=2, occurrence=2),
            transition("alarm", "a", NOW - 30, action="ack", n=3, occurrence=2, refers=False),
            transition("alarm", "a", NOW - 20, action="retrigger", n=4, occurrence=2),
        ]
    )
    await journal.append([batch(NOW - 100_070 + at, float(at)) for at in range(200)])
    await journal.append([batch(NOW - 70, *map(float, range(60)))])
    found = await past.of_occurrence("a", None)
    assert found is not None
    assert [row.n for row in found.transitions] == [1, 2, 3, 4]
    assert [(one.point, one.unit, one.complete, len(one.samples)) for one in found.evidence] == [
        ("m1/u", "V", True, 151),
        ("m1/u", "V", False, 60),
    ]
    assert (found.evidence[0].samples[0].value, found.evidence[0].begin) == (10.0, rfc3339(NOW - 100_060))
    first = await past.of_occurrence("a", "gw/a/1")
    assert first is not None
    assert [row.time for row in first.transitions] == [rfc3339(NOW - 200_000)]
    assert await past.of_occurrence("b", None) is None
