"""An old backup of the journal is put back: a new epoch begins, so nothing that comes passes for what came before.

And it is the epoch that does it: a build that goes on in the old one loses what it numbers a second time.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from accounting import account, compare, samples
from consumer_process import ConsumerProcess
from fast_forward import field_before, site
from mqtt_peer import until
from pace import slowness
from plant import broker, folder

from buffer.archive import copy_unused, restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fast_forward import Field

SPAN_S = 3600.0
"""Before the backup, between backup and loss, and after the restore."""

CONFIRMED_S_MAX = 5.0


async def live(here: Path, port: int, field: Field, consumer: ConsumerProcess) -> list[str]:
    """One life of the gateway, from an orderly start to an orderly end; says what it did not come to."""
    async with site(here, port, field) as made:
        await made.live(SPAN_S)
        with suppress(TimeoutError):
            await until(made.confirmed, CONFIRMED_S_MAX * slowness())
        left = made.waiting() + (made.uplink.view().handed_over or 0)
        await made.end()
        await until(lambda: consumer.stored() and consumer.has_farewell())
        return [f"{left} records were never confirmed"] if left else []


def back_up_by_hand(here: Path) -> None:
    shutil.copytree(here / "journal", here / "backup")


def put_back_by_hand(here: Path) -> None:
    """As nobody should: the copy does not know that it is one."""
    shutil.rmtree(here / "journal")
    (here / "backup").rename(here / "journal")


def back_up(here: Path) -> None:
    copy_unused(here / "journal", here / "backup.db")


def put_back(here: Path) -> None:
    """With what was there until now beside it."""
    assert restore(here / "journal", here / "backup.db", time.time()) is not None


async def faults_of(save: Callable[[Path], None], bring_back: Callable[[Path], None]) -> tuple[list[str], list[str]]:
    """What is wrong after a restore, and the epochs that the consumer knows, in the order of their chain."""
    field = field_before(3 * SPAN_S)
    with folder() as here:
        async with broker(here) as server:
            with ConsumerProcess(here, server.port, "--confirm", "--resend") as consumer:
                consumer.start()
                await until(consumer.connections)
                assert await live(here, server.port, field, consumer) == []
                await asyncio.to_thread(save, here)
                assert await live(here, server.port, field, consumer) == []
                await asyncio.to_thread(bring_back, here)
                faults = await live(here, server.port, field, consumer)
                await consumer.stop()
            found = account(consumer.arrivals())
            faults += [*compare(samples(found), field.served).faults, *found.faults]
            (gateway,) = consumer.report["gateways"]
            if consumer.report["verdict"] != "COMPLETE":
                faults.append(f"the consumer's report says {consumer.report['verdict']}")
            return faults, [epoch["previous"] for epoch in gateway["epochs"]]


async def test_after_a_restore_everything_arrives_in_an_epoch_that_names_the_one_before() -> None:
    """Also what the platform had, and the backup had not."""
    faults, previous = await faults_of(back_up, put_back)
    assert faults == []
    assert len(previous) == 2
    assert previous[0] is None
    assert previous[1] is not None


async def test_a_build_that_goes_on_in_the_epoch_of_the_backup_is_found() -> None:
    """It numbers a second time what is another event: the platform takes that for what it has."""
    faults, _ = await faults_of(back_up_by_hand, put_back_by_hand)
    assert any("served values never arrived" in fault for fault in faults), faults
