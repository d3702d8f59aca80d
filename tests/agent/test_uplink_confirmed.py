"""Confirmation end to end, with a real broker between the uplink and a platform that is another client of it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from mqtt_peer import Subscriber, until
from uplink_rig import ROOT, alarm, telemetry

from agent.events import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from mqtt_peer import Mosquitto, StartMosquitto
    from uplink_rig import Rig


class Platform(Subscriber):
    """Confirms what it is told to, and reads everything."""

    commands = 0

    def command(self, verb: str, **args: Any) -> None:
        self.commands += 1
        now = time.time()
        head = {"cmd_id": f"c-{self.commands}", "issued_at": rfc3339(now), "expires_at": rfc3339(now + 60)}
        command = {**head, "actor": {"type": "platform", "id": "p-1", "role": "consumer"}, "args": args}
        self.publish(f"{ROOT}cmd/{verb}", json.dumps(command).encode())

    def confirm_received(self) -> None:
        """All records that are here."""
        ranges: dict[str, dict[str, list[list[int]]]] = {}
        for event in self.records():
            stream = event["source"].rpartition("/")[2]
            sequence = int(event["sequence"])
            ranges.setdefault(event["epoch"], {}).setdefault(stream, []).append([sequence, sequence])
        for epoch, streams in ranges.items():
            self.command("confirm", epoch=epoch, ranges=streams)

    def records(self) -> list[dict[str, Any]]:
        return [message.event for message in self.messages if b'"sequence":"' in message.payload]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_the_platform_has_is_settled(rig: Rig, mosquitto: Mosquitto, version: str) -> None:
    """Commands and answers go through a real broker in both versions."""
    rig.at(mosquitto.port, mqtt=version, confirm=True)
    await rig.append(*(telemetry() for _ in range(50)), alarm())
    with Platform(mosquitto.port) as platform:
        rig.start()
        await until(lambda: len(platform.records()) == 51)
        assert rig.waiting() == 51
        await until(lambda: rig.uplink.view().handed_over == 51)
        platform.confirm_received()
        await rig.settled()
        await until(lambda: platform.on("/cmd-result"))
        (answer,) = platform.on("/cmd-result")
        assert (answer.event["data"]["result"], answer.event["data"]["args"]) == ("done", {"confirmed": 51})
        platform.command("resend", epoch=rig.journal.epoch, stream="critical", **{"from": 1, "to": 1})
        await until(lambda: len(platform.records()) >= 52)


async def test_a_denied_publish_that_looks_like_a_success_is_found(
    rig: Rig, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """MQTT 3.1.1 acknowledges what access rules throw away: the missing confirmation tells, and nothing is lost."""
    rules = tmp_path / "rules"
    rules.write_text(f"topic read #\ntopic write {ROOT}status\ntopic write {ROOT}cmd/#\n")
    mosquitto = await start_mosquitto(f"acl_file {rules}")
    rig.at(mosquitto.port, mqtt="3.1.1", confirm=True, confirm_overdue_s=0.3)
    await rig.append(*(telemetry() for _ in range(20)), alarm())
    with Platform(mosquitto.port) as platform:
        rig.start()
        await until(lambda: rig.uplink.view().handed_over == 21)
        await until(lambda: "confirm_overdue" in rig.uplink.conditions())
        assert platform.records() == []
        assert rig.waiting() == 21
        rules.write_text("topic readwrite #\n")
        mosquitto.signal(signal.SIGHUP)
        while not platform.on("/cmd-result"):
            platform.command("ping")
            await asyncio.sleep(0.02)
        platform.command("resend", epoch=rig.journal.epoch, stream="telemetry", **{"from": 1, "to": 20})
        platform.command("resend", epoch=rig.journal.epoch, stream="critical", **{"from": 1, "to": 1})
        await until(lambda: len(platform.records()) == 21 + 2)  # with the audit of both commands
        platform.confirm_received()
        await rig.settled()
        await until(lambda: rig.uplink.conditions() == {})


async def test_what_a_killed_broker_forgot_comes_again(
    rig: Rig, mosquitto: Mosquitto, start_mosquitto: StartMosquitto
) -> None:
    """It had acknowledged everything and delivered nothing of it: without a confirmation that is no loss."""
    rig.at(mosquitto.port, confirm=True)
    await rig.append(*(telemetry() for _ in range(30)), alarm())
    rig.start()
    await until(lambda: rig.uplink.view().handed_over == 31)
    mosquitto.stop()
    await until(lambda: rig.uplink.view().state != "connected")
    again = await start_mosquitto(port=mosquitto.port)
    with Platform(again.port) as platform:
        await until(lambda: len({event["id"] for event in platform.records()}) == 31 or _ask_again(rig, platform))
        platform.confirm_received()
        await rig.settled()


def _ask_again(rig: Rig, platform: Platform) -> bool:
    """Where the uplink was back before the platform was, it must be asked."""
    if rig.uplink.view().handed_over == 31 and not platform.commands and len(platform.records()) < 31:
        platform.command("resend", epoch=rig.journal.epoch, stream="telemetry", **{"from": 1, "to": 30})
        platform.command("resend", epoch=rig.journal.epoch, stream="critical", **{"from": 1, "to": 1})
    return False
