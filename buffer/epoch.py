"""A new epoch, told to whoever writes its first records. Pure.

An epoch is either durable or volatile as a whole. A volatile one is written to memory first, while the disk is away;
its records keep their names when they reach the disk later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from buffer.record import Draft

FIRST = "first"
RENEWED = "renewed"
RESTORED = "restored"
DAMAGED = "damaged"
FILE_MISSING = "file_missing"
LOG_MISSING = "log_missing"
LOG_DAMAGED = "log_damaged"
DISK_AWAY = "disk_away"
DISK_BACK = "disk_back"


@dataclass(frozen=True, slots=True)
class Previous:
    """The epoch before this one, and the last sequence of each of its streams."""

    epoch: str
    last: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Begun:
    """An epoch that begins now; `reason` is one of the constants above."""

    epoch: str
    previous: Previous | None
    reason: str
    durable: bool


if TYPE_CHECKING:
    Begin = Callable[[Begun], Sequence[Draft]]
    """The first records of an epoch. Called in any thread, at most once for an epoch that comes to be."""


def nothing(_: Begun) -> Sequence[Draft]:
    return ()
