"""An outage that is longer than the journal is large: the oldest telemetry goes, no alarm does, and all accounts agree.

And the account is worth something: a build that drops one record more than it names is found.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from accounting import account, compare, samples
from consumer_process import ConsumerProcess
from fast_forward import BEFORE_S, field_before, site
from mqtt_peer import until
from plant import broker, folder, show
from three_accounts import disagreements

from buffer.ledger import Ledger

if TYPE_CHECKING:
    from fast_forward import Site

    from buffer.ledger import Lane

OUTAGE_S = 48 * 3600.0
SIZE_MAX_BYTES = 1024 * 1024
"""The smallest journal that there is; it holds about half of it."""

LOOK_S = 0.5
"""The journal tidies up at least this often."""


async def run() -> tuple[list[str], int, int]:
    """What is wrong after it; how many readings are lost by the consumer's report, and how many arrived."""
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
                await until(made.confirmed, 30)
                await made.end()
                own = made.own()
                await until(consumer.has_farewell)
                await consumer.stop()
            found = account(consumer.arrivals(), {})
            faults = disagreements(consumer.report, own, found, consumer.standing())
            said = samples(found)
            faults += compare(said, field.served).invented
            arrived = sum(len(said[device.id, "energy"]) for device in field.devices)
            lost = consumer.report["lost_records"]
            if arrived + lost != field.readings:
                faults.append(f"{field.readings} readings, {arrived} arrived, {lost} are named as lost")
            if {stream for (_, stream), records in own.lost.items() if records} - {"telemetry"}:
                faults.append(f"more than telemetry was lost: {own.lost}")
            return faults + found.faults, lost, arrived


async def dropped(made: Site) -> None:
    """Until the journal is small enough. A record that is dropped while it is being sent is lost and arrives."""
    before = -1
    while (lost := sum(made.own().lost.values())) != before:
        before = lost
        await asyncio.sleep(LOOK_S)


@pytest.mark.timeout(60)
async def test_a_journal_that_is_too_small_loses_the_oldest_telemetry_and_says_so_exactly() -> None:
    """What arrived and what is named as lost is what the field has given, reading for reading."""
    faults, lost, arrived = await run()
    show(f"{lost:,} readings lost and named, {arrived:,} arrived")
    assert faults == []
    assert lost > 1000
    assert arrived > 1000


@pytest.mark.timeout(60)
async def test_a_build_that_drops_one_record_more_than_it_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes the last one of each dropped range off as sent: neither records nor readings add up."""
    drop = Ledger.drop

    def dropping(ledger: Ledger, lane: Lane, first: int, last: int, reason: str) -> None:
        drop(ledger, lane, first, last - 1, reason)
        for cursor in ledger.cursors:
            ledger.settle(cursor, lane, [(last, last)])

    monkeypatch.setattr(Ledger, "drop", dropping)
    faults, _, _ = await run()
    assert any("received and lost by the report" in fault for fault in faults), faults
    assert any("are named as lost" in fault for fault in faults), faults
