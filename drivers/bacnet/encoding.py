"""Tags and primitive values of BACnet as bytes. Pure. What requests and answers are made of them is in `codec`.

Whatever a device sends, these functions either give values that stand in its bytes or raise: `Malformed` where nothing
after them can be trusted, `IndexError` where the bytes end too early; a value whose own bytes make no sense is
`Unreadable`, and what follows it is still good.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPEN, _CLOSE = 6, 7
_REAL_TAG = 0x44
_BOOLEAN = 1
CONTEXT = 0x08
"""The bit of a tag's first byte that says that its number is the context's."""

_LONG_NUMBER = 15
"""As a tag number: the next byte has it."""

_RESERVED = 0xD0
"""Application tags from 13 on are those of no type that the standard has."""

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
    """A value that is not primitive, or of a type that the standard does not have, as it was encoded."""

    data: bytes

    @property
    def what(self) -> str:
        """In the words of a quality."""
        first = self.data[0] if self.data else CONTEXT
        return "structure" if first & CONTEXT else f"application tag {first >> 4}"


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


@dataclass(frozen=True, slots=True)
class Several:
    """Primitive values in a row, a list or a structure of them; and as they were encoded, for whoever knows which."""

    items: tuple[Primitive, ...]
    data: bytes = field(default=b"", compare=False)


Raw = Primitive | Several | Opaque | AccessError
"""A value as it was sent."""


def context(tag: int, number: int) -> bytes:
    """A number of no more bytes than it needs, with a context tag below 15."""
    size = max(1, (number.bit_length() + 7) // 8)
    return bytes((tag << 4 | CONTEXT | size,)) + number.to_bytes(size, "big")


def context_number(data: bytes, position: int, tag: int) -> tuple[int, int]:
    """A number of at most 32 bits with this context tag, and the position behind it. Raises `Malformed`."""
    size = data[position] & 7
    if data[position] != tag << 4 | CONTEXT | size or not 0 < size <= 4:  # noqa: PLR2004 - bytes of an Unsigned32
        raise Malformed(f"no context tag {tag} at byte {position}")
    end = position + 1 + size
    if end > len(data):
        raise Malformed("cut off")
    return int.from_bytes(data[position + 1 : end], "big"), end


def context_object(body: bytes) -> int:
    """An object identifier from the data of its context tag, as 32 bits. Raises `Malformed`."""
    if len(body) != 4:  # noqa: PLR2004 - bytes of an identifier
        raise Malformed(f"an object identifier of {len(body)} bytes")
    return int.from_bytes(body, "big")


def bits(body: bytes) -> Bits:
    """A bit string from the data of its context tag. Raises `Malformed`."""
    try:
        return _bits(body)
    except _Senseless as senseless:
        raise Malformed(str(senseless)) from senseless


def members(data: bytes) -> dict[int, bytes]:
    """All members of a sequence by their context tags, as `member` gives them. Raises `Malformed` and `IndexError`."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        tag, body, position = member(data, position)
        found[tag] = body
    return found


def member(data: bytes, position: int) -> tuple[int, bytes, int]:
    """One member of a sequence: its context tag, its data or what stands between its brackets, the position behind it.

    Raises `Malformed` and `IndexError`.
    """
    first = data[position]
    number, kind = first >> 4, first & 7
    if not first & CONTEXT or number == _LONG_NUMBER or kind == _CLOSE:
        raise Malformed(f"no member of a sequence at byte {position}")
    if kind == _OPEN:
        end = _skip(data, position + 1, first | 1)
        return number, data[position + 1 : end], end + 1
    _, size, start = _tag(data, position)
    return number, data[start : start + size], start + size


def values_until(data: bytes, position: int, close: int) -> tuple[Raw, int]:
    """What stands before the closing tag, and the position behind it. Raises `Malformed` and `IndexError`."""
    start = position
    several: list[Primitive] = []
    while data[position] != close:
        if data[position] & CONTEXT or data[position] >= _RESERVED:
            end = _skip(data, position, close)
            return Opaque(data[start:end]), end + 1
        value, position = primitive(data, position)
        several.append(value)
    if len(several) == 1:
        return several[0], position + 1
    return Several(tuple(several), data[start:position]), position + 1


def _skip(data: bytes, position: int, close: int) -> int:
    """The position of the closing tag of what begins before `position`, over whatever is nested in it."""
    depth = 0
    while depth or data[position] != close:
        _, turn, position = part(data, position)
        depth += turn
        if depth < 0:
            raise Malformed(f"a closing tag too many at byte {position}")
    return position


def part(data: bytes, position: int) -> tuple[int, int, int]:
    """One tag of any kind: its number, 1 where it opens and -1 where it closes, the position behind it and its data.

    Raises `Malformed` and `IndexError`.
    """
    first = data[position]
    if first & 7 < _OPEN:
        number, size, start = _tag(data, position)
        return number, 0, start + size
    if not first & CONTEXT:
        raise Malformed(f"no tag at byte {position}")
    turn = 1 if first & 7 == _OPEN else -1
    if first >> 4 == _LONG_NUMBER:
        return data[position + 1], turn, position + 2
    return first >> 4, turn, position + 1


def _tag(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag number, length of the data and the position of the data; a boolean of the application has no data."""
    first = data[position]
    number, size = first >> 4, first & 7
    position += 1
    if number == _LONG_NUMBER:
        number = data[position]
        position += 1
    if not first & CONTEXT and number == _BOOLEAN:
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


def primitive(data: bytes, position: int) -> tuple[Primitive, int]:
    """One value with an application tag, and the position behind it. Raises `Malformed` and `IndexError`."""
    first = data[position]
    if first == _REAL_TAG:  # the most frequent of all
        if position + 5 > len(data):
            raise Malformed("cut off")
        return _real(data[position + 1 : position + 5]), position + 5
    if first & CONTEXT or first & 7 > 5:  # noqa: PLR2004 - 6 and 7 are opening and closing tags
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
