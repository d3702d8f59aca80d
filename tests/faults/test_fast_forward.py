"""Three days without a broker, in seconds: only time is virtual; journal, uplink, broker and consumer are real.

What the platform then has is what the field has given, alarms first, and what happens now does not wait for the past.
In the middle of them the disk stands still, so that it is told in three epochs.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING

from accounting import account, compare, samples
from consumer_process import ConsumerProcess
from fast_forward import BEFORE_S, DEVICES, OUTAGE_S, field_before, recorded, site
from hardware_mocks.signals import DAY_S
from mqtt_peer import UNTIL_S_MAX, until
from plant import broker, folder, show
from three_accounts import disagreements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from accounting import Account
    from fast_forward import Field, Site

    from buffer.journal import Journal
    from buffer.retention import Retention
    from buffer.store import Store


async def test_three_days_without_a_broker_lose_nothing_and_keep_nobody_waiting() -> None:
    """All values arrive, critical before alarm before telemetry, each in its order, live ones beside the backlog."""
    began = time.monotonic()
    with folder() as here:
        field = field_before(BEFORE_S + OUTAGE_S)
        async with broker(here) as server, site(here, server.port, field) as made:
            with ConsumerProcess(here, server.port, "--confirm", "--resend") as consumer:
                consumer.start()
                await until(consumer.connections)
                await made.live(BEFORE_S)
                await until(made.confirmed)
                server.leave()
                left = field.clock.wall()
                await made.live(DAY_S)
                async with disk_standing_still(made.journal):
                    await made.live(DAY_S)
                await made.live(OUTAGE_S - 2 * DAY_S)
                await made.stored()
                returned, backlog = field.clock.wall(), made.waiting()
                await server.start()
                live_from = await drain(made)
                await until(made.confirmed)
                await made.end()
                own = made.own()
                await until(consumer.has_farewell)
                await consumer.stop()
            found = account(consumer.arrivals(), own.last)
            assert disagreements(consumer.report, own, found, consumer.standing()) == []
            assert found.faults == []
            assert len(found.epochs()) >= 3
            assert compare(samples(found), field.served).faults == []
            assert_alarms_first(found, left, returned)
            assert_live_beside_backlog(found, live_from, returned)
        tell(here / "journal" / "journal.db", backlog, field, began)


@asynccontextmanager
async def disk_standing_still(journal: Journal) -> AsyncIterator[None]:
    """Until the block is over, and what waits has gone on in memory; then it is back."""
    stands, goes_on = Event(), Event()

    def hang(_: Store, __: Retention) -> None:
        stands.set()
        goes_on.wait()

    journal._writer.put_job(hang)
    await until(stands.is_set)
    try:
        yield
        await until(lambda: journal.stats().away)
    finally:
        goes_on.set()
    await until(lambda: not journal.stats().away)


async def drain(made: Site) -> int:
    """Until the backlog is gone, while the meters go on; gives `live_from`."""
    await until(lambda: made.uplink.view().live_from)
    live_from = made.uplink.view().live_from
    assert live_from
    async with asyncio.timeout(UNTIL_S_MAX):
        while made.uplink.view().backlog:
            await made.live(1, every_s=1)
            await asyncio.sleep(0.05)
    return live_from


def assert_alarms_first(found: Account, left: float, returned: float) -> None:
    """Of what was recorded in the outage; each alarm came up every day and went away again."""
    critical, alarm, telemetry = (
        [one.order for one in found.records(stream) if left < recorded(one) <= returned]
        for stream in ("critical", "alarm", "telemetry")
    )
    assert len(critical) >= 6
    assert len(alarm) >= 6 * (DEVICES - 1)
    assert max(critical) < min(alarm)
    assert max(alarm) < min(telemetry)
    assert all(earlier < later for earlier, later in pairwise(telemetry)), "the backlog is in its order"


def assert_live_beside_backlog(found: Account, live_from: int, returned: float) -> None:
    ((last_of_backlog, first_live),) = [
        (earlier, later)
        for earlier, later in pairwise(found.records("telemetry"))
        if recorded(earlier) <= returned < recorded(later)
    ]
    assert first_live.sequence == live_from
    assert first_live.order < last_of_backlog.order


def tell(journal: Path, backlog: int, field: Field, began: float) -> None:
    """The journal keeps everything, and after its end all of it is in one file."""
    values = sum(map(len, field.served.values()))
    size = journal.stat().st_size
    show(f"{backlog:,} records waited, {values:,} values in all, {size / values:.1f} bytes of disk a value")
    show(f"{time.monotonic() - began:.1f} s")
