"""What is sent, in which order, and what settles it: against a broker that does what a script says."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from mqtt_peer import CUT, ScriptedBroker, until
from pace import in_time
from structlog.testing import capture_logs
from uplink_rig import ROOT, alarm, audit, device_state, telemetry

from agent import schemas
from agent.events import AUDIT
from agent.uplink import delivery, discards, feed
from buffer.errors import JournalUnavailable

if TYPE_CHECKING:
    from mqtt_peer import Publish
    from uplink_rig import Rig

    from buffer.record import Record


def sequences(published: list[Publish]) -> list[int]:
    return [int(publish.event["sequence"]) for publish in published]


def streams(published: list[Publish]) -> list[str]:
    return [publish.event["source"].rpartition("/")[2] for publish in published]


def never(_: Publish) -> int | None:
    return None


def only_status(publish: Publish) -> int | None:
    """Acknowledge what is retained and nothing that is numbered."""
    return None if publish.numbered else 0


async def test_everything_that_is_stored_arrives_and_is_settled(rig: Rig, broker: ScriptedBroker) -> None:
    """Stored before or after the connect, on the topic below the gateway's root, QoS 1, not retained."""
    rig.at(broker.port)
    await rig.append(telemetry(), alarm(), audit())
    rig.start()
    await rig.settled()
    await rig.append(telemetry())
    await rig.settled()
    assert [p.topic.removeprefix(ROOT) for p in broker.records()] == [
        "alarm/red/medgas-area/icu-3",
        "audit",
        "telemetry/medgas-area/icu-3",
        "telemetry/medgas-area/icu-3",
    ]
    assert {(p.qos, p.retain, p.dup) for p in broker.records()} == {(1, False, False)}
    assert rig.uplink.view().acknowledged == 4


async def test_6_how_long_alarms_take_to_the_broker_is_counted(rig: Rig, broker: ScriptedBroker) -> None:
    """From the journal to the acknowledgement: of alarms alone, each once, and not before the broker has it."""
    broker.answer = only_status
    rig.at(broker.port)
    await rig.append(alarm(), alarm("alarm"), telemetry(), audit())
    rig.start()
    await until(lambda: len(broker.records()) == 4)
    assert rig.uplink.alarm_times.cumulative()[-1] == 0
    for record in broker.records():
        broker.acknowledge(record)
    await rig.settled()
    assert rig.uplink.alarm_times.cumulative()[-1] == 2


