"""What our decoder has no case for goes to the library's, bounded and compared; what neither knows is bad."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bacnet_peer import (
    PRESENT_VALUE,
    READ_PROPERTY_MULTIPLE,
    STATUS_FLAGS,
    RawDevice,
    flags,
    identifier,
    make_device,
    make_line,
    make_point,
    real,
    result,
    serving,
)
from bacpypes3.pdu import PDUData
from bacpypes3.primitivedata import TagClass, TagList, TagNumber
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import ManualClock
from drivers.bacnet import answers, codec, library, names, structures
from drivers.bacnet.driver import BacnetDriver
from drivers.bacnet.encoding import Malformed
from drivers.contract import Grade, Poll, Quality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bacnet_peer import Request

    from config.model import Point
    from drivers.contract import Reading

ACCUMULATOR, SCALE = 23, 187
GOOD = [(PRESENT_VALUE, real(21.5)), (STATUS_FLAGS, flags("0000"))]


def long_form(data: bytes) -> bytes:
    """The same tags, each length in a byte of its own, as no device has to write it and some do."""
    parts = []
    for tag in TagList.decode(PDUData(data)):
        bare = tag.tag_class in (TagClass.opening, TagClass.closing)
        boolean = tag.tag_class == TagClass.application and tag.tag_number == TagNumber.boolean
        if bare or boolean or tag.tag_lvt > 4:
            parts.append(bytes(tag.encode().pduData))
        else:
            first = tag.tag_number << 4 | (0x08 if tag.tag_class == TagClass.context else 0) | 5
            parts.append(bytes((first, len(tag.tag_data))) + tag.tag_data)
    return b"".join(parts)


@asynccontextmanager
async def reading(device: RawDevice, *points: Point) -> AsyncIterator[Reading]:
    """What one read of the device gives."""
    async with serving(device):
        made = make_device(device.at, points)
        driver = BacnetDriver(make_line(made), ManualClock())
        await driver.connect()
        try:
            yield await driver.read(Poll(made, made.points, 1.0))
        finally:
            await driver.close()


async def test_5_an_answer_in_a_form_that_only_the_library_knows_is_read() -> None:
    """Every length in a form that ours has no case for: the values are those that were sent, in one request."""
    device = RawDevice()
    device.put(1, real(21.5))
    device.put(2, real(-3.25))

    def answer(ask: Request) -> list[bytes] | None:
        return [ask.ack(long_form(device.multiple(ask)))] if ask.service == READ_PROPERTY_MULTIPLE else None

    device.answer = answer
    async with reading(device, make_point("analog-input,1"), make_point("analog-input,2")) as given_:
        assert (list(given_.values), given_.flaws) == ([21.5, -3.25], {})
        assert device.multiples() == [2]
    with pytest.raises(Malformed):
        codec.multiple_results(long_form(result(identifier(0, 1), GOOD)))


async def test_5_a_number_within_a_structure_that_only_the_library_knows_is_read() -> None:
    """The scale of a meter is a choice of two numbers: our decoder has no case for it, the library has its type."""
    device = RawDevice()
    device.objects[identifier(ACCUMULATOR, 1)] = {SCALE: b"\x0c" + real(0.25)[1:], STATUS_FLAGS: flags("0000")}
    device.objects[identifier(ACCUMULATOR, 2)] = {SCALE: b"\x19\x02", STATUS_FLAGS: flags("0000")}
    scales = [make_point(f"accumulator,{number}", property="scale") for number in (1, 2)]
    async with reading(device, *scales) as given_:
        assert (list(given_.values), given_.flaws) == ([0.25, 2.0], {})


async def test_5_what_neither_decoder_knows_is_bad_with_a_reason_and_spoils_no_other() -> None:
    """An application tag that the standard does not have, a structure of a vendor's own property, too much of one."""
    device = RawDevice()
    device.put(1, real(21.5))
    device.put(2, b"\xd2\x00\x01")
    device.objects[identifier(0, 1)][5000] = b"\x0e\x09\x01\x0f"
    device.objects[identifier(ACCUMULATOR, 1)] = {SCALE: b"\x19\x02\x19\x03", STATUS_FLAGS: flags("0000")}
    points = [
        make_point("analog-input,1"),
        make_point("analog-input,2"),
        make_point("analog-input,1", "string", property="5000"),
        make_point("accumulator,1", property="scale"),
    ]
    async with reading(device, *points) as given_:
        assert list(given_.values) == [21.5, None, None, None]
    assert given_.flaws == {
        1: Quality(Grade.BAD, "decode_error", "number expected, application tag 13 sent"),
        2: Quality(Grade.BAD, "decode_error", "a structure of an unknown type"),
        3: Quality(Grade.BAD, "decode_error", "a structure that the library reads as Scale in part only"),
    }


