"""The checks of the other acceptance tests are worth something: a build with one thing wrong turns each of them red."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import mutants
from accounting import account, arrivals, compare, samples
from mqtt_peer import until
from plant import READY_S, Gateway, Link, broker, configure_load, folder, load, show, uplink
from receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mutants import Mutation

DEVICES = 4
SETTLED_S = 1.0
"""Some of these builds never get everything acknowledged."""


async def break_link(gateway: Gateway, link: Link) -> None:
    """What was on its way is lost, and was never acknowledged: at least three rounds of all devices.

    Only after some more commits: each lets the uplink have another turn, so that what it believes of them is settled.
    """
    link.swallows = True
    await until(lambda: link.swallowed.count(b"/telemetry/") > 3 * DEVICES)
    stored = telemetry_stored(gateway)
    await until(lambda: telemetry_stored(gateway) > stored + 3 * DEVICES)
    link.cut()
    link.swallows = False


def telemetry_stored(gateway: Gateway) -> int:
    return gateway.status().journal.streams["telemetry"].next_seq


async def no_trouble(_: Gateway, __: Link) -> None:
    """What is sent again after any other would hide this one."""


async def start_again(gateway: Gateway, _: Link) -> None:
    gateway.kill()
    await gateway.ready()


async def faults_of(build: Mutation, trouble: Callable[[Gateway, Link], Awaitable[None]]) -> list[str]:
    """What the checks say of a build that had this trouble in its short life under load."""
    with folder() as here, load(here, devices=DEVICES, interval_s=0.1) as (running, net):
        register, value = running.reaching(time.time())
        alarm = {"point": f"r{register}", "limit": {"H": value}, "colour": "red"}
        async with broker(here) as server, Link(server.port) as link:
            configure_load(here, running, net, uplink(link.port), {"m1": {"high": alarm}})
            with (
                Gateway(here, mutants.environment(here / "build", build)) as gateway,
                Receiver(here / "received.jsonl", server.port) as receiver,
            ):
                await gateway.ready()
                await more_telemetry(receiver)
                await trouble(gateway, link)
                await more_telemetry(receiver)
                served = running.end()
                await finish(gateway, receiver, READY_S if build is mutants.nothing else SETTLED_S)
                found = account(arrivals(receiver.path), gateway.lanes())
        return [*found.faults, *compare(samples(found), served).faults]


async def more_telemetry(receiver: Receiver) -> None:
    """So much that the victim is among it."""
    enough = receiver.seen("/telemetry/") + 2 * mutants.VICTIM
    await until(lambda: receiver.seen("/telemetry/") > enough)


async def finish(gateway: Gateway, receiver: Receiver, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await gateway.drained()
    farewells = receiver.farewells()
    assert (await gateway.stop())[0] == 0
    await until(lambda: receiver.farewells() > farewells)


WRONG: list[tuple[Mutation, Callable[[Gateway, Link], Awaitable[None]], str]] = [
    (mutants.drops_a_row_before_it_is_stored, break_link, "served values never arrived"),
    (mutants.drops_a_row_on_its_way, no_trouble, "telemetry: 1 of"),
    (mutants.reuses_a_sequence, break_link, "came twice with different contents"),
    (mutants.settles_without_puback, break_link, "never arrived, such as"),
    (mutants.forgets_its_alarms, start_again, "not raised once and first"),
]
"""Builds, and what is to be said of each."""


async def test_each_wrong_build_is_found_and_the_right_one_is_not_accused() -> None:
    """Dropped, reused, settled too early, forgotten: each is named by the check that is there for it."""
    begin = time.monotonic()
    builds = [(mutants.nothing, break_link), *((build, trouble) for build, trouble, _ in WRONG)]
    right, *wrong = await asyncio.gather(*(faults_of(build, trouble) for build, trouble in builds))
    assert right == []
    for (build, _, expected), faults in zip(WRONG, wrong, strict=True):
        assert any(expected in fault for fault in faults), (build.__name__, faults)
    show(f"{len(builds)} builds in {time.monotonic() - begin:.1f} s")
