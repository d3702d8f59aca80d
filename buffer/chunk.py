"""A chunk: the records of one stream in one commit, as one compressed blob. Pure: no file, no clock.

The blob is one zstd frame with content size and checksum, holding MessagePack: a list of `(time_ms, topic, body)` in
sequence. A damaged blob never gives wrong records: size and checksum are compared first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import zstandard

from buffer.errors import JournalError
from buffer.record import Draft, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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

    def pack(self, drafts: Sequence[Draft]) -> Chunk:
        raw = self._encode([(draft.time_ms, draft.topic, draft.body) for draft in drafts])
        times = [draft.time_ms for draft in drafts]
        return Chunk(len(drafts), min(times), max(times), len(raw), self._compress(raw))


class Unpacker:
    """Chunks to records. Not to be shared between threads."""

    def __init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(list[tuple[int, str, bytes]]).decode
        self._decompress = zstandard.ZstdDecompressor().decompress

    def unpack(
        self, blob: bytes, raw_bytes: int, *, stream: str, epoch: str, first: int, recorded_ms: int
    ) -> list[Record]:
        """The records, the first of them with sequence `first`. Raises `JournalError` where the blob is damaged."""
        try:
            if zstandard.frame_content_size(blob) != raw_bytes:
                raise JournalError(f"chunk {stream}/{first} is damaged: its size is not what was stored")
            rows = self._decode(self._decompress(blob))
        except (zstandard.ZstdError, msgspec.MsgspecError) as error:
            raise JournalError(f"chunk {stream}/{first} is damaged: {error}") from error
        return [
            Record(stream, epoch, sequence, time_ms, recorded_ms, topic, body)
            for sequence, (time_ms, topic, body) in enumerate(rows, first)
        ]
