"""The codec against the library's own encoder and decoder, and against random bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from bacpypes3.apdu import (
    IAmRequest,
    ReadPropertyACK,
    ReadPropertyMultipleACK,
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    WhoIsRequest,
)
from bacpypes3.basetypes import (
    ErrorType,
    PropertyReference,
    ReadAccessResult,
    ReadAccessResultElement,
    ReadAccessResultElementChoice,
    ReadAccessSpecification,
    StatusFlags,
)
from bacpypes3.constructeddata import Any as AnyValue
from bacpypes3.constructeddata import SequenceOf
from bacpypes3.primitivedata import (
    BitString,
    Boolean,
    CharacterString,
    Date,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    ObjectType,
    OctetString,
    PropertyIdentifier,
    Real,
    Time,
    Unsigned,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.bacnet import codec
from drivers.bacnet.codec import NO_INDEX
from drivers.bacnet.encoding import AccessError, Bits, Malformed, ObjectId, Opaque, Raw, Several, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW_MACHINE = settings(deadline=None, max_examples=150)


def pair(kind: Any, value: Any, ours: Any) -> tuple[Any, Any]:
    """A value for the library, and what the codec must make of it."""
    return kind(value), ours


UINT32 = st.integers(0, 2**32 - 1)
VALUES = st.one_of(
    st.just((Null(()), None)),
    st.booleans().map(lambda v: pair(Boolean, v, v)),
    UINT32.map(lambda v: pair(Unsigned, v, v)),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: pair(Integer, v, v)),
    st.floats(width=32, allow_nan=False).map(lambda v: pair(Real, v, v)),
    st.floats(allow_nan=False).map(lambda v: pair(Double, v, v)),
    st.binary(max_size=300).map(lambda v: pair(OctetString, v, v)),
    st.text(max_size=300).map(lambda v: pair(CharacterString, v, v)),
    st.lists(st.integers(0, 1), max_size=40).map(lambda v: pair(BitString, v, Bits("".join(map(str, v))))),
    UINT32.map(lambda v: pair(Enumerated, v, v)),
    st.tuples(st.integers(0, 1023), st.integers(0, 4194303)).map(
        lambda v: pair(ObjectIdentifier, v, ObjectId(v[0] << 22 | v[1]))
    ),
)
KEYS = st.tuples(UINT32, st.integers(0, 4194303), st.one_of(st.just(NO_INDEX), UINT32))
ERRORS = st.tuples(st.integers(0, 7), st.integers(0, 200))


def the_object(identifier: int) -> Any:
    return ObjectIdentifier((ObjectType(identifier >> 22), identifier & 0x3FFFFF))


def element(key: codec.Key, choice: Any) -> Any:
    made = ReadAccessResultElement(propertyIdentifier=PropertyIdentifier(key[1]), readResult=choice)
    if key[2] != NO_INDEX:
        made.propertyArrayIndex = Unsigned(key[2])
    return made


def acknowledged(results: Sequence[tuple[codec.Key, Any]]) -> bytes:
    """A ReadPropertyMultiple acknowledgement as the library encodes it."""
    parts = []
    for key, value in results:
        if isinstance(value, ErrorType):
            choice = ReadAccessResultElementChoice(propertyAccessError=value)
        else:
            choice = ReadAccessResultElementChoice(propertyValue=AnyValue(value))
        parts.append(
            ReadAccessResult(objectIdentifier=the_object(key[0]), listOfResults=[element(key, choice)]),
        )
    ack = ReadPropertyMultipleACK(listOfReadAccessResults=SequenceOf(ReadAccessResult)(parts))
    return bytes(ack.encode().pduData)


@SLOW_MACHINE
@given(st.lists(st.tuples(KEYS, VALUES), max_size=6))
def test_7_every_primitive_value_type_is_read_as_the_library_wrote_it(
    results: list[tuple[codec.Key, tuple[Any, Any]]],
) -> None:
    """Objects, properties, indexes and values of an acknowledgement are exactly the library's, in its order."""
    data = acknowledged([(key, theirs) for key, (theirs, _) in results])
    read = codec.multiple_results(data)
    assert read == [(key, ours) for key, (_, ours) in results]
    assert [type(value) for _, value in read] == [type(ours) for _, (_, ours) in results]


@SLOW_MACHINE
@given(st.lists(st.tuples(KEYS, ERRORS), min_size=1, max_size=6))
def test_errors_are_read_as_the_library_wrote_them(results: list[tuple[codec.Key, tuple[int, int]]]) -> None:
    """Class and code of each property that the device does not give."""
    theirs = [(key, ErrorType(errorClass=error[0], errorCode=error[1])) for key, error in results]
    read = codec.multiple_results(acknowledged(theirs))
    assert read == [(key, AccessError(*error)) for key, error in results]


@SLOW_MACHINE
@given(st.lists(KEYS, min_size=1, max_size=8))
def test_requests_are_what_the_library_would_send(keys: list[codec.Key]) -> None:
    """Byte for byte, for one property and for many."""
    parts = []
    for identifier, number, index in keys:
        reference = PropertyReference(propertyIdentifier=PropertyIdentifier(number))
        if index != NO_INDEX:
            reference.propertyArrayIndex = Unsigned(index)
        parts.append(
            ReadAccessSpecification(objectIdentifier=the_object(identifier), listOfPropertyReferences=[reference])
        )
    theirs = ReadPropertyMultipleRequest(listOfReadAccessSpecs=SequenceOf(ReadAccessSpecification)(parts)).encode()
    assert codec.read_multiple([[key] for key in keys]) == bytes(theirs.pduData)
    identifier, number, index = keys[0]
    single = ReadPropertyRequest(objectIdentifier=the_object(identifier), propertyIdentifier=PropertyIdentifier(number))
    if index != NO_INDEX:
        single.propertyArrayIndex = Unsigned(index)
    assert codec.read_property(keys[0]) == bytes(single.encode().pduData)


