"""Ways in which a journal's file gets damaged, made by code from a seed. For the tests only."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

PAGE = 4096

Damage = Callable[[Path, random.Random], None]
"""Damages the file; the same seed does the same."""


def flipped(data: bytearray, at: int, source: random.Random) -> None:
    data[at] ^= 1 << source.randrange(8)


def edit(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def truncated(share: float) -> Damage:
    """Cut at a page boundary."""

    def damage(path: Path, source: random.Random) -> None:
        pages = path.stat().st_size // PAGE
        with path.open("r+b") as file:
            file.truncate(round(pages * share) * PAGE)

    return damage


def torn(path: Path, source: random.Random) -> None:
    """Cut in the middle of a page."""
    with path.open("r+b") as file:
        file.truncate(source.randrange(PAGE, path.stat().st_size))


def emptied(path: Path, source: random.Random) -> None:
    path.write_bytes(b"")


def zeroed(page: int) -> Damage:
    """One page is nothing; a negative number counts from the end."""

    def damage(path: Path, source: random.Random) -> None:
        def change(data: bytearray) -> None:
            at = (page % (len(data) // PAGE)) * PAGE
            data[at : at + PAGE] = bytes(PAGE)

        edit(path, change)

    return damage


def zeroed_somewhere(path: Path, source: random.Random) -> None:
    zeroed(source.randrange(1, path.stat().st_size // PAGE))(path, source)


def noise(path: Path, source: random.Random) -> None:
    """Eight pages in a row are something else."""

    def change(data: bytearray) -> None:
        at = source.randrange(1, len(data) // PAGE - 8) * PAGE
        data[at : at + 8 * PAGE] = source.randbytes(8 * PAGE)

    edit(path, change)


def bits(count: int, first: int, last: int) -> Damage:
    """So many bits are flipped between two bytes; a negative `last` counts from the end."""

    def damage(path: Path, source: random.Random) -> None:
        def change(data: bytearray) -> None:
            for _ in range(count):
                flipped(data, source.randrange(first, len(data) if last < 0 else last), source)

        edit(path, change)

    return damage


def swapped(path: Path, source: random.Random) -> None:
    """Two pages have each other's content, as after a misdirected write."""

    def change(data: bytearray) -> None:
        one, other = (at * PAGE for at in source.sample(range(2, len(data) // PAGE), 2))
        data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]

    edit(path, change)


def written(statement: str) -> Damage:
    """A row is another one, in a file that is sound for SQLite: as after a flipped bit that its checks do not see."""

    def damage(path: Path, source: random.Random) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            assert connection.execute(statement).rowcount == 1

    return damage


def misspelt(path: Path, source: random.Random) -> None:
    """The index of the epochs' names has another name than the table."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_epoch_1'"
        ).fetchone()

    def change(data: bytearray) -> None:
        data[data.index(b"old", (page - 1) * PAGE)] ^= 1

    edit(path, change)


GALLERY: dict[str, Damage] = {
    "an epoch's name is no text": written("UPDATE epoch SET name = CAST(x'6fff' AS TEXT)"),
    "a stream's name is no text": written("UPDATE lane SET stream = CAST(x'ff6c' AS TEXT) WHERE id = 2"),
    "a cursor's name is no text": written("UPDATE cursor SET name = CAST(x'ff6c' AS TEXT) WHERE lane = 2"),
    "an index misspells a name": misspelt,
    "a chunk was stored at no time": written("UPDATE chunk SET recorded_ms = 'x' WHERE id = 9"),
    "a chunk begins nowhere": written("UPDATE chunk SET first_seq = 'x' WHERE id = 9"),
    "a chunk is a text": written("UPDATE chunk SET blob = 'x' WHERE id = 9"),
    "a chunk has no size": written("UPDATE chunk SET raw_bytes = 'x' WHERE id = 9"),
    "a chunk is not there": written("DELETE FROM chunk WHERE id = 50"),
    "the last chunk is not there": written("DELETE FROM chunk WHERE id = (SELECT max(id) FROM chunk)"),
    "a lane ends nowhere": written("UPDATE lane SET next_seq = 'x' WHERE id = 2"),
    "a lane holds less than nothing": written("UPDATE lane SET records = -5 WHERE id = 2"),
    "a cursor is behind the end": written("UPDATE cursor SET low = 99999 WHERE lane = 2"),
    "a state is a number": written("UPDATE state SET value = 5 WHERE key = 'n'"),
    "emptied": emptied,
    "cut to a tenth": truncated(0.1),
    "cut to a half": truncated(0.5),
    "last pages cut": truncated(0.97),
    "torn": torn,
    "first page zeroed": zeroed(0),
    "pointer map zeroed": zeroed(1),
    **{f"root page {page} zeroed": zeroed(page - 1) for page in range(3, 16)},
    "last page zeroed": zeroed(-1),
    "a page zeroed": zeroed_somewhere,
    "noise": noise,
    "pages swapped": swapped,
    "bits of the head": bits(3, 0, 100),
    "a bit of the schema": bits(1, 100, PAGE),
    "bits of the root pages": bits(5, PAGE, 15 * PAGE),
    "a bit somewhere": bits(1, 15 * PAGE, -1),
    "bits everywhere": bits(200, 100, -1),
}


def behind_the_index(path: Path, statement: str) -> None:
    """Change rows without their indexes hearing of it, as a lost write does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        indexes = connection.execute("SELECT * FROM sqlite_master WHERE name LIKE 'chunk_%'").fetchall()
        connection.execute("DELETE FROM sqlite_master WHERE name LIKE 'chunk_%'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
        connection.execute("PRAGMA writable_schema = ON")
        connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", indexes)


def copy_of(folder: Path, to: Path) -> Path:
    """The journal as a crash leaves it: file, log and lock, without a goodbye."""
    to.mkdir()
    for path in folder.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copyfile(path, to / path.name)
    return to / "journal.db"
