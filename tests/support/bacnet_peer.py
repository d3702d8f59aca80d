"""A BACnet/IP device of our own on loopback, written against the standard and sharing no code with the driver.

It serves ReadProperty and ReadPropertyMultiple from a table of encoded values, notes every request, and answers with
whatever a test puts in `answer` instead: refusals, garbage, nothing.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from config.model import Device, Line, Place, Point, Text
from drivers.bacnet.settings import BacnetAddress, BacnetLine, BacnetPoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from config.model import PointType

PRESENT_VALUE, STATUS_FLAGS, RELIABILITY, MAX_APDU, OBJECT_IDENTIFIER = 85, 111, 103, 62, 75
READ_PROPERTY, READ_PROPERTY_MULTIPLE = 12, 14
SUBSCRIBE_COV, SUBSCRIBE_COV_PROPERTY = 5, 28
UNKNOWN_OBJECT, UNKNOWN_PROPERTY = (1, 31), (2, 32)
UNRECOGNIZED_SERVICE, SEGMENTATION_NOT_SUPPORTED = 9, 4
DEVICE, ANALOG_INPUT = 8, 0
ORIGINAL_UNICAST, NETWORK_MESSAGE = 0x0A, 0x80


# --- encoded values ------------------------------------------------------------------------------------------------


def real(value: float) -> bytes:
    return b"\x44" + struct.pack(">f", value)


def unsigned(value: int) -> bytes:
    body = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes([0x20 | len(body)]) + body


def enumerated(value: int) -> bytes:
    body = unsigned(value)[1:]
    return bytes([0x90 | len(body)]) + body


def text(value: str) -> bytes:
    body = b"\x00" + value.encode()
    return bytes([0x75, len(body)]) + body


def flags(bits: str) -> bytes:
    """In alarm, fault, overridden, out of service."""
    return bytes([0x82, 0x04, int(bits, 2) << 4])


def identifier(kind: int, instance: int) -> bytes:
    return (kind << 22 | instance).to_bytes(4, "big")


def error(error_class: int, code: int) -> bytes:
    return enumerated(error_class) + enumerated(code)


def result(target: bytes, results: Sequence[tuple[int, bytes | tuple[int, int]]]) -> bytes:
    """The part of one object in a ReadPropertyMultiple acknowledgement; a pair of numbers is an error."""
    parts = [b"\x0c", target, b"\x1e"]
    for number, value in results:
        parts.append(bytes([0x29, number]) if number < 256 else b"\x2a" + number.to_bytes(2, "big"))
        parts.append(b"\x5e" + error(*value) + b"\x5f" if isinstance(value, tuple) else b"\x4e" + value + b"\x4f")
    return b"".join([*parts, b"\x1f"])


# --- frames --------------------------------------------------------------------------------------------------------


def frame(apdu: bytes) -> bytes:
    return b"\x81\x0a" + (len(apdu) + 6).to_bytes(2, "big") + b"\x01\x00" + apdu


@dataclass(frozen=True)
class Request:
    """One confirmed request as it came."""

    invoke_id: int
    service: int
    data: bytes
    source: tuple[str, int]

    def ack(self, data: bytes, *, invoke_id: int | None = None, service: int | None = None) -> bytes:
        number = self.invoke_id if invoke_id is None else invoke_id
        return frame(bytes([0x30, number, self.service if service is None else service]) + data)

    def segment(self, data: bytes, number: int, *, more: bool, window: int = 1) -> bytes:
        head = bytes([0x3C if more else 0x38, self.invoke_id, number % 256, window, self.service])
        return frame(head + data)

    def error(self, error_class: int, code: int) -> bytes:
        return frame(bytes([0x50, self.invoke_id, self.service]) + error(error_class, code))

    def reject(self, reason: int) -> bytes:
        return frame(bytes([0x60, self.invoke_id, reason]))

    def abort(self, reason: int) -> bytes:
        return frame(bytes([0x71, self.invoke_id, reason]))

    def wanted(self) -> list[tuple[bytes, list[int]]]:
        """Objects and properties of a ReadPropertyMultiple; of any other request none."""
        if self.service != READ_PROPERTY_MULTIPLE:
            return []
        groups, at = [], 0
        while at < len(self.data):
            target, at = self.data[at + 1 : at + 5], at + 6
            numbers = []
            while self.data[at] != 0x1F:
                size = self.data[at] & 7
                numbers.append(int.from_bytes(self.data[at + 1 : at + 1 + size], "big"))
                at += 1 + size
            groups.append((target, numbers))
            at += 1
        return groups


Reply = list[bytes] | None
"""Frames to send; `None` is what the table says."""


@dataclass
class RawDevice(asyncio.DatagramProtocol):
    """One device. `answer` may replace what the table would say; `requests` is all that was asked."""

    instance: int = 1001
    objects: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    answer: Callable[[Request], Reply] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    max_apdu: int = 1476

    def __post_init__(self) -> None:
        self.transport: asyncio.DatagramTransport
        me = self.objects.setdefault(identifier(DEVICE, self.instance), {})
        me[MAX_APDU] = unsigned(self.max_apdu)
        self.objects[identifier(DEVICE, 4194303)] = {
            OBJECT_IDENTIFIER: b"\xc4" + identifier(DEVICE, self.instance),
        }

    @property
    def at(self) -> str:
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def put(self, instance: int, value: bytes, bits: str = "0000", reliability: int | None = None) -> None:
        """An analog input."""
        row = self.objects.setdefault(identifier(ANALOG_INPUT, instance), {})
        row.update({PRESENT_VALUE: value, STATUS_FLAGS: flags(bits)})
        if reliability is not None:
            row[RELIABILITY] = enumerated(reliability)

    def subscriptions(self) -> list[tuple[int, int]]:
        """Service and process number of each subscription so far; the number stands first."""
        asked = [one for one in self.requests if one.service in (SUBSCRIBE_COV, SUBSCRIBE_COV_PROPERTY)]
        return [(one.service, int.from_bytes(one.data[1 : 1 + (one.data[0] & 7)], "big")) for one in asked]

    def notify(self, process: int, number: int, value: bytes, bits: str = "0000", *, confirmed: bool = True) -> None:
        """Report an analog input to whoever asked last."""
        data = b"\x0c" + process.to_bytes(4, "big") + b"\x1c" + identifier(DEVICE, self.instance)
        data += b"\x2c" + identifier(ANALOG_INPUT, number) + b"\x39\x3c\x4e"
        data += b"\x09\x55\x2e" + value + b"\x2f\x09\x6f\x2e" + flags(bits) + b"\x2f\x4f"
        head = bytes([0x00, 0x05, 0x77, 1]) if confirmed else bytes([0x10, 2])
        self.transport.sendto(frame(head + data), self.requests[-1].source)

    def multiples(self) -> list[int]:
        """How many objects each ReadPropertyMultiple so far asked for."""
        return [len(one.wanted()) for one in self.requests if one.service == READ_PROPERTY_MULTIPLE]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        apdu = data[6:]
        if len(apdu) < 2 or data[1] != ORIGINAL_UNICAST or data[5] & NETWORK_MESSAGE:
            return
        if apdu[0] >> 4:
            self.others.append(apdu)
        elif len(apdu) > 3:
            request = Request(apdu[2], apdu[3], apdu[4:], addr)
            self.requests.append(request)
            self._reply(request)
        self.arrived.set()

    def _reply(self, request: Request) -> None:
        frames = self.answer(request)
        for one in self._honest(request) if frames is None else frames:
            self.transport.sendto(self.sent(one), request.source)

    def sent(self, one: bytes) -> bytes:
        """A frame as it goes out."""
        return one

    def _honest(self, request: Request) -> list[bytes]:
        if request.service == READ_PROPERTY_MULTIPLE:
            return [request.ack(self.multiple(request))]
        if request.service in (SUBSCRIBE_COV, SUBSCRIBE_COV_PROPERTY):
            return [frame(bytes([0x20, request.invoke_id, request.service]))]
        target, number = request.data[1:5], int.from_bytes(request.data[6:], "big")
        value = self._value(target, number)
        if isinstance(value, tuple):
            return [request.error(*value)]
        return [request.ack(request.data + b"\x3e" + value + b"\x3f")]

    def multiple(self, request: Request) -> bytes:
        """An honest acknowledgement of a ReadPropertyMultiple."""
        return b"".join(
            result(target, [(number, self._value(target, number)) for number in numbers])
            for target, numbers in request.wanted()
        )

    def _value(self, target: bytes, number: int) -> bytes | tuple[int, int]:
        if target not in self.objects:
            return UNKNOWN_OBJECT
        return self.objects[target].get(number, UNKNOWN_PROPERTY)


class RoutedDevice(RawDevice):
    """The same behind a router: station 7 of network 2001, asked and answering through the router's address."""

    station = b"\x07\xd1\x01\x07"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[5] & 0x20 and data[6:10] == self.station:  # it has a destination, and that is ours
            super().datagram_received(data[:6] + data[11:], addr)

    def sent(self, one: bytes) -> bytes:
        return b"\x81\x0a" + (len(one) + 4).to_bytes(2, "big") + b"\x01\x08" + self.station + one[6:]


