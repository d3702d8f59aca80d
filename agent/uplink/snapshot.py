"""The alarms that stand, in parts that a broker and a receiver can take. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.events import AlarmSnapshot, AlarmTransition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PART_BYTES_MAX = 60 * 1024
"""Of the alarms in one part: with the envelope around them it stays below 64 KiB."""

_encode = msgspec.json.Encoder().encode


def parts(alarms: Iterable[AlarmTransition]) -> list[AlarmSnapshot]:
    """At least one, also where no alarm stands."""
    groups = list(_groups(alarms)) or [[]]
    return [AlarmSnapshot(part=number, of=len(groups), alarms=group) for number, group in enumerate(groups, 1)]


def _groups(alarms: Iterable[AlarmTransition]) -> Iterator[list[AlarmTransition]]:
    group: list[AlarmTransition] = []
    size = 0
    for alarm in alarms:
        length = len(_encode(alarm)) + 1
        if group and size + length > PART_BYTES_MAX:
            yield group
            group, size = [], 0
        group.append(alarm)
        size += length
    if group:
        yield group
