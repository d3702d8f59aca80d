"""Our decoder and the library's give the same samples; what is not OPC UA is refused, never guessed at."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.opcua import decode, library
from drivers.opcua.walk import Undecodable

V = ua.VariantType
T2026 = ua.datetime_to_win_epoch(datetime(2026, 11, 21, 3, 15, tzinfo=UTC))

numbers = {
    V.Boolean: st.booleans(),
    V.SByte: st.integers(-(2**7), 2**7 - 1),
    V.Byte: st.integers(0, 2**8 - 1),
    V.Int16: st.integers(-(2**15), 2**15 - 1),
    V.UInt16: st.integers(0, 2**16 - 1),
    V.Int32: st.integers(-(2**31), 2**31 - 1),
    V.UInt32: st.integers(0, 2**32 - 1),
    V.Int64: st.integers(-(2**63), 2**63 - 1),
    V.UInt64: st.integers(0, 2**64 - 1),
    V.Float: st.floats(width=32, allow_nan=False),
    V.Double: st.floats(allow_nan=False),
    V.String: st.none() | st.text(max_size=20),
    V.Guid: st.uuids(),
}
scalars = st.one_of([st.builds(ua.Variant, value, st.just(kind)) for kind, value in numbers.items()])
texts = st.builds(ua.LocalizedText, st.none() | st.text(max_size=10), st.none() | st.sampled_from(["zh", "en"]))
arrays = st.lists(st.floats(allow_nan=False), max_size=4).map(lambda value: ua.Variant(value, V.Double, is_array=True))
names = st.builds(ua.QualifiedName, st.text(max_size=8), st.integers(0, 9)).map(ua.Variant)
nodes = st.builds(
    ua.NodeId, st.integers(0, 70_000) | st.text(min_size=1) | st.uuids() | st.binary(), st.integers(0, 300)
)
rare = st.sampled_from(
    [
        ua.Variant(),
        ua.Variant(b"bytes", V.ByteString),
        ua.Variant([[1, 2, 3], [4, 5, 6]], V.Int32, Dimensions=cast("Any", [2, 3])),
        ua.Variant(["a", None, "b"], V.String, is_array=True),
        ua.Variant([ua.LocalizedText("a", "en"), ua.LocalizedText("b")]),
        ua.Variant([ua.Variant(1.5), ua.Variant([True, False])], V.Variant, is_array=True),
        ua.Variant(ua.DataValue(ua.Variant(2.5), SourceTimestamp=cast("Any", datetime.now(UTC))), V.DataValue),
        ua.Variant(ua.Argument()),
        ua.Variant([ua.Argument(), ua.Argument(Name=cast("Any", "x"))], V.ExtensionObject, is_array=True),
        ua.Variant(
            ua.ExpandedNodeId(cast("Any", 5), cast("Any", 2), NamespaceUri=cast("Any", "urn:x")), V.ExpandedNodeId
        ),
        ua.Variant(ua.DiagnosticInfo(SymbolicId=cast("Any", 3), AdditionalInfo=cast("Any", "why")), V.DiagnosticInfo),
    ]
)
variants = scalars | texts.map(ua.Variant) | arrays | names | nodes.map(ua.Variant) | rare
moments = st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds, aware values
data_values = st.builds(
    ua.DataValue,
    variants,
    st.none() | st.integers(0, 2**32 - 1).map(lambda code: ua.StatusCode(ua.UInt32(code))),
    moments,
    moments,
)
# Neighbours of one shape are what the fast path is about.
batches = st.lists(st.tuples(data_values, st.integers(1, 5)), max_size=8).map(
    lambda pairs: [value for value, times in pairs for _ in range(times)]
)


def read_response(values: list[ua.DataValue]) -> bytes:
    return ua_binary.struct_to_binary(ua.ReadResponse(Results=values))


def publish_response(items: list[tuple[int, ua.DataValue]], **head: Any) -> bytes:
    change = ua.DataChangeNotification(
        MonitoredItems=[ua.MonitoredItemNotification(cast("Any", handle), value) for handle, value in items]
    )
    message = ua.NotificationMessage(SequenceNumber=cast("Any", 7), NotificationData=[cast("Any", change)])
    result = ua.PublishResult(SubscriptionId=cast("Any", 9), NotificationMessage=message, **head)
    return ua_binary.struct_to_binary(ua.PublishResponse(Parameters=result))


@given(batches)
@settings(deadline=None, max_examples=200)
def test_8_a_read_decodes_as_the_library_decodes_it(values: list[ua.DataValue]) -> None:
    """Any values in any order, with or without status and times."""
    body = read_response(values)
    assert decode.values(body) == library.values(body)


@given(batches, st.lists(st.integers(0, 2**32 - 1), max_size=3))
@settings(deadline=None, max_examples=200)
def test_8_a_notification_decodes_as_the_library_decodes_it(values: list[ua.DataValue], available: list[int]) -> None:
    """Any notification, whatever stands in front of it: the library is the oracle."""
    body = publish_response(list(enumerate(values, 100)), AvailableSequenceNumbers=available)
    found = decode.publication(body)
    assert found == library.publication(body)
    assert (found.subscription, found.number, found.keep_alive, found.status) == (9, 7, False, None)


def test_a_long_run_of_one_shape() -> None:
    """More neighbours than one look compares, broken once in the middle."""
    values = [ua.DataValue(ua.Variant(float(n))) for n in range(700)]
    values[500] = ua.DataValue(ua.Variant(Value=True))
    samples = decode.values(read_response(values)).samples
    assert [value for _, _, value, _, _ in samples] == [n if n != 500 else True for n in range(700)]
    assert [handle for handle, *_ in samples] == list(range(700))


def test_picoseconds_stand_behind_their_own_time() -> None:
    """The library expects both behind both times (2.1.0); here the bytes are as the standard has them."""
    value = struct.pack("<BBdIqHqH", 0x3F, 11, 2.5, 0x4090_0000, T2026, 7, T2026 + 10, 9)
    body = read_response([])[:-8] + struct.pack("<i", 2) + value + value + struct.pack("<i", -1)
    expected = (11, 2.5, 0x4090_0000, T2026)
    assert [sample[1:] for sample in decode.values(body).samples] == [expected, expected]
    theirs = ua_binary.struct_from_binary(ua.ReadResponse, Buffer(body)).Results[0]
    assert theirs.ServerTimestamp != ua.win_epoch_to_datetime(T2026 + 10)


@pytest.mark.parametrize("kind", [11, 12])
def test_9_source_and_server_time(kind: int) -> None:
    """The source's time is the better one; without it the server's is taken, picoseconds or not."""
    value = struct.pack("<Bd", 11, 2.5) if kind == 11 else struct.pack("<Bi", 12, -1)
    both = struct.pack("<B", 0x0D) + value + struct.pack("<qq", T2026, T2026 + 10)
    server = struct.pack("<B", 0x09) + value + struct.pack("<q", T2026 + 20)
    fine = struct.pack("<B", 0x39) + value + struct.pack("<HqH", 7, T2026 + 30, 9)
    body = read_response([])[:-8] + struct.pack("<i", 3) + both + server + fine + struct.pack("<i", -1)
    assert [sample[4] - T2026 for sample in decode.values(body).samples] == [0, 20, 30]


def test_a_keep_alive_is_none_of_the_news() -> None:
    """No notification data: nothing is to be acknowledged, the number is that of the next notification."""
    message = ua.NotificationMessage(SequenceNumber=cast("Any", 3))
    result = ua.PublishResult(SubscriptionId=cast("Any", 9), NotificationMessage=message)
    found = decode.publication(ua_binary.struct_to_binary(ua.PublishResponse(Parameters=result)))
    assert found.keep_alive
    assert found.samples == ()


def test_the_end_of_a_subscription_is_seen() -> None:
    """A status change notification carries its code."""
    change = ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(0x800A_0000)))
    message = ua.NotificationMessage(NotificationData=[cast("Any", change)])
    result = ua.PublishResult(NotificationMessage=message)
    found = decode.publication(ua_binary.struct_to_binary(ua.PublishResponse(Parameters=result)))
    assert found.status == 0x800A_0000


def test_an_unusual_header_is_understood() -> None:
    """Diagnostics, strings and an additional header in front of the answer are walked over."""
    response = ua.ReadResponse(Results=[ua.DataValue(ua.Variant(1.5))])
    response.ResponseHeader.StringTable = cast("Any", ["why", "not"])
    response.ResponseHeader.ServiceDiagnostics = ua.DiagnosticInfo(AdditionalInfo=cast("Any", "more"))
    assert decode.values(ua_binary.struct_to_binary(response)).samples[0][2] == 1.5


def test_a_bad_service_result_has_no_values() -> None:
    """The status of the whole answer comes first."""
    response = ua.ReadResponse()
    response.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(0x8010_0000))
    assert decode.values(ua_binary.struct_to_binary(response)) == decode.Values(0x8010_0000)


def test_text_that_is_not_utf8_stays_bytes() -> None:
    """Nothing is guessed: the converter will call it a decode error."""
    body = read_response([ua.DataValue(ua.Variant("****"))]).replace(b"****", "温度".encode("gbk"))
    assert decode.values(body).samples[0][2] == "温度".encode("gbk")


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_damaged_answers_are_refused_or_decoded_but_never_crash(data: st.DataObject) -> None:
    """Cut short or with bytes changed: only the two errors that say so, and soon."""
    body = bytearray(publish_response(list(enumerate(data.draw(batches)))))
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(body[: data.draw(st.integers(0, len(body)))])
    for read in (decode.publication, decode.values):
        try:
            read(damaged)
        except (Undecodable, struct.error):
            continue


def test_values_nested_too_deeply_are_refused() -> None:
    """A variant in a variant in a variant ... ends before Python's stack does."""
    body = read_response([])[:-8] + struct.pack("<i", 1) + b"\x01" + b"\x18" * 5000 + b"\x00"
    with pytest.raises(Undecodable, match="deep"):
        decode.values(body)


def test_two_thousand_million_nothings_cost_nothing() -> None:
    """A huge array of the null type, which the library would build, is walked over at once."""
    nothings = struct.pack("<BBi", 1, 0x80, 2**31 - 1)
    body = read_response([])[:-8] + struct.pack("<i", 2) + nothings + struct.pack("<BBd", 1, 11, 2.5)
    assert [sample[2] for sample in decode.values(body).samples] == [nothings[2:], 2.5]


@pytest.mark.parametrize("count", [-1, 0, 1, 2**31 - 1])
def test_an_announced_length_is_not_believed(count: int) -> None:
    """Two thousand million elements in ten bytes are refused before anything is made for them."""
    body = read_response([])[:-8] + struct.pack("<ii", count, -1)
    if count > 0:
        with pytest.raises((Undecodable, struct.error)):
            decode.values(body)
    else:
        assert decode.values(body).samples == ()
