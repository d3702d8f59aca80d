"""Which records an uplink sends: judged by stream and topic alone, so that nothing has to be decoded for it. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from agent.envelope import segment

if TYPE_CHECKING:
    from buffer.record import Record
    from config.outward import Filter

TOPICS_REMEMBERED = 4096

_SYSTEM_AT = {"alarm": 2, "telemetry": 1, "device": 1}
"""Which level of the relative topic names the system, by the first level; the others have none."""

_COLOUR_AT = {"alarm": 1}


class Selection:
    """One uplink's filter. `is_all` is true where there is none."""

    def __init__(self, wanted: Filter) -> None:
        self._streams = wanted.streams
        self._systems = wanted.systems and frozenset(segment(system) for system in wanted.systems)
        self._colours = wanted.colours
        self._judge = lru_cache(TOPICS_REMEMBERED)(self._judged)
        self.is_all = wanted.streams is None and wanted.systems is None and wanted.colours is None

    def takes(self, stream: str) -> bool:
        """Whether anything of this stream may pass."""
        return self._streams is None or stream in self._streams

    def passes(self, record: Record) -> bool:
        """Whether the record is to be sent."""
        return self.is_all or self.wants(record.stream, record.topic)

    def wants(self, stream: str, topic: str) -> bool:
        """The same of anything that has a stream and a relative topic."""
        return self.takes(stream) and self._judge(topic)

    def _judged(self, topic: str) -> bool:
        levels = topic.split("/")
        return _is_in(self._systems, levels, _SYSTEM_AT) and _is_in(self._colours, levels, _COLOUR_AT)


def _is_in(wanted: frozenset[str] | None, levels: list[str], places: dict[str, int]) -> bool:
    """True too where the topic has no such level: what cannot be judged by it passes."""
    place = places.get(levels[0])
    return wanted is None or place is None or place >= len(levels) or levels[place] in wanted
