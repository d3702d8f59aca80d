"""The built-in types of OPC UA by their numbers (OPC 10000-6, 5.1.2). Pure."""

from __future__ import annotations

NULL, BOOLEAN, INT32, DOUBLE, STRING, DATE_TIME, GUID, NODE_ID, LOCALIZED_TEXT, EXTENSION_OBJECT = (
    *(0, 1, 6, 11, 12, 13, 14, 17, 21, 22),
)
INTEGERS = frozenset(range(2, 10))
FLOATS = frozenset((10, 11))
NUMBERS = INTEGERS | FLOATS
BUILT_IN_MAX = 25
XML, QUALIFIED_NAME, DATA_VALUE, VARIANT = 16, 20, 23, 24
RARE = frozenset((XML, QUALIFIED_NAME, DATA_VALUE, VARIANT))
"""Types in which something may be that a point can hold, and which only the library takes apart."""
ENCODED = RARE | {NODE_ID, EXTENSION_OBJECT}
"""Types that a sample has as the bytes in which they came."""
ARRAY = 0x80
"""Set in the encoding byte of an array."""

_NAMES = (
    *("Null", "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double"),
    *("String", "DateTime", "Guid", "ByteString", "XmlElement", "NodeId", "ExpandedNodeId", "StatusCode"),
    *("QualifiedName", "LocalizedText", "ExtensionObject", "DataValue", "Variant", "DiagnosticInfo"),
)


def type_name(kind: int) -> str:
    """`Double`, `Int32[]`: the name of an encoding byte."""
    number = kind & 0x3F
    name = _NAMES[number] if number < len(_NAMES) else f"type {number}"
    return f"{name}[]" if kind & ARRAY else name
