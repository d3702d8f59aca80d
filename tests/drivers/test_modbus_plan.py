"""Which requests a poll becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_peer import point

from config.errors import ConfigProblem
from drivers.modbus.plan import plan
from drivers.modbus.settings import ModbusAddress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.model import Point
    from drivers.modbus.plan import Block


def planned(points: Sequence[Point], **address: object) -> list[tuple[int, int, int, tuple[int, ...]]]:
    return [_shape(block) for block in plan(points, ModbusAddress.model_validate(address))]


def _shape(block: Block) -> tuple[int, int, int, tuple[int, ...]]:
    return block.function, block.start, block.count, block.indexes


def test_neighbours_in_any_order_share_a_request_and_keep_their_places() -> None:
    """The order of the poll is not the order of the registers."""
    points = [point("c", 14, type="f32"), point("a", 10), point("b", 11, type="string", length=3)]
    assert planned(points) == [(3, 10, 6, (0, 1, 2))]


def test_tables_are_never_mixed() -> None:
    """Each table has its own function, in the order of the functions."""
    points = [point("i", 1, table="input"), point("h", 1), point("d", 1, table="discrete"), point("c", 1, table="coil")]
    assert planned(points) == [(1, 1, 1, (3,)), (2, 1, 1, (2,)), (3, 1, 1, (1,)), (4, 1, 1, (0,))]


@pytest.mark.parametrize(("gap", "requests"), [(8, 1), (9, 2)])
def test_3_blocks_across_gaps_up_to_the_limit_of_the_profile(gap: int, requests: int) -> None:
    """Eight unwanted registers are cheaper than a request; the ninth is too many."""
    assert len(planned([point("a", 0), point("b", 1 + gap)], max_gap=8)) == requests


def test_3_a_no_gap_device_gets_a_request_for_each_stretch() -> None:
    """Some controllers refuse every request that touches a register they do not have."""
    assert planned([point("a", 0), point("b", 1), point("c", 3)], max_gap=0) == [(3, 0, 2, (0, 1)), (3, 3, 1, (2,))]


def test_a_gap_of_coils_weighs_a_sixteenth() -> None:
    """Limits are in registers, and sixteen coils are one."""
    near = [point("a", 0, table="coil"), point("b", 129, table="coil")]
    far = [point("a", 0, table="coil"), point("b", 130, table="coil")]
    assert planned(near, max_gap=8) == [(1, 0, 130, (0, 1))]
    assert len(planned(far, max_gap=8)) == 2


def test_3_a_forbidden_range_is_never_crossed() -> None:
    """A gap with control keys in it is not read over, however small."""
    points = [point("a", 100), point("b", 104)]
    assert planned(points, forbidden=[[102, 102]]) == [(3, 100, 1, (0,)), (3, 104, 1, (1,))]
    assert len(planned(points, forbidden=[[105, 200]])) == 1


def test_3_a_block_ends_at_the_maximum_of_registers() -> None:
    """125 registers fit, the next begins a block."""
    points = [point(str(at), at) for at in range(126)]
    assert [(start, count) for _, start, count, _ in planned(points)] == [(0, 125), (125, 1)]
    assert [count for _, _, count, _ in planned(points, max_registers=50)] == [50, 50, 26]


def test_a_wide_value_is_never_cut() -> None:
    """A value that does not fit behind its neighbour begins a block of its own."""
    points = [point("a", 0), point("b", 1, type="f64")]
    assert planned(points, max_registers=4) == [(3, 0, 1, (0,)), (3, 1, 4, (1,))]


def test_2000_coils_are_one_request() -> None:
    """What functions 1 and 2 allow."""
    points = [point(str(at), at, table="discrete") for at in range(2001)]
    assert [count for _, _, count, _ in planned(points)] == [2000, 1]


def test_points_on_one_register_are_read_once() -> None:
    """Bits of a status word, and two readings of one register, cost nothing more."""
    points = [point("a", 5, type="bit", bit=0), point("b", 5, type="bit", bit=9), point("c", 5, type="u32")]
    assert planned(points) == [(3, 5, 2, (0, 1, 2))]


def test_a_point_in_a_forbidden_range_is_a_mistake() -> None:
    """It names the device, the point and the register."""
    with pytest.raises(ConfigProblem, match="register 4103 lies in a forbidden range") as refused:
        planned([point("key", 4103, type="u32")], forbidden=[[4104, 4105]])
    assert (refused.value.device, refused.value.point) == ("d", "key")


def test_a_value_wider_than_any_request_is_a_mistake() -> None:
    """No permitted request could read it whole."""
    with pytest.raises(ConfigProblem, match="takes 4 registers, its device allows 2"):
        planned([point("e", 0, type="u64")], max_registers=2)


TYPES = st.sampled_from(["u16", "i32", "f64"])
PLACES = st.lists(st.tuples(st.integers(0, 400), TYPES, st.sampled_from(["holding", "input"])), min_size=1, max_size=60)
RANGES = st.lists(st.integers(0, 400), max_size=4)


@given(places=PLACES, max_registers=st.integers(4, 125), max_gap=st.integers(0, 124), bad=RANGES)
def test_any_plan_reads_every_point_once_and_keeps_every_limit(
    places: list[tuple[int, str, str]], max_registers: int, max_gap: int, bad: list[int]
) -> None:
    """Whatever the map: each point in exactly one block that contains it whole, and no limit broken."""
    points = [point(str(at), start, type=type_, table=table) for at, (start, type_, table) in enumerate(places)]
    specs = [ModbusPlace(p) for p in points]
    touched = {register for spec in specs for register in range(spec.first, spec.end)}
    forbidden = [register for register in bad if register not in touched]
    address = ModbusAddress(
        max_registers=max_registers, max_gap=max_gap, forbidden=tuple((one, one) for one in forbidden)
    )
    blocks = plan(points, address)
    assert sorted(index for block in blocks for index in block.indexes) == list(range(len(points)))
    for block in blocks:
        end = block.start + block.count
        assert 1 <= block.count <= max_registers
        assert not any(block.start <= register < end for register in forbidden)
        assert all(block.start <= specs[i].first and specs[i].end <= end for i in block.indexes)
        assert all(specs[i].function == block.function for i in block.indexes)
        assert list(block.indexes) == sorted(block.indexes)


class ModbusPlace:
    """Where a point is, worked out by the test itself."""

    def __init__(self, of: Point) -> None:
        spec = of.spec.model_dump()
        self.first = spec["start"]
        self.end = self.first + {"u16": 1, "i32": 2, "f64": 4}[spec["type"]]
        self.function = {"holding": 3, "input": 4}[spec["table"]]


@pytest.mark.parametrize(("bits", "size_bytes"), [(1, 1), (8, 1), (9, 2), (16, 2), (2000, 250)])
def test_the_only_right_answer_to_a_bit_request_has_its_bits_filled_up_to_bytes(bits: int, size_bytes: int) -> None:
    """One byte more or less is another request's answer."""
    coils = [point(str(at), at, table="coil") for at in range(bits)]
    (block,) = plan(coils, ModbusAddress())
    assert (block.count, block.size_bytes) == (bits, size_bytes)
