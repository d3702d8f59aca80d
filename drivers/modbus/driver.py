"""The Modbus driver: one line, its polls, and what their replies become. Protocol knowledge only.

The blocks of one device are asked for one after the other (`round`), devices side by side as the line's concurrency
allows. What a device has taught outlives its connections, and the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from config.errors import ConfigProblem
from drivers.contract import Identity, Reading, Request
from drivers.errors import NoAnswer, Unreachable
from drivers.modbus.connection import Tally
from drivers.modbus.counters import CounterFile, rollovers
from drivers.modbus.factors import Afterwards
from drivers.modbus.identity import IDENTIFY_PDU, identity
from drivers.modbus.learning import Learned
from drivers.modbus.manners import Manners, manners
from drivers.modbus.memory import Memory
from drivers.modbus.plan import plan
from drivers.modbus.plan_file import PlanFile, mark
from drivers.modbus.replies import NoReply
from drivers.modbus.round import Round
from drivers.modbus.rtu import RtuTransactions
from drivers.modbus.transaction import Transactions
from drivers.modbus.transport import open_tcp
from drivers.modbus.verify import Verification

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from config.model import Device, Line
    from drivers.contract import Clock, Poll
    from drivers.modbus.connection import Link
    from drivers.modbus.line import ModbusLine
    from drivers.modbus.memory import Outcome, Part
    from drivers.modbus.settings import ModbusAddress


@dataclass(frozen=True, slots=True)
class _Station:
    """One unit of the line, and what is known of it."""

    unit: int
    learned: Learned
    limits: Manners | None
    verification: Verification


class ModbusDriver:
    """One serial port or network endpoint. `tally` counts replies that were not believed."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self._spec = cast("ModbusLine", line.spec)
        self._timeout_s = line.timeout_s
        self._endpoint = self._spec.endpoint
        self._clock = clock
        self._home = line.home
        self._stations = {address.unit: _station(address) for address in map(_address, line.devices)}
        self._plans = _plan_file(line, self._stations)
        self._link: Link | None = None
        self._memories: WeakKeyDictionary[Poll, Memory] = WeakKeyDictionary()
        self._turns = CounterFile(line.home.state / "modbus" / f"{line.id}.json", rollovers(line.devices))
        self.tally = Tally()
        for device in line.devices:
            _check_timeout(device, line)
            plan(Afterwards(device.points, {}).points, _address(device))

    async def connect(self) -> None:
        """Open a fresh connection, ending the one before. Raises `Unreachable` or `Refused`."""
        await self.close()
        await self._plans.recall(self._clock.mono())
        await self._turns.recall()
        self._link = await self._open()
        for station in self._stations.values():
            station.learned.reconsider()
            station.verification.reset()

    async def read(self, poll: Poll) -> Reading:
        """One batch; its time is when the last block came. Raises `NoAnswer` or `Unreachable`."""
        station = self._stations[_address(poll.device).unit]
        memory = self._memories.get(poll)
        if memory is None:
            memory = self._memories[poll] = Memory(poll, station.learned, self._turns)
        memory.begin(poll, station.learned)
        outcomes = await self._contradicted(station, poll, memory) if station.verification.is_due else None
        if outcomes is None:
            ask = partial(self._exchange, station)
            asked = Round(memory, station.learned, ask, self._clock.mono, self._timeout_s)
            await asked.run()
            self._plans.note(station.unit)
            if asked.silence is not None and not asked.heard:
                station.verification.reset()
                raise self._no_answer(poll.device, asked.silence) from asked.silence
            outcomes = asked.outcomes
        values, flaws, changed = memory.take(outcomes)
        return Reading(poll, self._clock.wall(), self._clock.mono(), values, flaws, changed)

    async def _contradicted(self, station: _Station, poll: Poll, memory: Memory) -> Mapping[Part, Outcome] | None:
        """Bad quality for everything while this is not the device that it should be."""
        try:
            objection = await station.verification.run(partial(self._exchange, station))
        except NoReply as reply:
            raise self._no_answer(poll.device, reply) from reply
        return None if objection is None else dict.fromkeys(memory.order, objection)

    async def identify(self, device: Device) -> Identity:
        """Vendor, model and firmware; empty for a device without function 43. Raises as `read`."""
        try:
            payload = await self._exchange(self._stations[_address(device).unit], IDENTIFY_PDU, None)
        except NoReply as reply:
            if reply.silent:
                raise self._no_answer(device, reply) from reply
            return Identity()
        return identity(payload)

    def requests(self, poll: Poll) -> Sequence[Request]:
        """What a poll asks, by what is known now."""
        address = _address(poll.device)
        points = Afterwards(poll.points, {}).points
        station = self._stations[address.unit]
        limits = station.limits
        return [
            Request(
                block.text,
                tuple(points[index].id for index in block.indexes),
                self._spec.bus_s(len(block.pdu), block.size_bytes),
                max(limits.gap_s, limits.spacing_s) if limits else 0.0,
            )
            for block in plan(points, address, station.learned)
        ]

    async def close(self) -> None:
        """End the connection, if there is one."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        await self._plans.settle()
        await self._turns.settle()

    def _exchange(self, station: _Station, pdu: bytes, size_bytes: int | None) -> Awaitable[bytes]:
        """One request and its reply, as politely as the unit wants it."""
        if self._link is None:
            raise Unreachable(self._endpoint, "not connected")
        if station.limits is None:
            return self._link.request(station.unit, pdu, size_bytes)
        return _politely(self._link, station.limits, station.unit, pdu, size_bytes)

    def counts(self) -> Mapping[str, int]:
        """As `drivers.contract.Counting`: replies that were not believed."""
        return {"late answers": self.tally.late, "refused answers": self.tally.refused}

    async def _open(self) -> Link:
        if not self._spec.has_rtu_frames:
            return await open_tcp(
                self._spec,
                self._timeout_s,
                lambda: Transactions(self._endpoint, self._timeout_s, frozenset(self._stations), self.tally),
                self._home.config,
            )
        if self._spec.serial is None:
            return await open_tcp(self._spec, self._timeout_s, self._rtu)
        # Imported here: a gateway without serial lines does without the serial library.
        from drivers.modbus.serial_port import open_serial  # noqa: PLC0415

        return await open_serial(self._spec, self._rtu)

    def _rtu(self) -> RtuTransactions:
        return RtuTransactions(
            self._endpoint,
            self._timeout_s,
            frozenset(self._stations),
            self.tally,
            pause_s=self._spec.pause_s,
            counts_silence=self._spec.serial is None,
        )

    def _no_answer(self, device: Device, reply: NoReply) -> NoAnswer:
        unit = _address(device).unit
        return NoAnswer(
            f"{self._endpoint} unit {unit}",
            f"no answer ({reply.quality.raw}, timeout {self._timeout_s:g} s)",
            "check the unit number, the device's power and its wiring",
        )


async def _politely(link: Link, limits: Manners, unit: int, pdu: bytes, size_bytes: int | None) -> bytes:
    async with limits.turn():
        return await link.request(unit, pdu, size_bytes)


def _station(address: ModbusAddress) -> _Station:
    return _Station(address.unit, Learned(address.max_registers), manners(address), Verification(address))


def _plan_file(line: Line, stations: Mapping[int, _Station]) -> PlanFile:
    of_units: dict[int, list[Device]] = {unit: [] for unit in stations}
    for device in line.devices:
        of_units[_address(device).unit].append(device)
    learned = {unit: station.learned for unit, station in stations.items()}
    marks = {unit: mark(devices) for unit, devices in of_units.items()}
    return PlanFile(line.home.state / "modbus" / f"{line.id}.plan.json", learned, marks)


def _check_timeout(device: Device, line: Line) -> None:
    needed_s = _address(device).timeout_min
    if line.timeout_s < needed_s:
        raise ConfigProblem(
            f"needs a timeout of {needed_s:g} s, line {line.id} gives {line.timeout_s:g} s",
            f"write timeout: {needed_s:g}s at the line",
            device=device.id,
        )


def _address(device: Device) -> ModbusAddress:
    return cast("ModbusAddress", device.address)
