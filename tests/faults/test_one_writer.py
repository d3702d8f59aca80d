"""One connection does all writes and checkpoints: what keeps SQLite's WAL-reset defect away from us, as measured."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from journal_desk import Wall, drafts
from journal_remote import remote

from buffer.database import connect, connect_reader
from buffer.ledger import Ledger
from buffer.store import Store

if TYPE_CHECKING:
    from pathlib import Path


async def test_everything_that_is_written_comes_from_one_connection(tmp_path: Path, failing_disk: Path) -> None:
    """While records are stored, read, settled, trimmed and checkpointed: one handle of the file, one of the log."""
    (tmp_path / "journal").mkdir()
    async with remote(tmp_path, failing_disk, size_bytes=2_000_000) as journal:
        assert await journal.answer() == "open"
        opening = len(journal.calls())
        epoch = (await journal.ask("stats"))["epoch"]
        for number in range(40):
            await journal.append("alarm", f"a{number}", state=f"{number}")
            await journal.ask("pour", 4, 50_000)
            await journal.ask("settle", "telemetry", 4 * number, epoch)
            await journal.ask("read")
        calls = [call.split() for call in journal.calls()[opening:]]
        size = (tmp_path / "journal" / "journal.db").stat().st_size
        await journal.ask("close")
    writers = {descriptor for call, descriptor, _ in calls if call in {"pwrite64", "write", "ftruncate64"}}
    readers = {descriptor for call, descriptor, _ in calls if call == "pread64"}
    assert size > 1_000_000, "checkpoints have filled the file"
    assert len(writers) == 2
    assert len(readers - writers) >= 2, "the reader has handles of its own, and has used them"


def crashed(folder: Path) -> Path:
    """A journal with commits in its log, as a process that was killed leaves it."""
    (folder / "alive").mkdir()
    with closing(connect(folder / "alive" / "journal.db", 1.0)) as connection:
        store = Store(connection, Ledger(["main"]), Wall(), lambda: "e1")
        for number in range(50):
            store.store(drafts("alarm", f"{number}"), {})
        shutil.copytree(folder / "alive", folder / "crashed", ignore=shutil.ignore_patterns("*-shm"))
    return folder / "crashed" / "journal.db"


def test_a_reader_never_checkpoints(tmp_path: Path) -> None:
    """Neither when it is asked to nor when it closes as the last one, which makes any other connection do so."""
    path = crashed(tmp_path)
    log = path.with_name("journal.db-wal")
    before = path.read_bytes(), log.read_bytes()
    with closing(connect_reader(path)) as reader:
        assert reader.execute("SELECT max(last_seq) FROM chunk").fetchone() == (50,)
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("PRAGMA wal_checkpoint").fetchall()
    assert (path.read_bytes(), log.read_bytes()) == before
    with closing(connect(path, 1.0)):
        pass
    assert path.read_bytes() != before[0], "or this would not have shown anything"
