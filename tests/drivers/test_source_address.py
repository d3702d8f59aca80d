"""A line on the network leaves from the address of this machine that it is bound to, whatever its protocol."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from agent.clock import ManualClock
from config.model import Home, Line, Text
from drivers import registry
from drivers.errors import DriverError, Unreachable
from drivers.modbus.line import ModbusLine
from drivers.opcua.settings import OpcuaLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from config.files import LineSpec
    from drivers.contract import Driver

HOST, OURS, NOT_OURS = "127.0.0.1", "127.80.0.9", "192.0.2.1"

KINDS: dict[str, Callable[..., LineSpec]] = {
    "modbus": lambda port, bind: ModbusLine(protocol="modbus", host=HOST, port=port, bind=bind),
    "rtu-over-tcp": lambda port, bind: ModbusLine(protocol="modbus", host=HOST, port=port, bind=bind, framing="rtu"),
    "opcua": lambda port, bind: OpcuaLine(url=f"opc.tcp://{HOST}:{port}", bind=bind, security="none"),
}


def driver(kind: str, port: int, bind: str, state: Path) -> Driver:
    spec = KINDS[kind](port, bind)
    name = Text("线路", "Line")
    return registry.build(Line("l", name, spec.protocol, spec, (), 2.0, 1, home=Home(state=state)), ManualClock())


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[str]]]:
    """A port, and who came; nobody is answered."""
    came: list[str] = []

    def welcome(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(welcome, HOST)
    async with server:
        yield server.sockets[0].getsockname()[1], came


@pytest.mark.parametrize("kind", KINDS)
async def test_the_other_side_sees_the_address_that_is_written(kind: str, tmp_path: Path) -> None:
    """On networks of their own, firewalls and access lists of devices go by it."""
    async with listening() as (port, came):
        found = driver(kind, port, OURS, tmp_path)
        with suppress(DriverError):
            await found.connect()
        async with asyncio.timeout(20):
            while not came:
                await asyncio.sleep(0.005)
        await found.close()
        assert came == [OURS]


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("kind", KINDS)
def test_an_address_of_another_machine_is_said_plainly(
    kind: str, tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Tried again, because an interface may come up later than the service. On both event loops."""
    said = f"this machine does not have the address {NOT_OURS}; is the interface up"

    async def try_it() -> None:
        async with listening() as (port, came):
            found = driver(kind, port, NOT_OURS, tmp_path)
            with pytest.raises(Unreachable, match=said):
                await found.connect()
            await found.close()
            assert came == []

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(try_it())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"host": HOST, "bind": "eth0"}, "not an IP address; write an address of this machine"),
        ({"host": HOST, "bind": "0.0.0.0"}, "0.0.0.0 is every interface"),  # what must not be written
        ({"serial": "/dev/ttyS0", "bind": OURS}, "bind: a serial port has none"),
    ],
)
def test_what_is_no_address_of_this_machine_is_refused(written: dict[str, Any], said: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=said):
        ModbusLine.model_validate({"protocol": "modbus", **written})
