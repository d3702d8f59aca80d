"""Elements of arrays, fields of structures, and names of numbers, against a real server that describes its types."""

from __future__ import annotations

import struct
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from asyncua import ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.ua import ua_binary
from asyncua.ua.attribute_ids import AttributeIds
from hypothesis import given, settings
from hypothesis import strategies as st
from opcua_peer import OpcuaPeer, driver_for, point, poll_of

from drivers.contract import Grade, Quality
from drivers.opcua import parts
from drivers.opcua.parts import Field, Missing, Structure, Types
from drivers.opcua.values import converter
from drivers.opcua.walk import Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.contract import Reading
    from drivers.opcua.driver import SubscribingOpcuaDriver

V = ua.VariantType


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        peer._wait(_build(peer))
        yield peer


async def _build(peer: OpcuaPeer) -> None:
    """A room with a structure of a structure, an enumeration, and the older ways to name numbers."""
    server, index = peer.server, peer.index
    await new_enum(server, index, "Duty", ["Standby", "Operating", "Cleaning"])
    zone = [new_struct_field("name", V.String), new_struct_field("t", V.Double)]
    zone_type, _ = await new_struct(server, index, "Zone", zone)
    room = [
        new_struct_field("note", V.LocalizedText),
        new_struct_field("alarm", V.Boolean),
        new_struct_field("limits", V.Int16, array=True),
        new_struct_field("main", zone_type),
        new_struct_field("zones", zone_type, array=True),
        new_struct_field("dp", V.Float),
    ]
    await new_struct(server, index, "Room", room)
    more = [new_struct_field("a", V.Int32, optional=True), new_struct_field("b", V.Int32, optional=True)]
    await new_struct(server, index, "More", more)
    custom = await server.load_data_type_definitions()
    Zone, Room = custom["Zone"], custom["Room"]  # noqa: N806 - classes
    value = Room(
        note=ua.LocalizedText("左", "zh"),
        alarm=True,
        limits=[5, 20],
        main=Zone(name="main", t=21.5),
        zones=[Zone(name="bed", t=22.0), Zone(name="door", t=19.25)],
        dp=8.0,
    )
    objects = server.nodes.objects
    await objects.add_variable(peer.node("room"), "room", value)
    await objects.add_variable(peer.node("rooms"), "rooms", [value, Room(dp=3.0)])
    await objects.add_variable(peer.node("more"), "more", custom["More"](b=7))
    await objects.add_variable(peer.node("array"), "array", [1.5, 2.5, 3.5])
    await objects.add_variable(peer.node("texts"), "texts", ["a", None, "c"], varianttype=V.String)
    await objects.add_variable(
        peer.node("duty"), "duty", 1, varianttype=V.Int32, datatype=cast("Any", custom["Duty"]).data_type
    )
    discrete = await objects.add_variable(peer.node("discrete"), "discrete", 1, varianttype=V.UInt32)
    await discrete.add_property(0, "EnumStrings", [ua.LocalizedText("closed"), ua.LocalizedText("open")])
    sparse = await objects.add_variable(peer.node("sparse"), "sparse", 40, varianttype=V.Int32)
    named = [ua.EnumValueType(cast("Any", code), ua.LocalizedText(text)) for code, text in ((4, "low"), (40, "high"))]
    await sparse.add_property(0, "EnumValues", named)


CASES: list[tuple[str, str | None, str, object]] = [
    ("array", "[0]", "number", 1.5),
    ("array", "[2]", "number", 3.5),
    ("texts", "[2]", "string", "c"),
    ("room", "dp", "number", 8.0),
    ("room", "alarm", "bool", True),
    ("room", "note", "string", "左"),
    ("room", "limits[1]", "integer", 20),
    ("room", "main.t", "number", 21.5),
    ("room", "zones[1].name", "string", "door"),
    ("room", "zones[1].t", "number", 19.25),
    ("rooms", "[1].dp", "number", 3.0),
    ("more", "b", "integer", 7),
    ("duty", None, "string", "Operating"),
    ("discrete", None, "string", "open"),
    ("sparse", None, "string", "high"),
]
FLAWS: list[tuple[str, str | None, str, tuple[str, str]]] = [
    ("array", "[3]", "number", ("not_available", "3 elements")),
    ("array", "[0].t", "number", ("config_error", "not a structure")),
    ("array", None, "number", ("decode_error", "Double[]")),
    ("room", "humidity", "number", ("config_error", "no field humidity")),
    ("room", "main", "number", ("config_error", "the part is itself an array or a structure")),
    ("room", "zones.t", "number", ("config_error", "an array where a structure is named")),
    ("room", "dp[0]", "number", ("config_error", "not an array")),
    ("more", "a", "integer", ("not_available", "a is left out")),
    ("room", "note", "number", ("decode_error", "LocalizedText")),
    ("duty", "[0]", "number", ("decode_error", "Int32")),
]


async def _both(peer: OpcuaPeer, rows: list[Any]) -> list[Reading]:
    """The same points read in a batch, and reported by a subscription."""
    poll = poll_of(
        *(
            point(f"{number}", type=kind, spec={"node": peer.node(name).to_string()} | ({"part": part} if part else {}))
            for number, (name, part, kind, _) in enumerate(rows)
        )
    )
    driver = cast("SubscribingOpcuaDriver", driver_for(peer.url))
    await driver.connect()
    try:
        read = await driver.read(poll)
        async with aclosing(driver.changes([poll])) as readings:
            return [read, await anext(readings)]
    finally:
        await driver.close()


