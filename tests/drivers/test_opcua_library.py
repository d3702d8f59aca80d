"""What our decoder does not know goes to the library's, in bounds; what it calls malformed never does."""

from __future__ import annotations

import struct
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from asyncua import ua
from asyncua.ua import ua_binary
from hypothesis import given, settings
from hypothesis import strategies as st
from opcua_peer import OpcuaPeer, driver_for, point, poll_of, with_status

from drivers.contract import Grade, Quality
from drivers.errors import Unreachable
from drivers.opcua import decode, library
from drivers.opcua.faults import GARBLED
from drivers.opcua.feed import Feed
from drivers.opcua.session import Session
from drivers.opcua.walk import Undecodable, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from drivers.contract import Value
    from drivers.opcua.driver import SubscribingOpcuaDriver

V = ua.VariantType
PLAIN_TYPE = b"\x01\x00\x2b\x03"
"""i=811, DataChangeNotification, as every server writes it."""
URI = b"http://opcfoundation.org/UA/"
WITH_URI = b"\x81\x00\x2b\x03" + struct.pack("<i", len(URI)) + URI
OF_A_VENDOR = b"\x01\x02\x2b\x03"
CUSTOM = 40
"""A built-in type that no standard has."""


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        yield peer


def response(*values: ua.DataValue) -> bytes:
    items = [ua.MonitoredItemNotification(cast("Any", handle), value) for handle, value in enumerate(values)]
    parts = cast("Any", [ua.DataChangeNotification(MonitoredItems=items)])
    message = ua.NotificationMessage(SequenceNumber=cast("Any", 7), NotificationData=parts)
    result = ua.PublishResult(SubscriptionId=cast("Any", 9), NotificationMessage=message)
    return ua_binary.struct_to_binary(ua.PublishResponse(Parameters=result))


def of_custom_type(*more: ua.DataValue) -> bytes:
    """A notification of a number, of a value of a type that nobody knows, and of more."""
    body = response(ua.DataValue(ua.Variant(2.5)), ua.DataValue(ua.Variant(b"abc", V.ByteString)), *more)
    length = struct.pack("<i", 3) + b"abc"
    assert body.count(b"\x0f" + length) == 1
    return body.replace(b"\x0f" + length, bytes([CUSTOM]) + length)


@pytest.fixture
def rewritten(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """From now on the server writes the type of its notifications in another way."""
    types = [PLAIN_TYPE]
    original = Session.send

    async def send(self: Session, *arguments: Any, **named: Any) -> bytes:
        return (await original(self, *arguments, **named)).replace(PLAIN_TYPE, types[-1])

    monkeypatch.setattr(Session, "send", send)
    return types.append


async def test_8_a_notification_that_only_the_library_understands_gives_its_values(
    peer: OpcuaPeer, rewritten: Callable[[bytes], None]
) -> None:
    """Value, quality and time as of any other; and it is counted."""
    await peer.add({"l.t": ua.Variant(1.0), "l.u": ua.Variant(2.0)})
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url))
    await driver.connect()
    async with aclosing(driver.changes([poll_of(point("l.t"), point("l.u"))])) as readings:
        await anext(readings)
        rewritten(WITH_URI)
        await peer.write("l.t", ua.Variant(1.5))
        good = await anext(readings)
        await peer.write("l.u", with_status(ua.Variant(2.5), 0x4094_0000))
        doubtful = await anext(readings)
    counts = driver.counts()
    await driver.close()
    assert (good.values, good.flaws, good.changed) == ((1.5, 2.0), {}, ((0, 1),))
    assert good.source_times[0]
    assert doubtful.values == (1.5, 2.5)
    assert doubtful.flaws == {1: Quality(Grade.UNCERTAIN, "range_suspect", "0x40940000")}
    assert counts["by_library"] >= 2
    assert not counts["undecodable"]


async def test_8_a_notification_that_nobody_understands_is_an_error_and_a_count(
    peer: OpcuaPeer, rewritten: Callable[[bytes], None]
) -> None:
    """Never a silent drop: something may have been lost, so everything is asked for anew."""
    await peer.add({"v.t": ua.Variant(1.0)})
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url))
    await driver.connect()
    async with aclosing(driver.changes([poll_of(point("v.t"))])) as readings:
        await anext(readings)
        rewritten(OF_A_VENDOR)
        await peer.write("v.t", ua.Variant(1.5))
        with pytest.raises(Unreachable, match="not understood"):
            await anext(readings)
    counts = driver.counts()
    await driver.close()
    assert counts["undecodable"] == 1


