"""An outage that is longer than the journal is large: the oldest telemetry goes, no alarm does, and all accounts agree.

And the account is worth something: a build that drops one record more than it names is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounting import account, compare, samples
from consumer_process import ConsumerProcess
from fast_forward import BEFORE_S, EVERY_S, field_before, recorded, site
from mqtt_peer import until
from plant import broker, folder, show
from three_accounts import disagreements

from buffer.ledger import Ledger

if TYPE_CHECKING:
    import pytest
    from accounting import Account
    from fast_forward import Field, Site

    from buffer.ledger import Lane, Loss

OUTAGE_S = 48 * 3600.0
SIZE_MAX_BYTES = 1024 * 1024
"""The smallest journal that there is; it holds about half of it."""

ROUNDS = 2
"""The writer goes round at least each second, and each time drops something while there is something to drop."""


async def run() -> tuple[list[str], int, int]:
    """What is wrong after it; how many records are lost by the consumer's report, and how many readings arrived."""
    field = field_before(BEFORE_S + OUTAGE_S)
    with folder() as here:
        async with broker(here) as server, site(here, server.port, field, size_max_bytes=SIZE_MAX_BYTES) as made:
            with ConsumerProcess(here, server.port, "--confirm", "--resend") as consumer:
                consumer.start()
                await until(consumer.connections)
                await made.live(BEFORE_S)
                await until(made.confirmed)
                server.leave()
                await made.live(OUTAGE_S)
                await made.stored()
                await dropped(made)
                await server.start()
                await until(made.confirmed)
                await made.end()
                own = made.own()
                await until(consumer.has_farewell)
                await consumer.stop()
            found = account(consumer.arrivals())
            faults = disagreements(consumer.report, own, found, consumer.standing())
            said = samples(found)
            faults += compare(said, field.served).invented
            arrived = sum(len(said[device.id, "energy"]) for device in field.devices)
            if {stream for (_, stream), records in own.lost.items() if records} - {"telemetry"}:
                faults.append(f"more than telemetry was lost: {own.lost}")
            for loss in made.journal.stats().losses:
                faults += unexplained(loss, found, field)
            return faults + found.faults, consumer.report["lost_records"], arrived


def unexplained(loss: Loss, found: Account, field: Field) -> list[str]:
    """Readings that never came and that no lost record can have held, or that came from one that is named as lost.

    Which records share a window is the journal's affair (a reading beside an alarm has one of its own), so that what
    was lost is held against the moments of the records around it, not against their number.
    """
    records = found.lanes[loss.lane.epoch, loss.lane.stream]
    faults = [f"record {one} came, and is named as lost" for one in records if loss.first <= one <= loss.last]
    around = [records.get(loss.first - 1), records.get(loss.last + 1)]
    if None in around:
        return [*faults, f"a record beside those that are named as lost, {loss.first} to {loss.last}, never came"]
    begin, end = (recorded(arrival) for arrival in around if arrival)
    begin -= 2 * EVERY_S  # A record is written when its window closes, at the next step of this clock.
    said = samples(found)
    for device in field.devices:
        came = {sample.value for sample in said[device.id, "energy"]}
        gone = [one.time for one in field.served[device.id, "energy"] if one.value not in came]
        faults += [f"{device.id}: the reading of {t} is lost and not named" for t in gone if not begin <= t <= end]
    return faults


async def dropped(made: Site) -> None:
    """Until the journal is small enough. A record that is dropped while it is being sent is lost and arrives."""
    rounds = 0
    while rounds < ROUNDS:
        lost = made.own().lost
        await gone_round(made)
        rounds = rounds + 1 if made.own().lost == lost else 0


async def gone_round(made: Site) -> None:
    beat = made.journal.stats().report.beat_mono
    await until(lambda: made.journal.stats().report.beat_mono > beat)


async def test_a_journal_that_is_too_small_loses_the_oldest_telemetry_and_says_so_exactly() -> None:
    """Record for record what arrived and what is named as lost; no reading is gone but in those that are named."""
    faults, lost, arrived = await run()
    show(f"{lost:,} records lost and named, {arrived:,} readings arrived")
    assert faults == []
    assert lost > 1000
    assert arrived > 1000


async def test_a_build_that_drops_one_record_more_than_it_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes the last one of each dropped range off as sent: the records do not add up, and one never came."""
    drop = Ledger.drop

    def dropping(ledger: Ledger, lane: Lane, first: int, last: int, reason: str) -> None:
        drop(ledger, lane, first, last - 1, reason)
        for cursor in ledger.cursors:
            ledger.settle(cursor, lane, [(last, last)])

    monkeypatch.setattr(Ledger, "drop", dropping)
    faults, _, _ = await run()
    assert any("received and lost by the report" in fault for fault in faults), faults
    assert any("never came" in fault for fault in faults), faults
