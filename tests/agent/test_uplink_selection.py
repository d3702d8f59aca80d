"""What an uplink's filter lets through: judged by stream and topic as they are made for real events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mqtt_peer import ScriptedBroker, until
from uplink_rig import alarm, audit, telemetry

from agent.uplink.selection import Selection
from buffer.record import Record
from config.outward import Filter

if TYPE_CHECKING:
    from uplink_rig import Rig

TOPICS = {
    "red": ("critical", "alarm/red/medgas-area/icu-3"),
    "blue": ("alarm", "alarm/blue/pwr-lv/lv-main"),
    "state": ("state", "device/pwr-lv/lv-main/history"),
    "begin": ("telemetry", "stream/telemetry"),
    "audit": ("audit", "audit"),
    "values": ("telemetry", "telemetry/medgas-area/icu-3"),
}
POWER = frozenset({"pwr.lv"})


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (Filter(), set(TOPICS)),
        (Filter(streams=frozenset({"critical", "telemetry"})), {"red", "begin", "values"}),
        (Filter(systems=POWER), {"blue", "state", "begin", "audit"}),
        (Filter(colours=frozenset({"red"})), {"red", "state", "begin", "audit", "values"}),
        (Filter(streams=frozenset({"critical", "alarm"}), systems=POWER, colours=frozenset({"red"})), set()),
    ],
)
def test_what_has_no_system_or_colour_is_not_judged_by_it(wanted: Filter, passing: set[str]) -> None:
    """A system is found in the topic as it is written there: `pwr.lv` is `pwr-lv`."""
    selection = Selection(wanted)
    found = {
        name for name, (stream, topic) in TOPICS.items() if selection.passes(Record(stream, "e", 1, 0, 0, topic, b""))
    }
    assert found == passing
    assert selection.is_all == (wanted == Filter())


async def test_what_does_not_pass_is_settled_without_being_sent(rig: Rig, broker: ScriptedBroker) -> None:
    """It is no loss, and holds up nothing: neither the others nor the retention."""
    rig.at(broker.port, filter=Filter(streams=frozenset({"critical", "telemetry"}), systems=frozenset({"cold.chain"})))
    await rig.append(telemetry(), alarm(), audit(), *(telemetry() for _ in range(200)))
    rig.start()
    await rig.settled()
    assert not broker.records()
    assert not rig.journal.stats().losses
    assert (rig.uplink.view().acknowledged, rig.uplink.view().rejected) == (0, 0)
    await rig.append(telemetry(), alarm())
    await rig.settled()
    await until(lambda: rig.uplink.view().state == "connected")
    assert not broker.records()


async def test_only_what_passes_is_sent(rig: Rig, broker: ScriptedBroker) -> None:
    """In its order, with its own sequence numbers."""
    rig.at(broker.port, filter=Filter(colours=frozenset({"red"}), streams=frozenset({"critical", "audit"})))
    await rig.append(telemetry(), alarm(), alarm("alarm"), audit(), alarm())
    rig.start()
    await rig.settled()
    assert [int(publish.event["sequence"]) for publish in broker.records("critical")] == [1, 2]
    assert len(broker.records("audit")) == 1
    assert len(broker.records()) == 3
