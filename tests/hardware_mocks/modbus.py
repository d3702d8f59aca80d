"""Modbus TCP servers with a frame layer of their own, so that they can also send what no library would.

Not a general server: function codes 1 to 4, and 43/14 where the device has it. Anything that would write is refused and
noted in the ground truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from typing import TYPE_CHECKING

from hardware_mocks.faults import SLOW_S, Fault
from hardware_mocks.layout import PLACES, Place, devices_of
from hardware_mocks.modbus_maps import MAPS

if TYPE_CHECKING:
    from hardware_mocks.modbus_registers import DeviceMap
    from hardware_mocks.signals import Points
    from hardware_mocks.truth import TruthLog
    from hardware_mocks.world import World

HEADER = struct.Struct(">HHHB")
REQUEST = struct.Struct(">BHH")
LENGTH_MAX = 254
IDENTIFY = bytes((0x2B, 0x0E, 0x01, 0x00))

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE, NO_TARGET = 1, 2, 3, 4, 0x0B


class ModbusFailure(Exception):
    """The reply is an exception with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class ModbusDevice:
    """One device on its own address. Connections are served one request at a time, each on its own."""

    def __init__(self, name: str, net: str, world: World, truth: TruthLog, seed: int) -> None:
        self._name = name
        self._place: Place = PLACES[name]
        self._address = self._place.address(net)
        self._map: DeviceMap = MAPS[name]
        self._world = world
        self._truth = truth
        self._random = random.Random(f"{seed}/{name}")
        self._fault: Fault = "none"
        self._frozen: Points = {}
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def listen(self) -> None:
        host, port = self._address
        self._server = await asyncio.start_server(self._accept, host, port, reuse_address=True)

    async def vanish(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        tasks = tuple(self._connections.values())
        for writer, task in tuple(self._connections.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def switch(self, fault: Fault) -> None:
        """Behave so from now on."""
        if fault == "frozen":
            self._frozen = self._world.points(self._name)
        self._fault = fault
        if fault in {"refuse", "restart"}:
            await self.vanish()
        elif self._server is None:
            await self.listen()

    async def refresh(self) -> None:
        """Nothing to do: values are computed when they are asked for."""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name=f"modbus[{self._name}]")
        self._connections[writer] = task
        task.add_done_callback(lambda _: self._connections.pop(writer, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                transaction, protocol, length, unit = HEADER.unpack(await reader.readexactly(HEADER.size))
                if protocol != 0 or not 2 <= length <= LENGTH_MAX:
                    break
                pdu = await reader.readexactly(length - 1)
                frame = await self._answer(transaction, unit, pdu)
                if frame is not None:
                    writer.write(frame)
                    await writer.drain()
        writer.close()

    async def _answer(self, transaction: int, unit: int, pdu: bytes) -> bytes | None:
        """The whole reply frame, or nothing."""
        if self._fault == "slow":
            await asyncio.sleep(SLOW_S)
        if self._fault == "silent":
            return None
        if self._fault == "garbage":
            return self._garbage(transaction, unit, pdu)
        reply = self._reply(unit, pdu)
        return HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply

    def _reply(self, unit: int, pdu: bytes) -> bytes:
        function = pdu[0]
        try:
            return self._read(unit, function, pdu)
        except ModbusFailure as failure:
            self._truth.write(self._name, fc=function, exception=failure.code, request=pdu.hex())
            return bytes((function | 0x80, failure.code))

    def _read(self, unit: int, function: int, pdu: bytes) -> bytes:
        if unit != self._place.number:
            raise ModbusFailure(NO_TARGET)
        if pdu == IDENTIFY and self._map.identification:
            return pdu[:1] + self._map.identify()
        table = self._map.tables.get(function)
        if table is None:
            raise ModbusFailure(ILLEGAL_FUNCTION)
        if len(pdu) != REQUEST.size:
            raise ModbusFailure(ILLEGAL_VALUE)
        _, start, count = REQUEST.unpack(pdu)
        if not 1 <= count <= table.count_max:
            raise ModbusFailure(ILLEGAL_VALUE)
        if self._fault == "exception":
            raise ModbusFailure(DEVICE_FAILURE)
        raw = table.read(self._points(), start, count)
        if raw is None:
            raise ModbusFailure(ILLEGAL_ADDRESS)
        if self._fault == "wrong_length":
            raw = self._wrong_length(raw)
        self._truth.write(self._name, fc=function, start=start, count=count, raw=raw.hex())
        return bytes((function, len(raw))) + raw

    def _points(self) -> Points:
        return self._frozen if self._fault == "frozen" else self._world.points(self._name)

    def _wrong_length(self, raw: bytes) -> bytes:
        """A frame that is sound in itself, one register (or eight bits) too short or too long."""
        if len(raw) > 2 and self._random.random() < 0.5:
            return raw[:-2]
        return raw + self._random.randbytes(2 if len(raw) % 2 == 0 else 1)

    def _garbage(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Either noise from the first byte on, or a sound header before a function code that nobody asked for."""
        noise = self._random.randbytes(self._random.randint(9, 40))
        if self._random.random() < 0.5:
            return b"\xff" + noise
        strange = bytes((pdu[0] ^ 0x55,)) + noise
        return HEADER.pack(transaction, 0, len(strange) + 1, unit) + strange


class ModbusServers:
    """The Modbus devices of one hospital."""

    def __init__(self, net: str, world: World, truth: TruthLog, seed: int) -> None:
        self.devices = {name: ModbusDevice(name, net, world, truth, seed) for name in devices_of("modbus")}

    async def start(self) -> None:
        for device in self.devices.values():
            await device.listen()

    async def refresh(self) -> None:
        """Nothing to do: values are computed when they are asked for."""

    async def close(self) -> None:
        for device in self.devices.values():
            await device.vanish()
