"""Why a message did not go out."""

from __future__ import annotations


class NoticeFailed(Exception):
    """In one sentence, with what to do next where that is known."""
