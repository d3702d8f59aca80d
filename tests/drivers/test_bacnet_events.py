"""Event information and event notifications as bytes, against the library's own encoder, and against random bytes."""

from __future__ import annotations

from typing import Any

import pytest
from bacpypes3.apdu import (
    ConfirmedEventNotificationRequest,
    GetEventInformationACK,
    GetEventInformationRequest,
    UnconfirmedEventNotificationRequest,
)
from bacpypes3.basetypes import (
    DateTime,
    EventTransitionBits,
    GetEventInformationEventSummary,
    NotificationParameters,
    NotificationParametersChangeOfState,
    NotificationParametersOutOfRange,
    PropertyStates,
    StatusFlags,
    TimeStamp,
)
from bacpypes3.primitivedata import ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bacnet import events
from drivers.bacnet.encoding import Bits, Malformed
from drivers.bacnet.events import EventNotification, Summary

SLOW_MACHINE = settings(deadline=None, max_examples=150)
NO_FLAGS: Any = [1, 0, 0, 0]
OUT_OF_RANGE = NotificationParameters(
    outOfRange=NotificationParametersOutOfRange(
        exceedingValue=9.5, statusFlags=StatusFlags(NO_FLAGS), deadband=0.5, exceededLimit=8.0
    )
)
CHANGE_OF_STATE = NotificationParameters(
    changeOfState=NotificationParametersChangeOfState(
        newState=PropertyStates(binaryValue=1), statusFlags=StatusFlags(NO_FLAGS)
    )
)


def object_of(type_number: int, instance: int) -> ObjectIdentifier:
    return ObjectIdentifier((type_number, instance))


def times() -> list[TimeStamp]:
    return [TimeStamp(dateTime=DateTime.now()), TimeStamp(sequenceNumber=7), TimeStamp.as_time()]


def test_a_request_for_what_stands_is_what_the_library_would_write() -> None:
    """The first page, and the one after an object."""
    first, second = GetEventInformationRequest(), GetEventInformationRequest()
    second.lastReceivedObjectIdentifier = object_of(3, 12)
    assert events.event_information(None) == bytes(first.encode().pduData)
    assert events.event_information(3 << 22 | 12) == bytes(second.encode().pduData)


def page(*, more: bool) -> bytes:
    """Two objects, as the library writes them."""
    acked: Any = [0, 1, 1]
    stamps: Any = times()
    summaries: Any = [
        GetEventInformationEventSummary(
            objectIdentifier=object_of(kind, 12),
            eventState=state,
            acknowledgedTransitions=EventTransitionBits(acked),
            eventTimeStamps=stamps,
            notifyType=0,
            eventEnable=EventTransitionBits(acked),
            eventPriorities=[10, 20, 200],
        )
        for kind, state in ((0, 3), (21, 5))
    ]
    return bytes(GetEventInformationACK(listOfEventSummaries=summaries, moreEvents=more).encode().pduData)


@pytest.mark.parametrize("more", [False, True])
def test_event_information_of_the_library_is_read(*, more: bool) -> None:
    """Which objects, their states, what is acknowledged, and whether there are more."""
    expected = [Summary(12, 3, Bits("011")), Summary(21 << 22 | 12, 5, Bits("011"))]
    assert events.event_summaries(page(more=more)) == (expected, more)


def test_event_information_without_events_is_read() -> None:
    """Nothing stands."""
    assert events.event_summaries(bytes.fromhex("0e 0f 19 00")) == ([], False)


def notified(kind: Any, values: Any = OUT_OF_RANGE, **more: Any) -> bytes:
    """Device 1001 about analog-input,7, as the library writes it."""
    said = {"ackRequired": True, "fromState": 0, "notifyType": 0, **more}
    made = kind(
        processIdentifier=70000,
        initiatingDeviceIdentifier=object_of(8, 1001),
        eventObjectIdentifier=object_of(0, 7),
        timeStamp=TimeStamp(sequenceNumber=300),
        notificationClass=3,
        priority=100,
        eventType=5,
        toState=3,
        eventValues=values,
        **said,
    )
    return bytes(made.encode().pduData)


@pytest.mark.parametrize("kind", [ConfirmedEventNotificationRequest, UnconfirmedEventNotificationRequest])
@pytest.mark.parametrize("values", [OUT_OF_RANGE, CHANGE_OF_STATE, None])
@pytest.mark.parametrize("text", [None, "高温 high"])
def test_a_notification_of_the_library_is_read(kind: Any, values: Any, text: str | None) -> None:
    """Who says it, of what, when, and the new state, whatever else is told."""
    more = {} if text is None else {"messageText": text}
    expected = EventNotification(1001, 7, b"\x1a\x01\x2c", "alarm", ack_required=True, state=3)
    assert events.event_notification(notified(kind, values, **more)) == expected


def test_an_acknowledgement_is_told_from_an_event() -> None:
    """It has neither a state from which it came nor a demand to be acknowledged."""
    told = events.event_notification(
        notified(UnconfirmedEventNotificationRequest, None, notifyType=2, ackRequired=None, fromState=None)
    )
    assert (told.kind, told.ack_required) == ("acknowledgement", False)


def test_values_of_a_kind_with_a_long_number_are_passed_over() -> None:
    """Change of reliability is choice 19: its brackets have two bytes, within those of the values."""
    values = bytes.fromhex("ce fe 13 09 01 1a 04 c0 2e 2f ff 13 cf")
    whole = notified(UnconfirmedEventNotificationRequest, None) + values
    assert events.event_notification(whole).state == 3


HONEST = notified(ConfirmedEventNotificationRequest)
HONEST_PAGE = page(more=False)


@pytest.mark.parametrize("end", range(len(HONEST_PAGE)))
def test_event_information_that_is_cut_off_is_none(end: int) -> None:
    """Wherever it ends: half of what stands would say that the rest is normal."""
    with pytest.raises(Malformed):
        events.event_summaries(HONEST_PAGE[:end])


@SLOW_MACHINE
@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(HONEST_PAGE) - 1), st.integers(0, 255)))
def test_any_other_bytes_are_read_or_malformed(damage: bytes | tuple[int, int]) -> None:
    """Nothing else comes out of them, neither as a page nor as a notification."""
    for honest, read in ((HONEST_PAGE, events.event_summaries), (HONEST, events.event_notification)):
        data = (
            damage if isinstance(damage, bytes) else honest[: damage[0]] + bytes([damage[1]]) + honest[damage[0] + 1 :]
        )
        try:
            read(data)
        except Malformed:
            continue


def test_a_notification_in_the_name_of_no_device_is_none() -> None:
    """The one who reports must be a device object."""
    with pytest.raises(Malformed, match="not a notification of a device"):
        events.event_notification(HONEST.replace(bytes.fromhex("1c020003e9"), bytes.fromhex("1c000003e9")))
