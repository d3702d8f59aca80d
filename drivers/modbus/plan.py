"""Which requests read the points of a poll: blocks across small gaps, never across what must not be touched.

Pure arithmetic. How a block's bytes become values is `decode`'s business, sending it `transaction`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, cast

from config.errors import ConfigProblem
from drivers.modbus.learning import Learned, Stretch
from drivers.modbus.settings import BIT_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from config.model import Point
    from drivers.modbus.settings import ModbusAddress, ModbusPoint, Table

FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
BITS_PER_REGISTER = 16
"""A coil request weighs as many bytes as a register request of a sixteenth of its count; limits are in registers."""

_PDU = Struct(">BHH")


@dataclass(frozen=True, slots=True)
class Block:
    """One request. `start` and `count` are registers, or bits for functions 1 and 2.

    `indexes` are the points that it reads, as ascending indexes into the poll.
    """

    function: int
    start: int
    count: int
    indexes: tuple[int, ...]

    @property
    def pdu(self) -> bytes:
        """The request as it is sent, without the transport's frame."""
        return _PDU.pack(self.function, self.start, self.count)

    @property
    def registers(self) -> int:
        """How heavy it is; sixteen bits weigh as one register."""
        is_bits = self.function <= FUNCTIONS["discrete"]
        return -(-self.count // BITS_PER_REGISTER) if is_bits else self.count

    @property
    def text(self) -> str:
        """Function and range, as a technician says it."""
        return f"FC{self.function:02} {self.start}-{self.start + self.count - 1} ({self.count})"

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.function, self.start, self.start + self.count)

    @property
    def size_bytes(self) -> int:
        """Bytes of payload that the only right answer has."""
        return (self.count + 7) // 8 if self.function <= FUNCTIONS["discrete"] else 2 * self.count


@dataclass(frozen=True, slots=True)
class _Extent:
    """The half-open range of registers or bits that one point takes."""

    first: int
    end: int
    index: int


@dataclass(slots=True)
class _Growing:
    """A block while extents are still joining it."""

    first: int
    end: int
    indexes: list[int]


def plan(points: Sequence[Point], address: ModbusAddress, learned: Learned | None = None) -> tuple[Block, ...]:
    """The fewest requests that the address, and what the device has taught, permit; in ascending order.

    Raises `ConfigProblem` where no permitted request can read a point.
    """
    knows = learned or Learned(address.max_registers)
    by_table: dict[Table, list[_Extent]] = {}
    for index, point in enumerate(points):
        extent = _extent(point, index)
        _check(point, extent, address)
        by_table.setdefault(cast("ModbusPoint", point.spec).table, []).append(extent)
    return tuple(
        Block(FUNCTIONS[table], grown.first, grown.end - grown.first, tuple(sorted(grown.indexes)))
        for table in sorted(by_table, key=FUNCTIONS.__getitem__)
        for grown in _join(by_table[table], address, knows, table)
    )


def halves(block: Block, points: Sequence[Point]) -> tuple[Block, Block] | None:
    """The block in two, at the gap that is nearest to its middle, else at the middle; None where it cannot be split."""
    extents = sorted((_extent(points[index], index) for index in block.indexes), key=lambda one: (one.first, one.end))
    seams: list[tuple[bool, int, int]] = []
    end = extents[0].end
    for place, extent in enumerate(extents[1:], 1):
        if extent.first >= end:
            seams.append((extent.first == end, abs(2 * extent.first - 2 * block.start - block.count), place))
        end = max(end, extent.end)
    if not seams:
        return None
    *_, place = min(seams)
    return _block(block.function, extents[:place]), _block(block.function, extents[place:])


def _block(function: int, extents: Sequence[_Extent]) -> Block:
    first = extents[0].first
    count = max(extent.end for extent in extents) - first
    return Block(function, first, count, tuple(sorted(extent.index for extent in extents)))


def _extent(point: Point, index: int) -> _Extent:
    spec = cast("ModbusPoint", point.spec)
    return _Extent(spec.start, spec.start + spec.width, index)


def _join(extents: Iterable[_Extent], address: ModbusAddress, learned: Learned, table: Table) -> list[_Growing]:
    """Extents in ascending order, each into the block before it where the limits allow."""
    per_register = BITS_PER_REGISTER if table in BIT_TABLES else 1
    count_max, gap_max = learned.registers_max * per_register, address.max_gap * per_register
    blocks: list[_Growing] = []
    for extent in sorted(extents, key=lambda extent: (extent.first, extent.end)):
        last = blocks[-1] if blocks else None
        if (
            last is not None
            and extent.first - last.end <= gap_max
            and max(last.end, extent.end) - last.first <= count_max
            and not _touches(last.end, extent.first, address)
            and not learned.is_cut(FUNCTIONS[table], last.first, extent.first)
        ):
            last.end = max(last.end, extent.end)
            last.indexes.append(extent.index)
        else:
            blocks.append(_Growing(extent.first, extent.end, [extent.index]))
    return blocks


def _touches(first: int, end: int, address: ModbusAddress) -> bool:
    """Whether the half-open range meets a forbidden one."""
    return any(first <= bad_last and bad_first < end for bad_first, bad_last in address.forbidden)


def _check(point: Point, extent: _Extent, address: ModbusAddress) -> None:
    spec = cast("ModbusPoint", point.spec)
    if _touches(extent.first, extent.end, address):
        raise ConfigProblem(
            f"register {extent.first} lies in a forbidden range of its device",
            "take the point out or correct the range",
            device=point.device,
            point=point.id,
            field="register",
        )
    if spec.table not in BIT_TABLES and spec.width > address.max_registers:
        raise ConfigProblem(
            f"takes {spec.width} registers, its device allows {address.max_registers} in a request",
            "raise max_registers or split the point",
            device=point.device,
            point=point.id,
            field="type",
        )
