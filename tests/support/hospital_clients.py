"""Small clients for the simulated hospital that share no code with the drivers: frames by hand, blocking sockets.

The servers live in other processes, so a test may block on them; every wait has a limit.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ANSWER_S = 1.0


def modbus_exchange(address: tuple[str, int], unit: int, pdu: bytes, within_s: float = ANSWER_S) -> bytes:
    """One request on a connection of its own: the raw bytes that came back. Raises `TimeoutError` and `OSError`."""
    with socket.create_connection(address, timeout=within_s) as line:
        line.sendall(struct.pack(">HHHB", 0x1234, 0, len(pdu) + 1, unit) + pdu)
        return line.recv(600)


def modbus_read(address: tuple[str, int], unit: int, function: int, start: int, count: int) -> bytes:
    """The data of a sound reply, or the two bytes of an exception."""
    frame = modbus_exchange(address, unit, struct.pack(">BHH", function, start, count))
    transaction, protocol, length, answered = struct.unpack(">HHHB", frame[:7])
    assert (transaction, protocol, length, answered) == (0x1234, 0, len(frame) - 6, unit)
    if frame[7] & 0x80:
        return frame[7:]
    assert frame[7] == function
    assert frame[8] == len(frame) - 9
    return frame[9:]


def modbus_floats(address: tuple[str, int], unit: int, start: int, count: int) -> list[float]:
    """`count` float32 from holding registers."""
    return list(struct.unpack(f">{count}f", modbus_read(address, unit, 3, start, 2 * count)))


def read_property_request(kind: int, instance: int, invoke: int = 7) -> bytes:
    """A whole BACnet/IP datagram that asks for the present value of one object."""
    apdu = struct.pack(">BBBBBIBB", 0x00, 0x05, invoke, 0x0C, 0x0C, kind << 22 | instance, 0x19, 85)
    return struct.pack(">BBHBB", 0x81, 0x0A, len(apdu) + 6, 0x01, 0x04) + apdu


def bacnet_exchange(
    client: tuple[str, int], address: tuple[str, int], datagram: bytes, within_s: float = ANSWER_S
) -> bytes:
    """One datagram there, one back. Raises `TimeoutError`, and `ConnectionRefusedError` where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(within_s)
        line.bind(client)
        line.connect(address)
        line.send(datagram)
        return line.recv(1500)


def real_of(answer: bytes) -> float:
    """The REAL in the acknowledgement of ReadProperty."""
    assert answer[6] & 0xF0 == 0x30, answer.hex()
    return float(struct.unpack(">f", answer[-5:-1])[0])


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until `condition` holds; fail if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


async def becomes(condition: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    """As `eventually`, for a condition that has to be awaited."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)
