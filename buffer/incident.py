"""What happened to a journal's file that a person should hear of. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incident:
    """`reason` is that of the epoch that began because of it, `what` one sentence.

    `salvaged` records were found in what was left and are kept, `lost` are missing although they were stored and not
    yet trimmed, as far as that can be known. `moved_to` is where the damaged file lies now, empty where none was left.
    """

    reason: str
    what: str
    at_ms: int
    salvaged: int = 0
    lost: int = 0
    moved_to: str = ""