def test_8_a_value_of_an_unknown_built_in_type_costs_only_its_point() -> None:
    """The number beside it is a good value."""
    body = of_custom_type()
    with pytest.raises(Unknown):
        decode.publication(body)
    feed = Feed([poll_of(point("t"), point("strange"))])
    (reading,) = feed.take(library.publication(body).samples, 0.0, 0.0, 1.0)
    assert reading.values == (2.5, None)
    assert reading.flaws == {1: Quality(Grade.BAD, "decode_error", f"type {CUSTOM}")}


@pytest.mark.parametrize(
    ("variant", "type_", "value", "flaw"),
    [
        (ua.Variant(ua.QualifiedName("duty", cast("Any", 2))), "string", "duty", None),
        (ua.Variant(ua.XmlElement(cast("Any", "<a/>")), V.XmlElement), "string", "<a/>", None),
        (ua.Variant(ua.DataValue(ua.Variant(2.5)), V.DataValue), "number", 2.5, None),
        (
            ua.Variant(with_status(ua.Variant(2.5), 0x4094_0000), V.DataValue),
            "number",
            2.5,
            Quality(Grade.UNCERTAIN, "range_suspect", "0x40940000"),
        ),
        (
            ua.Variant(with_status(ua.Variant(2.5), 0x808C_0000), V.DataValue),
            "number",
            None,
            Quality(Grade.BAD, "sensor_fault", "0x808C0000"),
        ),
        (ua.Variant(ua.QualifiedName("duty")), "number", None, Quality(Grade.BAD, "decode_error", "QualifiedName")),
    ],
)
def test_8_values_that_only_the_library_takes_apart(
    variant: ua.Variant, type_: str, value: Value, flaw: Quality | None
) -> None:
    """Names, XML, values within values: with the quality that they have in there."""
    samples = decode.publication(response(ua.DataValue(variant))).samples
    (reading,) = Feed([poll_of(point("t", type=type_))]).take(samples, 0.0, 0.0, 1.0)
    assert reading.values == (value,)
    assert reading.flaws == ({0: flaw} if flaw else {})


@pytest.mark.parametrize("lie", ["count", "length", "cut"])
def test_8_a_malformed_notification_never_reaches_the_library(lie: str) -> None:
    """What announces more than is there is refused by ours, as malformed and not as unknown."""
    body = response(ua.DataValue(ua.Variant("text")), ua.DataValue(ua.Variant(1.5)))
    text = struct.pack("<i", 4) + b"text"
    assert body.count(text) == 1
    if lie == "count":
        body = body.replace(struct.pack("<iI", 2, 0), struct.pack("<iI", 2**31 - 1, 0))
    elif lie == "length":
        body = body.replace(text, struct.pack("<i", 2**31 - 1) + b"text")
    else:
        body = body[:-24]
    with pytest.raises((Undecodable, struct.error)) as raised:
        decode.publication(body)
    assert not isinstance(raised.value, Unknown)


def test_8_what_reaches_the_library_is_bounded() -> None:
    """Beside what ours does not know, an array of two thousand million nothings, or simply too much."""
    body = of_custom_type(ua.DataValue(ua.Variant(b"", V.ByteString)))
    empty = struct.pack("<Bi", 15, 0)
    assert body.count(empty) == 1
    body = body.replace(empty, struct.pack("<Bi", 0x80, 2**31 - 1))
    with pytest.raises(Unknown):
        decode.publication(body)
    with pytest.raises(Undecodable, match="more is announced"):
        library.publication(body)
    with pytest.raises(Undecodable, match="bytes"):
        library.publication(bytes(library.BYTES_MAX + 1))


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_12_damaged_answers_never_crash_the_fallback(data: st.DataObject) -> None:
    """Bytes changed anywhere in what reaches the library: an answer, or one of the errors that a line expects."""
    values = [ua.Variant(1.5), ua.Variant(["a"]), ua.Variant(ua.Argument()), ua.Variant(ua.QualifiedName("x"))]
    body = bytearray(response(*map(ua.DataValue, values)).replace(PLAIN_TYPE, WITH_URI))
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for read in (library.publication, library.values):
        with suppress(*GARBLED):
            read(bytes(body))
    with suppress(*GARBLED):
        library.scalar(data.draw(st.sampled_from([16, 20, 23, 24])), bytes(body[:64]))
