"""A disk that is full, failing, silent or gone: alarms go on at once, nothing is lost, and it comes back by itself."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from journal_remote import Remote, remote
from pace import in_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EIO, ENOSPC, EROFS = errno.EIO, errno.ENOSPC, errno.EROFS

WAYS = {
    "sync fails": [f"fdatasync {EIO} 0"],
    "write fails": [f"pwrite64 {EIO} 0"],
    "disk full": [f"pwrite64 {ENOSPC} 0"],
    "read-only": [f"pwrite64 {EROFS} 0", f"ftruncate64 {EROFS} 0"],
    "everything fails": [f"{call} {EIO} 0" for call in ("pwrite64", "fdatasync", "pread64", "ftruncate64")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path


async def started(journal: Remote) -> str:
    assert await journal.answer() == "open"
    return str((await journal.ask("stats"))["epoch"])


@pytest.mark.parametrize("way", WAYS)
async def test_alarms_go_on_and_nothing_is_lost(folder: Path, failing_disk: Path, way: str) -> None:
    """While the disk fails alarms are there at once in a volatile epoch; then they are on disk under the same names."""
    async with remote(folder, failing_disk) as journal:
        first = await started(journal)
        assert await journal.append("alarm", "a1", "a2", state="1")
        journal.disk(*WAYS[way])
        assert not await journal.append("alarm", "a3", state="2")
        assert not await journal.append("telemetry", "t1")
        volatile = (await journal.ask("stats"))["epoch"]
        assert volatile != first
        records = [row for row in await journal.ask("read") if row[0] == volatile] if "every" not in way else []
        assert {durable for *_, durable, _ in records} <= {False}
        journal.disk()
        last = await journal.back()
        assert await journal.append("alarm", "a4", state="3")
        bodies = await journal.bodies()
        begun = [row[4] for row in await journal.ask("read") if row[1] == "alarm" and row[2] == 1]
    assert bodies[first, "alarm"] == ["a1", "a2"]
    assert bodies[volatile, "alarm"] == ["a3"]
    assert bodies[volatile, "telemetry"] == ["t1"]
    assert bodies[last, "alarm"] == ["a4"]
    assert len({first, volatile, last}) == 3
    assert [text.split("{")[0] for text in begun] == [
        "begin first ",
        f"begin disk_away {first}/",
        f"begin disk_back {volatile}/",
    ]
    async with remote(folder) as journal:  # The process was killed: all of it is on disk.
        assert await started(journal) == last
        assert await journal.bodies() == bodies
        assert (await journal.ask("stats"))["state"] == {"state": "3"}


async def test_what_was_stored_before_can_still_be_sent(folder: Path, failing_disk: Path) -> None:
    """A full disk can be read, for days, however often it is tried whether it can be written."""
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        await journal.append("alarm", "a1")
        journal.disk(*WAYS["disk full"])
        assert not await journal.append("alarm", "a2")
        async with asyncio.timeout(20):
            while len([call for call in journal.calls() if call.endswith(f" {ENOSPC}")]) < 4:
                await asyncio.sleep(0.02)
        assert {"a1", "a2"} < set((await journal.ask("read_what_answers"))[1:])


async def test_a_failed_sync_is_not_tried_again_on_its_handle(folder: Path, failing_disk: Path) -> None:
    """The kernel may have dropped the pages, and then says that all is well."""
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        await journal.append("alarm", "a1")
        journal.disk(f"fdatasync {EIO} 0")
        await journal.append("alarm", "a2")
        journal.disk()
        await journal.back()
        calls = [call.split() for call in journal.calls()]
    failed = next(at for at, (call, _, error) in enumerate(calls) if call == "fdatasync" and error != "0")
    descriptor = calls[failed][1]
    after = [call for call, at, _ in calls[failed + 1 :] if at == descriptor]
    # SQLite reads the head of a file that it opens before anything else; until then the handle was not used again.
    assert "fdatasync" not in after[: after.index("pread64")] if "pread64" in after else after == []


async def test_what_only_seems_to_be_on_disk_is_written_anew(folder: Path, failing_disk: Path) -> None:
    """After a failed sync the kernel holds pages that it takes for written: a power cut later must not need them."""
    log = folder / "journal" / "journal.db-wal"
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        await journal.append("alarm", "a1")
        synced = log.stat().st_size
        journal.disk(f"fdatasync {EIO} 0")
        await journal.append("alarm", "a2")
        seeming, generation = log.stat().st_size, log.read_bytes()[16:24]
        journal.disk()
        await journal.back()
        assert await journal.append("alarm", "a3")
    after_the_cut = bytearray(log.read_bytes())
    assert seeming > synced
    if after_the_cut[16:24] == generation:
        after_the_cut[synced:seeming] = bytes(seeming - synced)
    log.write_bytes(after_the_cut)
    async with remote(folder) as journal:
        await started(journal)
        assert [body for lane in (await journal.bodies()).values() for body in lane] == ["a1", "a2", "a3"]
        assert (await journal.ask("stats"))["incident"] is None


async def test_a_silent_disk_holds_no_alarm(folder: Path, failing_disk: Path) -> None:
    """A commit that hangs is not waited for; when it comes through after all, nothing is there twice."""
    async with remote(folder, failing_disk) as journal:
        first = await started(journal)
        journal.disk("fdatasync 0 2500")
        durable, took_s = await journal.ask("append", "alarm", ["a1"], {})
        assert not durable
        assert in_time(took_s, 2)
        quick = await journal.ask("append", "alarm", ["a2"], {})
        assert in_time(quick[1], 0.2)
        journal.disk()
        await journal.back()
        bodies = await journal.bodies()
    assert Counter(body for lane in bodies.values() for body in lane) == {"a1": 1, "a2": 1}
    assert (first, "alarm") not in {lane for lane, found in bodies.items() if found}


async def test_a_question_that_a_silent_disk_does_not_answer_holds_no_alarm(folder: Path, failing_disk: Path) -> None:
    """Uplinks ask for what is older as well: that is given up for now, once, and what is in memory goes on."""
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        await journal.append("alarm", "a1")
        journal.disk("fdatasync 0 5000", "pread64 0 5000")
        assert not await journal.append("alarm", "a2")
        took_s, *bodies = await journal.ask("read_what_answers")
        assert in_time(float(took_s), 2)
        assert "a2" in bodies
        took_s, *bodies = await journal.ask("read_what_answers")
        assert in_time(float(took_s), 0.5)
        journal.disk()
        await journal.back()
        assert Counter(body for lane in (await journal.bodies()).values() for body in lane) == {"a1": 1, "a2": 1}


async def test_a_silent_disk_does_not_stop_a_full_queue(folder: Path, failing_disk: Path) -> None:
    """Where producers wait for room they are let on, so that the rules behind them see the next alarm."""
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        journal.disk("fdatasync 0 3000")
        async with asyncio.timeout(2.5):
            assert await journal.ask("pour", 30, 1_000_000) == 0
        journal.disk()
        await journal.back()
        assert (await journal.ask("stats"))["lost"] == 0


async def test_memory_is_bounded_and_what_it_costs_is_named(folder: Path, failing_disk: Path) -> None:
    """The oldest telemetry goes first and is counted; every alarm is kept, and what is kept is written."""
    async with remote(folder, failing_disk, memory_bytes=200_000) as journal:
        await started(journal)
        journal.disk(*WAYS["disk full"])
        for number in range(20):
            await journal.append("alarm", f"a{number}")
            await journal.ask("pour", 3, 10_000)
        stats = await journal.ask("stats")
        assert stats["memory_bytes"] <= 200_000
        assert 30 < stats["lost"] < 60
        journal.disk()
        await journal.back()
        stats = await journal.ask("stats")
        rows = await journal.ask("read")
    assert [row[4] for row in rows if row[1] == "alarm" and "begin" not in row[4]] == [
        f"a{number}" for number in range(20)
    ]
    assert len([row for row in rows if row[1] == "telemetry"]) == stats["unsettled"] - len(
        [row for row in rows if row[1] != "telemetry"]
    )
    assert len([row for row in rows if row[1] == "telemetry" and "begin" not in row[4]]) + stats["lost"] >= 60


async def test_what_was_settled_meanwhile_stays_settled(folder: Path, failing_disk: Path) -> None:
    """The uplink goes on with the volatile epoch, and does not send it again when it is on disk."""
    async with remote(folder, failing_disk) as journal:
        first = await started(journal)
        await journal.append("alarm", "a1")
        journal.disk(*WAYS["disk full"])
        await journal.append("alarm", "a2")
        volatile = (await journal.ask("stats"))["epoch"]
        await journal.ask("settle", "alarm", 2, volatile)
        await journal.ask("settle", "alarm", 2, first)
        journal.disk()
        await journal.back()
        bodies = await journal.bodies()
    assert not bodies.get((first, "alarm"))
    assert not bodies.get((volatile, "alarm"))
    async with remote(folder) as journal:
        await started(journal)
        assert not (await journal.bodies()).get((volatile, "alarm"))


async def test_killed_while_the_disk_is_away_it_starts_where_the_disk_was(folder: Path, failing_disk: Path) -> None:
    """What was in memory only is gone with the process; what was on disk is all there."""
    async with remote(folder, failing_disk) as journal:
        first = await started(journal)
        await journal.append("alarm", "a1", state="1")
        journal.disk(*WAYS["sync fails"])
        await journal.append("alarm", "a2", state="2")
    async with remote(folder) as journal:
        await started(journal)
        assert (await journal.bodies())[first, "alarm"][:1] == ["a1"]
        assert await journal.append("alarm", "a3")


@pytest.mark.parametrize("way", ["disk full", "read-only", "sync fails"])
async def test_it_starts_on_a_disk_that_is_away(folder: Path, failing_disk: Path, way: str) -> None:
    """A hospital's alarms do not wait for somebody to free space; the state is read where that can be done."""
    async with remote(folder) as journal:
        first = await started(journal)
        await journal.append("alarm", "a1", state="1")
    async with remote(folder, failing_disk, *WAYS[way]) as journal:
        volatile = await started(journal)
        stats = await journal.ask("stats")
        assert stats["state"] == {"state": "1"}
        assert volatile != first or not stats["away"]
        assert await journal.append("alarm", "a2", state="2") in (True, False)
        journal.disk()
        await journal.back()
        bodies = await journal.bodies()
    assert [body for found in bodies.values() for body in found] == ["a1", "a2"]
    async with remote(folder) as journal:
        await started(journal)
        assert (await journal.ask("stats"))["state"] == {"state": "2"}
        assert await journal.bodies() == bodies


