"""A device as the stack talks to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bacpypes3.pdu import Address


class Peer:
    """A device as the stack talks to it: where it is, how much it can take, and how many requests at once."""

    def __init__(self, address: Address, max_apdu: int) -> None:
        self.address = address
        self.max_apdu = max_apdu
        self.allow(1)
        self.latest_id = 0
        self._in_use: set[int] = set()

    def allow(self, at_once: int) -> None:
        """How many requests it may have to answer from now on; not while some are on their way."""
        self.at_once = at_once
        self._free = asyncio.Semaphore(at_once)

    def follow(self, earlier: Peer) -> None:
        """Go on numbering where another left off: a late answer to it is then none to this one."""
        self.latest_id = earlier.latest_id

    @asynccontextmanager
    async def invoke_id(self) -> AsyncIterator[int]:
        """A number for one request, as soon as the device may have one more to answer.

        Counted for each device, so that a late answer meets its number again only after 250 other requests, and never
        while a slower request has it.
        """
        async with self._free:
            number = (self.latest_id + 1) % 256
            while number in self._in_use:
                number = (number + 1) % 256
            self.latest_id = number
            self._in_use.add(number)
            try:
                yield number
            finally:
                self._in_use.discard(number)
