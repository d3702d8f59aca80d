"""Names and sentences as written to names and sentences in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.model import Text

if TYPE_CHECKING:
    from config.fields import TextSpec


def text_of(spec: TextSpec | None, default: Text) -> Text:
    """Both languages; where only one was written, both are that one; where none was, the default."""
    if spec is None or not (spec.zh or spec.en):
        return default
    return Text(spec.zh or spec.en or "", spec.en or spec.zh or "")


def named(spec: TextSpec | None, identifier: str) -> Text:
    """A name, by default the id."""
    return text_of(spec, Text(identifier, identifier))
