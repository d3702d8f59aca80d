"""What the bytes of a block mean."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from modbus_peer import point
from pymodbus.client import AsyncModbusTcpClient

from drivers.contract import Grade, Quality
from drivers.modbus.decode import BlockDecoder
from drivers.modbus.plan import plan
from drivers.modbus.settings import ModbusAddress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.model import Point

FLOAT_NAN = 0x7FC00000


def decoded(payload: bytes, *points: Point) -> tuple[list[Any], dict[int, Quality]]:
    """Values and flaws of points that one block covers from its first byte."""
    (block,) = plan(points, ModbusAddress(max_gap=124))
    assert block.size_bytes == len(payload)
    values, flaws = BlockDecoder(block, points).decode(payload)
    return list(values), flaws


def value(payload: bytes, **written: Any) -> Any:
    """The only point's value, which must be flawless."""
    (only,), flaws = decoded(payload, point("p", 0, **written))
    assert flaws == {}
    return only


def flaw(payload: bytes, **written: Any) -> Quality:
    """The only point's flaw; a flawed value is None."""
    (only,), flaws = decoded(payload, point("p", 0, **written))
    assert only is None
    return flaws[0]


@pytest.mark.parametrize(
    ("payload", "written", "expected"),
    [
        ("ffff", {}, 65535),
        ("ffff", {"type": "i16"}, -1),
        ("00010002", {"type": "u32"}, 65538),
        ("fffffffe", {"type": "i32"}, -2),
        ("ffffffffffffffff", {"type": "u64"}, 18446744073709551615),
        ("ffffffffffffffff", {"type": "i64"}, -1),
        ("40e80000", {"type": "f32"}, 7.25),
        ("401d000000000000", {"type": "f64"}, 7.25),
        ("000040e8", {"type": "f32", "order": "CDAB"}, 7.25),
        ("e8400000", {"type": "f32", "order": "BADC"}, 7.25),
        ("0000e840", {"type": "f32", "order": "DCBA"}, 7.25),
        ("0807060504030201", {"type": "u64", "order": "DCBA"}, 0x0102030405060708),
        ("0708050603040102", {"type": "u64", "order": "CDAB"}, 0x0102030405060708),
        ("0201040306050807", {"type": "u64", "order": "BADC"}, 0x0102030405060708),
        ("0100", {"order": "BADC"}, 1),
        ("0100", {"order": "DCBA"}, 1),
        ("0001", {"order": "CDAB"}, 1),
        ("0100", {"type": "bit", "bit": 0, "order": "DCBA"}, True),
        ("8000", {"type": "bit", "bit": 15}, True),
        ("7fff", {"type": "bit", "bit": 15}, False),
        ("50322d310020", {"type": "string", "length": 3}, "P2-1"),
        ("3250312d0000", {"type": "string", "length": 3, "order": "BADC"}, "P2-1"),
        ("203131303120", {"type": "string", "length": 3}, "1101"),
        ("e8af9500", {"type": "string", "length": 2}, "试"),
        ("00000000", {"type": "string", "length": 2}, ""),
        ("08fd", {"scale": 0.1}, 230.1),
        ("08fd", {"scale": 0.1, "offset": -40}, 190.1),
        ("0200", {"scale": 0.001953125}, 1.0),
        ("ff38", {"type": "i16", "scale": 0.01}, -2.0),
        ("0007", {"scale": 10}, 70),
        ("0007", {"scale": 0.3333333333333333}, 2.333333333333333),
        ("0007", {"scale": 1e-300}, 7e-300),
        ("40e80000", {"type": "f32", "scale": 1000}, 7250.0),
        ("0007", {"value": "integer"}, 7),
        ("0019", {"value": "integer", "scale": 0.1}, 2),
        ("40e80000", {"type": "f32", "value": "integer"}, 7),
        ("0007", {"value": "bool"}, True),
        ("0000", {"value": "bool"}, False),
        ("ffff", {"type": "i16", "value": "bool"}, True),
        ("00000000", {"type": "f32", "value": "bool"}, False),
        ("3f800000", {"type": "f32", "value": "bool"}, True),
        ("0002", {"value": "enum", "states": {1: "off", 2: "running"}}, "running"),
        ("ffff", {"type": "i16", "value": "enum", "states": {-1: "fault"}}, "fault"),
        ("0004", {"type": "bit", "bit": 2, "value": "enum", "states": {0: "open", 1: "shut"}}, "shut"),
        ("1340", {"type": "bit", "bit": 8, "bits": 4, "value": "enum", "states": {3: "shutdown"}}, "shutdown"),
        ("1340", {"type": "bit", "bit": 4, "bits": 4}, True),
        ("1340", {"type": "bit", "bit": 0, "bits": 4}, False),
        ("8000", {"type": "bit", "bit": 0, "bits": 16, "value": "enum", "states": {32768: "all"}}, "all"),
        ("00", {"table": "coil", "value": "enum", "states": {0: "open", 1: "shut"}}, "open"),
        ("01", {"table": "discrete"}, True),
        ("00", {"table": "coil"}, False),
    ],
)
def test_4_all_types_and_orders_bit_fields_strings_enums_and_scales(
    payload: str, written: dict[str, Any], expected: object
) -> None:
    """Raw bytes written by hand, and the one right value with its right type."""
    got = value(bytes.fromhex(payload), **written)
    assert got == expected
    assert isinstance(got, bool) == isinstance(expected, bool)


