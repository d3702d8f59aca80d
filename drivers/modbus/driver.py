"""The Modbus TCP driver: one line, its polls, and what their replies become. Protocol knowledge only.

The blocks of one device are asked for one after the other, devices side by side as the line's concurrency allows. A
read waits for at most one timeout: the first silence ends it, and a block that was silent is asked last from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from drivers.contract import Identity, Reading
from drivers.errors import NoAnswer, Unreachable
from drivers.modbus.identity import IDENTIFY_PDU, identity
from drivers.modbus.memory import Memory
from drivers.modbus.plan import plan
from drivers.modbus.replies import NOT_ASKED, NoReply
from drivers.modbus.transaction import Tally, Transactions
from drivers.modbus.transport import open_tcp

if TYPE_CHECKING:
    from config.model import Device, Line
    from drivers.contract import Clock, Poll
    from drivers.modbus.memory import Outcome
    from drivers.modbus.settings import ModbusAddress, ModbusLine


class ModbusDriver:
    """One Modbus TCP endpoint. `tally` counts replies that were not believed."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self._spec = cast("ModbusLine", line.spec)
        self._timeout_s = line.timeout_s
        self._endpoint = self._spec.endpoint
        self._clock = clock
        self._units = frozenset(_address(device).unit for device in line.devices)
        self._link: Transactions | None = None
        self._memories: WeakKeyDictionary[Poll, Memory] = WeakKeyDictionary()
        self.tally = Tally()
        for device in line.devices:
            plan(device.points, _address(device))

    async def connect(self) -> None:
        """Open a fresh connection, ending the one before. Raises `Unreachable`."""
        await self.close()
        self._link = await open_tcp(
            self._spec,
            self._timeout_s,
            lambda: Transactions(self._endpoint, self._timeout_s, self._units, self.tally),
        )

    async def read(self, poll: Poll) -> Reading:
        """One batch; its time is when the last block came. Raises `NoAnswer` or `Unreachable`."""
        memory = self._memories.get(poll)
        if memory is None:
            memory = self._memories[poll] = Memory(poll)
        memory.begin()
        outcomes = await self._ask(memory, poll.device)
        values, flaws, changed = memory.take(outcomes)
        return Reading(poll, self._clock.wall(), self._clock.mono(), values, flaws, changed)

    async def identify(self, device: Device) -> Identity:
        """Vendor, model and firmware; empty for a device without function 43. Raises as `read`."""
        try:
            payload = await self._connected().request(_address(device).unit, IDENTIFY_PDU, None)
        except NoReply as reply:
            if reply.silent:
                raise self._no_answer(device, reply) from reply
            return Identity()
        return identity(payload)

    async def close(self) -> None:
        """End the connection, if there is one."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _ask(self, memory: Memory, device: Device) -> list[Outcome]:
        """One outcome for each part, up to the first silence."""
        link, unit = self._connected(), _address(device).unit
        outcomes: list[Outcome] = [NOT_ASKED] * len(memory.parts)
        for place, number in enumerate(memory.order):
            part = memory.parts[number]
            try:
                outcomes[number] = await link.request(unit, part.pdu, part.size_bytes)
            except NoReply as reply:
                outcomes[number] = reply.quality
                if reply.silent:
                    memory.postpone(number)
                    if place == 0:
                        raise self._no_answer(device, reply) from reply
                    break
        return outcomes

    def _connected(self) -> Transactions:
        if self._link is None:
            raise Unreachable(self._endpoint, "not connected")
        return self._link

    def _no_answer(self, device: Device, reply: NoReply) -> NoAnswer:
        unit = _address(device).unit
        return NoAnswer(
            f"{self._endpoint} unit {unit}",
            f"no answer ({reply.quality.raw}, timeout {self._timeout_s:g} s)",
            "check the unit number, the device's power and its wiring to the gateway",
        )


def _address(device: Device) -> ModbusAddress:
    return cast("ModbusAddress", device.address)
