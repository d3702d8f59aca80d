"""The way to the library's decoder, for what ours has no case for: bounded before, compared afterwards.

The library takes its time for each part of a message, passes over parts that it does not expect, and guesses at a text
whose character set is not the one that was said. So nothing reaches it whose lengths, brackets or size are not in
order, and what it gives counts only if, encoded again, it is all that was sent.
"""

from __future__ import annotations

from typing import Any

from bacpypes3.errors import DecodingError, RejectException
from bacpypes3.pdu import PDUData
from bacpypes3.primitivedata import TagList

from drivers.bacnet.encoding import Malformed, part

BYTES_MAX = 16_384
PARTS_MAX = 1_000
"""Tags; the library takes some 50 us for each, and everything else waits meanwhile."""

DEPTH_MAX = 16
"""Brackets within brackets; no type of the standard needs half of that."""

NOT_THIS = (RejectException, DecodingError, AttributeError, ValueError, TypeError, LookupError)
"""What the library raises for bytes that do not fit the type; found by feeding it random ones."""


class OutOfBounds(Malformed):
    """These bytes are not for the library."""


def decoded(datatype: Any, data: bytes) -> Any:
    """The library's object of this type of its own. Raises `OutOfBounds`, and `Malformed` where it cannot read it."""
    _check(data)
    try:
        sent = TagList.decode(PDUData(data))
        found = datatype.decode(TagList(sent))
        if _spelled(found.encode()) == _spelled(sent):
            return found
    except NOT_THIS as error:
        raise Malformed(f"a structure that is no {datatype.__name__}") from error
    raise Malformed(f"a structure that the library reads as {datatype.__name__} in part only")


def _check(data: bytes) -> None:
    """Raises `OutOfBounds` unless all that is announced is there, and not too much of it."""
    if len(data) > BYTES_MAX:
        raise OutOfBounds(f"a structure of more than {BYTES_MAX} bytes")
    opened: list[int] = []
    position = parts = 0
    try:
        while position < len(data):
            number, turn, position = part(data, position)
            parts += 1
            if turn > 0:
                opened.append(number)
            elif turn < 0 and (not opened or opened.pop() != number):
                raise OutOfBounds(f"a closing tag too many before byte {position}")
            if parts > PARTS_MAX or len(opened) > DEPTH_MAX:
                raise OutOfBounds(f"a structure of more than {PARTS_MAX} parts, or more than {DEPTH_MAX} deep")
    except (IndexError, Malformed) as error:
        raise OutOfBounds("cut off" if isinstance(error, IndexError) else str(error)) from error
    if opened:
        raise OutOfBounds("cut off")


def _spelled(tags: TagList) -> list[tuple[int, int, bytes, int | None]]:
    """What tags say, however many zeros stand before a number. Where there is no data, the length may be a boolean."""
    return [
        (int(one.tag_class), int(one.tag_number), one.tag_data.lstrip(b"\0"), None if one.tag_data else one.tag_lvt)
        for one in tags
    ]
