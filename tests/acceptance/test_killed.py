"""The gateway is killed ten times under load: what the platform has afterwards is whole, and no alarm rings twice."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounting import account, arrivals, compare, samples, schema_faults
from mqtt_peer import until
from plant import Gateway, Link, broker, configure_load, folder, load, show, uplink
from receiver import Receiver
from restart_cell import raised, reached

if TYPE_CHECKING:
    from plant import Load, Tree

KILLS = 10
ACK_LAG_S = 0.15
"""The way back from the broker is this slow, so that there is always something between append and PUBACK."""

ALIVE_S = (0.02, 0.6)
"""How long after its first telemetry a gateway lives: each time a random moment in this range."""

ALARM_EVERY_S = 0.4
ALARMS = 100


@dataclass(frozen=True, slots=True)
class Kill:
    """How many records then lay in the journal without acknowledgement, and when nothing came any more of what had been
    under way (seconds since the epoch).
    """

    unacknowledged: int
    time: float


def alarms_of(running: Load, begin: float) -> dict[str, Tree]:
    """One red alarm after the other comes up, and stays, so that most kills find a fresh one."""
    alarms: dict[str, Tree] = {f"m{device}": {} for device in range(1, running.devices + 1)}
    for number in range(ALARMS):
        register, value = running.reaching(begin + number * ALARM_EVERY_S)
        alarms[f"m{number % running.devices + 1}"][f"a{number}"] = {
            "point": f"r{register}",
            "limit": {"H": value},
            "colour": "red",
        }
    return alarms


async def live_and_die(gateway: Gateway, receiver: Receiver, dice: random.Random) -> Kill:
    """From start to `kill -9` at a random moment after new telemetry has arrived."""
    before = receiver.seen("/telemetry/")
    gateway.start()
    await until(lambda: receiver.seen("/telemetry/") > before)
    await asyncio.sleep(dice.uniform(*ALIVE_S))  # the random moment is what this test is about
    gateway.kill()
    return Kill(gateway.unacknowledged(), time.time())


async def test_ten_kills_under_load_leave_no_gap_and_raise_no_alarm_twice() -> None:
    """Every sequence arrives; what arrives twice is equal; only what no commit had reached is lost."""
    seed = random.SystemRandom().randrange(10_000)
    show(f"seed {seed}")
    dice = random.Random(seed)
    with folder() as here, load(here) as (running, net), Gateway(here) as gateway:
        async with broker(here) as server, Link(server.port, lag_s=ACK_LAG_S) as link:
            alarms = alarms_of(running, time.time() + 1)
            configure_load(here, running, net, uplink(link.port, backlog_rate=2000), alarms)
            with Receiver(here / "received.jsonl", server.port) as receiver:
                kills = [await live_and_die(gateway, receiver, dice) for _ in range(KILLS)]
                await gateway.ready()
                served = running.end()
                await gateway.drained()
                farewells = receiver.farewells()
                assert (await gateway.stop())[0] == 0
                await until(lambda: receiver.farewells() > farewells)
        came = arrivals(receiver.path)
        found = account(came, gateway.lanes())
    show(f"unacknowledged at the kills: {[kill.unacknowledged for kill in kills]}; {found.duplicates} duplicates")
    assert sum(kill.unacknowledged > 0 for kill in kills) >= KILLS / 2
    assert found.duplicates > 0
    assert found.faults == []
    assert schema_faults(came) == []
    assert compare(samples(found), served).excuse(kill.time for kill in kills).faults == []
    rung = raised(alarms, found)
    show(f"{len(rung)} alarms raised")
    assert sorted(rung) == sorted(reached(alarms, served))
    assert len(rung) > KILLS