async def test_5_an_answer_that_neither_decoder_can_read_says_so() -> None:
    """Sound tags that are no acknowledgement."""
    device = RawDevice()
    device.answer = lambda ask: [ask.ack(b"\x2e\x21\x05\x2f")] if ask.service == READ_PROPERTY_MULTIPLE else None
    async with reading(device, make_point("analog-input,1")) as given_:
        assert list(given_.values) == [None]
    said = "no object at byte 0; the library cannot read it either"
    assert given_.flaws == {0: Quality(Grade.BAD, "decode_error", said)}


ELEMENT = b"\x0d\x04" + identifier(0, 1) + b"\x1e\x29\x55\x4e%s\x4f\x1f"
"""An answer that ours refuses for its first byte, with this value in it."""

NOT_FOR_THE_LIBRARY: dict[str, bytes] = {
    "four gigabytes announced": ELEMENT % b"\x65\xff\xff\xff\xff\xff",
    "a length beyond the end": ELEMENT % b"\x75\x50\x00",
    "a length that is cut off": (ELEMENT % b"")[:-3] + b"\x75\xfe\x01",
    "an opening tag too many": ELEMENT % b"\x0e",
    "a closing tag too many": ELEMENT % b"\x0f",
    "brackets of two numbers": ELEMENT % b"\x0e\x1f",
    "an opening tag of the application": ELEMENT % b"\x06\x07",
    "brackets without end": ELEMENT % (b"\x0e" * 60 + b"\x0f" * 60),
    "more parts than it may have": ELEMENT % (b"\x21\x01" * (library.PARTS_MAX + 1)),
    "more bytes than it may have": ELEMENT % (b"\x65\xfe\xff\x00" + bytes(0xFF00)),
}


@pytest.mark.parametrize("lie", NOT_FOR_THE_LIBRARY)
def test_5_a_malformed_answer_never_reaches_the_library(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Announced lengths, nesting and size are checked before: nothing is allocated or waited for."""
    reached: list[object] = []
    monkeypatch.setattr(library, "TagList", reached.append)
    with pytest.raises(Malformed, match="no object at byte 0"):
        answers.multiple_results(NOT_FOR_THE_LIBRARY[lie])
    assert reached == []


@pytest.mark.parametrize("bare", ["4c 21 05 4f 00", "4c 82 04 40 4e", "48"])
def test_5_a_value_that_lacks_its_brackets_is_no_value(bare: str) -> None:
    """The library takes the tag for one, and its data may look like the number 5, or end too early."""
    data = b"\x0c" + identifier(0, 1) + b"\x1e\x29\x55" + bytes.fromhex(bare) + b"\x1f"
    with pytest.raises(Malformed, match="the library cannot read it either"):
        answers.multiple_results(data)


KEYS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 4194303))
VALUES = st.sampled_from(
    [
        real(21.5),
        b"\x21\x07",
        b"\x31\xf9",
        b"\x10",
        b"\x11",
        b"\x00",
        b"\x82\x04\x50",
        b"\x73\x00AB",
        b"\x91\x01\x91\x03",
    ]
) | st.floats(width=32, allow_nan=False).map(real)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(KEYS, VALUES | st.tuples(st.integers(0, 7), st.integers(0, 200))), min_size=1, max_size=5))
def test_5_both_decoders_read_the_same(rows: list[tuple[tuple[int, int], Any]]) -> None:
    """In the form that ours knows, and in the one that only the library does: objects, properties, values, errors."""
    parts = []
    for (target, number), value in rows:
        said = b"\x5e" + bytes((0x91, value[0], 0x91, value[1])) + b"\x5f" if isinstance(value, tuple) else None
        key = codec.read_property((target, number, codec.NO_INDEX))
        parts.append(key[:5] + b"\x1e" + bytes((key[5] & 0x0F | 0x20,)) + key[6:])
        parts.append((said or b"\x4e" + value + b"\x4f") + b"\x1f")
    data = b"".join(parts)
    assert answers.multiple_results(long_form(data)) == codec.multiple_results(data)


SCALE_TYPE = structures.datatype(ACCUMULATOR, SCALE, None)
LANDING_DOORS = structures.datatype(59, names.parse_property("landing-door-status"), 1)
NAMED_VALUE = structures.datatype(0, names.parse_property("tags"), 1)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (LANDING_DOORS, "0e 09 03 19 01 0f 19 05"),
        (SCALE_TYPE, "0c 41 ac 00 00 00"),
        (SCALE_TYPE, "19 02 19 03"),
        (NAMED_VALUE, "0b 00 ff ff"),
    ],
)
def test_5_what_the_library_would_pass_over_or_guess_at_is_no_value(kind: Any, sent: str) -> None:
    """It reads all of these: without what is beyond the end, and a text in another character set than it says."""
    assert kind.decode(TagList.decode(PDUData(bytes.fromhex(sent)))) is not None
    with pytest.raises(Malformed, match="in part only"):
        structures.as_text(kind, bytes.fromhex(sent))
