"""What an uplink and its platform say to each other beside the records, against a broker that follows a script."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import deque
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from event_gallery import TIME
from mqtt_peer import until
from uplink_rig import ROOT, alarm, audit, telemetry, transition

from agent import schemas
from agent.events import (
    ALARM_SNAPSHOT,
    ALARM_TRANSITION,
    AUDIT,
    CMD_RESULT,
    STREAM_WATERMARK,
    Event,
    EvidenceCommand,
    rfc3339,
)
from agent.uplink import dialogue as dialogue_module
from agent.uplink import errands as errands_module
from agent.uplink import feed as feed_module
from agent.uplink.commands import Refused
from agent.uplink.errands import Done
from buffer.ledger import Lane
from buffer.tail import TAIL_BYTES_MAX
from config.outward import Filter

if TYPE_CHECKING:
    from mqtt_peer import Publish, ScriptedBroker
    from uplink_rig import Rig

    from agent.events import Command

ACTOR = {"type": "platform", "id": "p-1", "role": "consumer"}


class Platform:
    """The other end: sends commands through the broker, finds what came."""

    def __init__(self, rig: Rig, broker: ScriptedBroker) -> None:
        self._rig = rig
        self._broker = broker
        self._count = 0

    def send(self, verb: str, **args: Any) -> str:
        self._count += 1
        return self.send_as(f"c-{self._count}", verb, **args)

    def send_as(self, cmd_id: str, verb: str, **args: Any) -> str:
        now = time.time()
        command = {"cmd_id": cmd_id, "issued_at": rfc3339(now), "expires_at": rfc3339(now + 60), "actor": ACTOR}
        self._broker.send(f"{ROOT}cmd/{verb}", json.dumps({**command, "args": args}).encode())
        return cmd_id

    async def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        cmd_id = self.send(verb, **args)
        return (await self.answers(cmd_id))[0]

    async def answers(self, cmd_id: str, count: int = 1) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            return [answer for answer in self.said("cmd-result", CMD_RESULT) if answer["cmd_id"] == cmd_id]

        await until(lambda: len(found()) >= count)
        return found()

    async def confirm(self, **ranges: list[tuple[int, int]]) -> dict[str, Any]:
        return await self.ask("confirm", epoch=self._rig.journal.epoch, ranges=ranges)

    async def resend(self, stream: str, first: int, last: int) -> dict[str, Any]:
        return await self.ask("resend", epoch=self._rig.journal.epoch, stream=stream, **{"from": first, "to": last})

    def watermarks(self) -> list[dict[str, Any]]:
        return self.said("watermark", STREAM_WATERMARK)

    def snapshots(self) -> list[dict[str, Any]]:
        return self.said("alarm-snapshot", ALARM_SNAPSHOT)

    def said(self, topic: str, event_type: str) -> list[dict[str, Any]]:
        """The bodies on one topic, all valid by schema and none retained."""
        published = [publish for publish in self._broker.published if publish.topic == ROOT + topic]
        for publish in published:
            jsonschema.validate(publish.event, schemas.projection_schema(event_type))
            assert not publish.retain
            assert publish.qos == 1
        return [publish.event["data"] for publish in published]


@pytest.fixture
def platform(rig: Rig, broker: ScriptedBroker) -> Platform:
    rig.at(broker.port)
    return Platform(rig, broker)


def mark_of(watermark: dict[str, Any], stream: str) -> dict[str, Any]:
    (mark,) = [mark for mark in watermark["streams"] if mark["stream"] == stream]
    assert isinstance(mark, dict)
    return mark


def sequences(published: list[Publish]) -> list[int]:
    return [int(publish.event["sequence"]) for publish in published]


async def audited(rig: Rig, count: int = 0) -> list[dict[str, Any]]:
    """At least so many entries of the audit trail, once they are on disk."""
    lane = Lane(rig.journal.epoch, "audit")
    await until(lambda: rig.journal.position("main", lane).next > count)
    records = await rig.journal.read("audit", 0, 1000)
    return [json.loads(record.body)["data"] for record in records if json.loads(record.body)["type"] == AUDIT]


# --- watermark and snapshot -------------------------------------------------------------------------------------------


async def test_a_session_begins_with_birth_watermark_and_snapshot(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """Before any backlog it is said how far it goes; the alarms follow as they stand, also where none does."""
    await rig.append(alarm(), alarm(), telemetry())
    rig.start()
    await until(platform.snapshots)
    assert [publish.topic for publish in broker.published[:2]] == [ROOT + "status", ROOT + "watermark"]
    assert broker.subscriptions == [ROOT + "cmd/#"]
    (watermark,) = platform.watermarks()
    assert (watermark["uplink"], watermark["reason"]) == ("main", "connect")
    assert mark_of(watermark, "critical") == {
        "stream": "critical",
        "epoch": rig.journal.epoch,
        "complete_to": 0,
        "count": 0,
        "confirmed_to": None,
        "live_from": None,
        "backlog": 2,
        "missing": [],
    }
    (snapshot,) = platform.snapshots()
    assert (snapshot["part"], snapshot["of"], snapshot["alarms"]) == (1, 1, [])
    assert snapshot["as_of"] == {"epoch": rig.journal.epoch, "sequences": {"critical": 2, "telemetry": 1}}


async def test_watermarks_come_at_their_interval_and_at_the_end(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """Each says what is complete by then; the last one comes before the last word."""
    rig.at(broker.port, watermark_s=0.05)
    rig.start()
    await rig.append(*(telemetry() for _ in range(30)))
    await rig.settled()
    seen = len(platform.watermarks())
    await until(lambda: len(platform.watermarks()) > seen)
    assert platform.watermarks()[-1]["reason"] == "interval"
    mark = mark_of(platform.watermarks()[-1], "telemetry")
    assert (mark["complete_to"], mark["count"], mark["backlog"]) == (30, 30, 0)
    await rig.append(telemetry())
    await rig.stop()
    last = platform.watermarks()[-1]
    assert last["reason"] == "end"
    assert mark_of(last, "telemetry")["complete_to"] == 31
    assert broker.published[-1].event["data"]["state"] == "offline"


async def test_what_was_set_aside_is_named_with_its_reason(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """It counts as complete, and as missing."""
    broker.answer = lambda publish: 0x99 if publish.numbered and publish.event["sequence"].endswith("2") else 0
    await rig.append(alarm(), alarm(), alarm())
    rig.start()
    await until(lambda: not rig.waiting("critical"))
    await platform.ask("ping")
    await until(lambda: platform.watermarks()[-1]["reason"] == "request")
    mark = mark_of(platform.watermarks()[-1], "critical")
    assert (mark["complete_to"], mark["count"]) == (3, 2)
    assert mark["missing"] == [{"first": 2, "last": 2, "records": 1, "reason": "payload_format_invalid"}]


async def test_a_backlog_is_told_from_what_is_live(
    rig: Rig, broker: ScriptedBroker, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the older ones drain, `live_from` says where the newer ones began; afterwards it is over."""
    monkeypatch.setattr(feed_module, "LIVE_FIRST_RECORDS", 10)
    rig.at(broker.port, backlog_records_per_s=100.0)
    await rig.append(*(telemetry() for _ in range(40)))
    rig.start()
    await until(lambda: rig.uplink.view().live_from == 41)
    await rig.append(telemetry())
    await until(lambda: 41 in sequences(broker.records("telemetry")))
    await platform.ask("ping")
    await until(lambda: len(platform.watermarks()) == 2)
    mark = mark_of(platform.watermarks()[-1], "telemetry")
    assert mark["live_from"] == 41
    assert 0 <= mark["complete_to"] < 40
    assert mark["count"] == mark["complete_to"]
    assert 0 < mark["backlog"] <= 40
    await rig.settled()
    await platform.ask("ping")
    await until(lambda: len(platform.watermarks()) == 3)
    mark = mark_of(platform.watermarks()[-1], "telemetry")
    assert (mark["live_from"], mark["complete_to"], mark["count"], mark["backlog"]) == (None, 41, 41, 0)
    assert (rig.uplink.view().live_from, rig.uplink.view().backlog) == (None, 0)