def test_an_integer_stays_an_integer_and_a_scaled_number_is_a_float() -> None:
    """A counter has no decimal point in the telemetry."""
    assert type(value(b"\0\7", value="integer")) is int
    assert type(value(b"\0\7", value="integer", scale=0.5)) is int
    assert type(value(b"\0\7", scale=0.5)) is float


@pytest.mark.parametrize(
    ("payload", "written", "expected"),
    [
        ("7fc00000", {"type": "f32"}, Quality(Grade.BAD, "not_available", "NaN")),
        ("7f800000", {"type": "f32"}, Quality(Grade.BAD, "not_available", "Inf")),
        ("fff0000000000000", {"type": "f64"}, Quality(Grade.BAD, "not_available", "Inf")),
        ("7fc00000", {"type": "f32", "scale": 0.1}, Quality(Grade.BAD, "not_available", "NaN")),
        ("7fc00000", {"type": "f32", "value": "integer"}, Quality(Grade.BAD, "not_available", "NaN")),
        ("7fc00000", {"type": "f32", "low": 0, "high": 9}, Quality(Grade.BAD, "not_available", "NaN")),
        ("7fc00000", {"type": "f32", "value": "bool"}, Quality(Grade.BAD, "decode_error", "nan")),
        ("ffff", {"sentinels": {0xFFFF: "not_available"}}, Quality(Grade.BAD, "not_available", "65535")),
        ("ffff", {"sentinels": {-1: "not_available"}}, Quality(Grade.BAD, "not_available", "-1")),
        ("8000", {"type": "i16", "sentinels": {0x8000: "sensor_fault"}}, Quality(Grade.BAD, "sensor_fault", "32768")),
        ("fffc", {"type": "i16", "sentinels": {-4: "sensor_fault"}}, Quality(Grade.BAD, "sensor_fault", "-4")),
        ("fffe", {"sentinels": {-2: "over_range"}}, Quality(Grade.UNCERTAIN, "over_range", "-2")),
        ("ffffffff", {"type": "u32", "sentinels": {-1: "busy"}}, Quality(Grade.BAD, "busy", "-1")),
        (
            "ffff",
            {"scale": 0.1, "low": 0, "high": 500, "sentinels": {0xFFFF: "not_connected"}},
            Quality(Grade.BAD, "not_connected", "65535"),
        ),
        (
            "c61c3c00",
            {"type": "f32", "sentinels": {-9999: "sensor_fault"}},
            Quality(Grade.BAD, "sensor_fault", "-9999"),
        ),
        (
            "ffff",
            {"type": "bit", "bit": 3, "sentinels": {0xFFFF: "not_available"}},
            Quality(Grade.BAD, "not_available", "65535"),
        ),
        (
            "f000",
            {"type": "bit", "bit": 12, "bits": 4, "value": "enum", "states": {0: "off"}, "sentinels": {15: "busy"}},
            Quality(Grade.BAD, "busy", "15"),
        ),
        ("0009", {"value": "enum", "states": {1: "on"}}, Quality(Grade.BAD, "decode_error", "9")),
        (
            "00ff",
            {"value": "enum", "states": {1: "on"}, "sentinels": {255: "not_available"}},
            Quality(Grade.BAD, "not_available", "255"),
        ),
        ("ff00", {"type": "string", "length": 1}, Quality(Grade.BAD, "decode_error", "ff00")),
    ],
)
def test_4_sentinels_and_whatever_is_no_value_are_none_with_their_meaning(
    payload: str, written: dict[str, Any], expected: Quality
) -> None:
    """A sentinel, NaN, infinity, unknown state or broken text never becomes a number or a word."""
    assert flaw(bytes.fromhex(payload), **written) == expected


