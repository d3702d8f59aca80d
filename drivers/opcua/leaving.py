"""Connecting from one address of this machine, for which asyncua has no option."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from asyncua.client.ua_client import UaClientState

from drivers.errors import not_ours

if TYPE_CHECKING:
    from asyncua.client.client import Client

ANY_PORT = 0


def leave_from(client: Client, address: str, timeout_s: float) -> None:
    """Before connecting. Then `connect_socket` raises `Unreachable` where this machine does not have the address."""
    under = client.uaclient

    async def connect_socket(host: str, port: int) -> None:
        under._set_state(UaClientState.CONNECTING)  # noqa: SLF001 - as the library's own does
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().create_connection(
                    under._make_protocol,  # noqa: SLF001 - see above
                    host,
                    port,
                    local_addr=(address, ANY_PORT),
                )
        except OSError as error:
            under._set_state(UaClientState.DISCONNECTED)  # noqa: SLF001 - see above
            if error.errno == errno.EADDRNOTAVAIL:
                raise not_ours(f"opc.tcp://{host}:{port}", address) from error
            raise
        under._set_state(UaClientState.SOCKET_OPEN)  # noqa: SLF001 - see above

    client.uaclient.connect_socket = connect_socket  # type: ignore[method-assign]  # see above
