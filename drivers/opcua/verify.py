"""Is this the device that its profile describes? Asked at each connect, before the first value is believed.

A certificate says which server answers; which device stands behind it, and whether its nodes are those that were meant,
it does not. What a node cannot tell now (no value, a sensor that says it is broken) is no objection. What contradicts
is asked for again until it is put right; a device that has shown what was expected is believed until the connection
ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from config.errors import ConfigProblem
from drivers.contract import Grade, Poll, Quality, Reading
from drivers.expectation import contradiction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from config.model import Device, Point
    from drivers.errors import DriverError
    from drivers.opcua.settings import CheckSpec, OpcuaAddress

    Ask = Callable[[Poll, type[DriverError]], Awaitable[Reading]]

AGAIN_S = 5.0
"""How often a device that contradicts is looked at again beside a subscription."""


class Proofs:
    """Of the devices of one line. `ask` reads a poll; its second argument is what a silence is raised as.

    `doubted` are the devices of a subscription that are not the expected ones, and what says so.
    """

    def __init__(self, devices: Iterable[Device], ask: Ask) -> None:
        self.doubted: dict[Device, Quality] = {}
        self._ask = ask
        self._checks = {device: _checks(device) for device in devices if _expected(device)}
        self._proven: set[Device] = set()
        self._again_mono = 0.0

    def forget(self) -> None:
        """Another connection: it may be another device."""
        self._proven.clear()
        self.doubted.clear()

    async def objection(self, device: Device, otherwise: type[DriverError]) -> Quality | None:
        """What tells that this is another device, or None. Raises `DriverError`."""
        checks = self._checks.get(device)
        if checks is None or device in self._proven:
            return None
        wrong = _judged(_expected(device), await self._ask(checks, otherwise))
        if wrong is None:
            self._proven.add(device)
        return wrong

    async def examine(self, devices: Iterable[Device], mono: float, otherwise: type[DriverError]) -> list[Device]:
        """Ask which are the expected ones; gives those that were doubted until now. Raises `DriverError`."""
        self._again_mono = mono + AGAIN_S
        cleared = []
        for device in tuple(devices):
            wrong = await self.objection(device, otherwise)
            if wrong is not None:
                self.doubted[device] = wrong
            elif self.doubted.pop(device, None) is not None:
                cleared.append(device)
        return cleared

    async def examine_again(self, mono: float, otherwise: type[DriverError]) -> list[Device]:
        """The same for those that are doubted, from time to time."""
        if not self.doubted or mono < self._again_mono:
            return []
        return await self.examine(self.doubted, mono, otherwise)

    def told(self, reading: Reading) -> Reading:
        """The reading, or that nothing of it is to be believed."""
        wrong = self.doubted.get(reading.poll.device)
        return reading if wrong is None else nothing(reading.poll, wrong, reading.time, reading.mono)


def nothing(poll: Poll, wrong: Quality, time: float, mono: float) -> Reading:
    """The reading of a device that is not the expected one: no value, and why."""
    size = len(poll.points)
    return Reading(poll, time, mono, [None] * size, dict.fromkeys(range(size), wrong), ((0, size),))


def _expected(device: Device) -> tuple[CheckSpec, ...]:
    return cast("OpcuaAddress", device.address).expect


def _checks(device: Device) -> Poll:
    """What is expected, as a poll of its own."""
    return Poll(device, tuple(_point(device, spec) for spec in _expected(device)), 0.0)


def _point(device: Device, spec: CheckSpec) -> Point:
    """Without a range of its own: what is beyond that is to be judged here, not to be doubted before."""
    if not spec.point:
        return spec.alone
    for point in device.points:
        if point.id == spec.point:
            return replace(point, low=None, high=None)
    hint = "write expect: with a point or a node that it has, or expect: [] where nothing can tell"
    raise ConfigProblem(f"{spec.point} is no point of this device", hint, device=device.id, field="expect")


def _judged(expected: Iterable[CheckSpec], reading: Reading) -> Quality | None:
    for index, spec in enumerate(expected):
        flaw = reading.flaws.get(index)
        if flaw is not None and flaw.reason == "config_error" and not spec.may_lack:
            return contradiction(f"{spec.where}: {flaw.raw}")
        if flaw is None or flaw.grade is Grade.GOOD:
            wrong = spec.judged(reading.values[index])
            if wrong is not None:
                return wrong
    return None
