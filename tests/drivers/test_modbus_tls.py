"""Modbus over TLS: read as without, and refused in words where one of the two does not prove itself."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from certificates import Authority
from modbus_peer import NAME, device, honest, peer, point, poll

from agent.clock import ManualClock
from config.model import Line
from drivers.errors import DriverError, Refused
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Device


def server(authority: Authority, *, asks_for_certificate: bool = True) -> ssl.SSLContext:
    """A device that wants to know who asks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue("127.0.0.1", file="device")
    context.load_cert_chain(issued.cert, issued.key)
    if asks_for_certificate:
        context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tls_line(port: int, asked: Device, **tls: Any) -> Line:
    spec = ModbusLine.model_validate({"protocol": "modbus", "host": "127.0.0.1", "port": port, "tls": tls})
    return Line("l", NAME, "modbus", spec, (asked,), 2.0, 1)


async def test_1_tls_reads_registers_with_certificates_on_both_sides(tmp_path: Path) -> None:
    """Modbus/TCP Security: the same frames, and each side has proved itself."""
    authority = Authority(tmp_path)
    own = authority.issue("gateway")
    asked = poll(device(point("a", 7)))
    async with peer(honest, tls=server(authority)) as served:
        key = {"file": str(own.key)}
        line = tls_line(served.port, asked.device, ca=str(authority.ca), cert=str(own.cert), key=key)
        driver = ModbusDriver(line, ManualClock())
        await driver.connect()
        assert list((await driver.read(asked)).values) == [7]
        await driver.close()


async def test_a_device_with_a_foreign_certificate_is_refused(tmp_path: Path) -> None:
    """Always checked; a person must act."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "theirs")
    asked = poll(device(point("a", 7)))
    async with peer(honest, tls=server(theirs, asks_for_certificate=False)) as served:
        driver = ModbusDriver(tls_line(served.port, asked.device, ca=str(ours.ca)), ManualClock())
        with pytest.raises(Refused, match=r"its certificate is not trusted .*check ca and server_name"):
            await driver.connect()
        await driver.close()


async def test_a_gateway_without_its_certificate_gets_no_value(tmp_path: Path) -> None:
    """With TLS 1.3 the device says so only after the handshake: no reading comes of it, and nothing hangs."""
    authority = Authority(tmp_path)
    asked = poll(device(point("a", 7)))
    async with peer(honest, tls=server(authority)) as served:
        driver = ModbusDriver(tls_line(served.port, asked.device, ca=str(authority.ca)), ManualClock())
        with pytest.raises(DriverError):
            await _connect_and_read(driver, asked)
        await driver.close()


async def _connect_and_read(driver: ModbusDriver, asked: Any) -> None:
    await driver.connect()
    await driver.read(asked)


async def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    """The next step is in the text."""
    asked = poll(device(point("a", 7)))
    driver = ModbusDriver(tls_line(1, asked.device, ca=str(tmp_path / "none.pem")), ManualClock())
    with pytest.raises(Refused, match=r"certificates cannot be read .*check ca, cert and key of the line"):
        await driver.connect()
