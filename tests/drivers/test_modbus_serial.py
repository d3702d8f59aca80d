"""The driver on a serial line: the port, its parameters, pulled and plugged, and neighbours that do not answer."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import itertools
import os
import random
import termios
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from modbus_peer import NAME, device, point, poll
from polled_line import every, polled
from rtu_peer import RtuRequest, Wire, adapter, honest

from agent.clock import ManualClock
from config.model import Device, Line
from drivers.errors import NoAnswer, Refused, Unreachable
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine

if TYPE_CHECKING:
    from pathlib import Path

TIOCGEXCL = 0x8004_5440
"""Linux's; the standard library has no name for it."""


def serial_line(path: Path, *devices: Device, timeout_s: float = 1.0, **written: Any) -> Line:
    spec = ModbusLine.model_validate({"protocol": "modbus", "serial": str(path), **written})
    return Line("l", NAME, "modbus", spec, devices, timeout_s, 1)


def two(unit: int = 1) -> Device:
    return device(point("a", 10), point("b", 11), name=f"d{unit}", unit=unit)


async def test_1_rtu_on_a_serial_line_reads_its_units(tmp_path: Path) -> None:
    """RTU on a port: two units, each with its registers."""
    one, other = poll(two(1)), poll(two(2))
    async with adapter(tmp_path) as port:
        driver = ModbusDriver(serial_line(port.path, one.device, other.device), ManualClock())
        await driver.connect()
        assert list((await driver.read(one)).values) == [10, 11]
        assert list((await driver.read(other)).values) == [10, 11]
        assert [request.unit for request in port.wire.requests] == [1, 2]
        await driver.close()
        await driver.close()


def test_a_serial_line_reads_on_uvloop_too(tmp_path: Path) -> None:
    """The loop of the daemon."""
    uvloop.run(test_1_rtu_on_a_serial_line_reads_its_units(tmp_path))


async def test_1_baud_and_stop_bits_reach_the_port(tmp_path: Path) -> None:
    """Baud rate and stop bits as written (a pseudo-terminal has no parity)."""
    async with adapter(tmp_path) as port:
        driver = ModbusDriver(serial_line(port.path, baud=19200, stop_bits=2), ManualClock())
        await driver.connect()
        _, _, control, _, speed_in, speed_out, _ = termios.tcgetattr(port.slave)
        await driver.close()
    assert (speed_in, speed_out) == (termios.B19200, termios.B19200)
    assert control & termios.CSTOPB
    assert control & termios.CSIZE == termios.CS8


async def test_1_parity_and_all_that_the_port_cannot_have_is_refused_with_the_next_step(tmp_path: Path) -> None:
    """A pseudo-terminal takes no parity: a person must change something."""
    async with adapter(tmp_path) as port:
        driver = ModbusDriver(serial_line(port.path, parity="even"), ManualClock())
        with pytest.raises(Refused, match="does not take 9600 baud, parity even, 1 stop bits; write what"):
            await driver.connect()


async def test_1_a_serial_port_is_exclusive_to_one_line(tmp_path: Path) -> None:
    """The second one is told so, and gets it when the first has ended."""
    async with adapter(tmp_path) as port:
        first, second = (ModbusDriver(serial_line(port.path), ManualClock()) for _ in range(2))
        await first.connect()
        with pytest.raises(Refused, match="another program has the port"):
            await second.connect()
        await first.close()
        await second.connect()
        await second.close()


async def test_1_a_serial_port_is_exclusive_also_to_programs_that_know_no_locks(tmp_path: Path) -> None:
    """Only while the line has it; who is not root cannot even open it."""
    async with adapter(tmp_path) as port:
        driver = ModbusDriver(serial_line(port.path), ManualClock())
        assert not is_exclusive(port.path)
        await driver.connect()
        assert is_exclusive(port.path)
        await driver.close()


def is_exclusive(path: Path) -> bool:
    """Whether the kernel keeps others from opening the port; root may open it all the same, and ask."""
    try:
        number = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        return error.errno == errno.EBUSY
    try:
        return any(fcntl.ioctl(number, TIOCGEXCL, bytes(4)))
    finally:
        os.close(number)


async def test_1_hot_unplug_is_found_at_once_and_a_replugged_adapter_works_again(tmp_path: Path) -> None:
    """What waits fails without its timeout; while it is away the line is unreachable; then it is read as before."""
    asked = poll(two())
    async with adapter(tmp_path) as port:
        driver = ModbusDriver(serial_line(port.path, asked.device, timeout_s=30), ManualClock())
        await driver.connect()
        await driver.read(asked)
        port.wire.script = lambda *_: port.pull()
        with pytest.raises(Unreachable, match="connection"):
            await driver.read(asked)
        with pytest.raises(Unreachable, match="there is no such port; plug the adapter in"):
            await driver.connect()
        port.wire.script = honest
        port.plug()
        await driver.connect()
        assert list((await driver.read(asked)).values) == [10, 11]
        await driver.close()


async def test_2_a_late_reply_on_a_serial_line_is_never_taken_for_an_answer(tmp_path: Path) -> None:
    """Two blocks of one unit with as many registers; the first one's answer comes when the second is asked."""
    asked = poll(device(point("a", 0), point("b", 1), point("c", 1000), point("d", 1001)))

    def late(request: RtuRequest, wire: Wire) -> None:
        wire.later(0.05 if request.start == 0 and len(wire.requests) == 1 else 0.02, request.addresses())

    async with adapter(tmp_path, late) as port:
        driver = ModbusDriver(serial_line(port.path, asked.device, timeout_s=0.25), ManualClock())
        await driver.connect()
        values: list[Any] = []
        while values != [0, 1, 1000, 1001]:
            await asyncio.sleep(0.005)
            with suppress(NoAnswer):
                values = list((await driver.read(asked)).values)
                pairs = zip(values, [0, 1, 1000, 1001], strict=True)
                assert all(value in (None, wanted) for value, wanted in pairs)
        assert port.wire.requests[0].start == 0
        await driver.close()


