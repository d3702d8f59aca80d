"""What a device says of its own alarms, as bytes. Pure, as `codec`: which of them stand, and that one changed.

Event information is asked for, page by page, and lists every object that is not normal or not acknowledged yet. Event
notifications come by themselves, to those whom the device's own list of recipients names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from drivers.bacnet.encoding import Bits, Malformed, bits, context_object, member, members

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIRMED_EVENT = 2
UNCONFIRMED_EVENT = 3
GET_EVENT_INFORMATION = 29

TRANSITIONS = 3
"""To off-normal, to fault, to normal: each can be acknowledged."""

NotifyType = Literal["alarm", "event", "acknowledgement"]

_NOTIFY_TYPES: tuple[NotifyType, ...] = ("alarm", "event", "acknowledgement")
_DEVICE = 8
_INSTANCE_BITS = 22
_INSTANCE_MASK = 0x3FFFFF
_ENUMERATED_BYTES_MAX = 4
_UNSPECIFIED = b"\xff\xff\xff\xff"

_OBJECT, _STATE, _ACKED, _PRIORITIES = 0, 1, 2, 6
_SUMMARIES, _MORE = 0, 1
_INITIATOR, _EVENT_OBJECT, _TIME, _NOTIFY_TYPE, _ACK_REQUIRED, _TO_STATE = 1, 2, 3, 8, 9, 11


@dataclass(frozen=True, slots=True)
class Summary:
    """One object whose state is not normal, or of which something is not acknowledged yet."""

    target: int
    state: int
    acked: Bits


@dataclass(frozen=True, slots=True)
class EventNotification:
    """That an object went into a state, or with `acknowledgement` that somebody has seen that it did.

    `time` is the device's own, as it was encoded: the same event said twice has the same one, if the device has a clock
    or counts.
    """

    instance: int
    target: int
    time: bytes
    kind: NotifyType
    ack_required: bool
    state: int

    @property
    def is_dated(self) -> bool:
        """Whether it can be told from the same event at another time."""
        return _UNSPECIFIED not in self.time


def event_information(after: int | None) -> bytes:
    """The parameters of a request for what stands; `after` is the last object of the page before."""
    return b"" if after is None else b"\x0c" + after.to_bytes(4, "big")


def event_summaries(data: bytes) -> tuple[list[Summary], bool]:
    """What one page says, and whether there are more. Raises `Malformed`."""
    try:
        page = members(data)
        found = [_summary(one) for one in _sequences(page[_SUMMARIES], _PRIORITIES)]
        return found, _boolean(page[_MORE])
    except (IndexError, KeyError) as error:
        raise Malformed("cut off, or a part is missing") from error


def event_notification(data: bytes) -> EventNotification:
    """What a device reports, confirmed or not. Raises `Malformed`."""
    try:
        said = members(data)
        initiator, kind = context_object(said[_INITIATOR]), _number(said[_NOTIFY_TYPE])
        if initiator >> _INSTANCE_BITS != _DEVICE or kind >= len(_NOTIFY_TYPES):
            raise Malformed("not a notification of a device")
        return EventNotification(
            initiator & _INSTANCE_MASK,
            context_object(said[_EVENT_OBJECT]),
            said[_TIME],
            _NOTIFY_TYPES[kind],
            _ACK_REQUIRED in said and _boolean(said[_ACK_REQUIRED]),
            _number(said[_TO_STATE]),
        )
    except (IndexError, KeyError) as error:
        raise Malformed("cut off, or a part is missing") from error


def _sequences(data: bytes, last: int) -> Iterator[dict[int, bytes]]:
    """Sequences in a row, each up to its `last` member, which none lacks."""
    position, said = 0, dict[int, bytes]()
    while position < len(data):
        tag, body, position = member(data, position)
        said[tag] = body
        if tag == last:
            yield said
            said = {}
    if said:
        raise Malformed("cut off")


def _summary(said: dict[int, bytes]) -> Summary:
    acked = bits(said[_ACKED])
    if len(acked.text) != TRANSITIONS:
        raise Malformed(f"{len(acked.text)} acknowledged transitions")
    return Summary(context_object(said[_OBJECT]), _number(said[_STATE]), acked)


def _number(body: bytes) -> int:
    if not 0 < len(body) <= _ENUMERATED_BYTES_MAX:
        raise Malformed(f"a number of {len(body)} bytes")
    return int.from_bytes(body, "big")


def _boolean(body: bytes) -> bool:
    if body not in {b"\x00", b"\x01"}:
        raise Malformed(f"boolean {body.hex()}")
    return body == b"\x01"
