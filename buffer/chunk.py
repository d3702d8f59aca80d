"""A chunk: records of one stream, stored together or soon after each other, as one compressed blob. Pure: no clock.

The blob is one zstd frame with content size, checksum and the id of a dictionary (`buffer.dictionary`), holding
MessagePack: a list of `(recorded, time, topic, body)` in sequence, both times in milliseconds after the `recorded_ms`
of its row. Frames without a dictionary are of older releases: `(time_ms, topic, body)`, all recorded at once.

A damaged blob never gives wrong records: size and checksum are compared first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import zstandard

from buffer.dictionary import NEWEST, for_compression, for_decompression
from buffer.errors import JournalDamaged
from buffer.record import Draft, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buffer.ledger import Lane

CHUNK_BYTES_MAX = 256 * 1024
CHUNK_RECORDS_MAX = 1000
LEVEL = 1  # Measured: level 3 is no smaller on our bodies and costs more.

SMALL_BYTES_MAX = 8 * 1024
SMALL_LEVEL = 6
"""A small chunk is worth the search: a fifth smaller than at level 1, for 30 microseconds more at most."""

Entry = tuple[int, int, str, bytes]
"""One record of a chunk: when it was stored and its own time, milliseconds since the epoch; topic and body."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one row holds, before it has a place. `raw_bytes` is the size before compression."""

    records: int
    recorded_ms: int
    time_min_ms: int
    time_max_ms: int
    raw_bytes: int
    blob: bytes


def by_stream(drafts: Iterable[Draft]) -> dict[str, list[Draft]]:
    streams: dict[str, list[Draft]] = {}
    for draft in drafts:
        streams.setdefault(draft.stream, []).append(draft)
    return streams


def entries_of(drafts: Iterable[Draft], recorded_ms: int) -> list[Entry]:
    return [(recorded_ms, draft.time_ms, draft.topic, draft.body) for draft in drafts]


def relative(entries: Sequence[Entry]) -> list[Entry]:
    """With times after the moment at which the first was stored: small numbers, and much alike in all chunks."""
    base_ms = entries[0][0]
    return [(recorded_ms - base_ms, time_ms - base_ms, topic, body) for recorded_ms, time_ms, topic, body in entries]


def split(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Groups within the limits of one chunk, in order; a single larger body is a group of its own."""
    begin, size = 0, 0
    for at, (*_, body) in enumerate(entries):
        size += len(body)
        if at > begin and (size > CHUNK_BYTES_MAX or at - begin >= CHUNK_RECORDS_MAX):
            yield entries[begin:at]
            begin, size = at, len(body)
    yield entries[begin:]


class Packer:
    """Entries to chunks. Not to be shared between threads."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._compress = _compressor(LEVEL).compress
        self._compress_small = _compressor(SMALL_LEVEL).compress

    def pack_all(self, entries: Sequence[Entry]) -> list[Chunk]:
        return [self.pack(group) for group in split(entries)]

    def pack(self, entries: Sequence[Entry]) -> Chunk:
        """One chunk, recorded when its first entry was."""
        raw = self._encode(relative(entries))
        blob = (self._compress_small if len(raw) <= SMALL_BYTES_MAX else self._compress)(raw)
        times = [entry[1] for entry in entries]
        return Chunk(len(entries), entries[0][0], min(times), max(times), len(raw), blob)


def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, dict_data=for_compression(NEWEST, level), write_checksum=True)


class Unpacker:
    """Chunks to entries. Not to be shared between threads."""

    def __init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(list[Entry]).decode
        self._decode_old = msgspec.msgpack.Decoder(list[tuple[int, str, bytes]]).decode
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def unpack(self, blob: bytes, raw_bytes: int, records: int, recorded_ms: int) -> list[Entry]:
        """What was packed. Raises `JournalDamaged` where the blob is not what was stored."""
        try:
            frame = zstandard.get_frame_parameters(blob)
            if frame.content_size != raw_bytes:
                raise JournalDamaged("its size is not what was stored")
            raw = self._decompressor(frame.dict_id).decompress(blob)
            entries = self._entries(raw, recorded_ms) if frame.dict_id else self._old_entries(raw, recorded_ms)
        except (zstandard.ZstdError, msgspec.MsgspecError, TypeError) as error:  # A damaged row may hold anything.
            raise JournalDamaged(str(error)) from error
        if len(entries) != records:
            raise JournalDamaged(f"it holds {len(entries)} records instead of {records}")
        return entries

    def _entries(self, raw: bytes, base_ms: int) -> list[Entry]:
        return [(base_ms + at, base_ms + time, topic, body) for at, time, topic, body in self._decode(raw)]

    def _old_entries(self, raw: bytes, recorded_ms: int) -> list[Entry]:
        return [(recorded_ms, time_ms, topic, body) for time_ms, topic, body in self._decode_old(raw)]

    def _decompressor(self, dictionary: int) -> zstandard.ZstdDecompressor:
        if dictionary not in self._decompressors:
            self._decompressors[dictionary] = zstandard.ZstdDecompressor(dict_data=for_decompression(dictionary))
        return self._decompressors[dictionary]


def numbered(entries: Iterable[Entry], lane: Lane, first: int, *, durable: bool) -> list[Record]:
    """Entries as records, the first of them with sequence `first`."""
    return [
        Record(lane.stream, lane.epoch, sequence, time_ms, recorded_ms, topic, body, durable)
        for sequence, (recorded_ms, time_ms, topic, body) in enumerate(entries, first)
    ]