async def test_a_read_error_that_passes_is_not_taken_for_damage(folder: Path, failing_disk: Path) -> None:
    """SQLite says "malformed" when the disk does not give a page: only what a fresh handle finds again is believed."""
    async with remote(folder) as journal:
        first = await started(journal)
        await journal.append("alarm", "a1")
        await journal.ask("close")
    async with remote(folder, failing_disk, f"pread64 {EIO} 0") as journal:
        await asyncio.sleep(0)
        journal.disk()
        await journal.answer()
        await journal.back()
        assert (await journal.bodies())[first, "alarm"] == ["a1"]
        assert not list((folder / "journal").glob("*damaged*"))


async def test_a_file_that_is_deleted_meanwhile_is_made_anew(folder: Path) -> None:
    """What it held and nobody had is counted as lost, everything since then is kept, and the state is whole."""
    async with remote(folder) as journal:
        first = await started(journal)
        await journal.append("alarm", "a1", "a2", one="1")
        (folder / "journal" / "journal.db").unlink()
        async with asyncio.timeout(60):
            while (await journal.ask("stats"))["epoch"] == first:
                await asyncio.sleep(0.02)
        last = await journal.back()
        assert await journal.append("alarm", "a3", two="2")
        stats = await journal.ask("stats")
        assert (stats["incident"], stats["lost"]) == ("file_missing", 3 + 2)
        assert (await journal.bodies())[last, "alarm"] == ["a3"]
    async with remote(folder) as journal:
        assert await started(journal) == last
        assert (await journal.ask("stats"))["state"] == {"one": "1", "two": "2"}


