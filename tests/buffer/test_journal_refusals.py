"""What cannot be a journal is refused in one sentence, and left as it is; what a damaged one was is told elsewhere."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from journal_desk import OpenJournal, Wall, drafts

from buffer import database
from buffer.database import connect
from buffer.errors import JournalUnusable
from buffer.journal import Journal
from buffer.migrations import READER
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from journal_desk import OpenStore

LIMITS = Limits(2**30, 3600.0)


async def refusal(folder: Path) -> str:
    with pytest.raises(JournalUnusable) as caught:
        await Journal.open(folder, LIMITS, wall=Wall())
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_missing_folder(tmp_path: Path) -> None:
    """It is not made behind the back of whoever mistyped it."""
    folder = tmp_path / "nowhere"
    assert await refusal(folder) == (
        f"the journal folder {folder} does not exist; create it, or set journal.path in gateway.yaml"
    )
    assert not folder.exists()


async def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    """It is there, so to create it would not help."""
    path = tmp_path / "file"
    path.touch()
    assert (await refusal(path)).startswith(f"the journal folder {path} is not a folder; create it")


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    if os.getuid() == 0:
        yield Path("/proc/self")  # Not even root can create a file there.
        return
    tmp_path.chmod(0o500)
    yield tmp_path
    tmp_path.chmod(0o700)


async def test_a_folder_that_cannot_be_written(unwritable: Path) -> None:
    """Says what the system said, and what to do."""
    said = await refusal(unwritable)
    assert said.startswith(f"the journal folder {unwritable} cannot be written (")
    assert said.endswith("; give it to the user that wardgate runs as, or set journal.path in gateway.yaml")


@pytest.mark.parametrize("content", [b"dear diary, " * 1000, b"\x00" * 8192, os.urandom(9000)])
async def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    """Whatever it is, it is somebody's: it is not touched."""
    (tmp_path / "journal.db").write_bytes(content)
    assert "is not a wardgate journal; move it aside" in await refusal(tmp_path)
    assert (tmp_path / "journal.db").read_bytes() == content


async def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    """Another program's tables are not touched."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        other.execute("CREATE TABLE chunk (mine TEXT)")
    before = (tmp_path / "journal.db").read_bytes()
    assert "is not a wardgate journal; move it aside" in await refusal(tmp_path)
    assert (tmp_path / "journal.db").read_bytes() == before


async def test_a_newer_format(tmp_path: Path, open_store: OpenStore) -> None:
    """A file that this release cannot read is left for the one that can."""
    store = open_store("main")
    store.connection.execute("UPDATE meta SET value = ? WHERE key = 'min_reader'", (READER + 1,))
    store.finish()
    said = await refusal(tmp_path)
    assert f"was written by a newer wardgate (format {READER + 1}, this one reads {READER})" in said


async def test_an_expanded_format(tmp_path: Path, open_store: OpenStore) -> None:
    """Tables and columns that a newer release has added, and can do without, do not stop this one."""
    store = open_store("main")
    store.connection.execute("ALTER TABLE chunk ADD COLUMN later TEXT")
    store.connection.execute("CREATE TABLE more (x)")
    store.connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('wardgate.journal', 'later', 'then')"
    )
    store.finish()
    store = open_store("main")
    store.store(drafts("alarm", "a"), {})
    assert store.ledger.kept(next(iter(store.lane_ids))).records == 1


async def test_a_start_that_was_cut_off_is_no_obstacle(tmp_path: Path, open_journal: OpenJournal) -> None:
    """An empty file, or one with pragmas and no schema yet, is a new journal."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        other.execute("PRAGMA auto_vacuum = INCREMENTAL")
        other.execute("PRAGMA journal_mode = WAL")
    journal = await open_journal()
    await journal.append(drafts("alarm", "a"))
    assert len(await journal.read("alarm", 0, 1)) == 1


def test_the_file_is_set_up_for_power_cuts_and_shrinking(tmp_path: Path) -> None:
    """FULL and WAL on the writing connection; pages can be given back, which only works when set before the first."""
    with closing(connect(tmp_path / "journal.db", 1.0)) as connection:
        pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
        assert pragmas == [2, "wal"]
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_the_check_ends_in_time(tmp_path: Path) -> None:
    """A large file is checked for as long as there is time, and then believed."""
    with closing(connect(tmp_path / "journal.db", 1.0)) as connection:
        connection.execute("BEGIN")
        for number in range(20_000):
            connection.execute("INSERT INTO state VALUES (?, ?)", (f"{number}", b"x" * 200))
        connection.execute("COMMIT")
        assert database.check(connection, 0.0) == ""
        assert database.check(connection, 5.0) == ""
        assert connection.execute("SELECT count(*) FROM state").fetchone() == (20_000,)
