"""Structures by their type, which only the library knows: what our own decoder leaves as bytes. See `library`.

As text they are JSON with the names of the standard; a choice of a number is also that number. A structure of a
vendor's own property is neither: nobody knows its type.
"""

from __future__ import annotations

import json
from typing import Any

from bacpypes3.constructeddata import Array, Choice, ExtendedList
from bacpypes3.json.util import extendedlist_to_json_list, sequence_to_json
from bacpypes3.primitivedata import Atomic, ObjectType, PropertyIdentifier, Unsigned
from bacpypes3.vendor import get_vendor_info

from drivers.bacnet import library
from drivers.bacnet.encoding import Malformed

_STANDARD = 0
"""The number of the vendor whose object types are those of the standard."""


def datatype(object_type: int, property_number: int, index: int | None) -> Any:
    """The library's class for a property or one element of an array, or nothing; its own annotations say less."""
    kind: Any = get_vendor_info(_STANDARD).get_object_class(ObjectType(object_type))
    found: Any = None if kind is None else kind.get_property_type(PropertyIdentifier(property_number))
    if index is None or found is None or not issubclass(found, Array):
        return found
    return found._subtype if index else Unsigned  # noqa: SLF001 - the library has no other name for it


def is_primitive(kind: Any) -> bool:
    """Whether the standard has one value for this, and no structure."""
    return kind is not None and issubclass(kind, Atomic)


def is_list(kind: Any) -> bool:
    """Whether the standard has several primitive values for this, or none."""
    return kind is not None and issubclass(kind, ExtendedList) and is_primitive(kind._subtype)  # noqa: SLF001 - see above


def as_text(kind: Any, data: bytes) -> str:
    """A structure as JSON. Raises `Malformed`."""
    found = _found(kind, data)
    try:
        plain = extendedlist_to_json_list(found) if isinstance(found, ExtendedList) else sequence_to_json(found)
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except library.NOT_THIS as error:
        raise Malformed(f"a {kind.__name__} that has no text") from error


def as_number(kind: Any, data: bytes) -> float | int:
    """The number of a structure that is a choice of one. Raises `Malformed`, and `TypeError` for any other."""
    found = _found(kind, data)
    if not isinstance(found, Choice):
        raise TypeError
    (chosen,) = sequence_to_json(found).values()
    if not isinstance(chosen, (int, float)):
        raise TypeError
    return chosen


def _found(kind: Any, data: bytes) -> Any:
    if kind is None:
        raise Malformed("a structure of an unknown type")
    return library.decoded(kind, data)
