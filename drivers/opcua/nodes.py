"""Nodes as people write them: `ns=2;s=or1.t`, `nsu=urn:maker:plc;i=1001`, `/2:or1/2:t`. Text only, no server.

A namespace given by URI, and a path, are looked up at each connect: a server may number its namespaces, and even its
nodes, anew when it starts. A path begins below the folder Objects; a name without `INDEX:` is in the namespace whose
URI stands in front, else in that of OPC UA; `&` takes the special meaning from the sign behind it (OPC 10000-4, A.2).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote
from uuid import UUID

Kind = Literal["i", "s", "g", "b"]
Identifier = int | str | UUID | bytes

INDEX_MAX = 0xFFFF
NUMBER_MAX = 0xFFFF_FFFF
TEXT_MAX_CHARACTERS = 4096
EXPECTED = (
    "write ns=2;s=NAME, ns=2;i=NUMBER, ns=2;g=GUID, ns=2;b=BASE64, a path such as /2:or1/2:t, "
    "or nsu=URI; in the place of ns=2;"
)
STEPS_MAX = 32

_PATH = re.compile(r"(?:nsu=(?P<uri>[^;]+);)?(?P<path>/.+)", re.DOTALL)
_STEP = re.compile(r"/(?:(?P<index>\d{1,5}):)?(?P<name>(?:&.|[^&/:])+)", re.DOTALL)
_NODE = re.compile(r"(?:ns=(?P<index>\d{1,5});|nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<identifier>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Path:
    """The names on the way from the folder Objects, each with its namespace's index, `None` for that of the URI."""

    uri: str | None
    steps: tuple[tuple[int | None, str], ...]


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node. `uri` is the namespace where it was given by URI, else `index` holds."""

    index: int
    uri: str | None
    identifier: Identifier


def parse(text: str) -> NodeAddress | Path:
    """The node that `text` names. Raises `ValueError` that says what to write instead."""
    path = _PATH.fullmatch(text.strip())
    return _path(path["uri"], path["path"]) if path else _address(text)


def _path(uri: str | None, text: str) -> Path:
    steps = list(_STEP.finditer(text))
    if "".join(step[0] for step in steps) != text:
        raise ValueError("not a path; write /INDEX:NAME/INDEX:NAME, and & in front of / : & in a name")
    if len(steps) > STEPS_MAX:
        raise ValueError(f"a path has at most {STEPS_MAX} steps")
    names = tuple((_index(step["index"]), re.sub(r"&(.)", r"\1", step["name"], flags=re.DOTALL)) for step in steps)
    return Path(unquote(uri) if uri else None, names)


def _index(text: str | None) -> int | None:
    if text is None:
        return None
    if int(text) > INDEX_MAX:
        raise ValueError(f"namespace index {text} is too large; it is at most {INDEX_MAX}")
    return int(text)


def _address(text: str) -> NodeAddress:
    match = _NODE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a NodeId; {EXPECTED}")
    index = _index(match["index"]) or 0
    # In a namespace URI of a NodeId, ";" and "%" are written %3B and %25.
    uri = unquote(match["uri"]) if match["uri"] else None
    return NodeAddress(index, uri, _identifier(match["kind"], match["identifier"]))


def _identifier(kind: str, text: str) -> Identifier:
    if kind == "i":
        return _number(text)
    if kind == "g":
        return _guid(text)
    if kind == "b":
        return _opaque(text)
    if len(text) > TEXT_MAX_CHARACTERS:
        raise ValueError(f"the name of a node has at most {TEXT_MAX_CHARACTERS} characters")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > NUMBER_MAX:
        raise ValueError(f"not a numeric identifier: {text}; write a whole number from 0 to {NUMBER_MAX}")
    return int(text)


def _guid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"not a GUID: {text}; write 8-4-4-4-12 hexadecimal digits") from None


def _opaque(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"not base64: {text}") from None
