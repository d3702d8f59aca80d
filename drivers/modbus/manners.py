"""How often a device may be asked: the pause after its answers and the requests in a second that it bears."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.modbus.settings import ModbusAddress


@dataclass(slots=True)
class Manners:
    """The limits of one device, and when it may be asked next (seconds of the event loop's clock)."""

    gap_s: float
    spacing_s: float
    next_s: float = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the device may be asked; what is done inside is one request and its answer."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self.next_s - loop.time()))
        began = loop.time()
        try:
            yield
        finally:
            self.next_s = max(began + self.spacing_s, loop.time() + self.gap_s)


def manners(address: ModbusAddress) -> Manners | None:
    """None for a device without limits, which is nearly every one."""
    if address.gap == 0 and address.requests_per_s is None:
        return None
    return Manners(address.gap, 1 / address.requests_per_s if address.requests_per_s else 0.0)
