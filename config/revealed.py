"""Every secret that a configuration names and that can be read here, to be looked for where it must not be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from config.fields import KeySpec, SecretSpec
from config.secrets import Secret, secret_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from config.model import Config

LENGTH_MIN = 4
"""What is shorter would be found in every other word."""


def revealed(config: Config) -> set[str]:
    """The secrets themselves. What this user may not read, or is not here, is left out."""
    found = set()
    for secret in _secrets((config.uplinks, config.notifiers, config.http, config.lines), config.home.config):
        try:
            text = secret.reveal()
        except (LookupError, UnicodeDecodeError):
            continue
        found |= {text} if len(text) >= LENGTH_MIN else set()
    return found


def _secrets(part: Any, root: Path) -> Iterator[Secret]:
    if isinstance(part, Secret):
        yield part
    elif isinstance(part, (SecretSpec, KeySpec)):
        yield secret_of(part, root)
    else:
        for inner in _inner(part):
            yield from _secrets(inner, root)


def _inner(part: Any) -> Iterable[Any]:
    if is_dataclass(part):
        return [getattr(part, each.name) for each in fields(part) if each.name != "devices"]
    if isinstance(part, BaseModel):
        return [getattr(part, name) for name in type(part).model_fields]
    if isinstance(part, Mapping):
        return part.values()
    return part if isinstance(part, (list, tuple)) else ()
