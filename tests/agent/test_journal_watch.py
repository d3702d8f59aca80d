"""What an operator hears of the journal: records that a platform will never get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alarm_bench import Bench

from agent.audit import Trail
from agent.clock import ManualClock
from agent.epoch import LOSS_S, JournalWatch, number_on
from agent.health import Health
from agent.rules.state import FLOOR_KEY
from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path


async def test_6_lost_records_are_a_condition_for_a_day(tmp_path: Path) -> None:
    """With uplink, stream and count, from the first one on; those of an earlier run were told then."""
    clock, health = ManualClock(), Health()
    journal = await Journal.open(tmp_path, Limits(2_000_000, 3600.0), wall=clock.wall, cursors=["platform"])
    await journal.append([Draft("alarm", 1, "alarm/red/fire/panel", b"{}")] * 5)
    journal.settle("platform", "alarm", (), rejected={1: "packet_too_large"})
    watch = JournalWatch(journal, health, clock, Trail(journal, clock))
    watch.look()
    assert list(health.views()) == []
    journal.settle("platform", "alarm", (), rejected={3: "packet_too_large", 4: "packet_too_large"})
    watch.look()
    found = [(view.code, view.target, view.detail) for view in health.views()]
    assert found == [("records_lost", "platform/alarm", "3 records so far")]
    clock.advance(LOSS_S)
    watch.look()
    assert len(list(health.views())) == 1
    clock.advance(1.0)
    watch.look()
    assert list(health.views()) == []
    await journal.close()


async def test_after_a_restore_no_occurrence_has_a_number_of_a_lost_one(tmp_path: Path) -> None:
    """A platform would take it for the old one. What stood goes on under its own name."""
    clock, limits = ManualClock(), Limits(2_000_000, 3600.0)
    names: list[bytes] = []
    for renew in (False, False, True, False):
        clock.advance(60.0)
        journal = await Journal.open(tmp_path, limits, wall=clock.wall, renew=renew)
        number_on(journal, clock)
        await journal.append(())
        names.append(journal.state[FLOOR_KEY].rpartition(b" ")[2])
        await journal.close()
    began = str(int(clock.wall() - 60.0)).encode()
    assert names == [b"0", b"0", began, began]
    before = Bench(ack=False)
    (first,) = before.read(100.0)
    bench = Bench(ack=False, stored={**before.stored, FLOOR_KEY: b"epoch " + began})
    cleared, again = bench.read(400.0), bench.read(100.0)
    assert (first.occurrence_id.rpartition("/")[2], cleared[0].occurrence_id) == ("1", first.occurrence_id)
    assert again[-1].occurrence_id.rpartition("/")[2] == str(int(began) + 1)
