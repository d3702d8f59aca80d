"""Several brokers, several uplinks, certificates that are renewed, and a client id that somebody else uses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from certificates import HOUR, Authority
from mqtt_peer import HOST, Mosquitto, ScriptedBroker, Subscriber, free_port, until
from structlog.testing import capture_logs
from uplink_rig import ORIGIN, ROOT, SETTINGS, alarm, audit, telemetry

from agent.audit import Trail
from agent.clock import SystemClock
from agent.uplink import moving, patience
from agent.uplink import session as session_module
from agent.uplink.problems import Problem, Taken
from agent.uplink.uplink import Release, Uplink
from buffer.journal import Journal
from buffer.retention import Limits
from config import outward
from config.outward import Filter, Tls
from config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from certificates import Issued
    from mqtt_peer import Publish
    from uplink_rig import Rig


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and try again at once."""
    monkeypatch.setattr(moving, "LOOK_S", 0.02)
    monkeypatch.setattr(moving, "HOME_S_MIN", 0.1)
    monkeypatch.setattr(session_module, "ANSWER_S_MAX", 0.3)
    for name in ("RETRY_S_MIN", "RETRY_S_MAX", "REFUSED_S_MIN", "REFUSED_S_MAX", "TAKEN_S_MIN"):
        monkeypatch.setattr(patience, name, 0.05)


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Several real ones, each in a folder of its own."""
    made: list[Mosquitto] = []

    def make(*lines: str, port: int | None = None) -> Mosquitto:
        folder = tmp_path / f"broker-{len(made)}"
        folder.mkdir()
        made.append(Mosquitto(folder, *lines, port=port))
        return made[-1]

    yield make
    for mosquitto in made:
        mosquitto.stop()


def connected_to(rig: Rig, port: int) -> bool:
    view = rig.uplink.view()
    return view.state == "connected" and view.broker.endswith(f":{port}")


# --- failover ---------------------------------------------------------------------------------------------------------


async def test_the_first_broker_is_preferred_when_it_is_back(rig: Rig, brokers: Callable[..., Mosquitto]) -> None:
    """The second one takes over, and is left in order once the first accepts us: nothing is lost or settled wrongly."""
    first, second = brokers(), brokers()
    await first.start()
    await second.start()
    rig.at(first.port, second.port)
    with capture_logs() as logs, Subscriber(second.port, ROOT + "status") as seen:
        rig.start()
        await until(lambda: connected_to(rig, first.port))
        first.stop()
        await until(lambda: connected_to(rig, second.port))
        assert rig.uplink.conditions()["uplink_substitute"].startswith(f"mqtt://{HOST}:{second.port} instead of")
        await rig.append(alarm(), telemetry())
        await rig.settled()
        await first.start()
        await until(lambda: connected_to(rig, first.port))
        assert "uplink_substitute" not in rig.uplink.conditions()
        await until(lambda: [m.event["data"]["state"] for m in seen.messages] == ["online", "offline"])
        first_number, last_number = (m.event["data"]["connection"] for m in seen.messages)
        assert first_number == last_number
    assert [line["reason"] for line in logs if line["event"] == "uplink connects anew"] == [
        f"{HOST}:{first.port} is back"
    ]
    await rig.append(alarm())
    await rig.settled()


async def test_a_broker_that_does_not_accept_us_is_not_returned_to(rig: Rig, broker: ScriptedBroker) -> None:
    """It listens, but refuses: the session with the second one goes on, and the first is asked ever more rarely."""
    async with ScriptedBroker(connack_reason=0x87) as first:
        rig.at(first.port, broker.port)
        rig.start()
        await until(lambda: connected_to(rig, broker.port))
        await until(lambda: len(first.connects) >= 4)
        assert len(broker.connects) == 1
        assert all(not connect.will_topic for connect in first.connects[1:])
        await rig.append(alarm())
        await rig.settled()
    assert rig.uplink._mover._home_s >= 0.1 * 2**3


async def test_the_time_between_two_returns_grows_until_a_session_has_stayed() -> None:
    """A first broker that comes and goes is not followed each time."""
    mover = moving.Mover()
    mover._home_s = 480.0
    mover.ended(30.0, at_home=True)
    mover.ended(7200.0, at_home=False)
    assert mover._home_s == 480.0
    mover.ended(moving.HOME_S_STAYED + 1, at_home=True)
    assert mover._home_s == moving.HOME_S_MIN


async def test_one_of_a_cluster_may_take_the_session_over_while_it_is_asked(rig: Rig, broker: ScriptedBroker) -> None:
    """Nodes share their client ids: our own question ends our own session, which is no conflict and needs no wait."""
    async with ScriptedBroker() as first:
        home = first.port
        first.connack_reason = 0x88
        rig.at(home, broker.port)
        rig.start()
        await until(lambda: connected_to(rig, broker.port))
        asked = len(first.connects)
        first.connack_reason = 0
        await until(lambda: len(first.connects) > asked)
        broker.disconnect(0x8E)
        await until(lambda: connected_to(rig, home))
        assert "client_id_taken" not in rig.uplink.conditions()
        assert len(broker.connects) == 1


# --- several uplinks --------------------------------------------------------------------------------------------------


async def test_several_uplinks_each_send_what_is_theirs(tmp_path: Path, brokers: Callable[..., Mosquitto]) -> None:
    """Own cursor, filter, topic root and MQTT version; one that has no broker at all holds up neither of the others."""
    one, two = brokers(), brokers()
    await one.start()
    await two.start()
    names = ["all", "red", "lost"]
    settings = [
        replace(SETTINGS, id="all", client_id="a", brokers=(outward.Broker(HOST, one.port, tls=False),)),
        replace(
            SETTINGS,
            id="red",
            client_id="b",
            mqtt="3.1.1",
            brokers=(outward.Broker(HOST, two.port, tls=False),),
            topic_root="alarms",
            filter=Filter(streams=frozenset({"critical"})),
        ),
        replace(SETTINGS, id="lost", client_id="c", brokers=(outward.Broker(HOST, free_port(), tls=False),)),
    ]
    clock = SystemClock()
    journal = await Journal.open(tmp_path, Limits(8_000_000, 3600.0), wall=clock.wall, cursors=names)
    trail = Trail(journal, clock)
    uplinks = [
        Uplink(
            each,
            replace(ORIGIN, topic_root=each.topic_root),
            journal,
            clock,
            Release("0.1.0", "1"),
            clock.state,
            trail,
            list,
        )
        for each in settings
    ]
    await journal.append([alarm(), telemetry(), audit(), alarm("alarm")])
    stop = asyncio.Event()
    with Subscriber(one.port, "wardgate/#") as platform, Subscriber(two.port, "alarms/#") as pager:
        tasks = [asyncio.create_task(uplink.run(stop)) for uplink in uplinks]
        await until(lambda: not any(sum(uplink.view().waiting.values()) for uplink in uplinks[:2]))
        await until(lambda: uplinks[2].view().state == "waiting")
        stop.set()
        await asyncio.gather(*tasks)
        await until(lambda: platform.on("/status")[1:] and pager.on("/status")[1:])  # the last word of each
        records = [m for m in platform.messages if "sequence" in m.event]
        assert sorted(m.event["source"].rpartition("/")[2] for m in records) == [
            "alarm",
            "audit",
            "critical",
            "telemetry",
        ]
        (red,) = [m for m in pager.messages if "sequence" in m.event]
        assert red.topic.startswith("alarms/h01/gw-a1/alarm/")
        assert red.event["id"] in {m.event["id"] for m in records}
    assert sum(uplinks[2].view().waiting.values()) == 4
    await journal.close()


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def secured(rig: Rig, port: int, authority: Authority, client: Issued) -> None:
    tls = Tls(authority.ca, client.cert, Secret("file", str(client.key)))
    rig.at(port, tls=tls)
    rig.settings = replace(rig.settings, brokers=(outward.Broker(HOST, port, tls=True),))


def tls_lines(authority: Authority) -> tuple[str, ...]:
    issued = authority.issue(HOST)
    return (
        f"cafile {authority.ca}",
        f"certfile {issued.cert}",
        f"keyfile {issued.key}",
        "require_certificate true",
        "use_identity_as_username true",
    )


def serial_of(mosquitto: Mosquitto, name: str) -> int:
    """How often a client with the certificate of this name has connected."""
    return mosquitto.log.read_text().count(f"u'{name}'")


async def test_a_renewed_certificate_is_taken_up_without_a_restart(
    rig: Rig, authority: Authority, brokers: Callable[..., Mosquitto]
) -> None:
    """The certificate first and its key a moment later, as tools do it: the session goes on until both fit together."""
    mosquitto = brokers(*tls_lines(authority))
    await mosquitto.start()
    client = authority.issue("old", file="gw")
    secured(rig, mosquitto.port, authority, client)
    rig.start()
    await until(lambda: rig.uplink.view().state == "connected")
    renewed = authority.issue("new", file="renewed")
    renewed.cert.replace(client.cert)
    await until(lambda: rig.uplink.conditions().get("certificate_unusable"))
    assert "does not fit the client certificate" in str(rig.uplink.view().error)
    await rig.append(alarm())
    await rig.settled()
    assert serial_of(mosquitto, "new") == 0
    with capture_logs() as logs:
        renewed.key.replace(client.key)
        await until(lambda: serial_of(mosquitto, "new") == 1)
        await until(lambda: rig.uplink.view().state == "connected")
    assert serial_of(mosquitto, "old") == 1
    assert [line["reason"] for line in logs if line["event"] == "uplink connects anew"] == ["certificates were renewed"]
    await rig.append(alarm())
    await rig.settled()
    assert (rig.uplink.view().error, rig.uplink.conditions()) == (None, {})


async def test_an_expired_certificate_is_replaced_while_it_is_refused(
    rig: Rig, authority: Authority, brokers: Callable[..., Mosquitto]
) -> None:
    """Nothing is lost meanwhile, one line says what to do, and doing it is enough."""
    mosquitto = brokers(*tls_lines(authority))
    await mosquitto.start()
    client = authority.issue("gw", begin=-2 * HOUR, end=-HOUR)
    secured(rig, mosquitto.port, authority, client)
    await rig.append(alarm(), telemetry())
    with capture_logs() as logs:
        rig.start()
        await until(lambda: rig.uplink.view().state == "refused")
        assert "has expired" in str(rig.uplink.view().error)
        assert "without a restart" in str(rig.uplink.view().todo)
        assert rig.waiting() == 2
        authority.issue("gw")
        await rig.settled()
    assert [line["event"] for line in logs] == ["uplink cannot connect", "uplink connected"]


async def test_a_certificate_that_ends_soon_is_told_before_it_has(
    rig: Rig, authority: Authority, brokers: Callable[..., Mosquitto]
) -> None:
    """Ours and the broker's alike; here only ours is in its last quarter."""
    mosquitto = brokers(*tls_lines(authority))
    await mosquitto.start()
    secured(rig, mosquitto.port, authority, authority.issue("gw", begin=-10 * HOUR, end=HOUR))
    rig.start()
    await until(lambda: rig.uplink.view().state == "connected")
    told = rig.uplink.conditions()["certificate_expires"]
    assert told.startswith("our client certificate until 20")
    assert "the certificate of" not in told
    assert rig.uplink.view().error is None


