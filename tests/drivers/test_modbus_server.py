"""The driver against a server that is not ours: pymodbus's, with all four tables and an identity."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from modbus_peer import device, line, point, poll
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.clock import ManualClock
from drivers.contract import Identity, Quality
from drivers.modbus.driver import ModbusDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from config.model import Device

COILS = [SimData(0, values=[True, False, True, True] + [False] * 12, datatype=DataType.BITS)]
DISCRETES = [SimData(0, values=[False, True] * 8, datatype=DataType.BITS)]
HOLDINGS = [
    SimData(100, values=[7.25, -1.5], datatype=DataType.FLOAT32),
    SimData(104, values=[-7], datatype=DataType.INT64),
    SimData(108, values="PM5320", datatype=DataType.STRING),
    SimData(111, values=[65535, 5], datatype=DataType.REGISTERS),
]
INPUTS = [SimData(0, values=[2301, 65436], datatype=DataType.REGISTERS)]

METER = device(
    point("coil", 3, table="coil"),
    point("contact", 1, table="discrete"),
    point("u", 100, type="f32"),
    point("p", 102, type="f32"),
    point("e", 104, type="i64", value="integer"),
    point("model", 108, type="string", length=3),
    point("none", 111, sentinels={0xFFFF: "not_available"}),
    point("mode", 112, value="enum", states={5: "auto"}),
    point("u_in", 0, table="input", scale=0.1),
    point("t", 1, table="input", type="i16", scale=0.1),
    point("wrong", 5000),
    unit=7,
)


@asynccontextmanager
async def metered(*devices: Device) -> AsyncIterator[ModbusDriver]:
    """A connected driver and the library's server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {"VendorName": "Wärme AG", "ProductCode": "PM", "MajorMinorRevision": "3"}
    identity = ModbusDeviceIdentification(info_name=names)  # type: ignore[no-untyped-call] # the library's
    server = ModbusTcpServer(
        SimDevice(id=7, simdata=(COILS, DISCRETES, HOLDINGS, INPUTS)), identity=identity, address=("127.0.0.1", port)
    )
    await server.serve_forever(background=True)
    driver = ModbusDriver(line(port, *devices, timeout_s=2.0), ManualClock())
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()
        await server.shutdown()  # type: ignore[no-untyped-call] # the library's


async def test_1_tcp_reads_all_tables_and_types_of_a_foreign_server() -> None:
    """Every value as the server holds it; the one register that it does not have flaws only itself."""
    async with metered(METER) as driver:
        reading = await driver.read(poll(METER))
    values = [True, True, 7.25, -1.5, -7, "PM5320", None, "auto", 230.1, -10.0, None]
    assert list(reading.values) == values
    reasons: dict[int, Quality] = dict(reading.flaws)
    assert {METER.points[at].id: flaw.reason for at, flaw in reasons.items()} == {
        "none": "not_available",
        "wrong": "config_error",
    }
    assert reasons[10].raw == "exception 2"


async def test_a_foreign_server_says_who_it_is() -> None:
    """Also in letters beyond ASCII."""
    async with metered(METER) as driver:
        assert await driver.identify(METER) == Identity(vendor="Wärme AG", model="PM", firmware="3")
