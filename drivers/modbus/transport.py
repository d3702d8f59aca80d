"""Opening the TCP connection of a line, so that a dead peer is found by the kernel even when nobody asks.

pymodbus's transport is not used for TCP: it throws away what was received of one reply when the next request is sent,
drops input above 516 bytes in silence, and hides why a connection failed.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from drivers.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.modbus.settings import ModbusLine
    from drivers.modbus.transaction import Transactions

UNACKNOWLEDGED_MS_MAX = 5000
"""Data that the peer's kernel has not confirmed for so long means that the connection is half open."""

_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX),
)


async def open_tcp(spec: ModbusLine, timeout_s: float, make: Callable[[], Transactions]) -> Transactions:
    """A fresh connection within `timeout_s`. Raises `Unreachable`."""
    endpoint = spec.endpoint
    try:
        async with asyncio.timeout(timeout_s):
            transport, link = await asyncio.get_running_loop().create_connection(make, spec.host, spec.port)
    except TimeoutError as error:
        hint = "check the address, that the device is switched on, and the network in between"
        raise Unreachable(endpoint, f"no connection within {timeout_s:g} s", hint) from error
    except socket.gaierror as error:
        raise Unreachable(endpoint, "the host name is not known", "write the IP address or check DNS") from error
    except ConnectionRefusedError as error:
        hint = "check the port, and that Modbus TCP is switched on in the device"
        raise Unreachable(endpoint, "connection refused", hint) from error
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)  # asyncio's text only repeats the address
        raise Unreachable(endpoint, what.lower(), "check the network in between") from error
    for level, option, value in _OPTIONS:
        transport.get_extra_info("socket").setsockopt(level, option, value)
    return link
