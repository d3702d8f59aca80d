"""One part of a value that is more than one: `[3]` of an array, `zones[2].t` of a structure (OPC 10000-6, 5.2). Pure.

The bytes are walked over up to the part, and only that is decoded. How a structure is made is what its server says of
it (`learn`); a structure that nobody described has no parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from drivers.opcua import walk
from drivers.opcua.kinds import ARRAY, EXTENSION_OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.contract import Reason

Key = tuple[int, int | str | UUID | bytes]
"""A NodeId: namespace index and identifier."""

Step = int | str
STEPS_MAX = 16

_PART = re.compile(r"(?:(?:^|\.)(?P<name>[^.\[\]]+))|\[(?P<index>\d{1,9})\]")
_U32 = Struct("<I")
_NODE_NUMBERS = {0: Struct("<xB"), 1: Struct("<xBH"), 2: Struct("<xHI")}


def parse(text: str) -> tuple[Step, ...]:
    """The way to a part. Raises `ValueError` that says what to write instead."""
    found = list(_PART.finditer(text))
    if not found or text.startswith(".") or "".join(step[0] for step in found) != text or len(found) > STEPS_MAX:
        raise ValueError("not a part of a value; write [3] for an element, NAME for a field, or NAME[3].NAME")
    return tuple(step["name"] or int(step["index"]) for step in found)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a structure. `type` is the number of a built-in type, or the data type of a structure."""

    name: str
    type: int | Key
    is_array: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """How a structure is encoded: field after field, or with a mask of those that are there, or one of them."""

    form: Literal["plain", "optional", "union"]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Types:
    """The structures of a server by data type, and which encoding belongs to which data type."""

    structures: Mapping[Key, Structure] = field(default_factory=dict)
    encodings: Mapping[Key, Key] = field(default_factory=dict)


class Missing(Exception):
    """The value has no such part."""

    def __init__(self, reason: Reason, raw: str) -> None:
        super().__init__(raw)
        self.reason: Reason = reason
        self.raw = raw


@dataclass(frozen=True, slots=True)
class _Place:
    """Somewhere in the bytes, and what stands there."""

    pos: int
    type: int | Key
    is_array: bool


def find(types: Types, kind: int, body: bytes, steps: tuple[Step, ...]) -> tuple[int, int]:
    """The built-in type of the part and where it is. `body` is a value without its encoding byte, which is `kind`.

    Raises `Missing`, or `Undecodable` and `struct.error` where the bytes are not what they should be.
    """
    place = _Place(0, kind & 0x3F, bool(kind & ARRAY))
    for step in steps:
        place = _element(types, body, place, step) if isinstance(step, int) else _field(types, body, place, step)
    if place.is_array or not isinstance(place.type, int):
        raise Missing("config_error", "the part is itself an array or a structure")
    return place.type, place.pos


def _element(types: Types, body: bytes, place: _Place, index: int) -> _Place:
    if not place.is_array:
        raise Missing("config_error", "not an array")
    count, pos = walk.count(body, place.pos, 0 if place.type == 0 else 1)
    if index >= count:
        raise Missing("not_available", f"{count} elements")
    for _ in range(index):
        pos = _over(types, body, pos, place.type, 0)
    return _Place(pos, place.type, is_array=False)


def _field(types: Types, body: bytes, place: _Place, name: str) -> _Place:
    if place.is_array:
        raise Missing("config_error", "an array where a structure is named")
    pos, structure = _opened(types, body, place)
    for each, start in _fields(types, body, pos, structure, 0):
        if each.name == name:
            if start is None:
                raise Missing("not_available", f"{name} is left out")
            return _Place(start, each.type, each.is_array)
    raise Missing("config_error", f"no field {name}")


def _opened(types: Types, body: bytes, place: _Place) -> tuple[int, Structure]:
    """Where the fields begin, and which there are."""
    if place.type != EXTENSION_OBJECT:
        if isinstance(place.type, int) or place.type not in types.structures:
            raise Missing("config_error", "not a structure")
        return place.pos, types.structures[place.type]
    key, pos = node_key(body, place.pos)
    encoding, pos = walk.byte(body, pos)
    if encoding != 1:
        raise Missing("not_available", "no structure" if not encoding else "a structure in XML")
    structure = types.structures.get(types.encodings.get(key, key))
    if structure is None:
        raise Missing("config_error", f"structure {shown(key)} is not described by the server")
    _, start = walk.count(body, pos, 1)
    return start, structure


def _fields(types: Types, body: bytes, pos: int, structure: Structure, depth: int) -> list[tuple[Field, int | None]]:
    """Each field and where it is, `None` if it is not there; then one without a name at the end."""
    found: list[tuple[Field, int | None]] = []
    present, pos = _present(body, pos, structure)
    for index, each in enumerate(structure.fields):
        if index not in present:
            found.append((each, None))
            continue
        found.append((each, pos))
        pos = _over_field(types, body, pos, each, depth)
    found.append((_END, pos))
    return found


_END = Field("", 0)


def _present(body: bytes, pos: int, structure: Structure) -> tuple[set[int], int]:
    every = set(range(len(structure.fields)))
    if structure.form == "plain":
        return every, pos
    (mask,) = _U32.unpack_from(body, pos)
    if structure.form == "union":
        return ({mask - 1} & every), pos + 4
    optional = [index for index, each in enumerate(structure.fields) if each.is_optional]
    absent = {index for bit, index in enumerate(optional) if not mask & (1 << bit)}
    return every - absent, pos + 4


def _over_field(types: Types, body: bytes, pos: int, each: Field, depth: int) -> int:
    if not each.is_array:
        return _over(types, body, pos, each.type, depth)
    count, pos = walk.count(body, pos, 1)
    for _ in range(count):
        pos = _over(types, body, pos, each.type, depth)
    return pos


def _over(types: Types, body: bytes, pos: int, kind: int | Key, depth: int) -> int:
    if isinstance(kind, int):
        return walk.element(body, pos, kind)
    structure = types.structures.get(kind)
    if structure is None:
        raise Missing("config_error", f"data type {shown(kind)} is not described by the server")
    if depth >= walk.DEPTH_MAX:
        raise walk.Undecodable(f"structures nested more than {walk.DEPTH_MAX} deep")
    end = _fields(types, body, pos, structure, depth + 1)[-1][1]
    return pos if end is None else end


def node_key(body: bytes, pos: int) -> tuple[Key, int]:
    """A NodeId or ExpandedNodeId and its end. Raises `Undecodable` and `struct.error`."""
    end = walk.node_id(body, pos)
    form = body[pos] & 0x3F
    if form in _NODE_NUMBERS:
        numbers = _NODE_NUMBERS[form].unpack_from(body, pos)
        return (numbers if len(numbers) > 1 else (0, *numbers)), end
    namespace = int.from_bytes(body[pos + 1 : pos + 3], "little")
    if form == _GUID_FORM:
        return (namespace, walk.guid(body, pos + 3)[0]), end
    raw = body[pos + 7 : walk.text(body, pos + 3)]
    return (namespace, raw.decode("utf-8", "replace") if form == _TEXT_FORM else raw), end


_TEXT_FORM, _GUID_FORM = 3, 4


def shown(key: Key) -> str:
    """As people write a NodeId."""
    namespace, identifier = key
    return f"ns={namespace};{'i' if isinstance(identifier, int) else 's'}={identifier!s}"