async def test_1_inter_frame_silence_separates_the_frames_of_a_slow_line(tmp_path: Path) -> None:
    """Three and a half characters at 1200 baud are 32 ms: so long nothing is sent after an answer."""
    asked = poll(two())
    async with adapter(tmp_path) as port:
        driver = ModbusDriver(serial_line(port.path, asked.device, baud=1200), ManualClock())
        await driver.connect()
        for _ in range(3):
            await driver.read(asked)
        await driver.close()
        times = port.wire.times
        assert all(after - before >= 0.031 for before, after in itertools.pairwise(times))


async def longest_pauses(folder: Path, dead: frozenset[int], interval_s: float, timeout_s: float) -> dict[int, float]:
    """The longest time between two polls of each living unit of a line with four units, some of them dead."""

    def some(request: RtuRequest, wire: Wire) -> None:
        if request.unit not in dead:
            wire.write(request.addresses())

    spread = [point(f"p{at}", 500 * at) for at in range(4)]
    units = [every(interval_s, device(*spread, name=f"d{unit}", unit=unit)) for unit in (1, 2, 3, 4)]
    living = {unit for unit in (1, 2, 3, 4) if unit not in dead}
    async with adapter(folder, some) as port:
        line = serial_line(port.path, *units, timeout_s=timeout_s, baud=115200)
        times: dict[int, list[float]] = {}
        async with polled(line):
            while any(len(times.get(unit, ())) < 9 for unit in living):
                await asyncio.sleep(0.01)
                times = {unit: _begun(port.wire, unit) for unit in living}
    return {unit: max(b - a for a, b in itertools.pairwise(at)) for unit, at in times.items()}


def _begun(wire: Wire, unit: int) -> list[float]:
    """When the polls of a unit began: each begins with its first block."""
    seen = zip(wire.requests, wire.times, strict=True)
    return [at for request, at in seen if request.unit == unit and request.start == 0]


async def test_1_a_dead_slave_costs_its_neighbours_at_most_its_own_slot(tmp_path: Path) -> None:
    """However many blocks it has, it holds the line for one timeout: compared with the poll times without it.

    A busy machine only makes pauses longer: the best of a few measurements counts.
    """
    interval_s, timeout_s = 0.1, 0.2
    measured = []
    for turn in range(5):
        folders = [tmp_path / f"{turn}-{name}" for name in ("healthy", "beside")]
        for folder in folders:
            folder.mkdir()
        healthy = await longest_pauses(folders[0], frozenset(), interval_s, timeout_s)
        beside = await longest_pauses(folders[1], frozenset((2,)), interval_s, timeout_s)
        assert set(beside) == {1, 3, 4}
        measured.append((healthy, beside))
        if all(pause_s <= max(healthy[unit], interval_s) + 1.6 * timeout_s for unit, pause_s in beside.items()):
            return
    pytest.fail(f"neighbours wait for more than one slot: {measured}")


class Liar:
    """Units that are right or wrong in one of many ways, but always answer in the order in which they were asked."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._busy_until = 0.0
        self._answers: deque[bytes] = deque()

    def __call__(self, request: RtuRequest, wire: Wire) -> None:
        now = asyncio.get_running_loop().time()
        fate = self._dice.random()
        late_s = self._dice.uniform(0.02, 0.06) if 0.5 < fate < 0.65 else 0.0
        self._answers.append(request.addresses() if fate < 0.65 else self._wrong(request))
        self._busy_until = max(self._busy_until, now + late_s)
        asyncio.get_running_loop().call_at(self._busy_until, lambda: wire.write(self._answers.popleft()))

    def _wrong(self, request: RtuRequest) -> bytes:
        dice, right = self._dice, request.addresses()
        flipped = bytearray(right)
        flipped[dice.randrange(len(right))] ^= 1 << dice.randrange(8)
        return dice.choice(
            [
                b"",
                bytes(flipped),
                right[: dice.randrange(len(right))],
                dice.randbytes(dice.randrange(1, 40)),
                request.frame(b"\x03\x04\xee\xee\xee\xee", unit=9),
                request.data(b""),
                request.data(b"\xee" * 250),
                request.exception(dice.randrange(256)),
                request.frame(bytes((4, 4)) + b"\xee" * 4),
                dice.randbytes(dice.randrange(1, 20)) + right,
                request.raw + right,
                right * 3,
            ]
        )


@pytest.mark.parametrize("seed", range(3))
async def test_12_serial_devices_that_lie_at_random_never_yield_a_value_that_they_did_not_send(
    tmp_path: Path, seed: int
) -> None:
    """Right, wrong, late, torn, tripled and absurd by turns, for two blocks as long as each other."""
    asked = poll(device(point("a", 10), point("b", 11), point("c", 1000), point("d", 1001)))
    good = turns = 0
    clock = ManualClock()
    async with adapter(tmp_path, Liar(seed)) as port:
        driver = ModbusDriver(serial_line(port.path, asked.device, timeout_s=0.25, baud=115200), clock)
        await driver.connect()
        while good < 20 or turns < 30:
            turns += 1
            clock.advance(5.0)  # so that what was refused in a lie is asked for again
            await asyncio.sleep(0.005)  # nobody asks without a pause, and the devices need their turn
            with suppress(NoAnswer):
                reading = await driver.read(asked)
                for index, truth in enumerate((10, 11, 1000, 1001)):
                    assert reading.values[index] == (None if index in reading.flaws else truth)
                    good += index not in reading.flaws
        await driver.close()