async def test_a_certificate_that_expires_does_not_end_a_session_of_tls(
    rig: Rig, authority: Authority, brokers: Callable[..., Mosquitto]
) -> None:
    """TLS asks for it at the beginning only; its renewal is taken up all the same."""
    mosquitto = brokers(*tls_lines(authority))
    await mosquitto.start()
    client = authority.issue("gw", end=timedelta(seconds=1))
    secured(rig, mosquitto.port, authority, client)
    rig.start()
    await until(lambda: rig.uplink.view().state == "connected")
    await asyncio.to_thread(authority.issue, "gw")
    await until(lambda: serial_of(mosquitto, "gw") == 2)
    await rig.append(alarm())
    await rig.settled()
    assert "certificate_expires" not in rig.uplink.conditions()


# --- client id --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_client_id_that_somebody_else_uses_is_found_and_not_fought_for(
    rig: Rig, brokers: Callable[..., Mosquitto], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """A real broker and a rival that comes back at once, for ever: we come back ever more rarely, and say why."""
    waits: list[float] = []
    reckon = patience.Patience.next_s

    def noted(one: patience.Patience, problem: Problem) -> float:
        wait_s = reckon(one, problem)
        waits.extend([wait_s] if isinstance(problem, Taken) else [])
        return wait_s

    monkeypatch.setattr(patience.Patience, "next_s", noted)
    mosquitto = brokers()
    await mosquitto.start()
    rig.at(mosquitto.port, mqtt=version, client_id="twin")
    await rig.append(alarm())
    stop = asyncio.Event()
    rival = asyncio.create_task(come_back_for_ever(mosquitto.port, stop))
    rig.start()
    await until(lambda: len(waits) == 5)
    assert waits[4] >= 4 * waits[0]
    assert "client id" in rig.uplink.conditions()["client_id_taken"]
    assert "client id" in str(rig.uplink.view().error)
    assert "client id of its own" in str(rig.uplink.view().todo)
    stop.set()
    await rival
    await rig.settled()
    await until(lambda: rig.uplink.view().state == "connected")
    assert "client_id_taken" in rig.uplink.conditions()  # until a session has lasted
    assert "client id" in str(rig.uplink.view().error)


