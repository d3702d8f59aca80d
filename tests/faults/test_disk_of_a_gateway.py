"""The whole daemon on a disk that is full, and on a damaged file: what the platform gets, what an operator is told."""

from __future__ import annotations

import errno
import random
import time
from typing import TYPE_CHECKING

from accounting import account, arrivals, compare, samples
from damage import noise
from mqtt_peer import until
from plant import Gateway, broker, configure_load, folder, load, uplink
from probing import ask
from receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

    from plant import Load, Tree

RED = "/alarm/red/"
VOLATILE = '"durable":false'
ALARMS = 60
FULL = f"pwrite64 {errno.ENOSPC} 0"


def told(gateway: Gateway, code: str) -> list[str]:
    """What this health condition says in detail, where it holds."""
    return [view.detail for view in gateway.status().health if view.code == code]


def probed(here: Path) -> dict[str, int]:
    """A disk that is away makes nobody restart the gateway, which would lose what only memory holds."""
    return {target: ask(here / "control.sock", target)[0] for target in ("/healthz", "/readyz")}


def disk(control: Path, *rules: str) -> None:
    """From now on; see `disk.c`."""
    fresh = control.with_suffix(".new")
    fresh.write_text("\n".join(rules))
    fresh.rename(control)


def one_each_second(running: Load) -> Tree:
    """Red alarms that come up one after the other and stay, so that some do at any time."""
    begin = time.time()
    reached = [running.reaching(begin + number) for number in range(ALARMS)]
    return {
        f"a{number}": {"point": f"r{register}", "limit": {"H": value}, "colour": "red"}
        for number, (register, value) in enumerate(reached)
    }


async def test_alarms_reach_the_platform_while_the_disk_is_full_and_the_status_says_so(failing_disk: Path) -> None:
    """Marked as not durable. With space again the condition is over, and every value that was served has arrived."""
    with folder() as here, load(here, devices=2) as (running, net):
        control = here / "disk"
        disk(control)
        preload = {"LD_PRELOAD": str(failing_disk), "DISK_PATH": "journal.db", "DISK_CONTROL": str(control)}
        async with broker(here) as server:
            configure_load(here, running, net, uplink(server.port), {"m1": one_each_second(running)})
            with Gateway(here, preload) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: receiver.seen("/telemetry/") > 4)
                assert not told(gateway, "journal_volatile")
                disk(control, FULL)
                await until(lambda: receiver.seen(RED, VOLATILE))
                await until(lambda: bool(told(gateway, "journal_volatile")))
                assert probed(here) == {"/healthz": 200, "/readyz": 503}
                disk(control)
                await until(lambda: not told(gateway, "journal_volatile"))
                assert probed(here) == {"/healthz": 200, "/readyz": 200}
                more = receiver.seen("/telemetry/") + 4
                await until(lambda: receiver.seen("/telemetry/") > more)
                served = running.end()
                await gateway.drained()
                assert (await gateway.stop())[0] == 0
                found = account(arrivals(receiver.path), gateway.lanes())
    assert found.faults == []
    assert compare(samples(found), served).faults == []
    assert {alarm["action"] for alarm in found.alarms()} == {"raise"}


async def test_a_damaged_journal_is_told_to_operator_and_platform() -> None:
    """The gateway starts by itself; status and audit trail name the damage and where the file lies now."""
    with folder() as here, load(here, devices=2) as (running, net):
        async with broker(here) as server:
            configure_load(here, running, net, uplink(server.port))
            with Gateway(here) as gateway, Receiver(here / "received.jsonl", server.port) as receiver:
                await gateway.ready()
                await until(lambda: receiver.seen("/telemetry/") > 20)
                assert (await gateway.stop())[0] == 0
                noise(here / "journal" / "journal.db", random.Random(1))
                await gateway.ready()
                await until(lambda: told(gateway, "journal_damaged"))
                (said,) = gateway.said("journal file damaged")
                moved = said["moved_to"]
                assert moved in {str(file) for file in (here / "journal").iterdir()}
                await until(lambda: receiver.seen("/audit", f'"verb":"journal_damaged","target":"{moved}"'))
                assert (await gateway.stop())[0] == 0
