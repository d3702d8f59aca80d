"""The UDP sockets of one line, under the library's stack: ours alone, or not opened.

The library itself would share a port with another program, and wait for ever for one that is taken.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from bacpypes3.ipv4 import IPv4DatagramProtocol, IPv4DatagramServer

from drivers.errors import Refused, Unreachable, not_ours

if TYPE_CHECKING:
    from bacpypes3.pdu import IPv4Address

_CLOSING_TURNS_MAX = 100

Path = tuple[str, int]


def bound_sockets(address: IPv4Address) -> dict[Path, socket.socket]:
    """Our own socket, which nobody may share, and on a real network the one that hears broadcasts, which all share."""
    sockets = {address.addrTuple: _bound_socket(address.addrTuple, shared=False)}
    if address.addrBroadcastTuple != address.addrTuple:
        try:
            sockets[address.addrBroadcastTuple] = _bound_socket(address.addrBroadcastTuple, shared=True)
        except (Refused, Unreachable):
            sockets[address.addrTuple].close()
            raise
    return sockets


def _bound_socket(path: Path, *, shared: bool) -> socket.socket:
    endpoint = f"{path[0]}:{path[1]}"
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(path)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            hint = f"stop the other BACnet program (ss -lunp 'sport = :{path[1]}' names it) or bind another port"
            raise Refused(endpoint, "another program has this address and port", hint) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise not_ours(endpoint, path[0]) from error
        raise Refused(endpoint, f"cannot be bound: {error.strerror}", "check bind: of the line") from error
    return opened


class _Protocol(IPv4DatagramProtocol):
    server: Server

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.server.send_error = exc

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.lose()


class Server(IPv4DatagramServer):
    """The library's end of the sockets, given sockets that are bound already."""

    def __init__(self, address: IPv4Address, sockets: dict[Path, socket.socket]) -> None:
        self.send_error: OSError | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sockets = sockets
        super().__init__(address)

    async def retrying_create_datagram_endpoint(
        self,
        loop: asyncio.AbstractEventLoop,
        addrTuple: Path,  # noqa: N803 - the library's name
        bind_socket: socket.socket | None = None,  # noqa: ARG002 - the library's signature
    ) -> tuple[asyncio.DatagramTransport, _Protocol]:
        def protocol() -> _Protocol:
            made = _Protocol()
            made.server = self
            return made

        return await loop.create_datagram_endpoint(protocol, sock=self._sockets[addrTuple])

    async def ready(self) -> None:
        """The sockets are in use. A cancellation is obeyed when they can be closed, which is a few turns later."""
        opening = asyncio.gather(*self._transport_tasks)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await opening
            self.close()
            await self.released()
            raise

    def lose(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def raise_send_error(self) -> None:
        """An error of sending is told to the protocol, not to the sender: here the sender asks."""
        error, self.send_error = self.send_error, None
        if error is not None:
            raise error

    async def released(self) -> None:
        """The transports close their sockets in a later turn of the loop."""
        for _ in range(_CLOSING_TURNS_MAX):
            if all(one.fileno() < 0 for one in self._sockets.values()):
                return
            await asyncio.sleep(0)