async def test_9_structures_named_enums_and_arrays_by_index(peer: OpcuaPeer) -> None:
    """Each part is the value of its point, with the type of the part."""
    for reading in await _both(peer, CASES):
        assert list(reading.values) == [value for *_, value in CASES]
        assert not reading.flaws


async def test_9_a_part_that_is_not_there_is_a_flaw(peer: OpcuaPeer) -> None:
    """It says what is missing; nothing near it is taken instead."""
    for reading in await _both(peer, FLAWS):
        assert list(reading.values) == [None] * len(FLAWS)
        assert [(reading.flaws[n].reason, reading.flaws[n].raw) for n in range(len(FLAWS))] == [row[3] for row in FLAWS]


async def test_9_a_number_without_a_name(peer: OpcuaPeer) -> None:
    """An enumeration that holds what its type does not name is bad, and shows the number."""
    duty = peer.server.get_node(peer.node("duty"))
    await peer.run(duty.write_value(ua.Variant(9, V.Int32)))
    try:
        reading, _ = await _both(peer, [("duty", None, "string", None)])
    finally:
        await peer.run(duty.write_value(ua.Variant(1, V.Int32)))
    assert reading.flaws == {0: Quality(Grade.BAD, "decode_error", "9")}


async def test_9_a_server_that_does_not_describe_itself_costs_only_what_needs_it(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses to look for properties and to tell its types: fields and names are flaws, the values are good."""

    async def refuse(*_: Any) -> None:
        raise ServiceError(0x800B_0000)

    original = InternalSession.read

    async def read(self: InternalSession, params: ua.ReadParameters) -> Any:
        if params.NodesToRead[0].AttributeId != AttributeIds.Value:
            raise ServiceError(0x8010_0000)
        return await original(self, params)

    monkeypatch.setattr(InternalSession, "translate_browsepaths_to_nodeids", refuse)
    monkeypatch.setattr(InternalSession, "read", read)
    rows = [("array", "[1]", "number", 2.5), ("room", "dp", "number", None), ("duty", None, "string", None)]
    for reading in await _both(peer, rows):
        assert reading.values == (2.5, None, None)
        assert [reading.flaws[index].reason for index in (1, 2)] == ["config_error", "decode_error"]


@pytest.mark.parametrize("text", ["[3]", "t", "zones[2].t", "[0][1]", "温度.值"])
def test_a_part_is_read_as_it_is_written(text: str) -> None:
    """Steps by index and by name, in their order."""
    steps = parts.parse(text)
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    assert written == text


@pytest.mark.parametrize("text", ["", ".", "[", "[x]", "a..b", "a.", ".a", "[1]a", "[-1]", "a" + "[0]" * 16])
def test_what_is_not_a_part_is_refused(text: str) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match="write"):
        parts.parse(text)


LOOP = Types(
    {
        (2, 1): Structure("plain", (Field("a", 12), Field("next", (2, 1)), Field("b", 11))),
        (2, 2): Structure("union", (Field("a", 12), Field("b", 11, is_array=True))),
        (2, 3): Structure("optional", (Field("a", 22, is_array=True, is_optional=True), Field("b", 11))),
    }
)


@given(
    st.binary(max_size=60), st.integers(0, 255), st.sampled_from([2, 1, 3]), st.lists(st.sampled_from(["a", "b", 0, 2]))
)
@settings(deadline=None, max_examples=400)
def test_12_any_bytes_give_a_part_or_an_error_that_says_so(body: bytes, kind: int, type_: int, way: list[Any]) -> None:
    """Structures that contain themselves, unions, lengths that lie: never a crash, a hang or a deep stack."""
    encoded = struct.pack("<BBHBi", 1, 2, type_, 1, len(body)) + body
    for start, bytes_ in ((kind, body), (22, encoded)):
        with suppress(Missing, Undecodable, struct.error):
            found, pos = parts.find(LOOP, start, bytes_, tuple(way or ["b"]))
            assert 0 <= found <= 31
            assert 0 <= pos <= len(bytes_)


def test_a_node_id_in_each_of_its_forms() -> None:
    """As the library encodes them."""
    for identifier in (7, 300, 70_000, "or1.t", b"\x01\x02"):
        for namespace in (0, 2, 300):
            node = ua.NodeId(cast("Any", identifier), cast("Any", namespace))
            encoded = ua_binary.nodeid_to_binary(node)
            assert parts.node_key(encoded, 0) == ((namespace, identifier), len(encoded))


def test_12_a_guid_that_is_cut_short_is_a_decode_error() -> None:
    """Sixteen bytes are due; with fewer nothing is made up of them."""
    body = struct.pack("<i", 1) + b"\x01\x02"
    convert = converter(point("p", type="string", spec={"part": "[0]"}))
    assert convert(0x80 | 14, body) == (None, Quality(Grade.BAD, "decode_error", "a Guid is cut short"))
    with pytest.raises(Undecodable):
        parts.node_key(b"\x04\x00\x00\x01\x02", 0)
