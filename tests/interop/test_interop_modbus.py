"""Modbus against libmodbus, modbus-serial and jsmodbus, and mbpoll against our own mocks: nobody shares code here."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hardware_mocks.client import HospitalProcess
from modbus_peer import NAME, device, point, poll

from agent.clock import ManualClock
from config.model import Device, Line
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.contract import Reading

HERE = Path(__file__).parent
MODULES = Path("build/interop").absolute()
HOST = "127.0.0.1"
MBPOLL = ("mbpoll", "-m", "tcp", "-p", "1502", "-a", "1", "-t", "4:float", "-B", "-r", "3028", "-c", "1", "-1")
KINDS = ("libmodbus", "modbus-serial", "jsmodbus")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def libmodbus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server, compiled."""
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    )
    source = HERE / "libmodbus_server.c"
    subprocess.run(["gcc", "-O1", "-o", str(program), str(source), *flags.stdout.split()], check=True)
    return program


@contextmanager
def running(*command: str) -> Iterator[None]:
    """A process that says when it is ready."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.kill()


@contextmanager
def pair_of_ports(one: Path, other: Path) -> Iterator[None]:
    """Two serial ports that are wired to each other."""
    ends = [f"pty,raw,echo=0,link={end}" for end in (one, other)]
    with subprocess.Popen(["socat", *ends]) as process:
        while not (one.exists() and other.exists()):
            time.sleep(0.01)
        try:
            yield
        finally:
            process.kill()


@contextmanager
def server(kind: str, libmodbus: Path) -> Iterator[int]:
    port = free_port()
    if kind == "libmodbus":
        with running(str(libmodbus), "tcp", HOST, str(port)):
            yield port
        return
    node = shutil.which("node")
    assert node, "node is not installed"
    with running(node, str(HERE / "modbus_servers.mjs"), str(MODULES), kind, HOST, str(port)):
        yield port


async def read(of: Device, times: int = 1, timeout_s: float = 2.0, **line: Any) -> list[Reading]:
    spec = ModbusLine.model_validate({"protocol": "modbus", **line})
    driver = ModbusDriver(Line("l", NAME, "modbus", spec, (of,), timeout_s, 1), ManualClock())
    await driver.connect()
    asked = poll(of)
    readings = [await driver.read(asked) for _ in range(times)]
    await driver.close()
    return readings


@pytest.mark.parametrize("kind", KINDS)
async def test_11_registers_and_bits_of_a_foreign_server(kind: str, libmodbus: Path) -> None:
    """All four tables, two blocks each, in one poll."""
    of = device(
        point("h", 3), point("h_far", 500, type="u32"), point("i", 4, table="input"),
        point("c", 3, table="coil"), point("c_off", 4, table="coil"), point("d", 6, table="discrete"),
        unit=7,
    )  # fmt: skip
    with server(kind, libmodbus) as port:
        (reading,) = await read(of, host=HOST, port=port)
    assert dict(reading.flaws) == {}
    assert list(reading.values) == [3, 500 << 16 | 501, 4, True, False, True]


@pytest.mark.parametrize("kind", KINDS)
async def test_11_one_wrong_address_at_a_foreign_server(kind: str, libmodbus: Path) -> None:
    """Each says it in its own way (jsmodbus as a success with less data): only those points are bad, at once."""
    of = device(*(point(f"p{at}", at) for at in range(690, 706)), unit=7)
    with server(kind, libmodbus) as port:
        first, second = await read(of, times=2, host=HOST, port=port)
    assert list(first.values) == [*range(690, 700), *[None] * 6] == list(second.values)
    assert {flaw.grade.name for flaw in first.flaws.values()} == {"BAD"}
    assert set(first.flaws) == set(range(10, 16))


async def test_11_the_float_orders_of_libmodbus(libmodbus: Path) -> None:
    """Its names are not everybody's (3.1.6 swaps bytes in `abcd` and `cdab`): one of ours reads each of its four."""
    orders = ("ABCD", "BADC", "CDAB", "DCBA")
    found = {}
    with server("libmodbus", libmodbus) as port:
        for at in (600, 602, 604, 606):
            of = device(*(point(order, at, type="f32", order=order) for order in orders), unit=7)
            (reading,) = await read(of, host=HOST, port=port)
            values = dict(zip(orders, reading.values, strict=True))
            found[at] = [order for order, value in values.items() if value == 7.25]
    assert sorted(order for orders_found in found.values() for order in orders_found) == sorted(orders)


async def test_11_a_serial_slave_of_libmodbus(libmodbus: Path, tmp_path: Path) -> None:
    """RTU through a pair of pseudo-terminals: registers, bits, and an address that does not exist."""
    points = (point("a", 1), point("b", 2), point("c", 3, table="coil"), point("last", 699), point("no", 700))
    of = device(*points, unit=5)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with pair_of_ports(ours, theirs), running(str(libmodbus), "rtu", str(theirs), "9600", "5"):
        (reading,) = await read(of, serial=str(ours), baud=9600)
    assert list(reading.values) == [1, 2, True, 699, None]
    assert reading.flaws[4].raw == "exception 2"


async def test_11_mbpoll_reads_our_hospital_as_we_do() -> None:
    """A second opinion on the mock's meter: the same floats, by a program of somebody else."""
    hospital = HospitalProcess()
    await hospital.start()
    try:
        await hospital.set("lv-main", "u_an", 231.5)
        host = f"{hospital.net}.11"
        of = device(point("u_an", 3027, type="f32"), unit=1)
        (reading,) = await read(of, host=host, port=1502)
        told = await asyncio.to_thread(
            subprocess.run,
            [*MBPOLL, host],
            check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    finally:
        await hospital.stop()
    match = re.search(r"\[3028\]:\s+([\d.]+)", told.stdout)
    assert match, told.stdout
    assert reading.values[0] == pytest.approx(231.5, abs=1.0)
    assert float(match[1]) == pytest.approx(reading.values[0], abs=1.0)
