"""The newest chunk of a lane, kept unpacked: what is stored soon after it joins it while it is small, and is compressed
with it; what is read soon after comes from here. Pure.

A small site commits a few hundred bytes each second, and as rows of their own they would cost a third more. An uplink
that keeps up reads everything while it is here, and costs neither a statement nor a thread.

Always true: a tail says what its row holds since the last transaction that is known to be on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from buffer.chunk import SMALL_BYTES_MAX, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buffer.chunk import Chunk, Entry, Packer
    from buffer.ledger import Lane
    from buffer.record import Record

TAIL_BYTES_MAX = SMALL_BYTES_MAX
"""Before compression. More than this compresses as well by itself."""

TAIL_MS_MAX = 60_000
"""Retention knows a chunk by the age of its oldest record, so the others may not be much younger."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A row, and what is in it. `first` is the sequence of its first record."""

    chunk_id: int
    first: int
    chunk: Chunk
    entries: Sequence[Entry]

    def takes(self, entries: Sequence[Entry]) -> bool:
        """Whether these belong into the same chunk. A clock that jumps begins a new one."""
        age_ms = entries[0][0] - self.chunk.recorded_ms
        return 0 <= age_ms <= TAIL_MS_MAX and self.chunk.raw_bytes + _size(entries) <= TAIL_BYTES_MAX

    def records(self, lane: Lane, after: int, before: int, limit: int) -> list[Record] | None:
        """As `Reader.read`, or None where older chunks are asked for."""
        begin = after + 1 - self.first
        if begin < 0:
            return None
        return numbered(self.entries[begin : min(before - self.first, begin + limit)], lane, after + 1, durable=True)

    def recorded_ms(self, sequence: int) -> int:
        return self.entries[sequence - self.first][0]


@dataclass(frozen=True, slots=True)
class Packed:
    """What a transaction is to add to a lane. Where there is a `tail`, the one chunk takes the place of its row.

    `entries` are those of the last chunk.
    """

    tail: Tail | None
    chunks: Sequence[Chunk]
    entries: Sequence[Entry]


def pack_on(tail: Tail | None, entries: Sequence[Entry], packer: Packer) -> Packed:
    """These entries behind the tail of their lane, in its chunk where they belong there."""
    if tail is not None and tail.takes(entries):
        joined = [*tail.entries, *entries]
        return Packed(tail, [packer.pack(joined)], joined)
    chunks = packer.pack_all(entries)
    return Packed(None, chunks, entries[-chunks[-1].records :])


def _size(entries: Iterable[Entry]) -> int:
    return sum(len(body) for *_, body in entries)
