"""What every open connection of a line has, whatever its frames: it ends once, and all that waits ends with it.

Subclasses know the frames. Connecting again is nobody's business here: a lost connection is thrown away.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from drivers.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable

READ_FUNCTIONS = frozenset((1, 2, 3, 4, 0x2B))
"""All that is ever sent: nothing of it changes a device."""

EXCEPTION_BIT = 0x80
_SILENCES_MAX = 3
"""So many requests without a single frame, from every unit of the line, and the connection counts as dead."""


@dataclass(slots=True)
class Tally:
    """Replies that were not believed, since the driver was built: too late (or never asked for), or not fitting."""

    late: int = 0
    refused: int = 0


class Link(Protocol):
    """A connection as the driver uses it."""

    def request(self, unit: int, pdu: bytes, size_bytes: int | None) -> Awaitable[bytes]:
        """Send one request; gives the payload of its reply.

        The payload is exactly `size_bytes` long and without the byte count before it; with None it is everything after
        the function code. Fails with `NoReply` for this request and with `Unreachable` for the connection.
        """

    async def close(self) -> None:
        """End the connection and everything pending; returns when it is closed."""


class Connection(asyncio.Protocol):
    """The life of one connection. `units` are all units of the line.

    When every one of them is silent, it is the connection that is dead: an open socket proves nothing. A serial port
    has no other side that could be gone, so silence does not count there.
    """

    def __init__(
        self, endpoint: str, timeout_s: float, units: frozenset[int], tally: Tally, *, counts_silence: bool
    ) -> None:
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._units = units
        self._tally = tally
        self._counts_silence = counts_silence
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closed = self._loop.create_future()
        self._lost = ""
        self._silent_units: set[int] = set()
        self._silences = 0

    @abstractmethod
    def _abandon(self) -> None:
        """End all that is pending as unreachable."""

    async def close(self) -> None:
        """End the connection and everything pending; returns when it is closed."""
        self._lose("closed")
        await asyncio.shield(self._closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(f"connection lost ({exc})" if exc else "connection closed by the device")
        if not self._closed.done():
            self._closed.set_result(None)

    def _check_open(self, pdu: bytes) -> asyncio.Transport:
        if pdu[0] not in READ_FUNCTIONS:
            raise ValueError(f"function {pdu[0]} does not read; this driver only reads")
        if self._transport is None or self._lost:
            raise self._unreachable()
        return self._transport

    def _heard(self) -> None:
        self._silences = 0

    def _count_silence(self, unit: int) -> None:
        """A connection on which everybody is silent is given up."""
        if not self._counts_silence:
            return
        if self._silences == 0:
            self._silent_units.clear()
        self._silences += 1
        self._silent_units.add(unit)
        if self._silences >= _SILENCES_MAX and self._silent_units >= self._units:
            self._lose(f"no reply to the last {self._silences} requests")

    def _lose(self, what: str) -> None:
        """The connection is over, for the first reason given."""
        if self._lost:
            return
        self._lost = what
        self._abandon()
        if self._transport is None:
            self._closed.set_result(None)
        else:
            self._transport.abort()

    def _unreachable(self) -> Unreachable:
        return Unreachable(self._endpoint, self._lost or "not connected")
