"""Devices as the text of a device file: a line for each point, as a person would write it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from config import yaml12

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN = re.compile(r"[^\W\d][^\x00-\x1f:#,\[\]{}&*!|>'\"%@`\\]*", re.UNICODE)
"""What YAML takes without quotes, inside braces too."""


def device_file(comments: Iterable[str], devices: Mapping[str, Mapping[str, Any]]) -> str:
    """A whole file. `devices` as `config.pointlist.take` gives them, or any with `points`."""
    lines = [
        "# yaml-language-server: $schema=../devices.schema.json",
        *(f"# {comment}".rstrip() for comment in comments),
    ]
    lines.append("devices:")
    for name, device in devices.items():
        lines.append(f"  {scalar(name)}:")
        lines += [f"    {key}: {flow_text(value)}" for key, value in device.items() if key != "points"]
        lines.append("    points:")
        lines += [f"      {scalar(point)}: {flow_text(row)}" for point, row in device["points"].items()]
    return "\n".join(lines) + "\n"


def flow_text(value: Any) -> str:
    """Mappings and lists on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow_text(each) for each in value) + "]"
    return scalar(value)


def scalar(value: object) -> str:
    """Quoted only where it would be read as something else."""
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value == value.strip() and yaml12.plain(value) == value
        if is_plain and value.isprintable():
            return value
        return "".join(map(_visible, json.dumps(value, ensure_ascii=False)))
    return json.dumps(value)


def _visible(character: str) -> str:
    """Itself, or its number. Trap: JSON writes what is beyond 16 bits as two halves, which YAML does not take."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004  # the end of four digits
