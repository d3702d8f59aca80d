"""SQLite's write-ahead log as bytes: whether it was cut off in the middle. Reads, and changes nothing.

SQLite reads its log up to the first frame with a wrong checksum, and takes that for the end without a word. After a
power cut it is: the last transaction may be torn. A flipped bit further up takes commits back that were on disk, which
must not pass unnoticed, because their sequences would be given away a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 32
FRAME_HEAD_BYTES = 24


def commits_beyond(log: Path, valid_frames: int, page_bytes: int) -> int:
    """How many commits of the same generation there are behind the frames that SQLite can read.

    One may be the transaction that a power cut tore; each one is on disk before the next begins, so two mean damage.
    """
    data = log.read_bytes()
    frame_bytes = FRAME_HEAD_BYTES + page_bytes
    begin = HEAD_BYTES + valid_frames * frame_bytes
    salts = data[16:24] if is_sound(data[:HEAD_BYTES]) else data[begin + 8 : begin + 16]
    commits = 0
    for at in range(begin, len(data) - FRAME_HEAD_BYTES, frame_bytes):
        if data[at + 8 : at + 16] != salts:
            break
        commits += any(data[at + 4 : at + 8])  # Only the last frame of a commit says how large the file is now.
    return commits


def is_sound(head: bytes) -> bool:
    """Whether the head's own checksum is right (section 4.1 of SQLite's file format)."""
    if len(head) < HEAD_BYTES:
        return False
    order: Literal["big", "little"] = "big" if head[3] & 1 else "little"
    one = two = 0
    for at in range(0, 24, 8):
        one = one + int.from_bytes(head[at : at + 4], order) + two & 0xFFFFFFFF
        two = two + int.from_bytes(head[at + 4 : at + 8], order) + one & 0xFFFFFFFF
    return head[24:32] == one.to_bytes(4, "big") + two.to_bytes(4, "big")
