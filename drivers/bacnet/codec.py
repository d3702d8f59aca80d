"""Who-Is, ReadProperty and ReadPropertyMultiple as bytes, both ways. Pure: no socket, no time, no configuration.

The stack carries requests and answers; what is in them is written and read here, because the library's own decoding
costs ten times as much. In the tests the library is the oracle. Whatever a device sends, these functions either give
values that stand in its bytes or raise `Malformed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.bacnet.encoding import (
    CONTEXT,
    AccessError,
    Malformed,
    ObjectId,
    Raw,
    context,
    context_number,
    primitive,
    values_until,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_PROPERTY = 12
READ_PROPERTY_MULTIPLE = 14
I_AM = 0
WHO_IS = 8

NO_INDEX = -1
Key = tuple[int, int, int]
"""Object (32 bits), property, array index or `NO_INDEX`."""

_OPENING = 6
_OBJECT, _LIST, _LIST_END = 0x0C, 0x1E, 0x1F
_VALUE, _VALUE_END, _ERROR, _ERROR_END = 0x4E, 0x4F, 0x5E, 0x5F
_SINGLE_VALUE, _SINGLE_VALUE_END = 0x3E, 0x3F

Result = tuple[Key, Raw]


@dataclass(frozen=True, slots=True)
class IAm:
    """What a device says of itself when it is searched for."""

    instance: int
    max_apdu: int


# --- writing -----------------------------------------------------------------------------------------------------


def who_is(low: int, high: int) -> bytes:
    """The parameters of a Who-Is for a range of instances."""
    return context(0, low) + context(1, high)


def read_property(key: Key) -> bytes:
    """The parameters of one ReadProperty request."""
    identifier, number, index = key
    return b"\x0c" + identifier.to_bytes(4, "big") + _reference(1, number, index)


def read_multiple(wanted: Sequence[Sequence[Key]]) -> bytes:
    """The parameters of one ReadPropertyMultiple request; the keys of one group are of one object."""
    parts: list[bytes] = []
    for group in wanted:
        parts.append(b"\x0c" + group[0][0].to_bytes(4, "big") + b"\x1e")
        parts.extend(_reference(0, number, index) for _, number, index in group)
        parts.append(b"\x1f")
    return b"".join(parts)


def _reference(tag: int, number: int, index: int) -> bytes:
    element = b"" if index == NO_INDEX else context(tag + 1, index)
    return context(tag, number) + element


# --- reading -----------------------------------------------------------------------------------------------------


def multiple_results(data: bytes) -> list[Result]:
    """What a ReadPropertyMultiple acknowledgement says, in its order. Raises `Malformed`."""
    results: list[Result] = []
    position = 0
    try:
        while position < len(data):
            if data[position] != _OBJECT or data[position + 5] != _LIST:
                raise Malformed(f"no object at byte {position}")
            identifier = int.from_bytes(data[position + 1 : position + 5], "big")
            position = _object_results(data, position + 6, identifier, results)
    except IndexError as error:
        raise Malformed("cut off") from error
    return results


def single_result(data: bytes) -> Result:
    """What a ReadProperty acknowledgement says. Raises `Malformed`."""
    try:
        if data[0] != _OBJECT:
            raise Malformed("no object at byte 0")
        number, index, position = property_reference(data, 5, 1)
        if data[position] != _SINGLE_VALUE:
            raise Malformed(f"no value at byte {position}")
        value, position = values_until(data, position + 1, _SINGLE_VALUE_END)
    except IndexError as error:
        raise Malformed("cut off") from error
    if position != len(data):
        raise Malformed(f"{len(data) - position} bytes after the end")
    return (int.from_bytes(data[1:5], "big"), number, index), value


def access_error(data: bytes) -> AccessError:
    """What an Error PDU, or an error within an acknowledgement, says. Raises `Malformed`."""
    try:
        error, _ = _access_error(data, 0)
    except IndexError as cut:
        raise Malformed("cut off") from cut
    return error


def i_am(data: bytes) -> IAm:
    """What an I-Am says. Raises `Malformed`."""
    try:
        device, position = primitive(data, 0)
        max_apdu, _ = primitive(data, position)
    except IndexError as error:
        raise Malformed("cut off") from error
    if not isinstance(device, ObjectId) or type(max_apdu) is not int:
        raise Malformed("not an I-Am")
    return IAm(device.number & 0x3FFFFF, max_apdu)


def _object_results(data: bytes, position: int, identifier: int, results: list[Result]) -> int:
    """The results of one object up to its closing tag; gives the position behind it."""
    value: Raw
    while data[position] != _LIST_END:
        number, index, position = property_reference(data, position, 2)
        tag = data[position]
        if tag == _VALUE:
            value, position = values_until(data, position + 1, _VALUE_END)
        elif tag == _ERROR:
            value, position = _access_error(data, position + 1)
            if data[position] != _ERROR_END:
                raise Malformed(f"no end of the error at byte {position}")
            position += 1
        else:
            raise Malformed(f"neither value nor error at byte {position}")
        results.append(((identifier, number, index), value))
    return position + 1


def property_reference(data: bytes, position: int, tag: int) -> tuple[int, int, int]:
    """Property, array index or `NO_INDEX`, and the position behind them; `tag` is the context tag of the property.

    Raises `Malformed` and `IndexError`.
    """
    number, position = context_number(data, position, tag)
    if data[position] & 0xF8 == (tag + 1) << 4 | CONTEXT and data[position] & 7 < _OPENING:
        index, position = context_number(data, position, tag + 1)
        return number, index, position
    return number, NO_INDEX, position


def _access_error(data: bytes, position: int) -> tuple[AccessError, int]:
    error_class, position = primitive(data, position)
    code, position = primitive(data, position)
    if type(error_class) is not int or type(code) is not int:
        raise Malformed("an error without class and code")
    return AccessError(error_class, code), position
