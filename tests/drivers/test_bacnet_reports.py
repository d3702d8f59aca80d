"""Subscriptions and notifications as bytes, against the library's own encoder and decoder, and against random bytes."""

from __future__ import annotations

from typing import Any

import pytest
from bacpypes3.apdu import (
    ConfirmedCOVNotificationRequest,
    SubscribeCOVPropertyRequest,
    SubscribeCOVRequest,
    UnconfirmedCOVNotificationRequest,
)
from bacpypes3.basetypes import PropertyValue, StatusFlags
from bacpypes3.constructeddata import Any as AnyValue
from bacpypes3.primitivedata import Enumerated, ObjectIdentifier, PropertyIdentifier, Real
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bacnet import reports
from drivers.bacnet.codec import NO_INDEX
from drivers.bacnet.encoding import Bits, Malformed

SLOW_MACHINE = settings(deadline=None, max_examples=150)
numbers = st.integers(0, 0xFFFFFFFF)
instances = st.integers(0, 4194302)
PRESENT_VALUE, STATUS_FLAGS = 85, 111


def object_of(type_number: int, instance: int) -> ObjectIdentifier:
    return ObjectIdentifier((type_number, instance))


@SLOW_MACHINE
@given(numbers, st.integers(0, 1023), instances, st.integers(1, 86400))
def test_a_subscription_is_what_the_library_would_write(process: int, kind: int, instance: int, lifetime: int) -> None:
    """For the object's own increment."""
    theirs = SubscribeCOVRequest(
        subscriberProcessIdentifier=process,
        monitoredObjectIdentifier=object_of(kind, instance),
        issueConfirmedNotifications=True,
        lifetime=lifetime,
    )
    assert reports.subscribe_cov(process, kind << 22 | instance, lifetime) == bytes(theirs.encode().pduData)


@SLOW_MACHINE
@given(numbers, instances, st.floats(0.0625, 1e6, width=32), st.integers(-1, 9))
def test_a_subscription_with_increment_is_what_the_library_would_write(
    process: int, instance: int, increment: float, index: int
) -> None:
    """For one property, and an increment of our own."""
    reference: Any = "present-value" if index == NO_INDEX else f"present-value[{index}]"
    theirs = SubscribeCOVPropertyRequest(
        subscriberProcessIdentifier=process,
        monitoredObjectIdentifier=object_of(0, instance),
        issueConfirmedNotifications=True,
        lifetime=300,
        monitoredPropertyIdentifier=reference,
        covIncrement=increment,
    )
    ours = reports.subscribe_cov_property(process, (instance, PRESENT_VALUE, index), increment, 300)
    assert ours == bytes(theirs.encode().pduData)


def notified(kind: Any, value: Any, *, priority: int | None = None) -> bytes:
    """A notification of device 1001 about analog-input,7, as the library writes it."""
    more: dict[str, Any] = {} if priority is None else {"priority": priority}
    fault: Any = StatusFlags([0, 1, 0, 0])
    made = kind(
        subscriberProcessIdentifier=70000,
        initiatingDeviceIdentifier=object_of(8, 1001),
        monitoredObjectIdentifier=object_of(0, 7),
        timeRemaining=123,
        listOfValues=[
            PropertyValue(propertyIdentifier=PropertyIdentifier(PRESENT_VALUE), value=AnyValue(value), **more),
            PropertyValue(propertyIdentifier=PropertyIdentifier(STATUS_FLAGS), value=AnyValue(fault)),
        ],
    )
    return bytes(made.encode().pduData)


@pytest.mark.parametrize("kind", [ConfirmedCOVNotificationRequest, UnconfirmedCOVNotificationRequest])
@pytest.mark.parametrize(("value", "ours"), [(Real(21.5), 21.5), (Enumerated(1), 1)])
@pytest.mark.parametrize("priority", [None, 8])
def test_a_notification_of_the_library_is_read(kind: Any, value: Any, ours: object, priority: int | None) -> None:
    """Who says it, of what, and the values, with or without the priority of a command."""
    given_ = reports.cov_notification(notified(kind, value, priority=priority))
    assert (given_.process, given_.instance, given_.target) == (70000, 1001, 7)
    assert given_.values == {(7, PRESENT_VALUE, NO_INDEX): ours, (7, STATUS_FLAGS, NO_INDEX): Bits("0100")}


HONEST = notified(ConfirmedCOVNotificationRequest, Real(21.5))


@pytest.mark.parametrize("end", range(len(HONEST)))
def test_a_notification_that_is_cut_off_is_none(end: int) -> None:
    """Wherever it ends."""
    with pytest.raises(Malformed):
        reports.cov_notification(HONEST[:end])


@SLOW_MACHINE
@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(HONEST) - 1), st.integers(0, 255)))
def test_any_other_bytes_are_read_or_malformed(damage: bytes | tuple[int, int]) -> None:
    """Nothing else comes out of it than values or one kind of error."""
    data = damage if isinstance(damage, bytes) else HONEST[: damage[0]] + bytes([damage[1]]) + HONEST[damage[0] + 1 :]
    try:
        read = reports.cov_notification(data)
    except Malformed:
        return
    assert {key[0] for key in read.values} <= {read.target}


def test_a_notification_in_the_name_of_no_device_is_none() -> None:
    """The one who reports must be a device object."""
    with pytest.raises(Malformed, match="not a notification of a device"):
        reports.cov_notification(HONEST.replace(bytes.fromhex("1c020003e9"), bytes.fromhex("1c000003e9")))


def test_bytes_after_the_end_are_malformed() -> None:
    """A notification ends with its list."""
    with pytest.raises(Malformed):
        reports.cov_notification(HONEST + b"\x00")
