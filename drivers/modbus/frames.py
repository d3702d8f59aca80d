"""The frames of a serial line (RTU): written, and found again in what came. Pure.

A frame has neither a beginning nor a length nor a transaction: only its function says how long it is, and only the
check sum that it is whole. So a stretch that could be the beginning of a reply is waited for before anything inside it
is looked at: what a device reports must not pass for a frame of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from pymodbus.framer import FramerRTU

from drivers.modbus.connection import EXCEPTION_BIT, READ_FUNCTIONS

_ENVELOPE_BYTES = 3
"""Unit before, check sum after."""

_EXCEPTION_BYTES = 5
_BYTES_MAX = 256
_IDENTIFY = 0x2B
_OBJECTS_AT = 8
"""Where the first object of an identification begins: unit, function, 14, kind, conformity, more, next, count."""


class Frame(NamedTuple):
    """A whole frame whose check sum is right. `pdu` begins with the function."""

    unit: int
    pdu: bytes


class Found(NamedTuple):
    """What stands at the beginning: `used` bytes can be thrown away; `frame` is what they end in, if anything."""

    used: int
    frame: Frame | None = None


def written(unit: int, pdu: bytes) -> bytes:
    """The frame of a request."""
    return _with_check_sum(bytes((unit,)) + pdu)


def find(data: bytes, units: frozenset[int]) -> Found:
    """The first reply of one of `units` to a reading function, or how much is certainly not the beginning of one."""
    for at in range(len(data)):
        length = _length(data, at, units)
        if length == 0:
            continue
        if length is None or at + length > len(data):
            return Found(at)
        frame = data[at : at + length]
        if _with_check_sum(frame[:-2]) == frame:
            return Found(at + length, Frame(frame[0], frame[1:-2]))
    return Found(len(data))


def _length(data: bytes, at: int, units: frozenset[int]) -> int | None:
    """Bytes of the frame that may begin at `at`; 0 where none can, None while too little has come to tell."""
    if data[at] not in units:
        return 0
    if at + 1 == len(data):
        return None
    function = data[at + 1]
    if function & ~EXCEPTION_BIT not in READ_FUNCTIONS:
        return 0
    if function & EXCEPTION_BIT:
        return _EXCEPTION_BYTES
    return _identification_length(data, at) if function == _IDENTIFY else _data_length(data, at)


def _data_length(data: bytes, at: int) -> int | None:
    """The byte count is the third byte."""
    if at + 2 == len(data):
        return None
    length = 2 + _ENVELOPE_BYTES + data[at + 2]
    return length if length <= _BYTES_MAX else 0


def _identification_length(data: bytes, at: int) -> int | None:
    """Each object is an id, a length and so many bytes; how many there are stands before them."""
    end = at + _OBJECTS_AT
    if len(data) < end:
        return None
    for _ in range(data[end - 1]):
        if len(data) < end + 2:
            return None
        end += 2 + data[end + 1]
        if end - at > _BYTES_MAX:
            return 0
    return end + 2 - at


def _with_check_sum(frame: bytes) -> bytes:
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")
