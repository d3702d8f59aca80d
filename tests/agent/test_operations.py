"""What operators order: carried out by the rules, stored, and in the audit trail, whether it was done or refused."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, get_args
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from alarm_stage import ALARM_ID, Stage
from mqtt_peer import until
from uplink_rig import ROOT

from agent import schemas
from agent.clock import SystemClock
from agent.doors import doors
from agent.events import CMD_RESULT, Actor, rfc3339
from agent.health import Health
from agent.operations import Operations
from agent.past import Past
from agent.pipeline import End
from agent.rules import AlarmCommand, MaintenanceCommand, Refused
from agent.rules.maintenance import Maintenance
from agent.rules.windows import Window
from agent.uplink import errands as errands_module
from config.duty import MaintenanceWindow, Scope
from config.response_files import PlatformVerb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from mqtt_peer import ScriptedBroker
    from uplink_rig import Rig

ANNA = Actor(type="user", id="anna", role="operator")
ZHANG = {"type": "platform", "id": "zhang.wei", "role": "duty-engineer"}
EVERYTHING = get_args(PlatformVerb)
M1 = Scope(device=frozenset({"m1"}))


@asynccontextmanager
async def operated(rig: Rig, allowed: Iterable[str] = ()) -> AsyncIterator[tuple[Stage, Operations]]:
    """An alarm that stands, and who takes orders about it."""
    made = Stage(rig.journal, SystemClock(), 0.02, 0.0, 0.0)
    operations = Operations(made.pipeline, made.rules, made.board, rig.trail)
    rig.doors = dict(doors(Past(rig.journal, made.clock, []), operations, allowed))
    running = asyncio.create_task(made.pipeline.run())
    await made.read(245.0)
    await made.heard_of(1)
    yield made, operations
    await made.pipeline.put(End())
    await running


async def audited(rig: Rig) -> list[dict[str, Any]]:
    await rig.append()
    return [json.loads(record.body)["data"] for record in await rig.journal.read("audit", 0, 100)]


async def test_7_an_order_is_in_the_audit_trail_with_what_it_changed(rig: Rig) -> None:
    """Who, what, why, and how the alarm stood before and after."""
    async with operated(rig) as (_, operations):
        view = await operations.alarm(AlarmCommand("shelve", ALARM_ID, "anna", "meter is new"), ANNA)
        assert (view.overlay, view.hidden, view.state) == (["SHLVD"], True, "UNACK")
        await operations.alarm(AlarmCommand("ack", ALARM_ID, "anna"), ANNA)
        first, second = await audited(rig)
    assert (first["verb"], first["target"], first["actor"]["id"]) == ("shelve", ALARM_ID, "anna")
    assert (first["before"], first["after"], first["reason"]) == ("UNACK", "UNACK SHLVD", "meter is new")
    assert (second["verb"], second["before"], second["after"]) == ("ack", "UNACK SHLVD", "ACKED SHLVD")


async def test_7_a_refusal_is_in_the_audit_trail_with_its_reason(rig: Rig) -> None:
    """What must never be is worth knowing that somebody wanted it."""
    async with operated(rig) as (_, operations):
        for command in (
            AlarmCommand("reset", ALARM_ID, "anna", "please"),
            AlarmCommand("shelve", ALARM_ID, "anna", "noise", until=time.time() + 7200),
            AlarmCommand("ack", "x#y", "anna"),
        ):
            with pytest.raises(Refused):
                await operations.alarm(command, ANNA)
        entries = await audited(rig)
    assert [(each["verb"], each["result"], each["code"]) for each in entries] == [
        ("reset", "refused", "wrong_state"),
        ("shelve", "refused", "forbidden"),
        ("ack", "refused", "unknown"),
    ]
    assert "asked because: please" in entries[0]["reason"]
    assert "30 min at most" in entries[1]["reason"]


async def test_7_maintenance_is_told_and_audited(rig: Rig) -> None:
    """What is on can be seen; begin and end are entries."""
    async with operated(rig) as (made, operations):
        begin = MaintenanceCommand("maintenance-start", "anna", "new meter", M1, time.time() + 3600)
        view = await operations.maintain(begin, ANNA)
        assert (view.id, view.device, view.by, view.test) == ("1", ["m1"], "anna", False)
        assert operations.maintenance() == [view]
        assert made.board.latest(ALARM_ID).overlay == ["DSUPR"]
        await operations.maintain(MaintenanceCommand("maintenance-end", "anna", id="1"), ANNA)
        assert operations.maintenance() == []
        assert not made.board.latest(ALARM_ID).hidden
        entries = await audited(rig)
    assert [(each["verb"], each["target"]) for each in entries] == [
        ("maintenance_on", "maintenance/1"),
        ("maintenance_off", "maintenance/1"),
    ]
    assert entries[0]["after"] == f"device m1 until {view.until}"


async def test_7_what_begins_or_ends_by_the_clock_is_audited_too(rig: Rig) -> None:
    """A window of the calendar, and a maintenance whose end has come: by the gateway itself, with why."""
    async with operated(rig) as (made, operations):
        midnight = MaintenanceWindow("night", M1, 0, 86_399.0, "generator test")
        made.rules.maintenance = Maintenance([Window(midnight, ZoneInfo("UTC"))])
        soon = MaintenanceCommand("maintenance-start", "anna", "new meter", M1, time.time() + 1.5)
        await operations.maintain(soon, ANNA)
        await until(lambda: [each.id for each in operations.maintenance()] == ["night"])
        entries = await audited(rig)
    told = {(each["verb"], each["target"], each["actor"]["id"], each["reason"]) for each in entries}
    assert told == {
        ("maintenance_on", "maintenance/1", "anna", "new meter"),
        ("maintenance_off", "maintenance/1", "wardgate", "its end has come: new meter"),
        ("maintenance_on", "maintenance/night", "wardgate", "by the calendar: generator test"),
    }


async def test_an_alarm_at_rest_that_is_shelved_is_seen(rig: Rig) -> None:
    """In the list and in the snapshot, as hidden; it stands no more once it is shown again."""
    async with operated(rig) as (made, operations):
        await made.read(230.0)
        await made.heard_of(2)
        await operations.alarm(AlarmCommand("ack", ALARM_ID, "anna"), ANNA)
        assert made.board.views() == []
        await operations.alarm(AlarmCommand("shelve", ALARM_ID, "anna", "works"), ANNA)
        assert [(view.state, view.overlay) for view in made.board.views()] == [("NORM", ["SHLVD"])]
        assert len(made.board.snapshot()) == 1
        await operations.alarm(AlarmCommand("unshelve", ALARM_ID, "anna"), ANNA)
        assert (made.board.views(), made.board.snapshot()) == ([], [])


async def test_what_is_out_of_service_for_a_week_is_to_be_reviewed(rig: Rig) -> None:
    """The gateway says so with work order and owner, until it is reviewed or put back."""
    async with operated(rig) as (_, operations):
        out = AlarmCommand("out-of-service", ALARM_ID, "anna", "new meter", work_order="W-1", owner="Li")
        await operations.alarm(out, ANNA)
        health, week_s = Health(), 7 * 86_400
        operations.note_reviews(health, time.time() + week_s - 60)
        assert list(health.views()) == []
        operations.note_reviews(health, time.time() + week_s)
        assert [(view.code, view.target, view.detail) for view in health.views()] == [
            ("review_due", ALARM_ID, "W-1, Li: new meter")
        ]
        await operations.alarm(AlarmCommand("in-service", ALARM_ID, "anna"), ANNA)
        operations.note_reviews(health, time.time() + week_s)
        assert list(health.views()) == []


class Platform:
    """Sends orders through the broker, finds the answers."""

    def __init__(self, broker: ScriptedBroker) -> None:
        self._broker = broker
        self._count = 0
        self._last = ("", b"")

    def send(self, verb: str, **args: Any) -> str:
        self._count += 1
        now = time.time()
        cmd_id = f"c-{self._count}"
        command = {"cmd_id": cmd_id, "issued_at": rfc3339(now), "expires_at": rfc3339(now + 60), "actor": ZHANG}
        command["args"] = args
        jsonschema.validate(command, schemas.command_schema(verb))
        self._last = (f"{ROOT}cmd/{verb}", json.dumps(command).encode())
        self._broker.send(*self._last)
        return cmd_id

    def send_again(self) -> None:
        """The same bytes."""
        self._broker.send(*self._last)

    async def order(self, verb: str, **args: Any) -> dict[str, Any]:
        return (await self.answers(self.send(verb, **args)))[0]

    async def answers(self, cmd_id: str, count: int = 1) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            told = [publish.event for publish in self._broker.published if publish.topic == ROOT + "cmd-result"]
            for event in told:
                jsonschema.validate(event, schemas.projection_schema(CMD_RESULT))
            return [event["data"] for event in told if event["data"]["cmd_id"] == cmd_id]

        await until(lambda: len(found()) >= count)
        return found()


@asynccontextmanager
async def ordered(
    rig: Rig, broker: ScriptedBroker, allowed: Iterable[str] = EVERYTHING
) -> AsyncIterator[tuple[Stage, Platform]]:
    async with operated(rig, allowed) as (made, _):
        rig.at(broker.port)
        rig.start()
        await until(lambda: rig.uplink.view().state == "connected")
        yield made, Platform(broker)
        await rig.kill()


async def test_7_what_the_site_allows_is_carried_out_for_the_platform(rig: Rig, broker: ScriptedBroker) -> None:
    """Each verb, in the name of the person at the platform, and answered with how the alarm is then."""
    soon = rfc3339(time.time() + 600)
    async with ordered(rig, broker) as (made, platform):
        answer = await platform.order("ack", alarm_id=ALARM_ID, comment="on the way")
        assert (answer["result"], answer["args"]["state"]) == ("done", "ACKED")
        assert made.board.latest(ALARM_ID).ack_by == "zhang.wei"
        answer = await platform.order("shelve", alarm_id=ALARM_ID, until=soon, reason="works")
        assert answer["args"]["overlay"] == ["SHLVD"]
        answer = await platform.order(
            "out-of-service", alarm_id=ALARM_ID, work_order="W-1", owner="Li", reason="new meter"
        )
        assert answer["args"]["overlay"] == ["OOSRV", "SHLVD"]
        assert (await platform.order("unshelve", alarm_id=ALARM_ID))["args"]["overlay"] == ["OOSRV"]
        assert (await platform.order("in-service", alarm_id=ALARM_ID))["args"]["overlay"] == []
        answer = await platform.order("maintenance-start", until=soon, reason="works", device=["m1"])
        assert made.board.latest(ALARM_ID).hidden
        answer = await platform.order("maintenance-end", id=answer["args"]["id"])
        assert not made.board.latest(ALARM_ID).hidden
        entries = await audited(rig)
    assert [each["verb"] for each in entries] == [
        "ack",
        "shelve",
        "oos_on",
        "unshelve",
        "oos_off",
        "maintenance_on",
        "maintenance_off",
    ]
    assert {each["actor"]["id"] for each in entries} == {"zhang.wei"}


async def test_7_what_the_site_does_not_allow_is_refused(rig: Rig, broker: ScriptedBroker) -> None:
    """One verb does not open another; the attempt is in the audit trail."""
    async with ordered(rig, broker, ["ack"]) as (made, platform):
        answer = await platform.order("shelve", alarm_id=ALARM_ID, until=rfc3339(time.time() + 600), reason="works")
        assert (answer["result"], answer["code"]) == ("refused", "not_allowed")
        assert "allowed are ack, confirm, evidence, ping, resend, snapshot" in answer["message"]
        assert not made.board.latest(ALARM_ID).hidden
        (entry,) = await audited(rig)
    assert (entry["verb"], entry["code"]) == ("cmd_refused", "not_allowed")


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        ("reset", {"alarm_id": ALARM_ID}, "wrong_state"),
        ("ack", {"alarm_id": "x#y"}, "unknown"),
        ("shelve", {"alarm_id": ALARM_ID, "until": "2099-01-01T00:00:00Z", "reason": "for ever"}, "forbidden"),
        ("shelve", {"alarm_id": ALARM_ID, "until": "tomorrow", "reason": "works"}, "malformed"),
        ("maintenance-start", {"until": "2099-01-01T00:00:00Z", "reason": "works", "device": ["m1"]}, "forbidden"),
        (
            "maintenance-start",
            {"until": "2099-01-01T00:00:00Z", "reason": "works", "device": ["m1"], "preset": "fire-test"},
            "malformed",
        ),
        ("maintenance-end", {"id": "7"}, "unknown"),
    ],
)
async def test_what_cannot_be_done_is_answered_with_its_code(
    rig: Rig, broker: ScriptedBroker, verb: str, args: dict[str, Any], code: str
) -> None:
    """And a sentence; the refusal is audited once."""
    async with ordered(rig, broker) as (_, platform):
        answer = await platform.order(verb, **args)
        assert (answer["result"], answer["code"]) == ("refused", code)
        assert answer["message"]
        assert [each["result"] for each in await audited(rig)] == ["refused"]


async def test_7_an_order_that_comes_twice_is_carried_out_once(rig: Rig, broker: ScriptedBroker) -> None:
    """The same bytes are answered again with the first answer."""
    async with ordered(rig, broker) as (_, platform):
        cmd_id = platform.send("ack", alarm_id=ALARM_ID)
        await platform.answers(cmd_id)
        platform.send_again()
        first, second = await platform.answers(cmd_id, 2)
        assert {**first, "as_of": None} == {**second, "as_of": None}
        assert first["result"] == "done"
        assert len(await audited(rig)) == 1


async def test_too_many_orders_at_once_are_told_to_wait(
    rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way is bounded."""
    monkeypatch.setattr(errands_module, "ERRANDS_MAX", 0)
    async with ordered(rig, broker) as (_, platform):
        assert (await platform.order("ack", alarm_id=ALARM_ID))["code"] == "busy"
