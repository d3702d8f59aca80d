"""ReadProperty and ReadPropertyMultiple as bytes, both ways. Pure: no socket, no time, no configuration.

The stack carries requests and answers; what is in them is written and read here, because the library's own decoding
costs ten times as much. In the tests the library is the oracle. Whatever a device sends, these functions either give
values that stand in its bytes or raise `Malformed`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READ_PROPERTY = 12
READ_PROPERTY_MULTIPLE = 14
I_AM = 0
WHO_IS = 8

NO_INDEX = -1
Key = tuple[int, int, int]
"""Object (32 bits), property, array index or `NO_INDEX`."""

_OPEN, _CLOSE = 6, 7
_OBJECT, _LIST, _LIST_END = 0x0C, 0x1E, 0x1F
_VALUE, _VALUE_END, _ERROR, _ERROR_END = 0x4E, 0x4F, 0x5E, 0x5F
_SINGLE_VALUE, _SINGLE_VALUE_END = 0x3E, 0x3F
_REAL_TAG = 0x44
_BOOLEAN = 1
_CONTEXT = 0x08
_INTEGER_BYTES_MAX = 8
_REAL = struct.Struct(">f")
_DOUBLE = struct.Struct(">d")
_CHARSETS = {0: "utf-8", 3: "utf-32-be", 4: "utf-16-be", 5: "latin-1"}
_DBCS = 1
_UNSPECIFIED = 255


class Malformed(Exception):
    """These bytes are not what the standard says."""


class _Senseless(Exception):
    """One value makes no sense."""


@dataclass(frozen=True, slots=True)
class AccessError:
    """What a device says instead of a value."""

    error_class: int
    code: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is not primitive, as it was encoded."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Bits:
    """A bit string as zeros and ones, the first bit first."""

    text: str


@dataclass(frozen=True, slots=True)
class ObjectId:
    """An object identifier, type and instance in 32 bits."""

    number: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value whose own bytes make no sense, in an answer that is otherwise sound."""

    why: str


Primitive = None | bool | int | float | str | bytes | Bits | ObjectId | Unreadable
Raw = Primitive | tuple[Primitive, ...] | Opaque | AccessError
"""A value as it was sent; several in a row, as in a list, are a tuple."""

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


