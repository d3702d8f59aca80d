"""From the raw bytes of a block to one raw number, text or bit for each point: as few whole-block unpackings as can be.

The four byte orders are two times two: read big- or little-endian, from the bytes as they came or with the two bytes of
every register swapped (ABCD is big, CDAB little from swapped, BADC big from swapped, DCBA little). So a block needs one
precompiled `Struct` for each order that occurs in it, nearly always one. What a number means (scale, states) is
`decode`'s business.
"""

from __future__ import annotations

from array import array
from itertools import chain
from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from drivers.modbus.settings import ModbusPoint, Order

Fields = tuple[Any, ...]
"""Raw numbers, bytes or bits, as `Struct.unpack` gives them."""

_CODES = {
    "i16": "h", "u16": "H", "bit": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q", "f32": "f", "f64": "d",
    "bcd16": "H", "bcd32": "I", "bcd64": "Q", "time_unix": "I",
}  # fmt: skip
"""Everything else is taken as the bytes that it is."""

_ENDIANS: dict[Order, str] = {"ABCD": ">", "CDAB": "<", "BADC": ">", "DCBA": "<"}
_SWAPPED: frozenset[Order] = frozenset(("CDAB", "BADC"))
_ONE_REGISTER: dict[Order, Order] = {"ABCD": "ABCD", "CDAB": "ABCD", "BADC": "BADC", "DCBA": "BADC"}
"""A value of one register, a string and a calendar have an order of bytes but none of registers."""

_BITS = tuple(tuple(byte >> bit & 1 == 1 for bit in range(8)) for byte in range(256))


class _Cell(NamedTuple):
    """A stretch of the payload that is unpacked as one field; points may share it."""

    order: Order
    offset_bytes: int
    end_bytes: int
    code: str


def register_reader(start: int, count: int, specs: Sequence[ModbusPoint]) -> Callable[[bytes], Fields]:
    """A function from the payload of a register block to one raw field for each of `specs`, in their order.

    It raises `struct.error` unless the payload has exactly `count` registers.
    """
    wanted = [_cell(spec, start) for spec in specs]
    layers = _layers(sorted(set(wanted)))
    place = {cell: index for index, cell in enumerate(chain.from_iterable(layers))}
    pick = _gather([place[cell] for cell in wanted], len(place))
    readers = [_compile(layer, 2 * count) for layer in layers]
    if len(readers) == 1:
        (read,) = readers
        return read if pick is None else lambda raw: pick(read(raw))
    chosen = pick or tuple
    return lambda raw: chosen(tuple(chain.from_iterable(read(raw) for read in readers)))


def bit_reader(start: int, specs: Sequence[ModbusPoint]) -> Callable[[bytes], Fields]:
    """A function from the payload of a block of coils or discrete inputs to one truth value for each of `specs`."""
    pick = _gather([spec.start - start for spec in specs], 0) or tuple
    return lambda raw: pick(tuple(chain.from_iterable(map(_BITS.__getitem__, raw))))


def _gather(indexes: Sequence[int], available: int) -> Callable[[Fields], Fields] | None:
    """Picks `indexes` from a tuple of `available` fields; None where that would be the tuple as it is."""
    if list(indexes) == list(range(available)):
        return None
    if len(indexes) == 1:
        (only,) = indexes
        return lambda fields: (fields[only],)
    return itemgetter(*indexes)


def _cell(spec: ModbusPoint, start: int) -> _Cell:
    offset = 2 * (spec.start - start)
    code = _CODES.get(spec.type) or f"{2 * spec.width}s"
    order = _ONE_REGISTER[spec.order] if spec.width == 1 or spec.type not in _CODES else spec.order
    return _Cell(order, offset, offset + 2 * spec.width, code)


def _layers(cells: Iterable[_Cell]) -> list[list[_Cell]]:
    """Sorted cells, dealt out so that those of one layer have one order and do not overlap."""
    layers: list[list[_Cell]] = []
    for cell in cells:
        for layer in layers:
            if layer[-1].order == cell.order and layer[-1].end_bytes <= cell.offset_bytes:
                layer.append(cell)
                break
        else:
            layers.append([cell])
    return layers


def _compile(layer: Sequence[_Cell], size_bytes: int) -> Callable[[bytes], Fields]:
    """One unpacking of the whole payload, with pad bytes where nobody reads."""
    parts, at = [_ENDIANS[layer[0].order]], 0
    for cell in layer:
        parts += [f"{cell.offset_bytes - at}x", cell.code]
        at = cell.end_bytes
    unpack = Struct("".join([*parts, f"{size_bytes - at}x"])).unpack
    if layer[0].order not in _SWAPPED:
        return unpack
    return lambda raw: unpack(swap_bytes(raw))


def swap_bytes(raw: bytes) -> array[int]:
    """The same registers, each with its two bytes exchanged."""
    registers = array("H", raw)
    registers.byteswap()
    return registers
