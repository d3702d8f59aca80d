"""Opening the serial port of a line: for us alone, with the line's parameters, and gone at once when it is pulled.

The port is pymodbus's transport over pyserial. A port that is not there is a line that is away: it is opened again when
the adapter is plugged in, under the same stable name.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import termios
from typing import TYPE_CHECKING, TypeVar

from pymodbus.transport.serialtransport import SerialTransport

from drivers.errors import DriverError, Refused, Unreachable
from drivers.modbus.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.modbus.line import ModbusLine

Link = TypeVar("Link", bound=Connection)

_DATA_BITS = 8
_PARITIES = {"none": "N", "even": "E", "odd": "O"}


class _Port(SerialTransport):
    """The library's transport, which forgets to say that it was closed when it was told to abort."""

    def abort(self) -> None:
        if self.sync_serial:
            self.close()
            self.intern_protocol.connection_lost(None)


async def open_serial(spec: ModbusLine, make: Callable[[], Link]) -> Link:
    """The port, opened anew. Raises `Unreachable` while it is not there, `Refused` where it must not be used."""
    link = make()
    path = spec.serial or ""
    try:
        port = _Port(
            asyncio.get_running_loop(), link, path, spec.baud, _DATA_BITS, _PARITIES[spec.parity], spec.stop_bits, 0
        )
    except OSError as error:
        raise _failure(path, error) from error
    except termios.error as error:
        what = f"the port does not take {spec.baud} baud, parity {spec.parity}, {spec.stop_bits} stop bits"
        raise Refused(path, what, "write what the adapter can do") from error
    # Besides the lock that pyserial takes: programs that know no locks cannot open the port either.
    fcntl.ioctl(port.sync_serial.fileno(), termios.TIOCEXCL)
    port.setup()
    link.connection_made(port)
    return link


def _failure(path: str, error: OSError) -> DriverError:
    if error.errno == errno.ENOENT:
        return Unreachable(path, "there is no such port", "plug the adapter in; see /dev/serial/by-id for its name")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(path, "the port may not be opened", "put the gateway's user into the group of the port, dialout")
    if error.errno in (errno.EAGAIN, errno.EBUSY) or "lock" in str(error):
        return Refused(path, "another program has the port", "end it; a port belongs to one line")
    return Unreachable(path, f"the port cannot be opened ({error.strerror or error})", "check the adapter")
