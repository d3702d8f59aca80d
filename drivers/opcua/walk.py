"""Over an encoded value without taking it: where it ends (OPC 10000-6, 5.2). Pure.

For what no point can hold: structures, arrays, names, diagnostics. The library would build every element, and believes
the lengths that a server announces: an array of two thousand million nothings costs four bytes to send. Here a length
is checked against the bytes that are there, and what is nested too deeply is refused.
"""

from __future__ import annotations

from struct import Struct
from uuid import UUID

DEPTH_MAX = 16

_I32 = Struct("<i")
_FIXED = {0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
_NODE_ID, _EXPANDED_NODE_ID, _QUALIFIED_NAME, _LOCALIZED_TEXT = 17, 18, 20, 21
_EXTENSION_OBJECT, _DATA_VALUE, _VARIANT, _DIAGNOSTIC_INFO = 22, 23, 24, 25
_KIND_MAX = 31
_NODE_SIZES = {0: 1, 1: 3, 2: 6, 4: 18}


class Undecodable(ValueError):
    """The bytes are not what OPC UA says."""


class Unknown(Undecodable):
    """The bytes may be what OPC UA says, of a kind that we do not know."""


def byte(body: bytes, pos: int) -> tuple[int, int]:
    if pos >= len(body):
        raise Undecodable("the answer is cut short")
    return body[pos], pos + 1


def count(body: bytes, pos: int, size_min: int) -> tuple[int, int]:
    """The length of an array whose elements have at least `size_min` bytes, and its start; a null array has none."""
    (number,) = _I32.unpack_from(body, pos)
    if number * size_min > len(body) - pos - 4:
        raise Undecodable(f"{number} elements are announced, {len(body) - pos - 4} bytes are there")
    return max(number, 0), pos + 4


def text(body: bytes, pos: int) -> int:
    """A String, ByteString or XmlElement."""
    length, start = count(body, pos, 1)
    return start + length


def guid(body: bytes, pos: int) -> tuple[UUID, int]:
    """The value of a Guid, and its end."""
    end = pos + 16
    if end > len(body):
        raise Undecodable("a Guid is cut short")
    return UUID(bytes_le=body[pos:end]), end


def node_id(body: bytes, pos: int) -> int:
    """A NodeId or ExpandedNodeId."""
    encoding, pos = byte(body, pos)
    form = encoding & 0x3F
    if form in _NODE_SIZES:
        pos += _NODE_SIZES[form]
    elif form in {3, 5}:
        pos = text(body, pos + 2)
    else:
        raise Undecodable(f"a NodeId of form {form}")
    if encoding & 0x80:
        pos = text(body, pos)
    return pos + 4 if encoding & 0x40 else pos


def extension_object(body: bytes, pos: int) -> int:
    encoding, pos = byte(body, node_id(body, pos))
    return text(body, pos) if encoding else pos


def diagnostic_info(body: bytes, pos: int, depth: int = 0) -> int:
    mask, pos = byte(body, pos)
    pos += 4 * (mask & 0x0F).bit_count()
    if mask & 0x10:
        pos = text(body, pos)
    if mask & 0x20:
        pos += 4
    return diagnostic_info(body, pos, _deeper(depth)) if mask & 0x40 else pos


def variant(body: bytes, pos: int, depth: int = 0) -> int:
    kind, pos = byte(body, pos)
    number = kind & 0x3F
    if kind & 0x80:
        size = _FIXED.get(number)
        elements, pos = count(body, pos, 1 if size is None else size)
        if size is None:
            for _ in range(elements):
                pos = element(body, pos, number, depth)
        else:
            pos += elements * size
    else:
        pos = element(body, pos, number, depth)
    if kind & 0x40:
        dimensions, pos = count(body, pos, 4)
        pos += 4 * dimensions
    if pos > len(body):
        raise Undecodable("the answer is cut short")
    return pos


def data_value(body: bytes, pos: int, depth: int = 0) -> int:
    mask, pos = byte(body, pos)
    if mask & 0x01:
        pos = variant(body, pos, depth)
    return pos + sum(size for bit, size in ((2, 4), (4, 8), (8, 8), (0x10, 2), (0x20, 2)) if mask & bit)


def element(body: bytes, pos: int, number: int, depth: int = 0) -> int:  # noqa: PLR0911 - one return for each type
    """One value of the built-in type `number`, without an encoding byte."""
    if number in _FIXED:
        return pos + _FIXED[number]
    if number in {_NODE_ID, _EXPANDED_NODE_ID}:
        return node_id(body, pos)
    if number == _QUALIFIED_NAME:
        return text(body, pos + 2)
    if number == _LOCALIZED_TEXT:
        return localized_text(body, pos)
    if number == _EXTENSION_OBJECT:
        return extension_object(body, pos)
    if number in _NESTED:
        return _NESTED[number](body, pos, _deeper(depth))
    if number > _KIND_MAX:
        raise Unknown(f"a value of type {number}")
    return text(body, pos)


_NESTED = {_DATA_VALUE: data_value, _VARIANT: variant, _DIAGNOSTIC_INFO: diagnostic_info}


def localized_text(body: bytes, pos: int) -> int:
    mask, pos = byte(body, pos)
    for bit in (1, 2):
        if mask & bit:
            pos = text(body, pos)
    return pos


def _deeper(depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise Undecodable(f"values nested more than {DEPTH_MAX} deep")
    return depth + 1