async def test_closing_while_the_disk_is_away_tries_once_more(folder: Path, failing_disk: Path) -> None:
    """If that works everything is on disk; if not, it is said how much was in memory only."""
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        journal.disk(*WAYS["disk full"])
        await journal.append("alarm", "a1")
        journal.disk()
        stats = await journal.ask("close")
        assert stats["memory_records"] == 0
    async with remote(folder, failing_disk) as journal:
        await started(journal)
        assert "a1" in [body for found in (await journal.bodies()).values() for body in found]
        journal.disk(*WAYS["disk full"])
        await journal.append("alarm", "a2")
        stats = await journal.ask("close")
        assert stats["memory_records"] > 0


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of its own."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


async def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """On a file system of two megabytes that somebody else fills, and frees again."""
    with small_disk(tmp_path / "small", "2m") as disk:
        (disk / "journal").mkdir()
        async with remote(disk) as journal:
            await started(journal)
            await journal.append("alarm", "a1")
            with (disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space"):
                while True:
                    ballast.write(bytes(4096))
            await journal.ask("pour", 10, 100_000)
            assert not await journal.append("alarm", "a2")
            assert "full" in (await journal.ask("stats"))["away"]
            (disk / "ballast").unlink()
            await journal.back()
            assert await journal.append("alarm", "a3")
            rows = await journal.ask("read")
    assert [row[4] for row in rows if row[1] == "alarm" and "begin" not in row[4]] == ["a1", "a2", "a3"]
    assert len([row for row in rows if row[1] == "telemetry" and "begin" not in row[4]]) == 10