async def test_a_taken_client_id_is_not_carried_to_the_next_broker(
    rig: Rig, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one of the same cluster: the wait comes first."""
    monkeypatch.setattr(patience, "TAKEN_S_MIN", 60.0)

    def taken_over(_: Publish) -> int | None:
        first.disconnect(0x8E)
        return None

    async with ScriptedBroker(answer=taken_over) as first:
        rig.at(first.port, broker.port)
        rig.start()
        await until(lambda: rig.uplink.view().state == "refused")
    assert not broker.connects


async def come_back_for_ever(port: int, stop: asyncio.Event) -> None:
    """A client of MQTT 3.1.1 with the client id `twin`, at once again whenever it was thrown out."""
    hello = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04twin"
    while not stop.is_set():
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(hello)
        ended = asyncio.create_task(reader.read())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, stopped):
            task.cancel()
        await asyncio.wait([ended, stopped])
        writer.close()


async def test_a_takeover_is_told_also_when_we_were_about_to_send(rig: Rig, broker: ScriptedBroker) -> None:
    """Sending fails before the reason is read: what came in counts, not that it could not go out."""

    def taken_over(_: Publish) -> int | None:
        broker.disconnect(0x8E)
        broker._writers[-1].close()
        return None

    rig.at(broker.port)
    rig.start()
    await until(lambda: connected_to(rig, broker.port))
    broker.answer = taken_over
    await rig.append(*(telemetry("x" * 30_000) for _ in range(20)))
    await until(lambda: rig.uplink.conditions().get("client_id_taken"))
