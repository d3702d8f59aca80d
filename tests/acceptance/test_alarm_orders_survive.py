"""What operators did to alarms is so after the gateway was killed, and nothing rings twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from accounting import arrivals
from mqtt_peer import until
from plant import Gateway, broker, configure_load, folder, load, uplink
from receiver import Receiver

from agent.control.client import Client, ControlError

if TYPE_CHECKING:
    from agent.status import AlarmView

ALWAYS_LOW = {"point": "r1", "limit": {"L": 100_000}, "colour": "yellow"}
ALARMS = {"m1": {"acked": ALWAYS_LOW, "out": ALWAYS_LOW, "plain": ALWAYS_LOW}}


def standing(gateway: Gateway) -> dict[str, AlarmView]:
    return {view.alarm_id.partition("#")[2]: view for view in gateway.status().alarms}


async def test_what_operators_did_survives_a_kill() -> None:
    """Acknowledged and out of service stay so, each occurrence is the one it was, and the refused stays refused."""
    with folder() as here, load(here, devices=1) as (running, net), Gateway(here) as gateway:
        async with broker(here) as server:
            configure_load(here, running, net, uplink(server.port), ALARMS)
            with Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: len(standing(gateway)) == len(ALARMS["m1"]))
                desk = Client(here / "control.sock")
                before = standing(gateway)
                desk.order("ack", before["acked"].alarm_id, "seen")
                desk.order("out-of-service", before["out"].alarm_id, "works", work_order="W-1", owner="Li")
                with pytest.raises(ControlError, match="it can be reset once"):
                    desk.order("reset", before["plain"].alarm_id)
                before = standing(gateway)
                gateway.kill()
                seen = receiver.seen("/telemetry/")
                await gateway.ready()
                await until(lambda: receiver.seen("/telemetry/") > seen)
                after = standing(gateway)
                assert (await gateway.stop())[0] == 0
        bodies = [each.event["data"] for each in arrivals(receiver.path) if "/alarm/" in each.topic]
    assert {name: view.state for name, view in after.items()} == {"acked": "ACKED", "out": "UNACK", "plain": "UNACK"}
    assert after["out"].overlay == ["OOSRV"]
    for name, view in after.items():
        assert (view.occurrence_id, view.ack_by, view.raised) == (
            before[name].occurrence_id,
            before[name].ack_by,
            before[name].raised,
        )
    told = {(body["alarm_id"], body["occurrence_id"], body["n"]) for body in bodies}
    assert sorted(n for _, _, n in told) == [1, 1, 1, 2, 2], "three raises, two orders, and nothing after the kill"
