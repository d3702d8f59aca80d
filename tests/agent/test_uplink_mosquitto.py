"""The uplink against a real broker, seen by an independent subscriber."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from mqtt_peer import Subscriber, password_line, until
from structlog.testing import capture_logs
from uplink_rig import ROOT, alarm, audit, device_state, telemetry

from agent.uplink import patience
from config.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from mqtt_peer import Mosquitto, StartMosquitto
    from uplink_rig import Rig


def ids(subscriber: Subscriber) -> list[str]:
    return [m.event["id"] for m in subscriber.messages if "/stream/" in m.event["source"]]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_both_versions_of_mqtt_deliver_everything(rig: Rig, mosquitto: Mosquitto, version: str) -> None:
    """An independent subscriber has every record once, and the status."""
    rig.at(mosquitto.port, mqtt=version)
    with Subscriber(mosquitto.port) as subscriber:
        await rig.append(*(telemetry() for _ in range(200)), alarm(), audit())
        rig.start()
        await rig.settled()
        await until(lambda: len(ids(subscriber)) == 202)
        assert len(set(ids(subscriber))) == 202
        assert subscriber.on("/status")[0].event["data"]["state"] == "online"


async def test_status_and_device_states_are_kept_for_who_comes_later(rig: Rig, mosquitto: Mosquitto) -> None:
    """A new subscriber gets them as retained messages, and no record at all."""
    rig.at(mosquitto.port)
    rig.start()
    rig.uplink.retain(device_state())
    await rig.append(alarm())
    await rig.settled()
    await until(lambda: rig.uplink.view().in_flight == 0)
    with Subscriber(mosquitto.port) as late:
        await until(lambda: len([m for m in late.messages if m.retain]) >= 2)
        kept = {m.topic.removeprefix(ROOT) for m in late.messages if m.retain}
        assert kept == {"status", "device/medgas-area/icu-3/state"}
        assert not any("sequence" in m.event for m in late.messages)


async def test_the_will_is_published_when_the_gateway_dies(rig: Rig, mosquitto: Mosquitto) -> None:
    """No farewell: the broker itself says `offline` with the number of that connection, and keeps it."""
    rig.at(mosquitto.port)
    with Subscriber(mosquitto.port, ROOT + "status") as subscriber:
        rig.start()
        await until(lambda: subscriber.messages)
        await rig.kill()
        await until(lambda: len(subscriber.messages) == 2)
        online, offline = (message.event["data"] for message in subscriber.messages)
        assert (online["state"], offline["state"]) == ("online", "offline")
        assert online["connection"] == offline["connection"]
    with Subscriber(mosquitto.port, ROOT + "status") as late:
        await until(lambda: late.messages)
        assert late.messages[0].event["data"]["state"] == "offline"


async def test_a_clean_stop_publishes_offline_once(rig: Rig, mosquitto: Mosquitto) -> None:
    """The broker drops the will after the farewell."""
    rig.at(mosquitto.port)
    with Subscriber(mosquitto.port) as subscriber:
        rig.start()
        await until(lambda: subscriber.messages)
        await rig.stop()
        await rig.append(alarm())
        rig.start()
        await rig.settled()
        await until(lambda: subscriber.on("/icu-3"))
        assert [m.event["data"]["state"] for m in subscriber.on("/status")] == ["online", "offline", "online"]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_wrong_password_is_one_clear_line(
    rig: Rig, start_mosquitto: StartMosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """It names neither the password nor a stack trace, but what to check; nothing is lost meanwhile."""
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line("gw", "right"))
    mosquitto = await start_mosquitto("allow_anonymous false", f"password_file {passwords}")
    monkeypatch.setenv("WARDGATE_TEST_PASSWORD", "wrong")
    monkeypatch.setattr(patience, "REFUSED_S_MIN", 0.3)
    rig.at(mosquitto.port, mqtt=version, user="gw", password=Secret("env", "WARDGATE_TEST_PASSWORD"))
    await rig.append(alarm())
    with capture_logs() as logs:
        rig.start()
        await until(lambda: rig.uplink.view().state == "refused")
    (line,) = logs
    assert line["event"] == "uplink cannot connect"
    assert "user and password" in line["todo"]
    assert "wrong" not in str(line)
    monkeypatch.setenv("WARDGATE_TEST_PASSWORD", "right")
    await rig.settled()


async def test_a_denied_topic_is_held_until_the_rights_are_there(
    rig: Rig, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """MQTT 5 tells: nothing is settled, alarms go on beside it, and everything arrives after the rules were changed."""
    rules = tmp_path / "rules"
    written = ("alarm/#", "status", "watermark", "alarm-snapshot")
    rules.write_text("topic read #\n" + "".join(f"topic write {ROOT}{topic}\n" for topic in written))
    mosquitto = await start_mosquitto(f"acl_file {rules}")
    rig.at(mosquitto.port)
    await rig.append(telemetry(), telemetry(), alarm())
    rig.start()
    await until(lambda: rig.uplink.view().error)
    await until(lambda: not rig.waiting("critical"))
    assert rig.waiting("telemetry") == 2
    assert "does not allow us to publish" in str(rig.uplink.view().error)
    rules.write_text("topic readwrite #\n")
    with Subscriber(mosquitto.port) as subscriber:
        mosquitto.signal(signal.SIGHUP)
        await rig.settled()
        await until(lambda: len(subscriber.on("/icu-3")) == 2)
    assert rig.uplink.view().error is None


async def test_a_message_above_the_limit_of_the_broker_does_not_end_the_session(
    rig: Rig, start_mosquitto: StartMosquitto
) -> None:
    """Mosquitto answers 0x95, which paho does not know in a PUBACK: it would end every session at this record."""
    mosquitto = await start_mosquitto("message_size_limit 2000")
    rig.at(mosquitto.port)
    await rig.append(telemetry("x" * 3000), telemetry())
    rig.start()
    await rig.settled()
    (loss,) = rig.journal.stats().losses
    assert (loss.reason, loss.records) == ("packet_too_large", 1)
    await until(lambda: rig.uplink.view().acknowledged == 2)  # with the entry of the audit trail


async def test_a_broker_that_freezes_is_found_and_nothing_is_lost(rig: Rig, mosquitto: Mosquitto) -> None:
    """Its socket stays open and takes everything; only the missing answers show it."""
    rig.at(mosquitto.port, keep_alive_s=2)
    with Subscriber(mosquitto.port) as subscriber:
        rig.start()
        await rig.append(alarm())
        await rig.settled()
        mosquitto.signal(signal.SIGSTOP)
        await rig.append(alarm(), telemetry())
        await until(lambda: rig.uplink.view().state != "connected")
        assert rig.waiting() == 2
        mosquitto.signal(signal.SIGCONT)
        await rig.settled()
        await until(lambda: len(set(ids(subscriber))) == 3)


async def test_after_a_restart_of_the_broker_everything_arrives(
    rig: Rig, mosquitto: Mosquitto, start_mosquitto: StartMosquitto
) -> None:
    """What was stored while it was away comes on its return, alarms before telemetry."""
    rig.at(mosquitto.port)
    rig.start()
    await rig.append(alarm())
    await rig.settled()
    mosquitto.stop()
    await until(lambda: rig.uplink.view().state != "connected")
    await rig.append(*(telemetry() for _ in range(50)), alarm())
    again = await start_mosquitto("persistence_location /nonexistent/", port=mosquitto.port)
    with Subscriber(again.port) as subscriber:
        await rig.settled()
        await until(lambda: len(set(ids(subscriber))) >= 1 and rig.waiting() == 0)
    assert rig.uplink.view().acknowledged == 52