async def test_only_what_passes_the_filter_is_sent_and_counted(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """By stream and by system; the watermark covers every sequence and counts what was meant for this uplink."""
    wanted = Filter(streams=frozenset({"critical", "telemetry"}), systems=frozenset({"medgas.area"}))
    rig.at(broker.port, filter=wanted)
    await rig.append(*(telemetry("a" if number % 3 else "b") for number in range(300)), alarm(), audit(), audit())
    rig.alarms = [
        Event(ALARM_TRANSITION, "critical", TIME, "a", transition()),
        Event(ALARM_TRANSITION, "alarm", TIME, "a", transition()),
    ]
    rig.start()
    await rig.settled()
    await until(platform.snapshots)
    assert [len(snapshot["alarms"]) for snapshot in platform.snapshots()] == [1]
    assert {publish.event["source"].rpartition("/")[2] for publish in broker.records()} == {"critical", "telemetry"}
    await platform.ask("ping")
    await until(lambda: len(platform.watermarks()) == 2)
    watermark = platform.watermarks()[-1]
    counts = {mark["stream"]: (mark["complete_to"], mark["count"]) for mark in watermark["streams"]}
    assert counts["telemetry"] == (300, 300)
    assert counts["audit"][0] >= 2
    assert counts["audit"][1] == 0
    await rig.stop()
    rig.at(broker.port, filter=Filter(systems=frozenset({"fire"})))
    await rig.append(*(telemetry() for _ in range(500)))
    rig.start()
    await rig.settled()
    await platform.ask("ping")
    await until(lambda: platform.watermarks()[-1]["reason"] == "request")
    mark = mark_of(platform.watermarks()[-1], "telemetry")
    assert (mark["complete_to"], mark["count"], mark["missing"]) == (800, 300, [])


async def test_the_count_under_a_filter_survives_a_crash_in_the_middle(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """Acknowledged out of order, with skipped ones in between, and killed: it is exact again at once."""
    broker.answer = lambda p: None if p.numbered and int(p.event["sequence"]) in {7, 13} else 0
    rig.at(broker.port, filter=Filter(systems=frozenset({"medgas.area"})))
    foreign = replace(telemetry(), topic="telemetry/fire/zone-1")
    await rig.append(*(telemetry() if number % 2 else foreign for number in range(1, 41)))
    rig.start()
    await until(lambda: rig.waiting() == 2)
    await rig.kill()
    await rig.reopen()
    broker.answer = lambda _: 0
    broker.published.clear()
    rig.start()
    await until(platform.watermarks)
    mark = mark_of(platform.watermarks()[0], "telemetry")
    assert (mark["complete_to"], mark["count"], mark["backlog"]) == (6, 3, 2)
    await rig.settled()
    await platform.ask("ping")
    await until(lambda: len(platform.watermarks()) == 2)
    mark = mark_of(platform.watermarks()[-1], "telemetry")
    assert (mark["complete_to"], mark["count"], mark["backlog"]) == (40, 20, 0)
    assert sequences(broker.records()) == [7, 13]


# --- commands ---------------------------------------------------------------------------------------------------------


async def test_a_ping_is_answered_with_a_watermark(rig: Rig, platform: Platform) -> None:
    """And leaves no trace in the audit trail."""
    rig.start()
    await until(platform.snapshots)
    answer = await platform.ask("ping")
    assert (answer["verb"], answer["uplink"], answer["result"], answer["code"]) == ("ping", "main", "done", None)
    await until(lambda: platform.watermarks()[-1]["reason"] == "request")
    assert await audited(rig) == []


async def test_a_snapshot_is_made_on_request_and_each_day(
    rig: Rig, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the alarms that stand then, as of what is stored by then; the request is audited."""
    rig.start()
    await until(platform.snapshots)
    rig.alarms = [Event(ALARM_TRANSITION, "critical", TIME, "a", transition(3))]
    await rig.append(alarm())
    answer = await platform.ask("snapshot")
    assert answer["args"] == {"alarms": 1, "parts": 1}
    await until(lambda: len(platform.snapshots()) == 2)
    snapshot = platform.snapshots()[-1]
    assert [each["n"] for each in snapshot["alarms"]] == [3]
    assert snapshot["as_of"]["sequences"]["critical"] == 1
    (entry,) = await audited(rig, 1)
    assert (entry["verb"], entry["target"], entry["actor"]["id"]) == ("cmd_snapshot", "uplink/main", "p-1")
    await rig.stop()
    monkeypatch.setattr(dialogue_module, "SNAPSHOT_EVERY_S", 0.05)
    before = len(platform.snapshots())
    rig.start()
    await until(lambda: len(platform.snapshots()) > before + 2)


async def test_the_same_command_twice_is_done_once_and_answered_twice(rig: Rig, platform: Platform) -> None:
    """With the same answer; another command with its id is refused."""
    rig.start()
    await until(platform.snapshots)
    now = time.time()
    command = {"cmd_id": "c", "issued_at": rfc3339(now), "expires_at": rfc3339(now + 60), "actor": ACTOR, "args": {}}
    payload = json.dumps(command).encode()
    for count in (1, 2):
        platform._broker.send(f"{ROOT}cmd/snapshot", payload)
        await platform.answers("c", count)
    first, second = await platform.answers("c", 2)
    assert {**first, "as_of": None} == {**second, "as_of": None}
    assert len(platform.snapshots()) == 2
    platform.send_as("c", "ping")
    third = (await platform.answers("c", 3))[2]
    assert (third["result"], third["code"]) == ("refused", "repeated")


async def test_what_is_carried_out_elsewhere_is_answered_when_it_is_done(
    rig: Rig, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was found, or why not; meanwhile everything else goes on, and no more than a few are under way."""
    monkeypatch.setattr(errands_module, "ERRANDS_MAX", most := 8)
    gate = asyncio.Event()

    async def look(command: Command) -> Done:
        assert isinstance(command, EvidenceCommand)
        if command.args.alarm_id == "gone":
            raise Refused("not_kept", "nothing of it is kept any more")
        await gate.wait()
        return Done("the evidence is in args", {"alarm_id": command.args.alarm_id})

    rig.doors = {"evidence": look}
    rig.start()
    await until(platform.snapshots)
    gone = await platform.ask("evidence", alarm_id="gone")
    assert (gone["result"], gone["code"], gone["message"]) == ("refused", "not_kept", "nothing of it is kept any more")
    asked = [platform.send("evidence", alarm_id=f"a{number}") for number in range(most)]
    busy = await platform.ask("evidence", alarm_id="b")
    assert (busy["code"], "once they are answered" in busy["message"]) == ("busy", True)
    assert (await platform.ask("ping"))["result"] == "done"
    gate.set()
    answers = [(await platform.answers(cmd_id))[0] for cmd_id in asked]
    assert [answer["args"] for answer in answers] == [{"alarm_id": f"a{number}"} for number in range(most)]
    assert [entry["verb"] for entry in await audited(rig, most + 2)].count("cmd_evidence") == most


async def test_an_answer_for_a_session_that_is_over_is_for_nobody(rig: Rig, platform: Platform) -> None:
    """The platform asks again, and that is answered."""
    gate = asyncio.Event()

    async def look(_: Command) -> Done:
        await gate.wait()
        return Done("done", {})

    rig.doors = {"evidence": look}
    rig.start()
    await until(platform.snapshots)
    platform.send_as("c", "evidence", alarm_id="a")
    assert (await platform.ask("ping"))["result"] == "done"
    await rig.kill()
    gate.set()
    rig.start()
    await until(lambda: len(platform.snapshots()) == 2)
    assert (await platform.ask("evidence", alarm_id="a"))["result"] == "done"
    assert [each for each in platform.said("cmd-result", CMD_RESULT) if each["cmd_id"] == "c"] == []


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        ("write", {}, "not_allowed"),
        ("evidence", {"alarm_id": "a"}, "not_allowed"),
        ("evidence", {}, "malformed"),
        ("confirm", {"epoch": "E", "ranges": {}}, "not_confirming"),
        ("resend", {"epoch": "00000000", "stream": "critical", "from": 1, "to": 1}, "unknown_epoch"),
        ("resend", {"epoch": "E", "stream": "crtical", "from": 1, "to": 1}, "malformed"),
        ("resend", {"epoch": "E", "stream": "critical", "from": 2, "to": 1}, "malformed"),
        ("resend", {"epoch": "E", "stream": "critical", "from": 9, "to": 9}, "malformed"),
        ("resend", {"stream": "critical"}, "malformed"),
    ],
)
async def test_a_refusal_has_a_code_and_a_next_step_and_is_audited(
    rig: Rig, platform: Platform, verb: str, args: dict[str, Any], code: str
) -> None:
    """Nothing is done, and the trail says who asked for what."""
    await rig.append(alarm(), alarm())
    rig.start()
    await rig.settled()
    if args.get("epoch") == "E":
        args = {**args, "epoch": rig.journal.epoch}
    answer = await platform.ask(verb, **args)
    assert (answer["result"], answer["code"]) == ("refused", code)
    assert len(answer["message"]) > 20
    entries = await audited(rig, 1)
    assert [(entry["verb"], entry["result"], entry["code"]) for entry in entries] == [("cmd_refused", "refused", code)]
    assert entries[0]["actor"] == ACTOR
    assert len(sequences(platform._broker.records("critical"))) == 2


async def test_garbage_is_answered_and_ends_nothing(rig: Rig, broker: ScriptedBroker, platform: Platform) -> None:
    """Without an id there is an answer all the same; what was retained is not obeyed."""
    rig.start()
    await until(platform.snapshots)
    broker.send(f"{ROOT}cmd/ping", b"\x00\xff")
    await platform.answers("", 1)
    broker.send(f"{ROOT}cmd/ping", b"{}", retain=True)
    answers = await platform.answers("", 2)
    assert {answer["code"] for answer in answers} == {"malformed"}
    assert rig.uplink.view().state == "connected"
    assert len(broker.connects) == 1


async def test_a_platform_that_goes_wild_does_not_drown_the_trail(
    rig: Rig, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command is answered; of those that are not audited one by one, the next entry gives the number."""
    monkeypatch.setattr(dialogue_module, "AUDITS_PER_MINUTE", 5)
    rig.start()
    await until(platform.snapshots)
    rig.uplink._dialogue._audits = deque(maxlen=5)
    for _ in range(20):
        platform.send("write")
    await platform.answers("c-20")
    assert len(await audited(rig, 5)) == 5
    monkeypatch.setattr(dialogue_module, "MINUTE_S", 0.0)
    await platform.ask("write")
    assert (await audited(rig, 6))[-1]["reason"].endswith("; 15 more before it")


async def test_a_range_is_sent_again_with_the_same_bytes(rig: Rig, broker: ScriptedBroker, platform: Platform) -> None:
    """Also what is settled long ago; the answer says how many, and a watermark follows."""
    await rig.append(*(telemetry() for _ in range(200)))
    rig.start()
    await rig.settled()
    first = {publish.id: publish.payload for publish in broker.records("telemetry")}
    broker.published.clear()
    answer = await platform.resend("telemetry", 50, 149)
    assert (answer["result"], answer["args"]) == ("done", {"resent": 100, "dropped": []})
    await until(lambda: len(broker.records("telemetry")) == 100)
    assert sequences(broker.records("telemetry")) == list(range(50, 150))
    assert all(first[publish.id] == publish.payload for publish in broker.records("telemetry"))
    await until(lambda: platform.watermarks()[-1]["reason"] == "request")
    assert mark_of(platform.watermarks()[-1], "telemetry")["count"] == 200


async def test_alarms_and_live_telemetry_go_before_what_is_sent_again(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """A platform that lost much must not wait for what happens now."""
    rig.at(broker.port, window=4)
    await rig.append(*(telemetry() for _ in range(100)))
    rig.start()
    await rig.settled()
    broker.published.clear()
    broker.answer = lambda publish: None if publish.numbered else 0
    platform.send("resend", epoch=rig.journal.epoch, stream="telemetry", **{"from": 1, "to": 100})
    await until(lambda: len(broker.records()) == 3)
    await rig.append(alarm(), telemetry())
    await until(lambda: broker.records("critical"))
    broker.answer = lambda _: 0
    for publish in broker.records():
        broker.acknowledge(publish)
    await until(lambda: len(broker.records("telemetry")) == 101)
    assert sequences(broker.records("telemetry"))[:4] == [1, 2, 3, 101]


async def test_what_is_kept_no_more_is_named(rig: Rig, broker: ScriptedBroker, platform: Platform) -> None:
    """Of a range that is kept in part the rest is sent; of one that is gone nothing is, and that is a refusal."""
    large = replace(alarm(), body=alarm().body[:-1] + b',"x":"' + b"x" * TAIL_BYTES_MAX + b'"}')
    for _ in range(3):  # Each of them a row of its own.
        await rig.append(alarm(), large)
    rig.start()
    await rig.settled()
    await rig.kill()
    await rig.journal.close()
    with closing(sqlite3.connect(rig._folder / "journal.db")) as database, database:
        database.execute("DELETE FROM chunk WHERE first_seq IN (1, 3)")
    await rig.open()
    broker.published.clear()
    rig.start()
    await until(platform.snapshots)
    answer = await platform.resend("critical", 2, 6)
    gone = [{"first": 2, "last": 4, "records": 3, "reason": "not_kept"}]
    assert (answer["result"], answer["args"]) == ("done", {"resent": 2, "dropped": gone})
    answer = await platform.resend("critical", 1, 2)
    gone = [{"first": 1, "last": 2, "records": 2, "reason": "not_kept"}]
    assert (answer["code"], answer["args"]) == ("not_kept", {"resent": 0, "dropped": gone})
    assert sequences(broker.records("critical")) == [5, 6]


async def test_too_many_ranges_at_once_are_refused(
    rig: Rig, broker: ScriptedBroker, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform may ask again once the others have come."""
    monkeypatch.setattr(dialogue_module, "RESENDS_MAX", 2)
    await rig.append(*(telemetry() for _ in range(60)))
    rig.start()
    await rig.settled()
    broker.answer = lambda publish: None if publish.numbered else 0
    for _ in range(2):
        platform.send("resend", epoch=rig.journal.epoch, stream="telemetry", **{"from": 1, "to": 60})
    assert (await platform.resend("telemetry", 1, 60))["code"] == "busy"


async def test_a_broker_that_lets_nobody_listen_is_seen(rig: Rig, broker: ScriptedBroker) -> None:
    """Records go on; the status says what is missing and what to do."""
    broker.suback_reason = 0x87
    rig.at(broker.port)
    rig.start()
    await until(rig.uplink.conditions)
    assert set(rig.uplink.conditions()) == {"commands_refused"}
    assert "subscribe" in str(rig.uplink.view().todo)
    await rig.append(alarm())
    await rig.settled()


# --- confirmation -----------------------------------------------------------------------------------------------------


async def test_with_confirmation_the_broker_settles_nothing(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """A PUBACK is a hand-over; the platform's word settles, in any order, and only what it names."""
    rig.at(broker.port, confirm=True)
    await rig.append(*(telemetry() for _ in range(10)), alarm())
    rig.start()
    await until(lambda: rig.uplink.view().handed_over == 11)
    assert rig.waiting() == 11
    assert rig.uplink.view().waiting == {"telemetry": 0, "critical": 0}
    answer = await platform.confirm(telemetry=[(1, 4), (7, 8)], critical=[(1, 1)])
    assert (answer["result"], answer["args"]) == ("done", {"confirmed": 7})
    assert rig.waiting() == 4
    assert (rig.uplink.view().handed_over, rig.uplink.view().confirmed) == (4, 7)
    answer = await platform.confirm(telemetry=[(3, 7)])
    assert answer["args"] == {"confirmed": 2}
    await platform.ask("ping")
    await until(lambda: len(platform.watermarks()) == 2)
    mark = mark_of(platform.watermarks()[-1], "telemetry")
    assert (mark["complete_to"], mark["count"], mark["confirmed_to"], mark["backlog"]) == (10, 10, 8, 0)
    assert await audited(rig) == []


async def test_what_is_not_confirmed_is_sent_again_after_every_reconnect(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """Once per session, with the same ids, also after a restart of the gateway; what is confirmed is not."""
    rig.at(broker.port, confirm=True)
    await rig.append(*(telemetry() for _ in range(6)))
    rig.start()
    await until(lambda: rig.uplink.view().handed_over == 6)
    await platform.confirm(telemetry=[(1, 2), (4, 4)])
    broker.cut()
    await until(lambda: len(broker.records()) == 9)
    assert sequences(broker.records())[6:] == [3, 5, 6]
    await rig.kill()
    await rig.reopen()
    rig.start()
    await until(lambda: len(broker.records()) == 12)
    assert sequences(broker.records())[9:] == [3, 5, 6]
    assert len({publish.id for publish in broker.records()}) == 6
    assert len({publish.payload for publish in broker.records()}) == 6
    await platform.confirm(telemetry=[(1, 6)])
    await rig.settled()
    broker.cut()
    await until(lambda: len(platform.watermarks()) == 4)
    await platform.ask("ping")
    assert len(broker.records()) == 12


async def test_nobody_can_confirm_what_was_never_stored(rig: Rig, broker: ScriptedBroker, platform: Platform) -> None:
    """The command is refused whole: a platform that says so is wrong about the rest too."""
    rig.at(broker.port, confirm=True)
    await rig.append(alarm(), alarm())
    rig.start()
    await until(lambda: rig.uplink.view().handed_over == 2)
    answer = await platform.confirm(critical=[(1, 2), (3, 3)])
    assert answer["code"] == "malformed"
    assert "critical ends at 2" in answer["message"]
    assert (await platform.confirm(critical=[(2, 1)]))["code"] == "malformed"
    assert rig.waiting("critical") == 2


async def test_a_platform_that_does_not_confirm_is_a_condition(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """Once the oldest has waited too long; it is over with its confirmation."""
    rig.at(broker.port, confirm=True, confirm_overdue_s=0.2)
    rig.start()
    await until(platform.watermarks)
    assert rig.uplink.conditions() == {}
    await rig.append(alarm())
    await until(lambda: "confirm_overdue" in rig.uplink.conditions())
    await platform.confirm(critical=[(1, 1)])
    assert rig.uplink.conditions() == {}


async def test_a_record_that_is_set_aside_needs_no_confirmation(
    rig: Rig, broker: ScriptedBroker, platform: Platform
) -> None:
    """It will never come, and the watermark says so."""
    rig.at(broker.port, confirm=True)
    broker.answer = lambda publish: 0x95 if publish.numbered and publish.event["sequence"].endswith("1") else 0
    await rig.append(alarm(), alarm())
    rig.start()
    await until(lambda: rig.waiting("critical") == 1)
    await until(lambda: rig.uplink.view().handed_over == 1 or rig.waiting("audit"))
    await platform.confirm(critical=[(2, 2)])
    await platform.ask("ping")
    await until(lambda: len(platform.watermarks()) == 2)
    mark = mark_of(platform.watermarks()[-1], "critical")
    assert (mark["complete_to"], mark["count"], mark["confirmed_to"]) == (2, 1, 2)
    assert [each["reason"] for each in mark["missing"]] == ["packet_too_large"]
