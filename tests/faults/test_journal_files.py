"""Files of a running journal that are deleted, replaced or emptied, and a disk that can only be read from the start."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from journal_remote import Remote, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path


async def started(journal: Remote) -> str:
    assert await journal.answer() == "open"
    return str((await journal.ask("stats"))["epoch"])


def without_file(journal: Path) -> None:
    journal.unlink()


def without_log(journal: Path) -> None:
    journal.with_name("journal.db-wal").unlink()


def without_anything(journal: Path) -> None:
    for path in journal.parent.iterdir():
        path.unlink()


def with_an_older_one(journal: Path) -> None:
    """As a person does who puts a copy back without stopping the service."""
    older = journal.with_name("older")
    shutil.copyfile(journal, older)
    older.rename(journal)


def with_an_empty_one(journal: Path) -> None:
    fresh = journal.with_name("fresh")
    fresh.touch()
    fresh.rename(journal)


WAYS = {
    "file deleted": without_file,
    "log deleted": without_log,
    "everything deleted": without_anything,
    "older file in its place": with_an_older_one,
    "empty file in its place": with_an_empty_one,
}


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_stored_after_it_is_there_after_the_next_start(folder: Path, way: str) -> None:
    """It is noticed within seconds; from then on records are on disk again, and what is gone is counted as lost."""
    change: Callable[[Path], None] = WAYS[way]
    async with remote(folder) as journal:
        first = await started(journal)
        await journal.append("alarm", "a1", "a2", one="1")
        change(folder / "journal" / "journal.db")
        async with asyncio.timeout(60):
            while (await journal.ask("stats"))["epoch"] == first:
                await asyncio.sleep(0.02)
        last = await journal.back()
        assert await journal.append("alarm", "a3", two="2")
        stats = await journal.ask("stats")
        bodies = await journal.bodies()
        assert bodies[last, "alarm"] == ["a3"]
        kept = sum(len(lane) for lane in bodies.values())
        assert stats["incident"] in {"file_missing", "log_missing"}
        assert kept - 1 + stats["lost"] >= 2, "whatever is not there is counted"
    async with remote(folder) as journal:
        assert await started(journal) == last
        assert await journal.bodies() == bodies
        assert (await journal.ask("stats"))["state"] == {"one": "1", "two": "2"}


def remount(path: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", path], check=True)


@pytest.fixture
def own_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own where the journal lies."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder / "journal")]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "-l", folder / "journal"], check=True)


@pytest.mark.parametrize("had_one", [True, False])
async def test_it_starts_where_nothing_can_be_written(own_disk: Path, had_one: bool) -> None:
    """On a file system that is mounted read-only: alarms go on in memory, and are on disk once it can be written."""
    if had_one:
        async with remote(own_disk) as journal:
            await started(journal)
            await journal.append("alarm", "a1", state="1")
    remount(own_disk / "journal", "ro")
    async with remote(own_disk) as journal:
        await started(journal)
        stats = await journal.ask("stats")
        assert stats["away"]
        assert stats["state"] == ({"state": "1"} if had_one else {})
        assert not await journal.append("alarm", "a2", state="2")
        remount(own_disk / "journal", "rw")
        last = await journal.back()
        assert await journal.append("alarm", "a3")
        bodies = await journal.bodies()
    assert [body for lane in bodies.values() for body in lane] == ["a1", "a2", "a3"][not had_one :]
    async with remote(own_disk) as journal:
        assert await started(journal) == last
        assert await journal.bodies() == bodies
        assert (await journal.ask("stats"))["state"] == {"state": "2"}