@SLOW_MACHINE
@given(KEYS, VALUES)
def test_a_single_property_is_read_as_the_library_wrote_it(key: codec.Key, value: tuple[Any, Any]) -> None:
    """ReadProperty, which a device must have even where it has nothing else."""
    theirs, ours = value
    ack = ReadPropertyACK(
        objectIdentifier=the_object(key[0]), propertyIdentifier=PropertyIdentifier(key[1]), propertyValue=theirs
    )
    if key[2] != NO_INDEX:
        ack.propertyArrayIndex = Unsigned(key[2])
    assert codec.single_result(bytes(ack.encode().pduData)) == (key, ours)


@SLOW_MACHINE
@given(st.integers(0, 4194303), st.integers(50, 1476))
def test_who_is_and_i_am_are_the_librarys(instance: int, max_apdu: int) -> None:
    """The search for one instance, and what the device says of itself."""
    search = WhoIsRequest(deviceInstanceRangeLowLimit=instance, deviceInstanceRangeHighLimit=instance)
    assert codec.who_is(instance, instance) == bytes(search.encode().pduData)
    said = IAmRequest(
        iAmDeviceIdentifier=ObjectIdentifier((ObjectType.device, instance)),
        maxAPDULengthAccepted=max_apdu,
        segmentationSupported=3,
        vendorID=15,
    )
    assert codec.i_am(bytes(said.encode().pduData)) == codec.IAm(instance, max_apdu)


HONEST = acknowledged([((1, 85, NO_INDEX), Real(21.5)), ((1, 111, NO_INDEX), StatusFlags([0, 0, 0, 0]))])


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.binary(max_size=80), st.tuples(st.integers(0, len(HONEST)), st.binary(max_size=6))))
@example(b"\x0c\x00\x00\x00\x01\x1e\x29\x55\x4e" + b"\x0e" * 5000)
@example(b"\x0c\x00\x00\x00\x01\x1e\x29\x55\x4e\x65\xff\xff\xff\xff\xff\x4f\x1f")
def test_12_whatever_comes_is_read_or_malformed(sent: bytes | tuple[int, bytes]) -> None:
    """Random bytes, and honest answers with some bytes replaced: no other error, and no endless loop."""
    data = sent if isinstance(sent, bytes) else HONEST[: sent[0]] + sent[1] + HONEST[sent[0] + len(sent[1]) :]
    for read in (codec.multiple_results, codec.single_result, codec.access_error, codec.i_am):
        try:
            read(data)
        except Malformed:
            continue


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(HONEST) - 1))
def test_an_answer_cut_anywhere_is_malformed_or_has_only_whole_objects(end: int) -> None:
    """A datagram that lost its tail never gives a value of the part that is missing."""
    whole = codec.multiple_results(HONEST)
    try:
        read = codec.multiple_results(HONEST[:end])
    except Malformed:
        return
    assert read == whole[: len(read)]


def value_of(encoded: bytes) -> Raw:
    ((_, value),) = codec.multiple_results(b"\x0c\x00\x00\x00\x01\x1e\x29\x55\x4e" + encoded + b"\x4f\x1f")
    return value


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("44 41 ac 00 00", 21.5),
        ("55 08 40 35 80 00 00 00 00 00", 21.5),
        ("21 07", 7),
        ("31 f9", -7),
        ("10", False),
        ("11", True),
        ("00", None),
        ("91 01", 1),
        ("82 04 50", Bits("0101")),
        ("75 07 00 e7 94 b5 e6 b2 b9", "电油"),
        ("75 07 01 03 a8 b5 e7 d3 cd", "电油"),
        ("73 05 41 e9", "Aé"),
        ("75 05 04 75 35 6c b9", "电油"),
        ("a4 7e 0b 15 06", "2026-11-21"),
        ("a4 ff ff ff ff", "*-*-*"),
        ("b4 17 3b 3a 63", "23:59:58.99"),
        ("c4 00 00 00 01", ObjectId(1)),
        ("91 01 91 03", Several((1, 3))),
        ("", Several(())),
        ("0e 44 41 ac 00 00 0f", Opaque(bytes.fromhex("0e 44 41 ac 00 00 0f"))),
        ("1e 2e 09 4f 2f 1f", Opaque(bytes.fromhex("1e 2e 09 4f 2f 1f"))),
        ("43 41 ac 00", Unreadable("a real of 3 bytes")),
        ("29 01", Opaque(bytes.fromhex("29 01"))),
        ("73 00 ff ff", Unreadable("a character string in character set 0 that cannot be read")),
        ("73 02 30 30", Unreadable("a character string in character set 2 that cannot be read")),
        ("81 09", Unreadable("a bit string with an impossible length")),
    ],
)
def test_values_by_their_bytes(encoded: str, value: Raw) -> None:
    """What stands on the wire, written out by hand from the standard."""
    assert value_of(bytes.fromhex(encoded)) == value


def test_dates_and_times_agree_with_the_library() -> None:
    """The oracle for two types whose text is ours."""
    for theirs, ours in ((Date((126, 11, 21, 6)), "2026-11-21"), (Time((1, 2, 3, 4)), "01:02:03.04")):
        ((_, value),) = codec.multiple_results(acknowledged([((1, 85, NO_INDEX), theirs)]))
        assert value == ours


def test_not_a_number_stays_one() -> None:
    """What it means is not the codec's business."""
    value = value_of(bytes.fromhex("44 7f c0 00 00"))
    assert isinstance(value, float)
    assert math.isnan(value)