@pytest.mark.parametrize(("raw", "plausible"), [(99, False), (100, True), (300, True), (301, False)])
def test_an_implausible_value_is_kept_and_suspected(raw: int, plausible: bool) -> None:
    """The limits themselves are plausible; they are in the unit of the point."""
    (got,), flaws = decoded(struct.pack(">H", raw), point("p", 0, scale=0.1, low=10, high=30))
    assert got == raw / 10
    assert flaws == ({} if plausible else {0: Quality(Grade.UNCERTAIN, "range_suspect", str(raw))})


def test_one_limit_is_enough_for_suspicion() -> None:
    """A pressure may have a floor and no ceiling."""
    _, flaws = decoded(
        struct.pack(">hh", -1, 30000), point("a", 0, type="i16", low=0), point("b", 1, type="i16", low=0)
    )
    assert list(flaws) == [0]


def test_every_kind_in_one_block_lands_in_its_place() -> None:
    """Orders, kinds, gaps, shared and overlapping registers, in an order that is not that of the registers."""
    payload = bytes.fromhex("0003000041c8dead5031c8410000ffff0005")
    points = [
        point("mode", 8, value="enum", states={5: "auto"}),
        point("text", 4, type="string", length=1),
        point("swapped", 1, type="f32", order="CDAB"),
        point("bytes", 5, type="f32", order="BADC"),
        point("b0", 0, type="bit", bit=0),
        point("b2", 0, type="bit", bit=2),
        point("word", 0, scale=0.5),
        point("over", 0, type="u32"),
        point("none", 7, sentinels={0xFFFF: "not_available"}),
        point("b1", 0, type="bit", bit=1),
    ]
    values, flaws = decoded(payload, *points)
    assert values == ["auto", "P1", 25.0, 25.0, True, False, 1.5, 0x30000, None, True]
    assert flaws == {8: Quality(Grade.BAD, "not_available", "65535")}


def test_a_whole_block_of_coils() -> None:
    """The first coil is the lowest bit of the first byte; what fills up the last byte is nobody's."""
    points = [point(str(at), 100 + at, table="coil") for at in reversed(range(11))]
    values, _ = decoded(bytes((0b10000001, 0b11111010)), *points)
    assert values == [False, True, False, True, False, False, False, False, False, False, True]


def test_one_nan_costs_its_neighbours_nothing() -> None:
    """The quick check over the block finds it, the slow one finds only it."""
    points = [point(str(at), 2 * at, type="f32") for at in range(20)]
    values, flaws = decoded(struct.pack(">20f", *range(7), math.nan, *range(8, 20)), *points)
    assert values == [*range(7), None, *range(8, 20)]
    assert list(flaws) == [7]


