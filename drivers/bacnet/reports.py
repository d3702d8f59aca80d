"""What makes a device report by itself, and what it then says, as bytes. Pure, as `codec`, whose other half this is.

Change of value: a subscription is for one object, ends by itself after its lifetime, and is told apart by a number that
the subscriber chose. Asking again with the same number renews it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.bacnet.codec import NO_INDEX, property_reference
from drivers.bacnet.encoding import Malformed, context, context_number, values_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.bacnet.codec import Key
    from drivers.bacnet.encoding import Raw

CONFIRMED_COV = 1
UNCONFIRMED_COV = 2
SUBSCRIBE_COV = 5
SUBSCRIBE_COV_PROPERTY = 28

_DEVICE = 8
_INSTANCE_BITS = 22
_INSTANCE_MASK = 0x3FFFFF
_OPEN_4, _CLOSE_4 = 0x4E, 0x4F
_OPEN_VALUE, _CLOSE_VALUE = 0x2E, 0x2F
_PRIORITY = 0x39
_CONFIRMED = b"\x29\x01"
_REAL_IN_CONTEXT_5 = struct.Struct(">Bf")


@dataclass(frozen=True, slots=True)
class CovNotification:
    """What a device says of one object because its value changed, or because somebody subscribed."""

    process: int
    instance: int
    target: int
    values: Mapping[Key, Raw]


def subscribe_cov(process: int, target: int, lifetime_s: int) -> bytes:
    """Have an object's value and status flags reported, confirmed, by the increment that the device has for it."""
    return _subscription(process, target, lifetime_s)


def subscribe_cov_property(process: int, key: Key, increment: float, lifetime_s: int) -> bytes:
    """Have one property reported, confirmed, whenever it has moved by `increment`."""
    target, number, index = key
    element = b"" if index == NO_INDEX else context(1, index)
    reference = bytes((_OPEN_4,)) + context(0, number) + element + bytes((_CLOSE_4,))
    return _subscription(process, target, lifetime_s) + reference + _REAL_IN_CONTEXT_5.pack(0x5C, increment)


def _subscription(process: int, target: int, lifetime_s: int) -> bytes:
    return context(0, process) + b"\x1c" + target.to_bytes(4, "big") + _CONFIRMED + context(3, lifetime_s)


def cov_notification(data: bytes) -> CovNotification:
    """What a notification says, confirmed or not. Raises `Malformed`."""
    try:
        process, position = context_number(data, 0, 0)
        device, position = _object(data, position, 1)
        target, position = _object(data, position, 2)
        _, position = context_number(data, position, 3)
        if data[position] != _OPEN_4:
            raise Malformed(f"no list of values at byte {position}")
        values, position = _values(data, position + 1, target)
    except IndexError as error:
        raise Malformed("cut off") from error
    if position != len(data) or device >> _INSTANCE_BITS != _DEVICE:
        raise Malformed("not a notification of a device")
    return CovNotification(process, device & _INSTANCE_MASK, target, values)


def _object(data: bytes, position: int, tag: int) -> tuple[int, int]:
    if data[position] != tag << 4 | 0x0C:
        raise Malformed(f"no object at byte {position}")
    return context_number(data, position, tag)


def _values(data: bytes, position: int, target: int) -> tuple[dict[Key, Raw], int]:
    """The properties up to the end of the list, and the position behind it."""
    found: dict[Key, Raw] = {}
    while data[position] != _CLOSE_4:
        number, index, position = property_reference(data, position, 0)
        if data[position] != _OPEN_VALUE:
            raise Malformed(f"no value at byte {position}")
        found[target, number, index], position = values_until(data, position + 1, _CLOSE_VALUE)
        if data[position] & 0xF8 == _PRIORITY & 0xF8:
            _, position = context_number(data, position, 3)
    return found, position + 1
