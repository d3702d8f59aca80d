"""The driver contract, for every driver that is shipped, against the simulated hospital: what the caller relies on.

A new protocol is a new row in `DEVICES`; a driver that passes this may be put on a line.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from hardware_mocks.client import HospitalProcess

import config
from agent.cli.stage import introduce
from agent.clock import ManualClock
from config.load import load
from drivers import registry
from drivers.bacnet import settings as bacnet
from drivers.contract import Grade, Poll
from drivers.errors import DriverError, NoAnswer, Unreachable
from drivers.modbus import settings as modbus
from drivers.opcua import settings as opcua

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from config.model import Device, Line, Point
    from drivers.contract import Driver, Reading
    from drivers.expectation import Expectation

EXAMPLES = Path(config.__file__).parent / "examples"
BACK_S_MAX = 20.0
MONO = 7.0


class Asked(NamedTuple):
    """A device of the hospital, three of its points with a number for each, and a place that it does not have.

    `shown` is the first point as `check` has it: what a device is recognized by.
    """

    device: str
    pinned: dict[str, float]
    nowhere: dict[str, object]
    check: type[Expectation]
    shown: dict[str, object]


DEVICES = {
    "modbus": Asked(
        "lv-main",
        {"u_an": 231.0, "i_a": 52.0, "p": 73.0},
        {"register": 60_000},
        modbus.CheckSpec,
        {"register": 3027, "type": "f32"},
    ),
    "bacnet": Asked(
        "chiller-1",
        {"t_chws": 7.0, "t_chwr": 12.0, "p_in": 90.0},
        {"object": "analog-input,999"},
        bacnet.CheckSpec,
        {"object": "analog-input,1"},
    ),
    "opcua": Asked(
        "or-1",
        {"t": 22.0, "rh": 51.0, "o2_p": 415.0},
        {"node": "ns=2;s=or1.nothing"},
        opcua.CheckSpec,
        {"point": "t"},
    ),
}
assert set(DEVICES) == set(registry.protocols())


@pytest.fixture(scope="module")
def hospital() -> Iterator[HospitalProcess]:
    started = HospitalProcess()
    asyncio.run(started.start())
    for asked in DEVICES.values():
        for name, value in asked.pinned.items():
            asyncio.run(started.set(asked.device, name, value))
    yield started
    asyncio.run(started.stop())


@pytest.fixture(params=sorted(DEVICES))
def asked(request: pytest.FixtureRequest) -> Asked:
    return DEVICES[request.param]


@pytest.fixture
def line(asked: Asked, hospital: HospitalProcess, tmp_path: Path) -> Line:
    """The example's line with only the device that is asked, on this hospital's network."""
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    for file in tmp_path.rglob("*.yaml"):
        file.write_text(file.read_text(encoding="utf-8").replace("127.77.0", hospital.net), encoding="utf-8")
    introduce(tmp_path, hospital)
    for found in load(tmp_path, registry.protocols()).lines:
        for each in found.devices:
            if each.id == asked.device:
                return replace(found, devices=(each,))
    raise AssertionError(asked.device)


def points_of(line: Line, asked: Asked) -> list[Point]:
    (device,) = line.devices
    return [point for name in asked.pinned for point in device.points if point.id == name]


def poll_of(line: Line, *points: Point) -> Poll:
    (device,) = line.devices
    return Poll(device, points, 1.0)


@asynccontextmanager
async def connected(line: Line) -> AsyncIterator[Driver]:
    driver = registry.build(line, ManualClock(wall=time.time(), mono=MONO))
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


async def until_read(driver: Driver, poll: Poll) -> Reading:
    """Connect and read again and again, as the caller does, until it works."""
    deadline = time.monotonic() + BACK_S_MAX
    while time.monotonic() < deadline:
        with suppress(DriverError, TimeoutError):
            async with asyncio.timeout(5):
                await driver.connect()
                return await driver.read(poll)
        await asyncio.sleep(0.2)
    raise AssertionError(f"not read within {BACK_S_MAX} s of its return")


async def test_11_values_come_in_the_order_of_the_poll(line: Line, asked: Asked) -> None:
    """As many as were asked for, each at the place of its point, whatever the order."""
    points = points_of(line, asked)
    async with connected(line) as driver:
        for order in (points, points[::-1], [points[1], points[0], points[2]]):
            reading = await driver.read(poll_of(line, *order))
            wanted = [asked.pinned[point.id] for point in order]
            assert [cast("float", value) for value in reading.values] == pytest.approx(wanted, abs=0.6)
            assert dict(reading.flaws) == {}
            assert list(reading.changed) == [(0, len(order))]


async def test_11_a_bad_point_is_isolated(line: Line, asked: Asked) -> None:
    """Its value is None with a reason; its neighbours before and behind it are good."""
    first, last, _ = points_of(line, asked)
    bad = replace(last, id="nothing", spec=type(last.spec).model_validate(asked.nowhere))
    async with connected(line) as driver:
        reading = await driver.read(poll_of(line, first, bad, last))
    assert reading.values[1] is None
    assert reading.flaws[1].grade is Grade.BAD
    assert [cast("float", reading.values[index]) for index in (0, 2)] == pytest.approx(
        [asked.pinned[first.id], asked.pinned[last.id]], abs=0.6
    )
    assert set(reading.flaws) == {1}


async def test_11_a_device_that_is_not_the_expected_one_gives_no_data(line: Line, asked: Asked) -> None:
    """Every point is `config_error`, with what gave it away; the expected one is read."""
    value = next(iter(asked.pinned.values()))
    for low, is_expected in ((value - 5, True), (value + 5, False)):
        expecting = expecting_of(line, asked.check.model_validate({**asked.shown, "low": low, "high": low + 10}))
        poll = poll_of(expecting, *points_of(expecting, asked))
        async with connected(expecting) as driver:
            reading = await driver.read(poll)
        assert (None not in reading.values) == is_expected
        told = [flaw for flaw in reading.flaws.values() if flaw.raw.startswith("not the expected device (")]
        assert {flaw.reason for flaw in told} == (set() if is_expected else {"config_error"})
        assert len(told) == (0 if is_expected else len(poll.points))


def expecting_of(line: Line, check: Expectation) -> Line:
    """The line with a device that has to show this, and nothing else."""
    (device,) = line.devices
    address = device.address.model_copy(update={"expect": (check,)})
    return replace(line, devices=(replace(device, address=address),))


async def test_11_it_connects_again_after_a_loss(line: Line, asked: Asked, hospital: HospitalProcess) -> None:
    """The loss is `Unreachable` or `NoAnswer`, never a value; the same driver object works again afterwards."""
    poll = poll_of(line, *points_of(line, asked))
    async with connected(line) as driver:
        await driver.read(poll)
        await hospital.fault(asked.device, "refuse")
        with pytest.raises((Unreachable, NoAnswer, TimeoutError)):
            await _read_until_it_fails(driver, poll)
        await hospital.fault(asked.device, "none")
        reading = await until_read(driver, poll)
    assert [cast("float", value) for value in reading.values] == pytest.approx(list(asked.pinned.values()), abs=0.6)


async def _read_until_it_fails(driver: Driver, poll: Poll) -> None:
    while True:
        async with asyncio.timeout(10):
            await driver.read(poll)
        await asyncio.sleep(0.05)


async def test_11_close_is_allowed_twice_and_after_a_failed_connect(
    line: Line, asked: Asked, hospital: HospitalProcess
) -> None:
    """At any time; it never raises."""
    driver = registry.build(line, ManualClock(wall=time.time()))
    await driver.close()
    await hospital.fault(asked.device, "refuse")
    with suppress(DriverError, TimeoutError):
        async with asyncio.timeout(5):
            await driver.connect()
    await driver.close()
    await driver.close()
    await hospital.fault(asked.device, "none")
    poll = poll_of(line, *points_of(line, asked))
    await until_read(driver, poll)
    await asyncio.gather(driver.close(), driver.close())
    with pytest.raises(DriverError):
        await driver.read(poll)


async def test_11_cancelled_in_the_middle_of_a_read_and_then_closed(
    line: Line, asked: Asked, hospital: HospitalProcess
) -> None:
    """Nothing hangs, nothing is left behind, and the device can be read again."""
    poll = poll_of(line, *points_of(line, asked))
    driver = registry.build(line, ManualClock(wall=time.time()))
    await until_read(driver, poll)
    await hospital.fault(asked.device, "silent")
    task = asyncio.create_task(driver.read(poll))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await driver.close()
    await hospital.fault(asked.device, "none")
    await until_read(driver, poll)
    await driver.close()


async def test_11_nothing_is_opened_by_the_constructor(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, not even one that is not connected."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    registry.build(line, ManualClock(wall=time.time()))


async def test_11_times_come_from_the_given_clock(line: Line, asked: Asked) -> None:
    """Both of them; the device's own time is something else."""
    clock = ManualClock(wall=time.time(), mono=MONO)
    driver = registry.build(line, clock)
    await driver.connect()
    clock.advance(100.0)
    reading = await driver.read(poll_of(line, *points_of(line, asked)))
    await driver.close()
    assert (reading.time, reading.mono) == (clock.wall(), MONO + 100.0)


async def test_11_it_says_who_the_device_is_or_nothing(line: Line) -> None:
    """One cheap request, texts only."""
    device: Device
    (device,) = line.devices
    async with connected(line) as driver:
        found = await driver.identify(device)
    assert all(isinstance(text, str) for text in (found.vendor, found.model, found.serial, found.firmware))
