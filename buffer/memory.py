"""Where records go while the disk is away: the same chunks in memory, under a volatile epoch. For the event loop only.

Always true:
- It never holds more than `Limits.memory_max_bytes`, however long the disk stays away. What goes first: what every
  cursor has settled, then the oldest of what is left, both in the order in which a full disk drops streams; the latter
  is counted as lost for `REASON_MEMORY`.
- Records keep their names (epoch and sequence) when they are written to disk later.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from buffer.chunk import Chunk, Packer, Unpacker, by_stream, entries_of, numbered
from buffer.ledger import Kept, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from buffer.ledger import Ledger
    from buffer.record import Draft, Record
    from buffer.retention import Limits

REASON_MEMORY = "memory_limit"
REASON_PROCESS = "memory_lost"
"""It was in memory only when the process ended."""

CHUNK_OVERHEAD_BYTES = 400
READ_BYTES_MAX = 1024 * 1024
"""Less than from disk: it is unpacked in the event loop."""


@dataclass(frozen=True, slots=True)
class Held:
    """One chunk with its place."""

    first: int
    last: int
    chunk: Chunk


@dataclass(slots=True)
class Memory:
    """One volatile epoch."""

    epoch: str
    ledger: Ledger
    limits: Limits
    wall: Callable[[], float]
    size: int = 0
    state: dict[str, bytes | None] = field(default_factory=dict)
    """What changed since the disk went away."""
    _lanes: dict[str, deque[Held]] = field(default_factory=dict)
    _packer: Packer = field(default_factory=Packer)
    _unpacker: Unpacker = field(default_factory=Unpacker)

    def append(self, drafts: Iterable[Draft], state: Mapping[str, bytes | None]) -> None:
        self.state.update(state)
        recorded_ms = int(self.wall() * 1000)
        for stream, batch in by_stream(drafts).items():
            self._put(stream, self._packer.pack_all(entries_of(batch, recorded_ms)))
        if self.size > self.limits.memory_max_bytes:
            self._trim()

    def read(self, stream: str, after: int, before: int, limit: int) -> list[Record]:
        """As `Reader.read`."""
        found: list[Record] = []
        size = 0
        for held in self._lanes.get(stream, ()):
            if held.last <= after:
                continue
            if held.first >= before or len(found) >= limit or size > READ_BYTES_MAX:
                break
            found += self._records(stream, held)[max(0, after + 1 - held.first) : before - held.first]
            size += held.chunk.raw_bytes
        return found[:limit]

    def history(self, stream: str, from_ms: int, to_ms: int) -> list[Record]:
        """What happened in that time."""
        return [
            record
            for held in self._lanes.get(stream, ())
            if held.chunk.time_max_ms >= from_ms and held.chunk.time_min_ms < to_ms
            for record in self._records(stream, held)
            if from_ms <= record.time_ms < to_ms
        ]

    def since(self, written: Mapping[str, int]) -> list[tuple[str, Held]]:
        """What comes behind the sequence that is `written` of each stream."""
        return [
            (stream, held)
            for stream, lane in self._lanes.items()
            for held in lane
            if held.first > written.get(stream, 0)
        ]

    @property
    def records(self) -> int:
        return sum(held.last - held.first + 1 for lane in self._lanes.values() for held in lane)

    def _put(self, stream: str, chunks: Sequence[Chunk]) -> None:
        lane = self._lanes.setdefault(stream, deque())
        kept = self.ledger.kept(Lane(self.epoch, stream))
        for chunk in chunks:
            lane.append(Held(kept.next, kept.next + chunk.records - 1, chunk))
            kept = kept.grown(chunk.records, chunk.raw_bytes, len(chunk.blob))
            self.size += len(chunk.blob) + CHUNK_OVERHEAD_BYTES
        self.ledger.put(Lane(self.epoch, stream), kept)

    def _records(self, stream: str, held: Held) -> list[Record]:
        chunk = held.chunk
        entries = self._unpacker.unpack(chunk.blob, chunk.raw_bytes, chunk.records, chunk.recorded_ms)
        return numbered(entries, Lane(self.epoch, stream), held.first, durable=False)

    def _trim(self) -> None:
        streams = sorted(self._lanes, key=self.limits.rank)
        for wanted in (self._is_settled, None):
            for stream in streams:
                lane = self._lanes[stream]
                while lane and self.size > self.limits.memory_max_bytes and (wanted is None or wanted(stream, lane[0])):
                    self._drop(stream, lane)

    def _is_settled(self, stream: str, held: Held) -> bool:
        return any(
            first <= held.first and held.last <= last
            for first, last in self.ledger.settled_by_all(Lane(self.epoch, stream))
        )

    def _drop(self, stream: str, held_lane: deque[Held]) -> None:
        lane = Lane(self.epoch, stream)
        gone = held_lane.popleft()
        self.ledger.drop(lane, gone.first, gone.last, REASON_MEMORY)
        old = self.ledger.kept(lane)
        self.ledger.put(
            lane,
            Kept(
                old.next,
                held_lane[0].first if held_lane else old.next,
                old.records - gone.chunk.records,
                old.raw_bytes - gone.chunk.raw_bytes,
                old.stored_bytes - len(gone.chunk.blob),
            ),
        )
        self.size -= len(gone.chunk.blob) + CHUNK_OVERHEAD_BYTES
