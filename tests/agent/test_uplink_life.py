"""The life of an uplink: connecting, failing over, what it says of itself, stopping."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import jsonschema
import pytest
from mqtt_peer import HOST, ScriptedBroker, free_port, until
from pace import in_time
from structlog.testing import capture_logs
from uplink_rig import ROOT, alarm, device_state, telemetry

from agent import schemas
from agent.events import DEVICE_STATE, GATEWAY_STATUS
from agent.uplink import patience
from agent.uplink import session as session_module
from agent.uplink import uplink as uplink_module
from config.secrets import Secret

if TYPE_CHECKING:
    from mqtt_peer import Publish
    from uplink_rig import Rig


def statuses(broker: ScriptedBroker) -> list[Publish]:
    return [publish for publish in broker.published if publish.topic == ROOT + "status"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, also after a refusal."""
    for name in ("RETRY_S_MIN", "RETRY_S_MAX", "REFUSED_S_MIN", "REFUSED_S_MAX"):
        monkeypatch.setattr(patience, name, 0.05)
    monkeypatch.setattr(session_module, "ANSWER_S_MAX", 0.2)


async def test_birth_and_will_name_the_connection(rig: Rig, broker: ScriptedBroker) -> None:
    """Retained, valid by schema, and with one number, so that an old will does not pass for a newer state."""
    await rig.append(alarm(), alarm())
    rig.at(broker.port)
    rig.start()
    await rig.settled()
    (birth,) = statuses(broker)
    will = json.loads(broker.connects[0].will)
    assert birth.retain
    assert broker.connects[0].will_topic == birth.topic
    for event in (birth.event, will):
        jsonschema.validate(event, schemas.projection_schema(GATEWAY_STATUS))
    assert (birth.event["data"]["state"], will["data"]["state"]) == ("online", "offline")
    assert birth.event["data"]["connection"] == will["data"]["connection"] == 1
    assert birth.event["data"]["last_seq"] == {"critical": 2}
    assert birth.event["data"]["live_from"] is None


async def test_the_connection_number_grows_across_restarts(rig: Rig, broker: ScriptedBroker) -> None:
    """Also when the process was killed."""
    rig.at(broker.port)
    for _ in range(3):
        rig.start()
        await until(lambda: rig.uplink.view().state == "connected")
        await rig.kill()
        await rig.reopen()
    await until(lambda: len(statuses(broker)) == 3)
    numbers = [publish.event["data"]["connection"] for publish in statuses(broker)]
    assert numbers == sorted(set(numbers))


async def test_a_stop_finishes_what_is_there_and_says_good_bye(rig: Rig, broker: ScriptedBroker) -> None:
    """Everything stored before goes out, then `offline` with the same connection number, then DISCONNECT."""
    rig.at(broker.port)
    rig.start()
    await until(lambda: rig.uplink.view().state == "connected")
    await rig.append(*(telemetry() for _ in range(100)), alarm())
    await rig.stop()
    assert not rig.waiting()
    assert len(broker.records()) == 101
    last = broker.published[-1]
    assert (last.topic, last.retain, last.event["data"]["state"]) == (ROOT + "status", True, "offline")
    assert last.event["data"]["last_seq"] == {"telemetry": 100, "critical": 1}
    await until(lambda: broker.farewells)


