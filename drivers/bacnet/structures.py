"""Structures and lists as text, for people: what our own decoder leaves as bytes, the library decodes by its type.

The text is JSON with the names of the standard. A structure of a vendor's own property is none: nobody knows its type.
"""

from __future__ import annotations

import json
from typing import Any

from bacpypes3.constructeddata import Array, List
from bacpypes3.errors import DecodingError, RejectException
from bacpypes3.json.util import sequence_to_json
from bacpypes3.pdu import PDUData
from bacpypes3.primitivedata import ObjectType, PropertyIdentifier, TagList
from bacpypes3.vendor import get_vendor_info

from drivers.bacnet.encoding import Malformed

_STANDARD = 0
"""The number of the vendor whose object types are those of the standard."""

_NO_STRUCTURE = (RejectException, DecodingError, AttributeError, ValueError, TypeError, LookupError, RecursionError)
"""What the library raises for bytes that do not fit the type; found by feeding it random ones."""


def as_text(object_type: int, property_number: int, index: int | None, data: bytes) -> str:
    """A property, or one element of an array, as JSON. Raises `Malformed`."""
    datatype = _datatype(object_type, property_number)
    if datatype is None:
        raise Malformed("a structure of an unknown type")
    if index is not None and issubclass(datatype, Array):
        datatype = datatype._subtype  # noqa: SLF001 - the library has no other name for it
    try:
        found = datatype.decode(TagList.decode(PDUData(data)))
        return json.dumps(sequence_to_json(found), ensure_ascii=False)
    except _NO_STRUCTURE as error:
        raise Malformed(f"a structure that is no {datatype.__name__}") from error


def is_list(object_type: int, property_number: int) -> bool:
    """Whether the standard has several values for this property, or none."""
    datatype = _datatype(object_type, property_number)
    return datatype is not None and issubclass(datatype, (Array, List))


def _datatype(object_type: int, property_number: int) -> Any:
    """The library's class; its own annotations say less than what it is."""
    kind: Any = get_vendor_info(_STANDARD).get_object_class(ObjectType(object_type))
    return None if kind is None else kind.get_property_type(PropertyIdentifier(property_number))