def i_am(instance: int, max_apdu: int) -> bytes:
    """The frame with which a device answers a Who-Is."""
    size = b"\x22" + max_apdu.to_bytes(2, "big")
    return frame(b"\x10\x00\xc4" + identifier(DEVICE, instance) + size + enumerated(3) + unsigned(15))


@asynccontextmanager
async def searchable(device: RawDevice, port: int) -> AsyncIterator[list[bytes]]:
    """The device hears what is broadcast to a port of loopback, and answers Who-Is; gives what it heard."""
    heard: list[bytes] = []

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            heard.append(data)
            device.transport.sendto(device.sent(i_am(device.instance, device.max_apdu)), addr)

    shared = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(("127.255.255.255", port))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Ear, sock=shared)
    try:
        yield heard
    finally:
        transport.close()


# --- places --------------------------------------------------------------------------------------------------------


def loopback() -> str:
    """An address of our own: two runs at the same time do not meet."""
    return f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"


def free_port(host: str) -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serving(device: RawDevice, host: str = "", port: int = 0) -> AsyncIterator[RawDevice]:
    """A device listening on loopback for as long as the block lasts."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: device, local_addr=(host or loopback(), port))
    try:
        yield device
    finally:
        transport.close()
        await asyncio.sleep(0)  # the socket is closed in the next turn of the loop


# --- configuration -------------------------------------------------------------------------------------------------

NAME = Text("点", "point")
OWN_FIELDS = ("property", "index", "cov", "holds", "event", "text", "device_unit")


def make_point(target: str, kind: PointType = "number", unit: str = "1", **more: object) -> Point:
    """A point; the driver's own fields belong to its place, anything else to the point."""
    place = {name: more.pop(name) for name in OWN_FIELDS if name in more}
    spec = BacnetPoint.model_validate({"object": target, **place})
    return Point(target, "d", "sys", NAME, kind, unit, 1.0, spec, **more)  # type: ignore[arg-type] # fields by name


def inputs(count: int) -> tuple[Point, ...]:
    return tuple(make_point(f"analog-input,{number}") for number in range(1, count + 1))


def make_device(at: str | None, points: Sequence[Point], instance: int = 1001, **more: object) -> Device:
    """A device; `batch`, `parallel` and `behind` belong to its address."""
    address = BacnetAddress.model_validate({"instance": instance, "at": at, **more})
    return Device(f"dev-{instance}", NAME, "sys", "line", address, Place(), tuple(points), ())


def make_line(
    *devices: Device, bind: str = "", timeout_s: float = 1.0, retries: int = 1, bbmd: str | None = None
) -> Line:
    host = loopback()
    spec = BacnetLine(protocol="bacnet", bind=bind or f"{host}:{free_port(host)}", retries=retries, bbmd=bbmd)
    return Line("line", NAME, "bacnet", spec, devices, timeout_s, spec.concurrency)
