"""A broker that ends the session at a message that is too large for it, and has no word for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from event_gallery import TIME
from mqtt_peer import CUT, farewell
from uplink_rig import alarm, telemetry

from agent.envelope import draft
from agent.events import TELEMETRY_BATCH, Event, Sample, TelemetryBatch, rfc3339
from agent.uplink import patience
from agent.uplink.flight import Flight, Sent
from agent.uplink.oversize import CUTS, SUSPECT_BYTES_MIN, Oversize
from agent.uplink.problems import Problem, TooLarge, ended, lost, too_large
from agent.uplink.session import Message
from config.outward import Broker

if TYPE_CHECKING:
    from mqtt_peer import Publish, ScriptedBroker, StartMosquitto
    from uplink_rig import Rig

    from buffer.record import Draft

BROKER = Broker("127.0.0.1", 1883, tls=False)
LIMIT = 20_000
SAMPLES = 1000
"""Some 40 bytes each."""


def large() -> Draft:
    samples = [Sample(p="o2_p", dt=n, v=400.0 + n, why="change") for n in range(SAMPLES)]
    body = TelemetryBatch(device="icu-3", system="medgas.area", meta_ver="1", t0=rfc3339(TIME), samples=samples)
    return draft(Event(TELEMETRY_BATCH, "telemetry", TIME, "icu-3", body), "synced")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETRY_S_MIN", "RETRY_S_MAX"):
        monkeypatch.setattr(patience, name, 0.01)


async def test_on_mqtt_311_a_message_that_ends_every_session_is_set_aside_and_the_rest_arrives(
    rig: Rig, broker: ScriptedBroker
) -> None:
    """It is named as lost, nobody is taken for a double, and what came behind it arrives."""
    broker.answer = lambda publish: CUT if len(publish.payload) > LIMIT else 0
    rig.at(broker.port, mqtt="3.1.1")
    await rig.append(telemetry("icu-1"), large(), alarm(), telemetry("icu-2"))
    rig.start()
    await rig.settled()
    (loss,) = rig.journal.stats().losses
    assert (loss.reason, loss.lane.stream, loss.first, loss.records) == ("packet_too_large", "telemetry", 2, 1)
    assert {publish.topic.rpartition("/")[2] for publish in broker.records("telemetry")} == {"icu-1", "icu-2", "icu-3"}
    assert len(broker.records("critical")) == 1
    assert len(broker.connects) == CUTS + 1
    assert "client_id_taken" not in rig.uplink.conditions()


async def test_a_broker_that_says_too_large_when_it_ends_the_session_is_believed_at_once(
    rig: Rig, broker: ScriptedBroker
) -> None:
    """MQTT 5 without a Maximum Packet Size in CONNACK: a DISCONNECT with 0x95."""

    def answer(publish: Publish) -> int | None:
        if len(publish.payload) <= LIMIT:
            return 0
        broker._writers[-1].write(farewell(0x95))
        return None

    broker.answer = answer
    rig.at(broker.port)
    await rig.append(large(), alarm())
    rig.start()
    await rig.settled()
    (loss,) = rig.journal.stats().losses
    assert (loss.reason, loss.records) == ("packet_too_large", 1)
    assert len(broker.connects) == 2


async def test_mosquitto_on_mqtt_311_takes_what_is_not_too_large(rig: Rig, start_mosquitto: StartMosquitto) -> None:
    """It ends the session at what is above its maximum packet size."""
    mosquitto = await start_mosquitto(f"max_packet_size {LIMIT}")
    rig.at(mosquitto.port, mqtt="3.1.1")
    await rig.append(large(), telemetry(), alarm())
    rig.start()
    await rig.settled()
    (loss,) = rig.journal.stats().losses
    assert (loss.reason, loss.records) == ("packet_too_large", 1)


def flight(*sizes: int, answered: int = 0) -> Flight:
    made = Flight(32, 0.0)
    for mid, size in enumerate(sizes):
        made.add(mid, Sent(Message("t", bytes(size)), None), 0.0)
    if answered:
        made.add(99, Sent(Message("t", bytes(answered)), None), 0.0)
        made.land(99, 0.0)
    return made


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        pytest.param(flight(), ended(), id="nothing was on its way"),
        pytest.param(flight(SUSPECT_BYTES_MIN - 1), ended(), id="it is small"),
        pytest.param(flight(SUSPECT_BYTES_MIN, answered=SUSPECT_BYTES_MIN), ended(), id="as large a one was taken"),
        pytest.param(flight(SUSPECT_BYTES_MIN), lost("the link went silent"), id="the link was lost"),
    ],
)
def test_nothing_is_suspected_without_reason(one: Flight, problem: Problem) -> None:
    """However often it happens: what is set aside is lost."""
    oversize = Oversize()
    for _ in range(10 * CUTS):
        assert oversize.judge(BROKER, one, problem) is problem
    assert oversize.packet_bytes_max(BROKER, 10**6) == 10**6


def test_other_messages_in_between_make_it_no_suspect() -> None:
    """A line that is cut often meets another message each time."""
    oversize = Oversize()
    for size in range(SUSPECT_BYTES_MIN, SUSPECT_BYTES_MIN + 50):
        assert not isinstance(oversize.judge(BROKER, flight(size), ended()), TooLarge)


def test_once_a_broker_is_known_for_it_one_cut_is_enough() -> None:
    """Else each next message would cost it several sessions."""
    oversize = Oversize()
    assert isinstance(oversize.judge(BROKER, flight(40_000), too_large()), TooLarge)
    assert isinstance(oversize.judge(BROKER, flight(30_000), ended()), TooLarge)
    assert oversize.packet_bytes_max(BROKER, 10**6) == 30_001
