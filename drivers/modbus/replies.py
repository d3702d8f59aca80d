"""What can come back instead of data, and what that makes of the points that were asked for.

NoReply
├── Silence          nothing within the timeout
├── InDoubt          not asked, because a late answer to an earlier question could be taken for the answer
├── Babble           a serial line on which somebody never stops talking
├── ExceptionReply   the device, or the gateway before it, says that it cannot
├── Unsure           an exception that may belong to an earlier question: it says nothing
└── Garbled          an answer, but not to this question: never decoded
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from drivers.contract import Reason

_GATEWAY_PATHS = frozenset((0x0A, 0x0B))
"""Exceptions by which a gateway says that the unit behind it does not answer."""

_REFUSALS = frozenset((2, 3))
_REASONS: dict[int, Reason] = {1: "config_error", 2: "config_error", 3: "config_error", 5: "busy", 6: "busy"}
_QUALITIES = {
    code: Quality(Grade.BAD, _REASONS.get(code, "device_fault"), f"exception {code}")
    for code in range(256)
    if code not in _GATEWAY_PATHS
}

NOT_ASKED = Quality(Grade.BAD, "comm_lost", "not asked after a timeout")


class NoReply(Exception):
    """One request that gave no data. `quality` is what its points become; `silent` says that nobody was there,
    `refuses` that the device does not have, or not in one request, what it was asked for.
    """

    def __init__(self, quality: Quality, *, silent: bool = False, refuses: bool = False) -> None:
        super().__init__(quality.raw)
        self.quality = quality
        self.silent = silent
        self.refuses = refuses


class Silence(NoReply):
    """Nothing came within the timeout."""

    def __init__(self) -> None:
        super().__init__(Quality(Grade.BAD, "comm_lost", "timeout"), silent=True)


class Babble(NoReply):
    """The line was not quiet for a moment, so nothing could be asked."""

    def __init__(self) -> None:
        super().__init__(Quality(Grade.BAD, "comm_lost", "the line is never quiet"), silent=True)


class InDoubt(NoReply):
    """Nothing was sent."""

    def __init__(self) -> None:
        super().__init__(Quality(Grade.BAD, "comm_lost", "waits for a late answer"), silent=True)


class ExceptionReply(NoReply):
    """An exception reply of Modbus."""

    def __init__(self, code: int) -> None:
        lost = Quality(Grade.BAD, "comm_lost", f"exception {code}")
        super().__init__(_QUALITIES.get(code, lost), silent=code in _GATEWAY_PATHS, refuses=code in _REFUSALS)


class Unsure(NoReply):
    """An exception reply while an earlier request may still be answered."""

    def __init__(self, code: int) -> None:
        super().__init__(Quality(Grade.BAD, "comm_lost", f"exception {code}, perhaps to an earlier request"))


class Garbled(NoReply):
    """A reply that does not fit its request. One with less data is how some devices refuse."""

    def __init__(self, what: str, *, short: bool = False) -> None:
        super().__init__(Quality(Grade.BAD, "decode_error", what), refuses=short)
