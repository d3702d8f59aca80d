"""A chunk: the records of one stream in one commit, as one compressed blob. Pure: no file, no clock.

The blob is one zstd frame with content size and checksum, holding MessagePack: a list of `(time_ms, topic, body)` in
sequence. A damaged blob never gives wrong records: size and checksum are compared first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import zstandard

from buffer.errors import JournalDamaged
from buffer.record import Draft, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buffer.ledger import Lane

CHUNK_BYTES_MAX = 256 * 1024
CHUNK_RECORDS_MAX = 1000
LEVEL = 1  # Measured: level 3 is no smaller on our bodies and costs more.


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one row holds, before it has a place. `raw_bytes` is the size before compression."""

    records: int
    time_min_ms: int
    time_max_ms: int
    raw_bytes: int
    blob: bytes


def by_stream(drafts: Iterable[Draft]) -> dict[str, list[Draft]]:
    streams: dict[str, list[Draft]] = {}
    for draft in drafts:
        streams.setdefault(draft.stream, []).append(draft)
    return streams


def split(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    """Groups within the limits of one chunk, in order; a single larger body is a group of its own."""
    begin, size = 0, 0
    for at, draft in enumerate(drafts):
        size += len(draft.body)
        if at > begin and (size > CHUNK_BYTES_MAX or at - begin >= CHUNK_RECORDS_MAX):
            yield drafts[begin:at]
            begin, size = at, len(draft.body)
    yield drafts[begin:]


class Packer:
    """Drafts to chunks. Not to be shared between threads."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._compress = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress

    def pack_all(self, drafts: Sequence[Draft]) -> list[Chunk]:
        return [self.pack(group) for group in split(drafts)]

    def pack(self, drafts: Sequence[Draft]) -> Chunk:
        raw = self._encode([(draft.time_ms, draft.topic, draft.body) for draft in drafts])
        times = [draft.time_ms for draft in drafts]
        return Chunk(len(drafts), min(times), max(times), len(raw), self._compress(raw))


class Unpacker:
    """Chunks to records. Not to be shared between threads."""

    def __init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(list[tuple[int, str, bytes]]).decode
        self._decompress = zstandard.ZstdDecompressor().decompress

    def unpack(self, blob: bytes, raw_bytes: int, records: int) -> list[tuple[int, str, bytes]]:
        """Time, topic and body of each record. Raises `JournalDamaged` where the blob is not what was stored."""
        try:
            if zstandard.frame_content_size(blob) != raw_bytes:
                raise JournalDamaged("its size is not what was stored")
            rows = self._decode(self._decompress(blob))
        except (zstandard.ZstdError, msgspec.MsgspecError, TypeError) as error:  # A damaged row may hold no bytes.
            raise JournalDamaged(str(error)) from error
        if len(rows) != records:
            raise JournalDamaged(f"it holds {len(rows)} records instead of {records}")
        return rows


def numbered(
    rows: Iterable[tuple[int, str, bytes]], lane: Lane, first: int, recorded_ms: int, *, durable: bool
) -> list[Record]:
    """Unpacked rows as records, the first of them with sequence `first`."""
    return [
        Record(lane.stream, lane.epoch, sequence, time_ms, recorded_ms, topic, body, durable)
        for sequence, (time_ms, topic, body) in enumerate(rows, first)
    ]
