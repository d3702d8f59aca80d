"""Opening the network connection of a line, so that a dead peer is found by the kernel even when nobody asks.

pymodbus's transport is not used for TCP: it throws away what was received of one reply when the next request is sent,
drops input above 516 bytes in silence, and hides why a connection failed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from config.secrets import Secret
from drivers.errors import Refused, Unreachable, not_ours
from drivers.modbus.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.files import TlsSpec
    from drivers.modbus.line import ModbusLine

Link = TypeVar("Link", bound=Connection)

ANY_PORT = 0

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


async def open_tcp(spec: ModbusLine, timeout_s: float, make: Callable[[], Link], root: Path = Path()) -> Link:
    """A fresh connection within `timeout_s`; paths that the line names start at `root`.

    Raises `Unreachable`, and `Refused` where a certificate is no good.
    """
    endpoint = spec.endpoint
    try:
        async with asyncio.timeout(timeout_s):
            transport, link = await asyncio.get_running_loop().create_connection(
                make,
                spec.host or "",
                spec.port_number,
                ssl=None if spec.tls is None else _context(spec.tls, root, endpoint),
                server_hostname=None if spec.tls is None else spec.tls.server_name or spec.host,
                local_addr=None if spec.bind is None else (spec.bind, ANY_PORT),
            )
    except TimeoutError as error:
        hint = "check the address, that the device is switched on, and the network in between"
        raise Unreachable(endpoint, f"no connection within {timeout_s:g} s", hint) from error
    except socket.gaierror as error:
        raise Unreachable(endpoint, "the host name is not known", "write the IP address or check DNS") from error
    except ConnectionRefusedError as error:
        hint = "check the port, and that Modbus TCP is switched on in the device"
        raise Unreachable(endpoint, "connection refused", hint) from error
    except ssl.SSLCertVerificationError as error:
        what = f"its certificate is not trusted ({error.verify_message})"
        raise Refused(endpoint, what, "check ca and server_name of the line, and the device's clock") from error
    except ssl.SSLError as error:
        what = f"TLS failed ({error.reason or error})"
        raise Refused(
            endpoint, what, "check that the device speaks TLS and trusts the gateway's certificate"
        ) from error
    except OSError as error:
        if spec.bind is not None and error.errno == errno.EADDRNOTAVAIL:
            raise not_ours(endpoint, spec.bind) from error
        what = os.strerror(error.errno) if error.errno else str(error)  # asyncio's text only repeats the address
        raise Unreachable(endpoint, what.lower(), "check the network in between") from error
    for level, option, value in _OPTIONS:
        transport.get_extra_info("socket").setsockopt(level, option, value)
    return link


def _context(tls: TlsSpec, root: Path, endpoint: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, the device's certificate always checked. Raises `Refused`.

    The files are read anew for each connection, so that they can be renewed at any time.
    """
    try:
        context = ssl.create_default_context(cafile=None if tls.ca is None else str(root / tls.ca))
        if tls.cert is not None and tls.key is not None:
            context.load_cert_chain(root / tls.cert, root / _key(tls).path())
    except LookupError as error:
        raise Refused(endpoint, str(error), "check tls of the line") from error
    except OSError as error:  # ssl.SSLError is one too
        what = f"the certificates cannot be read ({error.strerror or error})"
        raise Refused(endpoint, what, "check ca, cert and key of the line") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _key(tls: TlsSpec) -> Secret:
    assert tls.key is not None
    if tls.key.file is not None:
        return Secret("file", tls.key.file)
    return Secret("credential", tls.key.credential or "")
