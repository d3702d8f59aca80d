"""Each fault of a device, and how soon it must be over once the device is well again: 10 s at most, whatever it was.

A restart, a black hole, a forgotten connection, delay, loss and partition; that nobody comes back in step is shown by
the caller's own tests.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bacnet_peer import loopback
from modbus_peer import Request, device, honest, line, peer, point, silent
from network_spaces import networks
from polled_line import every, is_good, polled
from rtu_peer import RtuRequest, Wire, adapter
from rtu_peer import honest as honest_rtu

from config.model import Line
from drivers.modbus.line import ModbusLine

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Device
    from drivers.contract import Reading

BACK_S_MAX = 10.0
LOST_S_MAX = 10.0
"""After this a device that was good is not shown as such any more; with these timeouts it is a tenth of that."""


def meter(interval_s: float = 0.1) -> Device:
    return every(interval_s, device(point("a", 1), point("b", 1000)))


def is_lost(reading: Reading) -> bool:
    return bool(reading.flaws)


def serial_line(path: Path, of: Device, timeout_s: float) -> Line:
    spec = ModbusLine.model_validate({"protocol": "modbus", "serial": str(path), "baud": 115200})
    return Line("l", of.name, "modbus", spec, (of,), timeout_s, 1)


async def test_2_restart_is_over_within_10_s() -> None:
    """Its port is closed and every connection reset; half a second later it listens again."""
    host = loopback()
    async with peer(honest, host=host) as served:
        port = served.port
        running = polled(line(port, meter(), host=host, timeout_s=0.5))
        there = await running.__aenter__()
        await there.until(is_good)
    await there.until(is_lost)
    await asyncio.sleep(0.5)
    async with peer(honest, port, host=host):
        assert await there.until(is_good) < BACK_S_MAX
        await running.__aexit__(None, None, None)


async def test_2_black_hole_is_found_and_over_within_10_s() -> None:
    """The connection stays open and nothing comes: the values are not shown as good, and soon as nothing."""
    async with peer(honest) as served, polled(line(served.port, meter(), timeout_s=0.1)) as there:
        await there.until(is_good)
        served.script = silent
        assert await there.until(is_lost) < LOST_S_MAX
        served.script = honest
        assert await there.until(is_good) < BACK_S_MAX


async def test_2_half_open_connection_is_found_and_replaced_within_10_s() -> None:
    """Behind a firewall that forgot it: the old connection stays silent for ever, a new one is answered."""
    async with peer(honest) as served, polled(line(served.port, meter(), timeout_s=0.1)) as there:
        await there.until(is_good)
        forgotten = set(served.writers)
        served.script = lambda request, writer: None if writer in forgotten else honest(request, writer)
        assert await there.until(is_lost) < LOST_S_MAX
        assert await there.until(is_good) < BACK_S_MAX
        assert len(served.writers) >= 2


async def test_2_delay_costs_no_value() -> None:
    """Each answer takes a hundred times as long as usual: late, and none is another's."""

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(request.addresses())

    async with peer(slow) as served, polled(line(served.port, meter(), timeout_s=5.0)) as there:
        for _ in range(4):
            await there.until(is_good)
    assert all(list(reading.values) == [1, 1000] for reading in there.readings)


def is_right(readings: list[Reading]) -> bool:
    """Whether each value that is shown as good is the device's."""
    truth = dict(enumerate((1, 1000)))
    return all(at in one.flaws or one.values[at] == value for one in readings for at, value in truth.items())


async def test_2_loss_behind_a_gateway_goes_on_with_right_values() -> None:
    """A converter from TCP loses a third of what its serial side says: a good value or none, never a wrong one."""
    dice = random.Random(3)

    def lossy(request: Request, writer: asyncio.StreamWriter) -> None:
        if dice.random() < 0.67:
            honest(request, writer)

    async with peer(lossy) as served, polled(line(served.port, meter(), timeout_s=0.1)) as there:
        for _ in range(6):
            assert await there.until(is_good) < BACK_S_MAX
    assert is_right(there.readings)


async def test_2_loss_on_a_serial_line_goes_on_with_right_values(tmp_path: Path) -> None:
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
    assert is_right(there.readings)


async def test_2_partition_is_over_within_10_s_when_the_cable_is_back() -> None:
    """Between two machines: the link goes and comes; the device was told nothing, and its old connection is dead."""
    with networks() as nets:
        for name in ("gateway", "field"):
            nets.add(name)
        nets.join(("gateway", "e0", "10.77.4.1/24"), ("field", "e0", "10.77.4.2/24"))
        with nets.inside("gateway"), ExitStack() as field:
            field.enter_context(nets.inside("field"))
            async with peer(honest, host="10.77.4.2") as served:
                field.close()
                async with polled(line(served.port, meter(), host="10.77.4.2", timeout_s=0.3)) as there:
                    await there.until(is_good)
                    nets.ip("field", "link", "set", "e0", "down")
                    assert await there.until(is_lost) < LOST_S_MAX
                    nets.ip("field", "link", "set", "e0", "up")
                    assert await there.until(is_good) < BACK_S_MAX


async def test_1_hot_replug_is_back_within_10_s_by_its_stable_path(tmp_path: Path) -> None:
    """Pulled out: the line is lost at once; plugged in again: read within its limit, by its stable name."""
    of = meter()
    async with adapter(tmp_path, honest_rtu) as port, polled(serial_line(port.path, of, 0.3)) as there:
        await there.until(is_good)
        port.pull()
        assert await there.until(is_lost) < LOST_S_MAX
        port.plug()
        assert await there.until(is_good) < BACK_S_MAX