def context(tag: int, number: int) -> bytes:
    """A number of no more bytes than it needs, with a context tag below 15."""
    size = max(1, (number.bit_length() + 7) // 8)
    return bytes((tag << 4 | _CONTEXT | size,)) + number.to_bytes(size, "big")


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
        device, position = _primitive(data, 0)
        max_apdu, _ = _primitive(data, position)
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
    if data[position] & 0xF8 == (tag + 1) << 4 | _CONTEXT and data[position] & 7 < _OPEN:
        index, position = context_number(data, position, tag + 1)
        return number, index, position
    return number, NO_INDEX, position


def context_number(data: bytes, position: int, tag: int) -> tuple[int, int]:
    """A number of at most 32 bits with this context tag, and the position behind it. Raises `Malformed`."""
    size = data[position] & 7
    if data[position] != tag << 4 | _CONTEXT | size or not 0 < size <= 4:  # noqa: PLR2004 - bytes of an Unsigned32
        raise Malformed(f"no context tag {tag} at byte {position}")
    end = position + 1 + size
    if end > len(data):
        raise Malformed("cut off")
    return int.from_bytes(data[position + 1 : end], "big"), end


def _access_error(data: bytes, position: int) -> tuple[AccessError, int]:
    error_class, position = _primitive(data, position)
    code, position = _primitive(data, position)
    if type(error_class) is not int or type(code) is not int:
        raise Malformed("an error without class and code")
    return AccessError(error_class, code), position


def values_until(data: bytes, position: int, close: int) -> tuple[Raw, int]:
    """What stands before the closing tag, and the position behind it. Raises `Malformed` and `IndexError`."""
    start = position
    several: list[Primitive] = []
    while data[position] != close:
        if data[position] & _CONTEXT:
            end = _skip(data, position, close)
            return Opaque(data[start:end]), end + 1
        value, position = _primitive(data, position)
        several.append(value)
    return (several[0] if len(several) == 1 else tuple(several)), position + 1


def _skip(data: bytes, position: int, close: int) -> int:
    """The position of the closing tag of what begins before `position`, over whatever is nested in it."""
    depth = 0
    while depth or data[position] != close:
        kind = data[position] & (_CONTEXT | 7)
        if kind == _CONTEXT | _OPEN:
            depth += 1
            position += 1
        elif kind == _CONTEXT | _CLOSE:
            depth -= 1
            position += 1
        else:
            _, size, position = _tag(data, position)
            position += size
        if depth < 0:
            raise Malformed(f"a closing tag too many at byte {position}")
    return position


def _tag(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag number, length of the data and the position of the data; a boolean of the application has no data."""
    first = data[position]
    number, size = first >> 4, first & 7
    position += 1
    if number == 15:  # noqa: PLR2004 - the next byte has the number
        number = data[position]
        position += 1
    if not first & _CONTEXT and number == _BOOLEAN:
        return number, 0, position
    if size == 5:  # noqa: PLR2004 - the next bytes have the length
        size, position = _long_size(data, position)
    if size > len(data) - position:
        raise Malformed("cut off")
    return number, size, position


def _long_size(data: bytes, position: int) -> tuple[int, int]:
    size = data[position]
    if size < 254:  # noqa: PLR2004 - 254 and 255 say that two or four bytes follow
        return size, position + 1
    end = position + (3 if size == 254 else 5)  # noqa: PLR2004 - see above
    data[end - 1]  # raises IndexError where it is cut off
    return int.from_bytes(data[position + 1 : end], "big"), end


def _primitive(data: bytes, position: int) -> tuple[Primitive, int]:
    """One value with an application tag, and the position behind it."""
    first = data[position]
    if first == _REAL_TAG:  # the most frequent of all
        if position + 5 > len(data):
            raise Malformed("cut off")
        return _real(data[position + 1 : position + 5]), position + 5
    if first & _CONTEXT or first & 7 > 5:  # noqa: PLR2004 - 6 and 7 are opening and closing tags
        raise Malformed(f"no application tag at byte {position}")
    if first >> 4 == _BOOLEAN:
        return _boolean(first & 7), position + 1
    number, size, position = _tag(data, position)
    decode = _DECODERS.get(number)
    if decode is None:
        raise Malformed(f"application tag {number} at byte {position}")
    try:
        return decode(data[position : position + size]), position + size
    except _Senseless as senseless:
        return Unreadable(str(senseless)), position + size


def _boolean(value: int) -> bool:
    if value > 1:
        raise Malformed(f"boolean {value}")
    return bool(value)


def _null(body: bytes) -> None:
    if body:
        raise _Senseless("a null with data")


def _unsigned(body: bytes) -> int:
    if not 0 < len(body) <= _INTEGER_BYTES_MAX:
        raise _Senseless(f"an integer of {len(body)} bytes")
    return int.from_bytes(body, "big")


def _signed(body: bytes) -> int:
    if not 0 < len(body) <= _INTEGER_BYTES_MAX:
        raise _Senseless(f"an integer of {len(body)} bytes")
    return int.from_bytes(body, "big", signed=True)


def _real(body: bytes) -> float:
    if len(body) != _REAL.size:
        raise _Senseless(f"a real of {len(body)} bytes")
    value: float = _REAL.unpack(body)[0]
    return value


def _double(body: bytes) -> float:
    if len(body) != _DOUBLE.size:
        raise _Senseless(f"a double of {len(body)} bytes")
    value: float = _DOUBLE.unpack(body)[0]
    return value


def _text(body: bytes) -> str:
    if not body:
        raise _Senseless("a character string without character set")
    charset, text = _CHARSETS.get(body[0]), body[1:]
    if body[0] == _DBCS:
        charset, text = f"cp{int.from_bytes(body[1:3], 'big')}", body[3:]
    try:
        return text.decode(charset or "")
    except (LookupError, UnicodeDecodeError) as error:
        raise _Senseless(f"a character string in character set {body[0]} that cannot be read") from error


@lru_cache(maxsize=256)
def _bits(body: bytes) -> Bits:
    """Cached, because a site has few different status flags and very many of each."""
    unused = body[0] if body else 8
    if unused > 7 or (unused and len(body) == 1):  # noqa: PLR2004 - bits of a byte
        raise _Senseless("a bit string with an impossible length")
    text = "".join(f"{byte:08b}" for byte in body[1:])
    return Bits(text[: len(text) - unused])


def _date(body: bytes) -> str:
    """ISO 8601; `*` stands for what the device leaves open."""
    if len(body) != 4:  # noqa: PLR2004 - year, month, day, day of the week
        raise _Senseless(f"a date of {len(body)} bytes")
    year = "*" if body[0] == _UNSPECIFIED else str(1900 + body[0])
    return f"{year}-{_two_digits(body[1])}-{_two_digits(body[2])}"


def _time(body: bytes) -> str:
    if len(body) != 4:  # noqa: PLR2004 - hour, minute, second, hundredths
        raise _Senseless(f"a time of {len(body)} bytes")
    hour, minute, second, hundredth = map(_two_digits, body)
    return f"{hour}:{minute}:{second}.{hundredth}"


def _two_digits(part: int) -> str:
    return "*" if part == _UNSPECIFIED else f"{part:02}"


def _object_id(body: bytes) -> ObjectId:
    if len(body) != 4:  # noqa: PLR2004 - bytes of an identifier
        raise _Senseless(f"an object identifier of {len(body)} bytes")
    return ObjectId(int.from_bytes(body, "big"))


_DECODERS: Mapping[int, Callable[[bytes], Primitive]] = {
    0: _null,
    2: _unsigned,
    3: _signed,
    4: _real,
    5: _double,
    6: bytes,
    7: _text,
    8: _bits,
    9: _unsigned,
    10: _date,
    11: _time,
    12: _object_id,
}
