"""Three days without a broker, in seconds: only time is virtual; journal, uplink, broker and consumer are real.

What the platform then has is what the field has given, alarms first, and what happens now does not wait for the past.
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from accounting import account, compare, samples
from consumer_process import ConsumerProcess
from fast_forward import BEFORE_S, DEVICES, OUTAGE_S, field_before, recorded, site
from mqtt_peer import until
from plant import broker, folder, show
from three_accounts import disagreements

if TYPE_CHECKING:
    from pathlib import Path

    from accounting import Account
    from fast_forward import Field, Site


@pytest.mark.timeout(90)
async def test_three_days_without_a_broker_lose_nothing_and_keep_nobody_waiting() -> None:
    """All values arrive, critical before alarm before telemetry, live ones beside the backlog."""
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
                await made.live(OUTAGE_S)
                await made.stored()
                returned, backlog = field.clock.wall(), made.waiting()
                await server.start()
                live_from = await drain(made)
                await until(made.confirmed, 30)
                await made.end()
                own = made.own()
                await until(consumer.has_farewell)
                await consumer.stop()
            found = account(consumer.arrivals(), {stream: last for (_, stream), last in own.last.items()})
            assert disagreements(consumer.report, own, found, consumer.standing()) == []
            assert found.faults == []
            assert compare(samples(found), field.served).faults == []
            assert_alarms_first(found, left, returned)
            assert_live_beside_backlog(found, live_from, returned)
        tell(here / "journal" / "journal.db", backlog, field, began)


async def drain(made: Site) -> int:
    """Until the backlog is gone, while the meters go on; gives `live_from`."""
    await until(lambda: made.uplink.view().live_from)
    live_from = made.uplink.view().live_from
    assert live_from
    async with asyncio.timeout(30):
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
    telemetry = {arrival.sequence: arrival for arrival in found.records("telemetry")}
    assert recorded(telemetry[live_from]) > returned
    assert recorded(telemetry[live_from - 1]) <= returned
    assert telemetry[live_from].order < telemetry[live_from - 1].order


def tell(journal: Path, backlog: int, field: Field, began: float) -> None:
    """The journal keeps everything, and after its end all of it is in one file."""
    values = sum(map(len, field.served.values()))
    size = journal.stat().st_size
    show(f"{backlog:,} records waited, {values:,} values in all, {size / values:.1f} bytes of disk a value")
    show(f"{time.monotonic() - began:.1f} s")
