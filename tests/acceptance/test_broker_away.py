"""The broker is stopped for twenty seconds under load: what the platform then has is what the field has served."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from accounting import account, arrivals, compare, samples, schema_faults, seconds
from mqtt_peer import until
from plant import Gateway, broker, configure_load, folder, load, show, uplink
from receiver import Receiver

if TYPE_CHECKING:
    from accounting import Account, Arrival
    from plant import Load, Tree

AWAY_S = 20.0
ALARMS_AT_S = (12.0, 18.0)
"""After the start; the broker leaves before and returns after."""


def alarms_of(running: Load, begin: float) -> dict[str, Tree]:
    """A red and a yellow alarm that come up while the broker is away, on the first device."""
    alarms: Tree = {}
    for colour, after_s in zip(("red", "yellow"), ALARMS_AT_S, strict=True):
        register, value = running.reaching(begin + after_s)
        alarms[colour] = {"point": f"r{register}", "limit": {"H": value}, "colour": colour}
    return {"m1": alarms}


async def test_nothing_is_missing_after_the_broker_was_away_under_load() -> None:
    """Every change of every point arrives, once, alarms before telemetry, however full the journal was."""
    with folder() as here, load(here) as (running, net), Gateway(here) as gateway:
        async with broker(here) as server:
            begin = time.time()
            configure_load(here, running, net, uplink(server.port, backlog_rate=1000), alarms_of(running, begin))
            with Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: receiver.seen("/telemetry/") > 50)
                server.leave()
                left = time.time()
                await asyncio.sleep(AWAY_S)  # the promise is about this span of real time, not about a condition
                stored_while_away = gateway.waiting()
                returned = time.time()
                await server.start()
                await until(lambda: gateway.status().uplinks[0].state == "connected")
                served = running.end()
                await gateway.drained()
                farewells = receiver.farewells()
                assert (await gateway.stop())[0] == 0
                await until(lambda: receiver.farewells() > farewells)
        came = arrivals(receiver.path)
        found = account(came, gateway.lanes())
        show(f"{stored_while_away} records stored while away, {sum(map(len, served.values()))} values served in all")
        assert stored_while_away > 500, "too little load to show anything"
        assert found.faults == []
        assert schema_faults(came) == []
        assert compare(samples(found), served).faults == []
        assert_alarms_first(found, left, returned)
        assert_live_before_backlog(came, found, returned)


def assert_alarms_first(found: Account, left: float, returned: float) -> None:
    """Of what was stored while the broker was away, all of `critical` came before any of `alarm`, and so on."""
    critical, alarm, telemetry = (
        [arrival.order for arrival in found.records(stream) if left < recorded(arrival) < returned]
        for stream in ("critical", "alarm", "telemetry")
    )
    assert critical
    assert alarm
    assert max(critical) < min(alarm)
    assert max(alarm) < min(telemetry)


def assert_live_before_backlog(came: list[Arrival], found: Account, returned: float) -> None:
    """From the announced sequence on, telemetry came at once, beside the older part."""
    births = [one for one in came if one.type == "gateway.status.v1" and not one.retain and one.time > returned]
    live_from = next(birth.data["live_from"] for birth in births if birth.data["state"] == "online")
    telemetry = {arrival.sequence: arrival for arrival in found.records("telemetry")}
    assert telemetry[live_from].order < telemetry[live_from - 1].order
    assert recorded(telemetry[live_from]) > returned


def recorded(arrival: Arrival) -> float:
    return seconds(arrival.event["recordedtime"])
