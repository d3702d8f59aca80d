"""What register maps are made of: spaces by function code, fields in them, and how a number is coded. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware_mocks.signals import Points

Encode = Callable[["Points"], bytes]


@dataclass(frozen=True, slots=True)
class Field:
    """What stands from `address` on; its length is that of what `encode` gives."""

    address: int
    encode: Encode


@dataclass(frozen=True, slots=True)
class Registers:
    """One register space: where it may be read, what stands there, the word of every address without a field, and how
    many registers the device gives at once.
    """

    spans: tuple[range, ...]
    fields: tuple[Field, ...]
    gap: Callable[[int], int]
    count_max: int = 125

    def read(self, points: Points, start: int, count: int) -> bytes | None:
        """`count` registers from `start`, or `None` where the device has no such address."""
        wanted = range(start, start + count)
        if not all(any(address in span for span in self.spans) for address in wanted):
            return None
        image = bytearray().join(struct.pack(">H", self.gap(address)) for address in wanted)
        for item in self.fields:
            _overlay(image, (item.address - start) * 2, item.encode(points))
        return bytes(image)


def _overlay(image: bytearray, offset: int, data: bytes) -> None:
    first, last = max(offset, 0), min(offset + len(data), len(image))
    if first < last:
        image[first:last] = data[first - offset : last - offset]


@dataclass(frozen=True, slots=True)
class Bits:
    """Discrete inputs or coils: the point at each address; others within `span` read as off."""

    span: range
    points: dict[int, str]
    count_max: int = 2000

    def read(self, points: Points, start: int, count: int) -> bytes | None:
        """`count` bits from `start`, packed as on the wire, or `None` where there is no such address."""
        if start not in self.span or start + count - 1 not in self.span:
            return None
        packed = 0
        for n, address in enumerate(range(start, start + count)):
            name = self.points.get(address)
            packed |= bool(name and points[name]) << n
        return packed.to_bytes((count + 7) // 8, "little")


@dataclass(frozen=True, slots=True)
class DeviceMap:
    """Register spaces by function code; a function code that is missing is answered with exception 1.

    `identification` is what function 43 tells, if the device knows it: vendor, product code, revision.
    """

    tables: dict[int, Registers | Bits] = field(default_factory=dict)
    identification: tuple[str, ...] = ()

    def identify(self) -> bytes:
        """The reply to function 43/14, basic identification as one stream, after its function code."""
        texts = [said.encode() for said in self.identification]
        objects = b"".join(bytes((number, len(said))) + said for number, said in enumerate(texts))
        return bytes((0x0E, 0x01, 0x01, 0x00, 0x00, len(texts))) + objects


def number(layout: str, name: str, scale: float, missing: float) -> Encode:
    """A scaled number as `layout` of `struct`; `missing` is the raw value where the device cannot measure. What does
    not fit saturates, as in a converter.
    """
    pack = struct.Struct(layout).pack
    scaled = (lambda value: value * scale) if layout.endswith("f") else _integer(layout, scale)

    def encode(points: Points) -> bytes:
        value = points[name]
        return pack(missing if value is None else scaled(float(value)))

    return encode


def _integer(layout: str, scale: float) -> Callable[[float], int]:
    top = (1 << 8 * struct.calcsize(layout)) - 1
    low, high = (-(top + 1) // 2, top // 2) if layout[-1].islower() else (0, top)
    return lambda value: min(max(round(value * scale), low), high)


def below_zero(layout: str, amount: int) -> int:
    """`-amount` as a number that `layout` can pack: for an unsigned one its two's complement."""
    signed = layout[-1].islower()
    return -amount if signed else (1 << 8 * struct.calcsize(layout)) - amount


def constant(data: bytes) -> Encode:
    return lambda _: data


def text(content: str, registers: int) -> Encode:
    return constant(content.encode().ljust(registers * 2, b"\0"))


def words(layout: str, scale: float, *names: str) -> Registers:
    size = struct.calcsize(layout) // 2
    missing = 0x7FFF if layout[-1].islower() else 0xFFFF
    fields = tuple(Field(size * at, number(layout, name, scale, missing)) for at, name in enumerate(names))
    return Registers(spans=(range(32),), fields=fields, gap=lambda _: 0)


def contacts(*names: str) -> Bits:
    return Bits(span=range(32), points=dict(enumerate(names)))
