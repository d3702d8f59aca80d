"""Faults that a device can be given at run time, and the board that ends them in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Fault = Literal["none", "silent", "slow", "refuse", "exception", "wrong_length", "garbage", "frozen", "restart"]
"""silent: accepts and never answers. slow: answers after `SLOW_S`. refuse: nobody listens. exception: answers with the
protocol's own error. wrong_length: one value too few or too many. garbage: random bytes. frozen: values and source
times stand still. restart: gone for `RESTART_S`, then back without any memory of its clients."""

FAULTS: tuple[str, ...] = get_args(Fault)
SLOW_S = 3.0
RESTART_S = 2.0


class Device(Protocol):
    """A simulated device, as the fault board sees it."""

    async def switch(self, fault: Fault) -> None:
        """Behave so from now on. Never called twice at once for one device."""

    async def refresh(self) -> None:
        """Serve what the world and the pins say now."""


class FaultBoard:
    """Switches faults on and, when their time is over, off again. A switch that has begun is never broken off."""

    def __init__(self, devices: Mapping[str, Device]) -> None:
        self._devices = devices
        self._locks = {name: asyncio.Lock() for name in devices}
        self._ends: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def set(self, device: str, fault: str, seconds: float | None = None) -> None:
        """Give `device` a fault, for `seconds` or until the next call. Raises `ValueError` for an unknown fault."""
        if fault not in FAULTS:
            raise ValueError(f"no fault {fault!r}; there are {', '.join(FAULTS)}")
        self._forget(device)
        if fault == "restart" and seconds is None:
            seconds = RESTART_S
        await self._switch(device, cast("Fault", fault))
        if seconds is not None:
            self._ends[device] = asyncio.get_running_loop().call_later(seconds, self._end, device)

    async def _switch(self, device: str, fault: Fault) -> None:
        async with self._locks[device]:
            await self._devices[device].switch(fault)

    def _end(self, device: str) -> None:
        task = asyncio.create_task(self._switch(device, "none"), name=f"fault end[{device}]")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _forget(self, device: str) -> None:
        ending = self._ends.pop(device, None)
        if ending is not None:
            ending.cancel()

    async def close(self) -> None:
        """Let no fault end any more, and wait for what is ending."""
        for device in tuple(self._ends):
            self._forget(device)
        await asyncio.gather(*self._ending)