async def test_a_stop_does_not_wait_for_a_broker_that_does_not_answer(
    rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is limited; what was not acknowledged stays in the journal."""
    monkeypatch.setattr(uplink_module, "DRAIN_S_MAX", 0.2)
    monkeypatch.setattr(uplink_module, "LAST_WORD_S_MAX", 0.1)
    broker.answer = lambda publish: None if publish.numbered else 0
    rig.at(broker.port)
    await rig.append(telemetry())
    rig.start()
    await until(broker.records)
    begun = asyncio.get_running_loop().time()
    await rig.stop()
    assert in_time(asyncio.get_running_loop().time() - begun, 1)
    assert rig.waiting() == 1


@pytest.mark.parametrize("where", ["dialling", "answering", "waiting"])
async def test_a_stop_ends_every_kind_of_waiting(rig: Rig, broker: ScriptedBroker, where: str) -> None:
    """Nobody has to be connected for an uplink to end at once."""
    broker.silent = True
    rig.at(free_port() if where == "waiting" else broker.port)
    rig.start()
    if where == "answering":
        await until(lambda: broker._writers)
    elif where == "waiting":
        await until(lambda: rig.uplink.view().state == "waiting")
    begun = asyncio.get_running_loop().time()
    await rig.stop()
    assert in_time(asyncio.get_running_loop().time() - begun, 1)


async def test_the_next_broker_of_the_list_is_tried_at_once(rig: Rig, broker: ScriptedBroker) -> None:
    """Three addresses, two of them dead: one round, without a wait in between."""
    rig.at(free_port(), free_port(), broker.port)
    await rig.append(alarm())
    rig.start()
    assert in_time(await rig.settled(), 2)
    view = rig.uplink.view()
    assert view.broker == f"mqtt://{HOST}:{broker.port}"
    assert (view.state, view.error) == ("connected", None)


async def test_a_refusal_is_one_log_line_with_what_to_do(rig: Rig, broker: ScriptedBroker, impatient: None) -> None:
    """However often it is tried; the return is a line of its own, with the number of failures."""
    broker.connack_reason = 0x86
    rig.at(broker.port)
    with capture_logs() as logs:
        rig.start()
        await until(lambda: len(broker.connects) >= 4)
        view = rig.uplink.view()
        broker.connack_reason = 0
        await until(lambda: rig.uplink.view().state == "connected")
    assert view.state in {"refused", "connecting"}
    assert view.error is not None
    assert view.todo is not None
    assert "password" in view.error + view.todo
    assert [line["event"] for line in logs] == ["uplink cannot connect", "uplink connected"]
    assert logs[0]["uplink"] == "main"
    assert (logs[0]["error"], logs[0]["todo"]) == (view.error, view.todo)
    assert logs[1]["failures"] >= 4


async def test_two_gateways_with_one_client_id_do_not_fight(
    rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each session begins well and is taken over at once: the waits grow all the same, and a person is asked."""
    monkeypatch.setattr(patience, "TAKEN_S_MIN", 0.05)
    loop = asyncio.get_running_loop()
    begun: list[float] = []

    def taken_over(publish: Publish) -> int | None:
        if publish.retain:
            begun.append(loop.time())
            loop.call_soon(broker.disconnect, 0x8E)
        return 0

    broker.answer = taken_over
    rig.at(broker.port)
    rig.start()
    await until(lambda: len(begun) == 6)
    assert begun[5] - begun[4] > 2 * (begun[1] - begun[0])
    await until(lambda: "client id" in str(rig.uplink.view().todo))


async def test_a_missing_secret_is_a_refusal(rig: Rig, broker: ScriptedBroker) -> None:
    """It says where it was looked for, and nothing is sent without it."""
    rig.at(broker.port, user="gw", password=Secret("env", "WARDGATE_TEST_NO_SUCH_SECRET"))
    rig.start()
    await until(lambda: rig.uplink.view().state == "refused")
    assert "WARDGATE_TEST_NO_SUCH_SECRET is not set" in str(rig.uplink.view().error)
    assert not broker.connects


async def test_what_holds_now_is_retained_on_change_and_after_every_connect(rig: Rig, broker: ScriptedBroker) -> None:
    """Only the newest of each topic, valid by schema, saying up to where it knows each stream."""
    rig.at(broker.port)
    await rig.append(alarm())
    rig.start()
    rig.uplink.retain(device_state("online"))
    rig.uplink.retain(device_state("offline"))

    def states() -> list[Publish]:
        return [p for p in broker.published if p.topic == ROOT + "device/medgas-area/icu-3/state"]

    await until(states)
    broker.cut()
    await until(lambda: len(states()) == 2)
    rig.uplink.retain(device_state("online"))
    await until(lambda: len(states()) == 3)
    assert [p.event["data"]["state"] for p in states()] == ["offline", "offline", "online"]
    assert all(p.retain for p in states())
    assert len({p.id for p in states()}) == 2
    for publish in states():
        jsonschema.validate(publish.event, schemas.projection_schema(DEVICE_STATE))
        assert publish.event["data"]["as_of"] == {"epoch": rig.journal.epoch, "sequences": {"critical": 1}}


async def test_a_refused_projection_is_seen_in_the_status(rig: Rig, broker: ScriptedBroker) -> None:
    """Once in the log, and not again and again at the broker."""
    broker.answer = lambda publish: 0x87 if publish.topic.endswith("/state") else 0
    rig.at(broker.port)
    with capture_logs() as logs:
        rig.start()
        rig.uplink.retain(device_state())
        rig.uplink.retain(device_state())
        await until(lambda: rig.uplink.view().error)
        await rig.append(alarm())
        await rig.settled()
    assert "allow" in str(rig.uplink.view().error)
    assert [line["event"] for line in logs].count("uplink message refused") == 1


async def test_the_view_counts_what_waits(rig: Rig, broker: ScriptedBroker) -> None:
    """For each stream, also while there is no broker."""
    rig.at(free_port())
    await rig.append(alarm(), telemetry(), telemetry())
    rig.start()
    await until(lambda: rig.uplink.view().state == "waiting")
    view = rig.uplink.view()
    assert view.waiting == {"critical": 1, "telemetry": 2}
    assert (view.acknowledged, view.rejected, view.in_flight) == (0, 0, 0)


async def test_a_mistake_inside_ends_the_run(rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is never swallowed by the loop that connects again."""

    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("agent.uplink.delivery.splice", broken)
    rig.at(broker.port)
    await rig.append(alarm())
    rig.start()
    task = rig._task
    assert task is not None
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(task, 5)
    rig._task = None
    assert caught.group_contains(ZeroDivisionError)
