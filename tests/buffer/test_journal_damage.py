"""A gallery of damaged files: each start goes well without a person, keeps what is left, and accounts for the rest."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections import defaultdict
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

import pytest
from damage import GALLERY, PAGE, behind_the_index, bits, copy_of, zeroed
from journal_desk import MEBIBYTE, OpenJournal, Wall, drafts, until

from buffer.database import connect
from buffer.errors import JournalUnavailable
from buffer.journal import Journal
from buffer.record import Draft
from buffer.retention import Limits
from buffer.tail import TAIL_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from damage import Damage

    from buffer.record import Record

LIMITS = Limits(64 * MEBIBYTE, 3600.0)
STREAMS = {"critical": 1, "alarm": 2, "telemetry": 5}
APPENDS = 120
SEED = 11


@dataclass
class Made:
    """A journal in two states, and what was stored in it."""

    closed: Path
    crashed: Path
    bodies: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))


def some(made: Made, number: int, source: random.Random) -> list[Draft]:
    batch = []
    for stream, most in STREAMS.items():
        for _ in range(source.randrange(most + 1)):
            body = f"{stream}:{number}:".encode() + source.randbytes(source.choice((0, 100, 3000)))
            made.bodies[stream].append(body)
            batch.append(Draft(stream, number, "t", body))
    return batch


async def build(folder: Path) -> Made:
    made = Made(folder / "closed", folder / "crashed")
    made.closed.mkdir()
    source = random.Random(SEED)
    for half in range(2):  # The first half is in the file, the second in the log when it crashes.
        journal = await Journal.open(made.closed, LIMITS, wall=Wall(), cursors=["main"], new_epoch=lambda: "old")
        for number in range(APPENDS // 2):
            await journal.append(some(made, number, source), {"n": b"%d" % number, f"k{number % 37}": b"%d" % half})
        for position in journal.cursor("main"):
            span = position.low + 1, position.low + 2
            journal.settle("main", position.lane.stream, [span, (span[1] + 2, span[1] + 2)])
        if half:
            await asyncio.sleep(0)
            copy_of(made.closed, made.crashed)
        await journal.close()
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return asyncio.run(build(tmp_path_factory.mktemp("gallery")))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Journal]:
    names = chain(["new"], map(str, count()))
    journal = await Journal.open(folder, LIMITS, wall=Wall(), cursors=["main"], new_epoch=lambda: next(names))
    try:
        yield journal
    finally:
        await journal.close()


async def everything(journal: Journal, stream: str, epoch: str) -> list[Record]:
    """Tries again while the journal is taking care of what it has just found."""
    found: list[Record] = []
    async with asyncio.timeout(60):
        while True:
            try:
                records = await journal.read(stream, found[-1].sequence if found else 0, 1000, epoch=epoch)
            except JournalUnavailable:
                await asyncio.sleep(0.01)
                continue
            if not records:
                return found
            found += records


async def check(journal: Journal, made: Made) -> None:
    """Whatever is there is what it was, the rest is accounted for, and the journal can be used."""
    for stream, bodies in made.bodies.items():
        for record in await everything(journal, stream, "old"):
            assert record.body == [*bodies, b"new", b"new"][record.sequence - 1]
    assert await journal.append(drafts("alarm", "new"), {"later": b"1"}) in (True, False)
    async with asyncio.timeout(60):
        while await unaccounted(journal):
            await asyncio.sleep(0.01)


async def unaccounted(journal: Journal) -> list[str]:
    """Lanes in which an uplink would wait for something that is not there."""
    return [
        position.lane.stream
        for position in journal.cursor("main")
        if position.unsettled
        != sum(
            not position.settled(record.sequence)
            for record in await everything(journal, position.lane.stream, position.lane.epoch)
        )
    ]


@pytest.mark.parametrize("state", ["closed", "crashed"])
@pytest.mark.parametrize("name", GALLERY)
async def test_whatever_was_damaged_it_starts(tmp_path: Path, made: Made, name: str, state: str) -> None:
    """Every picture of the gallery, after a clean end and after a crash."""
    path = copy_of(getattr(made, state), tmp_path / "journal")
    GALLERY[name](path, random.Random(f"{SEED} {name}"))
    async with opened(path.parent) as journal:
        await check(journal, made)
    async with opened(path.parent) as journal:
        await check(journal, made)
        assert journal.stats().incident is None


async def damaged_start(tmp_path: Path, made: Made, damage: Damage) -> Journal:
    path = copy_of(made.closed, tmp_path / "journal")
    damage(path, random.Random(SEED))
    return await Journal.open(path.parent, LIMITS, wall=Wall(), cursors=["main"], new_epoch=lambda: "new")


async def test_what_is_salvaged_keeps_its_name_and_state(tmp_path: Path, made: Made) -> None:
    """Records are in their old epoch, the state is there, and the new epoch names the old one as the one before."""
    journal = await damaged_start(tmp_path, made, zeroed(10))
    assert (journal.epoch, journal.previous and journal.previous.epoch) == ("new", "old")
    assert journal.previous is not None
    assert journal.previous.last == {stream: len(bodies) for stream, bodies in made.bodies.items()}
    assert len(journal.state) == 38
    for stream, bodies in made.bodies.items():
        assert [record.body for record in await everything(journal, stream, "old")] == bodies
    assert [position.low for position in journal.cursor("main")][:3] == [4, 4, 4]
    await journal.close()


async def test_the_incident_is_told_and_the_file_kept(tmp_path: Path, made: Made) -> None:
    """What happened, what was found and what was not is in `stats`; the damaged file lies beside, as it was."""
    path = copy_of(made.closed, tmp_path / "journal")
    bits(300, 20 * PAGE, -1)(path, random.Random(SEED))
    zeroed(10)(path, random.Random(SEED))
    before = path.read_bytes()
    async with opened(path.parent) as journal:
        incident = journal.stats().incident
        found = {stream: len(await everything(journal, stream, "old")) for stream in made.bodies}
        losses = journal.stats().losses
    assert incident is not None
    assert (incident.reason, incident.salvaged) == ("damaged", sum(found.values()))
    assert incident.lost == sum(map(len, made.bodies.values())) - incident.salvaged > 0
    assert incident.moved_to == str(path) + ".damaged-20251121T044000000000Z"
    assert (tmp_path / "journal" / incident.moved_to).read_bytes() == before
    assert {loss.reason for loss in losses} == {"damaged"}
    assert 0 < sum(loss.records for loss in losses) <= incident.lost


async def test_a_flipped_bit_in_a_body_costs_that_chunk_only(tmp_path: Path, open_journal: OpenJournal) -> None:
    """What SQLite cannot see, the checksum does: the rest is read on, and the loss is counted, not sent."""
    journal = await open_journal()
    bodies = [random.Random(n).randbytes(TAIL_BYTES_MAX) for n in range(3)]
    for body in bodies:
        await journal.append([Draft("alarm", 0, "t", body)])
    await journal.close()
    path = tmp_path / "journal.db"
    found = bodies[1][1000:1100]
    assert path.read_bytes().count(found) == 1, "what does not compress is there as it is"
    path.write_bytes(path.read_bytes().replace(found, bytes([found[0] ^ 1, *found[1:]])))
    journal = await open_journal()
    assert [r.sequence for r in await journal.read("alarm", 0, 10)] == [1, 3]
    async with asyncio.timeout(60):
        while not (losses := journal.stats().losses):
            await asyncio.sleep(0.01)
    assert [(loss.reason, loss.first, loss.last, loss.records) for loss in losses] == [("damaged", 2, 2, 1)]
    assert journal.cursor("main")[0].unsettled == 2
    assert journal.stats().incident is None
    assert await journal.append(drafts("alarm", "d")), "nothing else has come of it"


async def past(journal: Journal, stream: str) -> set[bytes]:
    """Tries again while the journal is taking care of what it has just found."""
    async with asyncio.timeout(60):
        while True:
            try:
                return {record.body async for records in journal.history(stream, 0, 2**40) for record in records}
            except JournalUnavailable:
                await asyncio.sleep(0.01)


ROWS = {
    "a row that its index alone knows": "DELETE FROM chunk WHERE id = 5",
    "a row of another lane": "UPDATE chunk SET lane = lane + 1 WHERE id = 5",
    "a row of other sequences": "UPDATE chunk SET last_seq = last_seq + 7 WHERE id = 5",
    "no bytes": "UPDATE chunk SET blob = 'text' WHERE id = 5",
    "another size": "UPDATE chunk SET raw_bytes = raw_bytes + 1 WHERE id = 5",
    "a size that is no number": "UPDATE chunk SET raw_bytes = 'text' WHERE id = 5",
    "a time that is no number": "UPDATE chunk SET recorded_ms = 'text', time_min_ms = 'text' WHERE id = 5",
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_damaged_row_is_no_obstacle_to_readers(tmp_path: Path, made: Made, name: str) -> None:
    """Reading, looking back and trimming leave it out, or mend the file, and what was not read is accounted for."""
    path = copy_of(made.closed, tmp_path / "journal")
    behind_the_index(path, ROWS[name])
    async with opened(path.parent) as journal:
        await check(journal, made)
        for stream, bodies in made.bodies.items():
            assert await past(journal, stream) <= {*bodies, b"new"}
        for position in journal.cursor("main"):
            journal.settle("main", position.lane.stream, [(1, position.next - 1)], epoch=position.lane.epoch)
        await until(lambda: not journal.stats().away)
        assert await journal.append(drafts("alarm", "later"))


async def test_a_look_back_finds_damage_as_well(tmp_path: Path, made: Made) -> None:
    """Where nobody has sent or read anything since then."""
    path = copy_of(made.closed, tmp_path / "journal")
    behind_the_index(path, "DELETE FROM chunk WHERE id = 5")
    async with opened(path.parent) as journal:
        await past(journal, "telemetry")
        await until(lambda: journal.stats().incident is not None)
        incident = journal.stats().incident
        assert incident is not None
        assert incident.reason == "damaged"


async def test_a_row_without_a_sequence_is_damage(tmp_path: Path, made: Made) -> None:
    """Where something else stands in its place, the file is salvaged."""
    path = copy_of(made.closed, tmp_path / "journal")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE chunk SET last_seq = 'text' WHERE id = 5")
        connection.commit()
    async with opened(path.parent) as journal:
        await check(journal, made)


async def test_a_deleted_file_begins_anew(tmp_path: Path, made: Made) -> None:
    """The platform has seen more than is here, so the sequences start in a new epoch."""
    path = copy_of(made.closed, tmp_path / "journal")
    path.unlink()
    async with opened(path.parent) as journal:
        incident = journal.stats().incident
        assert incident is not None
        assert (journal.epoch, incident.reason) == ("new", "file_missing")


async def test_a_missing_log_begins_a_new_epoch(tmp_path: Path, made: Made) -> None:
    """After a crash the newest commits are in the log: without it their sequences must not be given away again."""
    path = copy_of(made.crashed, tmp_path / "journal")
    path.with_name("journal.db-wal").unlink()
    async with opened(path.parent) as journal:
        incident = journal.stats().incident
        assert incident is not None
        assert (journal.epoch, incident.reason) == ("new", "log_missing")
        await check(journal, made)


async def test_a_log_that_is_torn_in_the_middle_begins_a_new_epoch(tmp_path: Path, made: Made) -> None:
    """SQLite takes a wrong checksum for the end of the log without a word: the commits behind it are missed here."""
    path = copy_of(made.crashed, tmp_path / "journal")
    log = path.with_name("journal.db-wal")
    bits(1, log.stat().st_size // 2, log.stat().st_size // 2 + 1)(log, random.Random(SEED))
    async with opened(path.parent) as journal:
        incident = journal.stats().incident
        assert incident is not None
        assert (journal.epoch, incident.reason) == ("new", "log_damaged")
        await check(journal, made)


async def test_a_log_with_a_broken_head_begins_a_new_epoch(tmp_path: Path, made: Made) -> None:
    """Then SQLite reads nothing of it at all."""
    path = copy_of(made.crashed, tmp_path / "journal")
    bits(1, 16, 24)(path.with_name("journal.db-wal"), random.Random(SEED))
    async with opened(path.parent) as journal:
        incident = journal.stats().incident
        assert incident is not None
        assert (journal.epoch, incident.reason) == ("new", "log_damaged")


async def test_a_torn_last_commit_is_what_a_power_cut_leaves(tmp_path: Path, made: Made) -> None:
    """Nobody was told of it, so nothing has happened."""
    path = copy_of(made.crashed, tmp_path / "journal")
    log = path.with_name("journal.db-wal")
    bits(1, log.stat().st_size - 100, -1)(log, random.Random(SEED))
    async with opened(path.parent) as journal:
        assert (journal.epoch, journal.stats().incident) == ("old", None)


async def test_a_log_of_another_file_is_put_aside(tmp_path: Path, made: Made) -> None:
    """It would be played into a file that was closed cleanly, and damage it."""
    path = copy_of(made.closed, tmp_path / "journal")
    (tmp_path / "other").mkdir()
    async with opened(tmp_path / "other") as journal:
        await journal.append(drafts("alarm", *map(str, range(1000))))
        shutil.copy(tmp_path / "other" / "journal.db-wal", path.parent)
    async with opened(path.parent) as journal:
        incident = journal.stats().incident
        assert incident is not None
        assert (incident.reason, incident.moved_to[-4:], journal.epoch) == ("", "-wal", "old")
        for stream, bodies in made.bodies.items():
            assert [record.body for record in await everything(journal, stream, "old")] == bodies


async def test_what_a_log_belongs_to_is_found_out_with_it(tmp_path: Path, made: Made) -> None:
    """A power cut may take back the note that the last end was none, and leave half a checkpoint in the file."""
    path = copy_of(made.closed, tmp_path / "journal")
    with closing(connect(path, 1.0)) as connection:
        before = path.read_bytes()
        connection.execute("PRAGMA user_version = 7")  # This writes the first page, into the log.
        crashed = copy_of(path.parent, tmp_path / "crashed")
    assert path.with_name("journal.lock").read_text().split()[1] == "closed"
    crashed.write_bytes(bytes(PAGE) + before[PAGE:])
    async with opened(crashed.parent) as journal:
        assert (journal.epoch, journal.stats().incident) == ("old", None)
        for stream, bodies in made.bodies.items():
            assert [record.body for record in await everything(journal, stream, "old")] == bodies


async def test_an_interrupted_salvage_is_taken_up(tmp_path: Path, made: Made) -> None:
    """Cut off before the new file was complete it is made again; cut off after that, the new file is the journal."""
    path = copy_of(made.closed, tmp_path / "journal")
    zeroed(10)(path, random.Random(SEED))
    path.with_name("journal.db.new").write_bytes(b"half")
    async with opened(path.parent) as journal:
        await check(journal, made)
    path.rename(path.with_name("journal.db.new"))
    async with opened(path.parent) as journal:
        await check(journal, made)
        assert journal.stats().incident is None


async def test_the_newest_damaged_file_is_kept_whatever_the_clock_says(tmp_path: Path, made: Made) -> None:
    """A box that forgets the time sets aside files that look older than those of last year."""
    path = copy_of(made.closed, tmp_path / "journal")
    for year_s in (3.0, 2.0, 1.0):
        zeroed(10)(path, random.Random(SEED))
        journal = await Journal.open(path.parent, LIMITS, wall=Wall(year_s), cursors=["main"])
        incident = journal.stats().incident
        await journal.close()
        assert incident is not None
        assert incident.moved_to in map(str, path.parent.glob("*.damaged-*Z"))
    assert len(list(path.parent.glob("*.damaged-*Z"))) == 2


async def test_damaged_files_do_not_pile_up(tmp_path: Path, made: Made) -> None:
    """Only the newest are kept."""
    path = copy_of(made.closed, tmp_path / "journal")
    wall = Wall()
    epochs = iter("abcdef")
    for _ in range(4):
        zeroed(10)(path, random.Random(SEED))
        wall.now += 1
        journal = await Journal.open(path.parent, LIMITS, wall=wall, cursors=["main"], new_epoch=lambda: next(epochs))
        await journal.close()
    asides = sorted(path.parent.glob("*.damaged-*Z"))
    assert [aside.name[-11:] for aside in asides] == ["4003000000Z", "4004000000Z"]