async def test_a_disk_that_does_not_answer_leaves_the_gateway_its_time(
    rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again now and then, never over and over while nothing else can go on; then all of it arrives."""
    rig.at(broker.port)
    await rig.append(alarm(), telemetry())
    read, turns, asked = rig.journal.read, 0, Counter[int]()

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def refuse(stream: str, after: int, limit: int, **lane: Any) -> list[Record]:
        asked[turns] += 1
        if asked.total() < 40:
            raise JournalUnavailable("the disk does not answer", "check the disk")
        return await read(stream, after, limit, **lane)

    monkeypatch.setattr(delivery, "READ_AGAIN_S", 0.02)
    monkeypatch.setattr(rig.journal, "read", refuse)
    turning = asyncio.create_task(turn())
    rig.start()
    await rig.settled()
    turning.cancel()
    assert max(asked.values()) <= 10  # once for each stream, in a few turns of the uplink at most


async def test_streams_go_in_their_order_each_in_sequence(rig: Rig, broker: ScriptedBroker) -> None:
    """A backlog of telemetry never goes before an alarm that waits beside it."""
    rig.at(broker.port)
    await rig.append(*(telemetry() for _ in range(100)), audit(), alarm("alarm"), alarm("alarm"), alarm("critical"))
    rig.start()
    await rig.settled()
    assert streams(broker.records()) == ["critical", "alarm", "alarm", "audit"] + ["telemetry"] * 100
    assert sequences(broker.records("telemetry")) == list(range(1, 101))


async def test_an_alarm_is_next_while_telemetry_fills_the_window(rig: Rig, broker: ScriptedBroker) -> None:
    """One place of the window is kept for alarms, so that not even an acknowledgement must come first."""
    broker.answer = only_status
    rig.at(broker.port, window=20)
    await rig.append(*(telemetry() for _ in range(50)))
    rig.start()
    await until(lambda: len(broker.records()) == 19)
    await rig.append(alarm())
    await until(lambda: len(broker.records()) == 20)
    assert streams(broker.records())[-1] == "critical"
    broker.acknowledge(broker.records()[0])
    await rig.append(alarm())
    await until(lambda: len(broker.records()) == 21)
    assert streams(broker.records())[-1] == "critical"


async def test_bulk_in_flight_is_limited_in_bytes(rig: Rig, broker: ScriptedBroker) -> None:
    """On a slow link an alarm waits behind what is on its way: that is kept to a few large messages."""
    broker.answer = only_status
    rig.at(broker.port, window=50)
    await rig.append(*(telemetry("x" * 60_000) for _ in range(20)))
    rig.start()
    await until(lambda: len(broker.records()) == 3)
    await rig.append(alarm())
    await until(lambda: "critical" in streams(broker.records()))
    assert len(broker.records()) == 4


async def test_nothing_is_settled_without_an_acknowledgement(rig: Rig, broker: ScriptedBroker) -> None:
    """Sent is not settled; the one that the broker acknowledged is, whatever the order."""
    broker.answer = only_status
    rig.at(broker.port)
    await rig.append(telemetry(), telemetry(), telemetry())
    rig.start()
    await until(lambda: len(broker.records()) == 3)
    assert rig.waiting() == 3
    broker.acknowledge(broker.records()[1])
    await until(lambda: rig.waiting() == 2)
    (position,) = rig.journal.cursor("main")
    assert (position.low, position.spans) == (0, ((2, 2),))


async def test_a_broker_that_never_acknowledges_is_left_within_the_keep_alive(rig: Rig, broker: ScriptedBroker) -> None:
    """It answers pings, so only the missing acknowledgements show that it is of no use; the next broker is tried."""
    broker.answer = never
    async with ScriptedBroker() as second:
        rig.at(broker.port, second.port, keep_alive_s=1)
        await rig.append(telemetry())
        rig.start()
        assert in_time(await rig.settled(), 4)
        assert sequences(second.records()) == [1]


async def test_after_a_cut_the_same_records_come_again_with_the_same_ids(rig: Rig, broker: ScriptedBroker) -> None:
    """Nothing is missing, nothing but what was unacknowledged comes twice, and a double is equal byte for byte."""
    cuts = {5, 11}

    def cut_at(publish: Publish) -> int | None:
        if not publish.numbered or int(publish.event["sequence"]) not in cuts:
            return 0
        cuts.remove(int(publish.event["sequence"]))
        return CUT

    broker.answer = cut_at
    rig.at(broker.port)
    await rig.append(*(telemetry() for _ in range(30)))
    rig.start()
    await rig.settled()
    assert len(broker.connects) == 3
    assert set(sequences(broker.records())) == set(range(1, 31))
    by_id = {publish.id: set[bytes]() for publish in broker.records()}
    for publish in broker.records():
        by_id[publish.id].add(publish.payload)
    assert len(by_id) == 30
    assert all(len(payloads) == 1 for payloads in by_id.values())
    assert not any(publish.dup for publish in broker.published)


async def test_what_was_acknowledged_above_a_hole_is_not_sent_again(rig: Rig, broker: ScriptedBroker) -> None:
    """The cursor remembers ranges, so that one missing acknowledgement repeats one record, also after a restart."""
    broker.answer = lambda publish: 0 if not publish.numbered or int(publish.event["sequence"]) % 4 else None
    rig.at(broker.port)
    await rig.append(*(telemetry() for _ in range(12)))
    rig.start()
    await until(lambda: rig.waiting() == 3)
    await rig.kill()
    await rig.reopen()
    broker.published.clear()
    broker.answer = lambda _: 0
    rig.start()
    await rig.settled()
    assert sequences(broker.records()) == [4, 8, 12]


@pytest.mark.parametrize("limit", [1, 3])
async def test_the_receive_maximum_of_the_broker_is_obeyed(rig: Rig, broker: ScriptedBroker, limit: int) -> None:
    """Never more unacknowledged messages than the broker allows, whatever the window says."""
    broker.connack_properties = b"\x21" + limit.to_bytes(2, "big")
    broker.answer = never
    rig.at(broker.port, window=20)
    await rig.append(*(alarm() for _ in range(20)))
    rig.start()
    await until(lambda: len(broker.published) == limit)
    for answered in range(20 + 3):  # with birth, watermark and snapshot
        await until(lambda: len(broker.published) > answered)  # noqa: B023  # awaited within the same turn
        broker.acknowledge(broker.published[answered])
    await rig.settled()
    assert broker.in_flight_max == limit


async def test_a_record_above_the_packet_size_of_the_broker_is_set_aside(rig: Rig, broker: ScriptedBroker) -> None:
    """It would end every session; it is counted with its reason instead, and what follows goes on."""
    broker.connack_properties = b"\x27" + (2000).to_bytes(4, "big")
    rig.at(broker.port)
    await rig.append(telemetry("x" * 3000), telemetry())
    with capture_logs() as logs:
        rig.start()
        await rig.settled()
    assert sequences(broker.records("telemetry")) == [2]
    (loss,) = rig.journal.stats().losses
    assert (loss.reason, loss.first, loss.last, loss.records) == ("packet_too_large", 1, 1, 1)
    assert rig.uplink.view().rejected == 1
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["uplink record set aside"]


async def test_what_holds_now_is_not_sent_above_the_packet_size_of_the_broker(rig: Rig, broker: ScriptedBroker) -> None:
    """It would end every session, and nothing behind it would ever come: it is left out, and the status says so."""
    packet_bytes = 2000
    broker.connack_properties = b"\x27" + packet_bytes.to_bytes(4, "big")
    rig.at(broker.port)
    with capture_logs() as logs:
        rig.start()
        rig.uplink.retain(device_state(reason="o" * packet_bytes))
        await until(lambda: rig.uplink.view().error)
        await rig.append(telemetry())
        await rig.settled()
    assert max(len(publish.payload) for publish in broker.published) < packet_bytes
    view = rig.uplink.view()
    assert "too large for the broker" in str(view.error)
    assert "maximum packet size" in str(view.todo)
    assert [line["event"] for line in logs].count("uplink message refused") == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0x95, "packet_too_large"), (0x99, "payload_format_invalid"), (0x90, "topic_name_invalid")],
)
async def test_a_record_that_will_never_be_taken_is_set_aside(
    rig: Rig, broker: ScriptedBroker, code: int, reason: str
) -> None:
    """It does not stand in the way of those behind it, and the session goes on: paho alone would end it at 0x95."""
    broker.answer = lambda publish: code if publish.numbered and publish.event["sequence"].endswith("2") else 0
    rig.at(broker.port)
    await rig.append(alarm(), alarm(), alarm())
    rig.start()
    await rig.settled()
    (loss,) = rig.journal.stats().losses
    assert (loss.reason, loss.first, loss.records) == (reason, 2, 1)
    assert sequences(broker.records("critical")) == [1, 2, 3]
    await until(lambda: rig.uplink.view().acknowledged == 3)
    assert rig.uplink.view().rejected == 1
    assert len(broker.connects) == 1
    (entry,) = broker.records("audit")
    jsonschema.validate(entry.event, schemas.record_schema(AUDIT))
    told = entry.event["data"]
    assert (told["verb"], told["target"], told["reason"]) == ("buffer_drop", "uplink/main/critical", reason)
    assert told["after"] == f"{rig.journal.epoch}/critical/2: 1 set aside"


async def test_many_records_that_will_never_be_taken_are_few_entries_of_the_trail(
    rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once, the others as one range; and none about the trail itself, which would never end."""
    monkeypatch.setattr(discards, "EVERY_S", 0.3)
    broker.answer = lambda publish: 0x99 if publish.numbered else 0
    rig.at(broker.port)
    await rig.append(*(telemetry() for _ in range(100)))
    rig.start()
    await until(lambda: len(broker.records("audit")) == 2)
    await rig.settled()
    first, rest = (entry.event["data"] for entry in broker.records("audit"))
    counted = [int(told["after"].partition(": ")[2].split()[0]) for told in (first, rest)]
    assert sum(counted) == 100
    assert rest["after"].startswith(f"{rig.journal.epoch}/telemetry/{counted[0] + 1}..100: ")
    assert rest["prev_hash"] == first["hash"]
    assert rig.uplink.view().rejected == 102


async def test_telemetry_expires_at_the_broker_only_where_it_is_said(rig: Rig, broker: ScriptedBroker) -> None:
    """Alarms never do, whatever is said."""
    rig.at(broker.port, telemetry_expiry_s=3600)
    await rig.append(telemetry(), alarm())
    rig.start()
    await rig.settled()
    rig.at(broker.port, telemetry_expiry_s=None)
    await rig.stop()
    rig.start()
    await rig.append(telemetry())
    await rig.settled()
    assert [publish.expiry_s for publish in broker.records("telemetry")] == [3600, None]
    assert [publish.expiry_s for publish in broker.records("critical")] == [None]
    assert {publish.expiry_s for publish in broker.published if not publish.numbered} == {None}


@pytest.mark.parametrize("code", [0x83, 0x87, 0x97, 0xB0])
async def test_a_refused_stream_is_held_and_tried_again_while_others_go_on(
    rig: Rig, broker: ScriptedBroker, code: int
) -> None:
    """Kept, tried again with one record at a time, said once in the log and in the status, over as soon as it is."""
    refusing = True
    broker.answer = lambda publish: code if refusing and "/telemetry/" in publish.topic else 0
    rig.at(broker.port)
    await rig.append(*(telemetry() for _ in range(30)))
    with capture_logs() as logs:
        rig.start()
        await until(lambda: rig.uplink.view().error)
        first = len(broker.records("telemetry"))
        await rig.append(alarm())
        await until(lambda: broker.records("critical"))
        assert rig.waiting("telemetry") == 30
        await until(lambda: len(broker.records("telemetry")) > first)
        assert len(broker.records("telemetry")) == first + 1
        refusing = False
        await rig.settled()
    assert sequences(broker.records("telemetry"))[first + 1 :] == list(range(1, 31))
    assert rig.uplink.view().error is None
    assert len(broker.connects) == 1
    said = [line["event"] for line in logs if line.get("stream") == "telemetry"]
    assert said == ["uplink stream held", "uplink stream goes on"]


async def test_nobody_listening_counts_as_taken(rig: Rig, broker: ScriptedBroker) -> None:
    """Reason 0x10 is a success of the hand-over."""
    broker.answer = lambda _: 0x10
    rig.at(broker.port)
    await rig.append(alarm())
    rig.start()
    await rig.settled()
    assert rig.uplink.view().acknowledged == 1


async def test_after_an_outage_live_telemetry_goes_before_the_backlog(rig: Rig, broker: ScriptedBroker) -> None:
    """The birth says from where it is live; the older range drains beside it, at its rate, and nothing is missing."""
    rig.at(broker.port, backlog_records_per_s=200.0)
    backlog = feed.LIVE_FIRST_RECORDS + 10
    await rig.append(*(telemetry() for _ in range(backlog)))
    rig.start()
    await until(lambda: len(broker.records()) > 5)
    await rig.append(*(telemetry() for _ in range(40)), alarm())
    await until(lambda: len(broker.records("critical")) == 1)
    await until(lambda: {*range(backlog + 1, backlog + 41)} <= {*sequences(broker.records("telemetry"))})
    assert rig.waiting() > backlog / 2
    assert broker.published[0].event["data"]["live_from"] == backlog + 1
    old = [sequence for sequence in sequences(broker.records("telemetry")) if sequence <= backlog]
    assert old == sorted(old)
    await rig.stop()
    assert rig.waiting() > 0


async def test_the_backlog_drains_at_its_rate_until_nothing_is_left(rig: Rig, broker: ScriptedBroker) -> None:
    """Beside live telemetry, within a tenth of a second's burst."""
    backlog = feed.LIVE_FIRST_RECORDS + 100
    rig.at(broker.port, backlog_records_per_s=1000.0)
    await rig.append(*(telemetry() for _ in range(backlog)))
    rig.start()
    await until(broker.records)
    begun = asyncio.get_running_loop().time()
    await rig.settled()
    took_s = asyncio.get_running_loop().time() - begun
    assert took_s > (backlog - 100 - 64) / 1000
    assert sorted(sequences(broker.records())) == list(range(1, backlog + 1))


async def test_records_of_an_older_epoch_are_sent_before_those_of_the_new_one(rig: Rig, broker: ScriptedBroker) -> None:
    """What was stored before the box was swapped or restored is not forgotten."""
    await rig.append(alarm(), alarm())
    older = rig.journal.epoch
    await rig.reopen(renew=True)
    await rig.append(alarm())
    rig.at(broker.port)
    rig.start()
    await rig.settled()
    epochs = [(publish.event["epoch"], int(publish.event["sequence"])) for publish in broker.records()]
    assert epochs == [(older, 1), (older, 2), (rig.journal.epoch, 1)]


async def test_projections_go_after_alarms_and_before_telemetry(rig: Rig, broker: ScriptedBroker) -> None:
    """Birth and watermark first, then alarms, then what holds now, then the rest."""
    rig.at(broker.port)
    await rig.append(telemetry(), audit(), alarm())
    rig.start()
    rig.uplink.retain(device_state())
    await rig.settled()
    topics = [p.topic.removeprefix(ROOT).partition("/")[0] for p in broker.published]
    assert [topic for topic in topics if topic != "alarm-snapshot"] == [
        "status",
        "watermark",
        "alarm",
        "device",
        "audit",
        "telemetry",
    ]


async def test_of_a_device_that_is_gone_the_broker_keeps_nothing(rig: Rig, broker: ScriptedBroker) -> None:
    """An empty retained message on its topic, in this session and in the next, as with everything that it keeps."""
    rig.at(broker.port)
    rig.start()
    rig.uplink.retain(device_state())
    await until(lambda: [p for p in broker.published if "/device/" in p.topic])
    rig.uplink.forget(device_state())
    await until(lambda: [p for p in broker.published if p.payload == b""])
    broker.cut()
    await until(lambda: len([p for p in broker.published if p.payload == b""]) == 2)
    (state,) = [p for p in broker.published if "/device/" in p.topic and p.payload]
    assert {(p.topic, p.retain) for p in broker.published if p.payload == b""} == {(state.topic, True)}


async def test_another_configuration_is_told_at_once_and_after_each_connect(rig: Rig, broker: ScriptedBroker) -> None:
    """As status `online` with its version, on the same connection."""
    rig.at(broker.port)
    rig.start()
    await until(lambda: broker.published)
    rig.uplink.renew("c-2")
    await until(lambda: len([p for p in broker.published if p.topic == f"{ROOT}status"]) == 2)
    first, second = [p.event["data"] for p in broker.published if p.topic == f"{ROOT}status"]
    changing = ("cfg_ver", "since", "last_seq")
    assert (first["cfg_ver"], second["cfg_ver"], second["state"]) == ("1", "c-2", "online")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }
