"""The consumer and a real uplink with a real journal, over a real broker: both must tell the same story."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from consumer_rig import Running, at
from mqtt_peer import Mosquitto, until
from uplink_rig import Rig, alarm, telemetry

from agent.clock import SystemClock
from agent.epoch import first_records
from buffer.epoch import Begun
from consumer.report import report
from consumer.sinks import SqliteSink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from buffer.journal import Journal
    from consumer.report import Report


@pytest.fixture
async def rig(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Rig]:
    """An uplink that is not running yet."""
    folder = tmp_path / "journal"
    folder.mkdir()
    async with Rig(folder) as rig:
        rig.at(mosquitto.port)
        yield rig


def told_of(running: Running, stream: str) -> tuple[int, int | None]:
    """Received and complete to, of a stream that has a lane, or zeros."""
    lanes = [lane for gateway in report(running.account).gateways for lane in gateway.streams if lane.stream == stream]
    return (sum(lane.received for lane in lanes), lanes[-1].complete_to) if lanes else (0, None)


def records(told: Report) -> dict[str, list[int]]:
    """What was received of each stream, epoch by epoch; what we ask for is audited, so there is more than we sent."""
    found: dict[str, list[int]] = {}
    for gateway in told.gateways:
        for lane in gateway.streams:
            found.setdefault(lane.stream, []).append(lane.received)
    return found


async def test_what_the_gateway_settles_is_what_the_consumer_has_confirmed(
    rig: Rig, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Nothing is settled before it is stored here, everything after."""
    rig.at(mosquitto.port, confirm=True)
    await rig.append(*[telemetry() for _ in range(200)], *[alarm() for _ in range(10)])
    rig.start()
    await until(lambda: rig.uplink.view().state == "connected")
    assert rig.waiting() == 210
    with Running(at(mosquitto), SqliteSink(tmp_path / "events.db")) as running:
        await until(lambda: not rig.waiting("telemetry") and not rig.waiting("critical"))
        told = await stopped(running)
    assert told.verdict == "COMPLETE"
    assert records(told)["critical"] == [10]
    assert records(told)["telemetry"] == [200]
    confirmed = {lane.stream: lane.confirmed for lane in told.gateways[0].streams}
    assert (confirmed["critical"], confirmed["telemetry"]) == (10, 200)


async def test_what_was_sent_before_the_consumer_came_is_had_by_asking(
    rig: Rig, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The broker had thrown it away; the journal still has it."""
    await rig.append(*[telemetry() for _ in range(300)])
    rig.start()
    await rig.settled()
    with Running(at(mosquitto), SqliteSink(tmp_path / "events.db"), confirm=False) as running:
        await until(running.connected)
        await rig.append(telemetry())
        await until(lambda: told_of(running, "telemetry") == (301, 301))
        told = await stopped(running)
    assert (told.verdict, told.gap_records, told.lost_records) == ("COMPLETE", 0, 0)


async def begin_streams(journal: Journal) -> None:
    """The rig's journal is opened without the records that the daemon begins an epoch with."""
    begun = Begun(journal.epoch, journal.previous, "renewed" if journal.previous else "first", durable=True)
    await journal.append(first_records(SystemClock())(begun))


async def test_an_epoch_that_ends_is_complete_to_its_end(rig: Rig, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A new journal begins while the consumer watches: both epochs are accounted for."""
    with Running(at(mosquitto), SqliteSink(tmp_path / "events.db")) as running:
        await until(running.connected)
        await begin_streams(rig.journal)
        await rig.append(*[alarm() for _ in range(5)])
        rig.start()
        await rig.settled()
        await rig.stop()
        await rig.reopen(renew=True)
        await begin_streams(rig.journal)
        await rig.append(*[alarm() for _ in range(3)])
        rig.start()
        await until(lambda: told_of(running, "critical")[0] == 10)
        told = await stopped(running)
    assert told.verdict == "COMPLETE"
    assert records(told)["critical"] == [6, 4]


async def stopped(running: Running) -> Report:
    """Stopped in order, while the uplink goes on answering."""
    running.ask_to_stop()
    await until(lambda: running.ended)
    return running.stop()
