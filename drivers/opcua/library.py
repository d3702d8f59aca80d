"""asyncua's decoder behind ours: for what ours does not know, and in the tests the oracle of what it does.

It believes announced lengths: an array of two thousand million nothings takes four bytes to announce, and it would make
them all. So whatever ours calls malformed never gets here, and what does is bounded: in bytes, and in steps of Python.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from drivers.opcua.decode import Publication, Values
from drivers.opcua.kinds import ARRAY, ENCODED, NULL
from drivers.opcua.walk import Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from drivers.opcua.decode import Fields, Sample

BYTES_MAX = 65_536
"""Of one answer: as much as we ask a server to send in one frame."""
STEPS_MIN, STEPS_PER_BYTE = 50_000, 40
"""Calls and returns, of Python and of C: what it takes to compile its decoders once, and twice what it takes for the
byte that costs it most.
"""

_MATRIX = 0x40


def publication(body: bytes) -> Publication:
    """A PublishResponse. Raises what `faults.GARBLED` names."""
    with _bounded(len(body)):
        answer = ua_binary.struct_from_binary(ua.PublishResponse, Buffer(body))
        result = int(answer.ResponseHeader.ServiceResult.value)
        return Publication(result) if result & 0x8000_0000 else _published(result, answer.Parameters)


def values(body: bytes) -> Values:
    """A ReadResponse. Raises as `publication`."""
    with _bounded(len(body)):
        answer = ua_binary.struct_from_binary(ua.ReadResponse, Buffer(body))
        result = int(answer.ResponseHeader.ServiceResult.value)
        found = () if result & 0x8000_0000 else answer.Results
        return Values(result, tuple(_sample(place, one) for place, one in enumerate(found)))


def scalar(kind: int, encoded: bytes) -> tuple[int, object, int]:
    """Type number, value and status of what is in a value that ours has left encoded. Raises as `publication`."""
    with _bounded(len(encoded)):
        variant = ua_binary.variant_from_binary(Buffer(bytes([kind]) + encoded))
        status = 0
        while isinstance(inner := variant.Value, ua.Variant | ua.DataValue):
            if isinstance(inner, ua.DataValue):
                status = max(status, _status(inner))
                inner = inner.Value or ua.Variant()
            variant = inner
        return *_scalar(variant, within=True), status


@contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Ends what takes too many steps. Nothing else can: a loop over nothings reads no byte, and waits for nobody."""
    if size > BYTES_MAX:
        raise Undecodable(f"{size} bytes of what only the library might understand")
    left = STEPS_MIN + STEPS_PER_BYTE * size

    def count(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Undecodable("more is announced than is there")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    except (AttributeError, AssertionError) as error:
        # How it meets what it did not expect; a mistake of ours in here would be one about the same bytes.
        raise Undecodable(f"not understood by the library either: {error}") from error
    finally:
        sys.setprofile(before)


def _published(result: int, given: ua.PublishResult) -> Publication:
    message = given.NotificationMessage
    parts = message.NotificationData or []
    samples: list[Sample] = []
    events: list[tuple[int, Fields]] = []
    status = None
    for data in parts:
        if isinstance(data, ua.DataChangeNotification):
            samples += [_sample(int(one.ClientHandle), one.Value) for one in data.MonitoredItems]
        elif isinstance(data, ua.EventNotificationList):
            events += [(int(one.ClientHandle), tuple(map(_scalar, one.EventFields))) for one in data.Events]
        elif isinstance(data, ua.StatusChangeNotification):
            status = int(data.Status.value)
        else:
            raise Undecodable(f"a notification of type {getattr(data, 'TypeId', type(data).__name__)}")
    number = int(message.SequenceNumber)
    return Publication(result, int(given.SubscriptionId), number, not parts, tuple(samples), status, tuple(events))


def _sample(handle: int, value: ua.DataValue) -> Sample:
    time = value.SourceTimestamp if value.SourceTimestamp is not None else value.ServerTimestamp
    ticks = ua.datetime_to_win_epoch(time) if time is not None else 0
    kind, found = _scalar(value.Value) if value.Value is not None else (NULL, None)
    return handle, kind, found, _status(value), ticks


def _status(value: ua.DataValue) -> int:
    return int(value.StatusCode.value) if value.StatusCode is not None else 0


def _scalar(variant: ua.Variant, *, within: bool = False) -> tuple[int, object]:
    """Type number and value, as in a sample of ours; `within` what ours leaves encoded."""
    kind = variant.VariantType.value | (ARRAY if variant.is_array else 0) | (_MATRIX if variant.Dimensions else 0)
    if kind & ARRAY or (kind in ENCODED and not within):
        return kind, ua_binary.variant_to_binary(variant)[1:]
    value: object = variant.Value
    if type(value) in _PLAIN:
        value = _PLAIN[type(value)](value)
    return kind, value if isinstance(value, int | float | str | UUID) else None


_PLAIN: dict[type, Callable[[Any], object]] = {
    ua.LocalizedText: attrgetter("Text"),
    ua.QualifiedName: attrgetter("Name"),
    ua.XmlElement: attrgetter("Value"),
    ua.StatusCode: attrgetter("value"),
    datetime: ua.datetime_to_win_epoch,
}
