"""The dictionaries that chunks are compressed with: data of the release, found by the id that every frame carries.

Small chunks have little in themselves that repeats; a dictionary holds what all of them repeat. One that has shipped
never changes and never goes, because journals need it for as long as they are kept. A new one gets the next number and
comes with a migration that raises `min_reader`: a release that lacks it refuses the file, and an id that is unknown
nevertheless can only be damage. `bench/dictionary.py` trains them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from zstandard import ZstdCompressionDict

from buffer.errors import JournalDamaged

SHIPPED = (40_001,)
"""All that ever shipped. Numbers below 32,768 are not for private use."""

NEWEST = SHIPPED[-1]
"""What is written."""

NONE = 0

FOLDER = Path(__file__).with_name("dictionaries")

DATA = {dictionary: (FOLDER / f"{dictionary}.zdict").read_bytes() for dictionary in SHIPPED}
"""Read on import: when a chunk needs one, a disk that fails must not be in the way."""


@cache
def for_compression(dictionary: int, level: int) -> ZstdCompressionDict:
    """Digested once for a level; may be shared between threads."""
    data = ZstdCompressionDict(DATA[dictionary])
    data.precompute_compress(level=level)
    return data


@cache
def for_decompression(dictionary: int) -> ZstdCompressionDict | None:
    """None for frames that have none. Raises `JournalDamaged` for one that never shipped."""
    if dictionary == NONE:
        return None
    if dictionary not in DATA:
        raise JournalDamaged(f"it was compressed with a dictionary that does not exist ({dictionary})")
    return ZstdCompressionDict(DATA[dictionary])
