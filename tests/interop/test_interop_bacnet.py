"""BACnet against @bacnet-js/client, as a device that is read and as a client of our own mocks: no code is shared."""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import free_port, loopback, make_device, make_line, make_point
from hardware_mocks.client import HospitalProcess

from agent.clock import SystemClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Poll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from config.model import Point

PEER = ("node", str(Path(__file__).parent / "bacnet_peer.mjs"), str(Path("build/interop").absolute()))
INSTANCE = 1234
PATIENCE_S = 20.0
STATES = {1: "off", 2: "starting", 3: "running"}


@contextmanager
def device(kind: str) -> Iterator[str]:
    """Where the foreign device listens."""
    host = loopback()
    port = free_port(host)
    with subprocess.Popen((*PEER, "device", host, str(port), kind), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield f"{host}:{port}"
        finally:
            process.kill()


@asynccontextmanager
async def asking(at: str, *points: Point) -> AsyncIterator[tuple[BacnetDriver, Poll]]:
    made = make_device(at, points, instance=INSTANCE)
    driver = BacnetDriver(make_line(made, timeout_s=5.0), SystemClock())
    await driver.connect()
    try:
        yield driver, Poll(made, made.points, 1.0)
    finally:
        await driver.close()


POINTS = (
    make_point("analog-input,1", unit="Cel"),
    make_point("analog-input,2", unit="Cel"),
    make_point("analog-input,3", unit="Cel"),
    make_point("analog-input,77"),
    make_point("binary-input,1", "bool"),
    make_point("multi-state-value,1", "enum", states=STATES),
)


@pytest.mark.parametrize("kind", ["multiple", "single"])
async def test_11_every_value_of_a_foreign_device(kind: str) -> None:
    """Many at a time, or one by one where it knows no other way; a fault and a missing object cost only themselves."""
    with device(kind) as at:
        async with asking(at, *POINTS) as (driver, poll):
            for _ in range(3):
                reading = await driver.read(poll)
            identity = await driver.identify(poll.device)
    assert list(reading.values) == [21.5, -40.25, None, None, True, "running"]
    assert {index: flaw.reason for index, flaw in reading.flaws.items()} == {2: "sensor_fault", 3: "config_error"}
    assert (identity.vendor, identity.model) == ("bacnet-js", "模拟")


async def test_11_a_foreign_device_reports_changes() -> None:
    """It is subscribed to after the first read, and what it reports by itself is in the next reading."""
    point = make_point("analog-input,1", unit="Cel", cov=True)
    with device("multiple") as at:
        async with asking(at, point) as (driver, poll), aclosing(driver.notices([poll])) as notices:
            noticed = asyncio.ensure_future(anext(notices))
            await driver.read(poll)
            async with asyncio.timeout(PATIENCE_S):
                assert list((await noticed).values) == [30.5]


async def test_11_a_foreign_client_reads_the_simulated_devices() -> None:
    """What our mocks say is BACnet to others, too."""
    async with HospitalProcess(protocols=["bacnet"]) as hospital:
        await hospital.set("chiller-1", "t_chws", 6.5)
        host, port = hospital.address("chiller-1")
        own = loopback()
        command = (*PEER, "read", own, str(free_port(own)), f"{host}:{port}", "0", "1")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
                if json.loads(done.stdout) == pytest.approx(6.5):
                    break
