"""A fire in zone 3: from the bit in the panel to the red event at the platform."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from accounting import account, arrivals, schema_faults
from hardware_mocks.client import HospitalProcess
from mqtt_peer import until
from pace import in_time
from plant import Gateway, broker, configure_hospital, folder, show
from receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounting import Arrival

BUDGET_S = 2.0
ZONE_3_BIT = 18
ALARM_ID = "fire/fire-panel/zone.3.alarm#zone-3"
RED = "/alarm/red/fire/fire-panel"


def first_reply_with_fire(truth: Iterable[dict[str, Any]]) -> float:
    """When the panel first said it on the wire (seconds since the epoch)."""
    for line in truth:
        if line["device"] == "fire-panel" and line.get("fc") == 2 and "raw" in line:
            bits = int.from_bytes(bytes.fromhex(line["raw"]), "little") << line["start"]
            if bits >> ZONE_3_BIT & 1:
                return float(line["t"])
    raise LookupError("the panel was never read after the fire began")


def event_of(came: Iterable[Arrival], action: str) -> Arrival:
    (found,) = [
        one
        for one in came
        if one.type == "alarm.transition.v1" and one.data["alarm_id"] == ALARM_ID and one.data["action"] == action
    ]
    return found


async def test_a_fire_is_at_the_platform_in_under_two_seconds() -> None:
    """Measured from the act and from the reply that first carried the bit; and the all-clear follows the reset."""
    with folder() as here:
        async with broker(here) as server, HospitalProcess() as hospital:
            configure_hospital(here, hospital, server.port)
            with Gateway(here) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: all(view.state == "online" for view in gateway.status().devices))
                acted = time.time()
                await hospital.act("fire", zone=3)
                await until(lambda: receiver.seen(RED, '"action":"raise"') >= 2)
                await hospital.act("fire_reset")
                await until(lambda: receiver.seen(RED, '"action":"clear"') >= 2)
                await until(lambda: receiver.seen("/health", '"alarms":{"since"') >= 1)
                assert (await gateway.stop())[0] == 0
                on_wire = first_reply_with_fire(await hospital.truth())
            came = arrivals(receiver.path)
            raised = event_of(came, "raise")
            show(f"red event {raised.time - acted:.3f} s after the act, {raised.time - on_wire:.3f} s after the reply")
            assert 0 < raised.time - on_wire < raised.time - acted
            assert in_time(raised.time - acted, BUDGET_S)
            assert raised.lane[1] == "critical"
            assert raised.data["colour"] == raised.data["peak_colour"] == "red"
            assert raised.data["text"] == {"zh": "三区手术部火警", "en": "Fire alarm in zone 3 (the theatres)"}
            assert event_of(came, "clear").data["n"] == 2
            assert schema_faults(came) == []
            assert account(came, gateway.lanes()).faults == []
