"""What a device has taught is there after a restart; a mistake in the file that keeps it is none of the readings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from modbus_peer import device, line, peer, point, poll

from agent.clock import ManualClock
from drivers.errors import NoAnswer
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.learning import GROW_S

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from modbus_peer import Peer, Request

    from config.model import Device
    from drivers.contract import Poll, Reading

MISSING = 37
BEARS = 30
LONG_S, SHORT_S = 20.0, 0.2


def lacks_one(request: Request, writer: asyncio.StreamWriter) -> None:
    """A device that refuses every request in which register 37 is."""
    refuses = request.start <= MISSING < request.start + request.count
    writer.write(request.exception(2) if refuses else request.addresses())


def bears_few(request: Request, writer: asyncio.StreamWriter) -> None:
    """A device that says nothing to more than thirty registers."""
    if request.count <= BEARS:
        writer.write(request.addresses())


def whole(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(request.addresses())


def meter(points: int = 60) -> Device:
    return device(*(point(f"p{at}", at) for at in range(points)))


@asynccontextmanager
async def started(
    served: Peer, of: Device, state: Path, clock: ManualClock | None = None, timeout_s: float = LONG_S
) -> AsyncIterator[ModbusDriver]:
    """The driver of a process that begins, and ends when its file is written; the requests before it are forgotten."""
    served.requests.clear()
    driver = ModbusDriver(line(served.port, of, timeout_s=timeout_s, state=state), clock or ManualClock())
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()
        if driver._plans._file._writer is not None:
            await driver._plans._file._writer


async def until_read(driver: ModbusDriver, asked: Poll) -> Reading:
    """Ask as the caller does, with new connections, until the device answers."""
    for _ in range(20):
        try:
            return await driver.read(asked)
        except NoAnswer:
            await driver.connect()
    raise AssertionError("never answered")


def counts(served: Peer) -> list[int]:
    return [request.count for request in served.requests]


async def test_3_the_refused_address_is_known_after_a_restart(tmp_path: Path) -> None:
    """The first read of the new process asks round it at once, and for it alone: it may have been repaired."""
    asked = poll(meter())
    async with peer(lacks_one) as served:
        async with started(served, asked.device, tmp_path) as driver:
            await driver.read(asked)
        async with started(served, asked.device, tmp_path) as driver:
            reading = await driver.read(asked)
            assert sorted((request.start, request.count) for request in served.requests) == [(0, 37), (37, 1), (38, 22)]
            assert set(reading.flaws) == {MISSING}
        served.script = whole
        async with started(served, asked.device, tmp_path) as driver:
            assert list((await driver.read(asked)).values) == list(range(60))
        async with started(served, asked.device, tmp_path) as driver:
            await driver.read(asked)
            assert counts(served) == [60]


async def test_3_a_device_that_bears_little_answers_the_first_request_after_a_restart(tmp_path: Path) -> None:
    """Nobody waits again for the timeouts of its lesson; after ten minutes more is tried, as without a restart."""
    asked, clock = poll(meter()), ManualClock()
    async with peer(bears_few) as served:
        async with started(served, asked.device, tmp_path, timeout_s=SHORT_S) as driver:
            await until_read(driver, asked)
        async with started(served, asked.device, tmp_path, clock) as driver:
            reading = await driver.read(asked)
            assert list(reading.values) == list(range(60))
            assert (sum(counts(served)), max(counts(served)) <= BEARS) == (60, True)
            served.script = whole
            for _ in range(4):
                clock.advance(GROW_S)
                await driver.read(asked)
            served.requests.clear()
            await driver.read(asked)
            assert counts(served) == [60]


async def test_3_what_was_learned_for_other_points_is_forgotten(tmp_path: Path) -> None:
    """Another configuration may be another device."""
    async with peer(lacks_one) as served:
        async with started(served, meter(), tmp_path) as driver:
            await driver.read(poll(meter()))
        served.script = whole
        other = poll(meter(50))
        async with started(served, other.device, tmp_path) as driver:
            await driver.read(other)
            assert counts(served) == [50]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"1": {"mark": 1, "lesson": {"registers": "x"}}}', b"\xff\0"])
async def test_3_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    """The device is learned anew."""
    (tmp_path / "modbus").mkdir()
    (tmp_path / "modbus" / "l.plan.json").write_bytes(content)
    asked = poll(meter())
    async with peer(whole) as served, started(served, asked.device, tmp_path) as driver:
        assert list((await driver.read(asked)).values) == list(range(60))
        assert counts(served) == [60]


async def test_3_a_state_folder_that_takes_nothing_costs_no_reading(tmp_path: Path) -> None:
    """Nothing is kept, and nothing else happens."""
    (tmp_path / "modbus").write_text("a file where the folder should be", encoding="utf-8")
    asked = poll(meter())
    async with peer(lacks_one) as served:
        for _ in range(2):
            async with started(served, asked.device, tmp_path) as driver:
                assert set((await driver.read(asked)).flaws) == {MISSING}
