"""Which requests read the points of a poll: blocks across small gaps, never across what must not be touched.

Pure arithmetic. How a block's bytes become values is `decode`'s business, sending it `transaction`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, cast

from config.errors import ConfigProblem
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


def plan(points: Sequence[Point], address: ModbusAddress) -> tuple[Block, ...]:
    """The fewest requests that the address permits, in ascending order.

    Raises `ConfigProblem` where no permitted request can read a point.
    """
    by_table: dict[Table, list[_Extent]] = {}
    for index, point in enumerate(points):
        spec = cast("ModbusPoint", point.spec)
        extent = _Extent(spec.start, spec.start + spec.width, index)
        _check(point, extent, address)
        by_table.setdefault(spec.table, []).append(extent)
    return tuple(
        Block(FUNCTIONS[table], grown.first, grown.end - grown.first, tuple(sorted(grown.indexes)))
        for table in sorted(by_table, key=FUNCTIONS.__getitem__)
        for grown in _join(by_table[table], address, BITS_PER_REGISTER if table in BIT_TABLES else 1)
    )


def _join(extents: Iterable[_Extent], address: ModbusAddress, per_register: int) -> list[_Growing]:
    """Extents in ascending order, each into the block before it where the limits allow."""
    count_max, gap_max = address.max_registers * per_register, address.max_gap * per_register
    blocks: list[_Growing] = []
    for extent in sorted(extents, key=lambda extent: (extent.first, extent.end)):
        last = blocks[-1] if blocks else None
        if (
            last is not None
            and extent.first - last.end <= gap_max
            and max(last.end, extent.end) - last.first <= count_max
            and not _touches(last.end, extent.first, address)
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
