"""Whether a value that a file gives can be what was written. Pure.

SQLite keeps any type in any column and does not look into a text. So a flipped bit may turn a number into a text, or a
name into bytes that are none, and its own checks do not notice.
"""

from __future__ import annotations

import msgspec

SEQUENCE_MAX = 2**53


def is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= SEQUENCE_MAX


def are_counts(*values: object) -> bool:
    return all(map(is_count, values))


def text(data: bytes) -> str:
    """For `sqlite3.Connection.text_factory`: its own way to refuse a text looks like a mistake of ours."""
    return data.decode()


def credible(low: int, packed_spans: bytes, packed_counts: bytes | None, *, end: int) -> bool:
    """Whether a mark can be what was written: sorted spans behind `low`, all of it before the end of the lane."""
    try:
        spans = msgspec.msgpack.decode(packed_spans, type=list[tuple[int, int]])
        counts = None if packed_counts is None else msgspec.msgpack.decode(packed_counts, type=list[int])
    except msgspec.MsgspecError:
        return False
    if counts is not None and len(counts) != len(spans):
        return False
    for first, last in spans:
        if not low < first <= last:
            return False
        low = last
    return low < end
