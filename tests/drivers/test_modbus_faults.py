"""Each fault of a device, and how soon it must be over once the device is well again: 10 s at most, whatever it was."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import TYPE_CHECKING

from modbus_peer import Request, device, honest, line, peer, point, silent
from polled_line import every, is_good, polled
from rtu_peer import RtuRequest, Wire, adapter
from rtu_peer import honest as honest_rtu

from config.model import Line
from drivers.modbus.line import ModbusLine

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Device

BACK_S_MAX = 10.0


def meter(interval_s: float = 0.1) -> Device:
    return every(interval_s, device(point("a", 1), point("b", 1000)))


def serial_line(path: Path, of: Device, timeout_s: float) -> Line:
    spec = ModbusLine.model_validate({"protocol": "modbus", "serial": str(path), "baud": 115200})
    return Line("l", of.name, "modbus", spec, (of,), timeout_s, 1)


async def test_a_restarted_device_is_back_in_time() -> None:
    """Its port is closed and every connection reset; half a second later it listens again."""
    async with peer(honest) as served:
        port = served.port
        running = polled(line(port, meter(), timeout_s=0.5))
        there = await running.__aenter__()
        await there.until(is_good)
    await there.until(lambda reading: bool(reading.flaws))
    await asyncio.sleep(0.5)
    async with peer(honest, port):
        assert await there.until(is_good) < BACK_S_MAX
        await running.__aexit__(None, None, None)


async def test_a_device_in_a_black_hole_is_lost_in_time_and_back_in_time() -> None:
    """The connection stays open and nothing comes: the values are not shown as good, and soon as nothing."""
    async with peer(honest) as served, polled(line(served.port, meter(), timeout_s=0.1)) as there:
        await there.until(is_good)
        served.script = silent
        assert await there.until(lambda reading: bool(reading.flaws)) < 2
        served.script = honest
        assert await there.until(is_good) < BACK_S_MAX


async def test_a_half_open_connection_is_found_and_replaced() -> None:
    """Behind a firewall that forgot it: the old connection stays silent for ever, a new one is answered."""
    async with peer(honest) as served, polled(line(served.port, meter(), timeout_s=0.1)) as there:
        await there.until(is_good)
        forgotten = set(served.writers)
        served.script = lambda request, writer: None if writer in forgotten else honest(request, writer)
        assert await there.until(lambda reading: bool(reading.flaws)) < 2
        assert await there.until(is_good) < BACK_S_MAX
        assert len(served.writers) >= 2


async def test_a_delayed_device_is_read_late_but_right() -> None:
    """Half of its timeout for each answer: no value is lost, none is another's."""

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(request.addresses())

    async with peer(slow) as served, polled(line(served.port, meter(), timeout_s=1.0)) as there:
        for _ in range(4):
            await there.until(is_good)
    assert all(list(reading.values) == [1, 1000] for reading in there.readings if not reading.flaws)


async def test_a_lossy_serial_line_goes_on_with_right_values(tmp_path: Path) -> None:
    """One answer in five is lost, one in five comes too late: a good value or none, never a wrong one."""
    dice = random.Random(4)

    def lossy(request: RtuRequest, wire: Wire) -> None:
        fate = dice.random()
        if fate < 0.6:
            wire.write(request.addresses())
        elif fate < 0.8:
            wire.later(0.045, request.addresses())

    of = meter()
    async with adapter(tmp_path, lossy) as port, polled(serial_line(port.path, of, 0.04)) as there:
        for _ in range(6):
            assert await there.until(is_good) < BACK_S_MAX
    for reading in there.readings:
        for index, truth in enumerate((1, 1000)):
            assert reading.values[index] == truth or index in reading.flaws


async def test_a_plugged_in_adapter_is_back_in_time(tmp_path: Path) -> None:
    """Pulled out: the line is lost at once; plugged in again: read within its limit, by its stable name."""
    of = meter()
    async with adapter(tmp_path, honest_rtu) as port, polled(serial_line(port.path, of, 0.3)) as there:
        await there.until(is_good)
        port.pull()
        assert await there.until(lambda reading: bool(reading.flaws)) < 2
        port.plug()
        assert await there.until(is_good) < BACK_S_MAX


async def test_a_partition_is_seen_by_the_kernel_though_nobody_answers() -> None:
    """Data that is not confirmed for five seconds ends the connection: that is asked of every socket."""
    async with peer(honest) as served, polled(line(served.port, meter(), timeout_s=0.5)) as there:
        await there.until(is_good)
        (writer,) = served.writers
        far = writer.get_extra_info("socket")
        assert far is not None
        link = there.worker._driver._link  # type: ignore[attr-defined] # the connection is the driver's own business
        sock = link._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