def test_a_sum_beyond_all_floats_is_no_flaw() -> None:
    """Two numbers may be finite while their sum is not."""
    points = [point("a", 0, type="f64"), point("b", 4, type="f64")]
    assert decoded(struct.pack(">2d", 1.7e308, 1.7e308), *points) == ([1.7e308, 1.7e308], {})


CODINGS = ("i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", "string")
ORACLE = {
    "i16": AsyncModbusTcpClient.DATATYPE.INT16,
    "u16": AsyncModbusTcpClient.DATATYPE.UINT16,
    "i32": AsyncModbusTcpClient.DATATYPE.INT32,
    "u32": AsyncModbusTcpClient.DATATYPE.UINT32,
    "i64": AsyncModbusTcpClient.DATATYPE.INT64,
    "u64": AsyncModbusTcpClient.DATATYPE.UINT64,
    "f32": AsyncModbusTcpClient.DATATYPE.FLOAT32,
    "f64": AsyncModbusTcpClient.DATATYPE.FLOAT64,
}
WIDTHS = {"i16": 1, "u16": 1, "i32": 2, "u32": 2, "i64": 4, "u64": 4, "f32": 2, "f64": 4}
SIZE = 40

MAPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(WIDTHS)),
        st.integers(0, SIZE - 4),
        st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
        st.sampled_from([1.0, 0.1, 0.01, 10.0, 0.001953125]),
        st.sampled_from([0.0, -40.0, 0.5]),
    ),
    min_size=1,
    max_size=30,
)
REGISTERS = st.lists(st.integers(0, 65535), min_size=SIZE, max_size=SIZE)
Map = list[tuple[str, int, str, float, float]]


@given(rows=MAPS, registers=REGISTERS)
@example(rows=[("f32", 0, "ABCD", 0.1, 0.0), ("u64", 0, "CDAB", 1.0, 0.5)], registers=[0x7F80] + [0] * (SIZE - 1))
def test_any_map_decodes_as_pymodbus_decodes_it(rows: Map, registers: list[int]) -> None:
    """Random registers through our block decoder and, point by point, through the library's converter."""
    points = [
        point(str(at), start, type=type_, order=order, scale=scale, offset=offset)
        for at, (type_, start, order, scale, offset) in enumerate(rows)
    ]
    (block,) = plan(points, ModbusAddress(max_gap=124))
    payload = struct.pack(f">{block.count}H", *registers[block.start : block.start + block.count])
    values, flaws = BlockDecoder(block, points).decode(payload)
    for at, (type_, start, order, scale, offset) in enumerate(rows):
        expected = oracle(registers[start : start + WIDTHS[type_]], type_, order) * scale + offset
        if math.isfinite(expected):
            assert values[at] == pytest.approx(expected, rel=1e-12, abs=1e-12)
            assert at not in flaws
        else:
            assert values[at] is None
            assert flaws[at].reason == "not_available"


def oracle(registers: Sequence[int], type_: str, order: str) -> float:
    """The library's reading of one value; bytes swapped by the test, since the library swaps registers only."""
    if order in ("BADC", "DCBA"):
        registers = [(register & 0xFF) << 8 | register >> 8 for register in registers]
    word_order: Any = "little" if order in ("CDAB", "DCBA") else "big"
    found = AsyncModbusTcpClient.convert_from_registers(list(registers), ORACLE[type_], word_order=word_order)
    assert isinstance(found, int | float)
    return found


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
def test_any_text_comes_through_without_its_padding(text: str) -> None:
    """Whatever the language."""
    raw = text.encode()
    length = max(1, (len(raw) + 1) // 2)
    assert value(raw.ljust(2 * length, b"\0"), type="string", length=length) == text.strip()


def test_a_sentinel_of_a_nibble_is_not_that_of_its_register() -> None:
    """The register holds 15, but in another nibble."""
    written = {"type": "bit", "bit": 12, "bits": 4, "value": "enum", "states": {0: "off"}, "sentinels": {15: "busy"}}
    points = (point("p", 0, **written),)
    (block,) = plan(points, ModbusAddress())
    assert BlockDecoder(block, points).decode(b"\x00\x0f") == (["off"], {})
