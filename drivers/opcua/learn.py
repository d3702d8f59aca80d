"""What a server says of its own types: how structures are made, and what the numbers of an enumeration are called.

Asked for once per connection, and only for points that need it: those that name a field of a structure, and texts that
may be the name of a number. Data types that describe themselves (OPC UA 1.04 on) are understood, and the older
properties EnumStrings and EnumValues; older dictionaries of structures are not.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field, replace
from struct import Struct
from typing import TYPE_CHECKING, Literal, cast

from asyncua.ua.attribute_ids import AttributeIds

from drivers.contract import Quality
from drivers.errors import NoAnswer, Refused
from drivers.opcua import decode, requests, walk
from drivers.opcua.kinds import ARRAY, BUILT_IN_MAX, EXTENSION_OBJECT, INT32, LOCALIZED_TEXT, NODE_ID, STRING
from drivers.opcua.parts import Field, Key, Structure, Types, node_key, parse
from drivers.opcua.resolve import follow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asyncua import ua

    from config.model import Point
    from drivers.opcua.decode import Sample
    from drivers.opcua.resolve import Found
    from drivers.opcua.session import Session
    from drivers.opcua.settings import OpcuaPoint

TYPES_MAX = 500
"""So many data types of one server are asked for; what is beyond has no parts."""

_STRUCTURE_DEFINITION, _ENUM_DEFINITION = (0, 122), (0, 123)
_ENUM_VALUE = (0, 8251)
_FORMS: dict[int, Literal["plain", "optional", "union"]] = {0: "plain", 1: "optional", 2: "union"}
_I32, _I64 = Struct("<i"), Struct("<q")

_ALIASES: dict[Key, int] = {
    (0, 29): INT32,  # Enumeration
    (0, 288): 7,  # IntegerId
    (0, 289): 7,  # Counter
    (0, 290): 11,  # Duration
    (0, 291): 12,  # NumericRange
    (0, 294): 13,  # UtcTime
    (0, 295): 12,  # LocaleId
}
"""Standard types that are another name for a built-in one and have no definition of their own."""


@dataclass(slots=True)
class Known:
    """What was learnt for one point."""

    types: Types = field(default_factory=Types)
    names: Mapping[int, str] = field(default_factory=dict)


async def learn(session: Session, points: Sequence[Point], nodes: Sequence[Found]) -> dict[Point, Known]:
    """What must be known of the server to read `points`, each at its place in `nodes`.

    A server that does not say it costs the points that need it, never the line. Raises `Unreachable`.
    """
    found = [(point, node) for point, node in zip(points, nodes, strict=True) if not isinstance(node, Quality)]
    of_structures = [(point, node) for point, node in found if _names_field(point)]
    texts = [(point, node) for point, node in found if point.type == "string" and not _part(point)]
    known = {point: Known() for point, _ in (*of_structures, *texts)}
    with suppress(Refused, NoAnswer):
        if of_structures:
            types = await structures(session, [node for _, node in of_structures])
            known |= {point: Known(types) for point, _ in of_structures}
        if texts:
            called = await names(session, [node for _, node in texts])
            known |= {point: Known(names=each) for (point, _), each in zip(texts, called, strict=True)}
    return known


def _part(point: Point) -> str:
    return cast("OpcuaPoint", point.spec).part or ""


def _names_field(point: Point) -> bool:
    return bool(_part(point)) and any(isinstance(step, str) for step in parse(_part(point)))


async def structures(session: Session, nodes: Sequence[ua.NodeId]) -> Types:
    """The data types of these variables, and all that they are made of. Raises `DriverError`."""
    found: dict[Key, Structure] = {}
    encodings: dict[Key, Key] = {}
    enumerations: set[Key] = set()
    wanted = {key for key in await _data_types(session, nodes) if key is not None}
    asked: set[Key] = set()
    while (wanted := {key for key in wanted - asked if not _is_built_in(key)}) and len(asked) < TYPES_MAX:
        asked |= wanted
        for key, body in zip(wanted, await _definitions(session, wanted), strict=True):
            kind = node_key(body, 0)[0] if body else None
            if kind == _STRUCTURE_DEFINITION and (described := _described(body)):
                encoding, found[key] = described
                encodings[encoding] = key
            elif kind == _ENUM_DEFINITION:
                enumerations.add(key)
        wanted = {each.type for one in found.values() for each in one.fields if isinstance(each.type, tuple)}
    plain = {key: _with_numbers(structure, enumerations) for key, structure in found.items()}
    return Types(plain, encodings)


async def names(session: Session, nodes: Sequence[ua.NodeId]) -> list[dict[int, str]]:
    """What the numbers of these variables are called; nothing where they have no names. Raises `DriverError`."""
    types = await _data_types(session, nodes)
    enums = [index for index, key in enumerate(types) if key is not None and not _is_text(key)]
    own = [types[index] or (0, 0) for index in enums]
    defined = [_numbered(body) for body in await _definitions(session, own)]
    undefined = [place for place, found in enumerate(defined) if not found]
    starts = [nodes[enums[place]] for place in undefined] + [_node(own[place]) for place in undefined]
    listed = await _listed(session, starts)
    for number, place in enumerate(undefined):
        defined[place] = listed[number] or listed[len(undefined) + number]
    found: list[dict[int, str]] = [{} for _ in nodes]
    for index, known in zip(enums, defined, strict=True):
        found[index] = known
    return found


async def _listed(session: Session, starts: Sequence[ua.NodeId]) -> list[dict[int, str]]:
    """From the properties that came before definitions: of the variable, or of its data type."""
    paths = [(start, [(0, name)]) for start in starts for name in ("EnumStrings", "EnumValues")]
    ends = await follow(session, paths)
    there = [(place // 2, end) for place, end in enumerate(ends) if not isinstance(end, Quality)]
    found: list[dict[int, str]] = [{} for _ in starts]
    samples = await _read(session, [node for _, node in there], AttributeIds.Value)
    for (place, _), sample in zip(there, samples, strict=True):
        found[place] = found[place] or _names(sample)
    return found


def _names(sample: Sample) -> dict[int, str]:
    _, kind, body, _, _ = sample
    if not isinstance(body, bytes):
        return {}
    try:
        if kind == ARRAY | LOCALIZED_TEXT:
            return _strings(body)
        return _values(body) if kind == ARRAY | EXTENSION_OBJECT else {}
    except (walk.Undecodable, struct.error):
        return {}


def _strings(body: bytes) -> dict[int, str]:
    count, pos = walk.count(body, 0, 1)
    found: dict[int, str] = {}
    for number in range(count):
        text, pos = decode.scalar(LOCALIZED_TEXT, body, pos)
        if isinstance(text, str) and text:
            found[number] = text
    return found


def _values(body: bytes) -> dict[int, str]:
    count, pos = walk.count(body, 0, 1)
    found: dict[int, str] = {}
    for _ in range(count):
        kind, inner = node_key(body, pos)
        end = walk.extension_object(body, pos)
        if kind == _ENUM_VALUE:
            (number,) = _I64.unpack_from(body, inner + 5)
            text, _ = decode.scalar(LOCALIZED_TEXT, body, inner + 13)
            found[number] = text if isinstance(text, str) else str(number)
        pos = end
    return found


async def _data_types(session: Session, nodes: Sequence[ua.NodeId]) -> list[Key | None]:
    samples = await _read(session, nodes, AttributeIds.DataType)
    return [_key(sample) for sample in samples]


def _key(sample: Sample) -> Key | None:
    _, kind, body, _, _ = sample
    return node_key(body, 0)[0] if kind == NODE_ID and isinstance(body, bytes) else None


async def _definitions(session: Session, keys: Iterable[Key]) -> list[bytes]:
    """The definition of each data type as an extension object; empty where it has none."""
    samples = await _read(session, [_node(key) for key in keys], AttributeIds.DataTypeDefinition)
    return [body if kind == EXTENSION_OBJECT and isinstance(body, bytes) else b"" for _, kind, body, _, _ in samples]


async def _read(session: Session, nodes: Sequence[ua.NodeId], attribute: AttributeIds) -> list[Sample]:
    samples: list[Sample] = []
    for start in range(0, len(nodes), session.nodes_per_read):
        some = requests.read(nodes[start : start + session.nodes_per_read], attribute)
        samples += await session.read(some, "asking for its types", NoAnswer)
    return samples


def _body(encoded: bytes) -> bytes:
    """What is in an extension object."""
    _, pos = node_key(encoded, 0)
    _, start = walk.count(encoded, pos + 1, 1)
    return encoded[start:]


def _described(encoded: bytes) -> tuple[Key, Structure] | None:
    """`None` for what is not understood: then the structure has no parts."""
    try:
        return _structure(_body(encoded))
    except (walk.Undecodable, struct.error):
        return None


def _structure(body: bytes) -> tuple[Key, Structure]:
    """A StructureDefinition (OPC 10000-3, 8.48): the NodeId of its encoding, and how it is made."""
    encoding, pos = node_key(body, 0)
    _, pos = node_key(body, pos)
    (form,) = _I32.unpack_from(body, pos)
    if form not in _FORMS:
        raise walk.Undecodable(f"a structure of form {form}")
    count, pos = walk.count(body, pos + 4, 1)
    fields = []
    for _ in range(count):
        each, pos = _field(body, pos)
        fields.append(each)
    return encoding, Structure(_FORMS[form], tuple(fields))


def _field(body: bytes, pos: int) -> tuple[Field, int]:
    """A StructureField (OPC 10000-3, 8.51). One of several dimensions is encoded as a matrix, which has no parts."""
    name, pos = decode.scalar(STRING, body, pos)
    kind, pos = node_key(body, walk.localized_text(body, pos))
    (rank,) = _I32.unpack_from(body, pos)
    dimensions, pos = walk.count(body, pos + 4, 4)
    is_optional, pos = walk.byte(body, pos + 4 * dimensions + 4)
    known: int | Key = _ALIASES.get(kind, kind)
    if isinstance(known, tuple) and _is_built_in(known):
        known = int(str(known[1]))
    return Field(str(name), known if rank <= 1 else _MATRIX, rank > 0, bool(is_optional)), pos


_MATRIX: Key = (0, "matrix")


def _with_numbers(structure: Structure, enumerations: set[Key]) -> Structure:
    """Enumerations are encoded as Int32."""
    fields = (replace(each, type=INT32) if each.type in enumerations else each for each in structure.fields)
    return replace(structure, fields=tuple(fields))


def _numbered(encoded: bytes) -> dict[int, str]:
    try:
        return _enum(encoded)
    except (walk.Undecodable, struct.error):
        return {}


def _enum(encoded: bytes) -> dict[int, str]:
    """An EnumDefinition (OPC 10000-3, 8.50); nothing for anything else."""
    if not encoded or node_key(encoded, 0)[0] != _ENUM_DEFINITION:
        return {}
    body = _body(encoded)
    count, pos = walk.count(body, 0, 8)
    found = {}
    for _ in range(count):
        (number,) = _I64.unpack_from(body, pos)
        pos = walk.localized_text(body, walk.localized_text(body, pos + 8))
        name, pos = decode.scalar(STRING, body, pos)
        found[number] = str(name)
    return found


def _is_built_in(key: Key) -> bool:
    namespace, identifier = key
    return namespace == 0 and isinstance(identifier, int) and 0 < identifier <= BUILT_IN_MAX


def _is_text(key: Key) -> bool:
    return key in {(0, 12), (0, 13), (0, 14), (0, 21)}


def _node(key: Key) -> ua.NodeId:
    namespace, identifier = key
    return requests.node_id(identifier, namespace)
