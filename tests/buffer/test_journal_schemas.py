"""A journal of every schema that ever landed is kept here, and opened by this release.

Each was written by the release that brought its schema: two epochs, two streams, two cursors, state, a loss. A new
schema gets a file of its own; none is ever written again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from journal_desk import OpenJournal, drafts

from buffer.migrations import migrations

FILES = sorted(Path(__file__).with_name("schemas").glob("*.db"))


def test_every_schema_is_kept() -> None:
    """Whoever adds a migration adds a file, made by that very release."""
    assert [path.stem for path in FILES] == [f"v{number + 1}" for number in range(len(migrations._migrations))]


@pytest.mark.parametrize("kept", FILES, ids=lambda path: path.stem)
async def test_a_journal_of_an_older_release_is_taken_over(
    tmp_path: Path, open_journal: OpenJournal, kept: Path
) -> None:
    """Records, state, cursors and losses are what they were, and it goes on in the same epoch."""
    shutil.copy(kept, tmp_path / "journal.db")
    journal = await open_journal(cursors=["main", "second"])
    assert (journal.epoch, journal.previous and journal.previous.epoch) == ("aaaa0002", "aaaa0001")
    assert journal.state == {"alarm/1": b"active", "n": b"6"}
    alarms = await journal.read("alarm", 0, 100, epoch="aaaa0001")
    assert [(record.sequence, record.body) for record in alarms] == [(n + 1, b'{"n":%d}' % n) for n in range(5)]
    assert len(await journal.read("telemetry", 0, 100, epoch="aaaa0001")) == 7
    places = {(p.lane.epoch[-1], p.lane.stream): (p.low, p.spans, p.sent) for p in journal.cursor("main")}
    assert places == {
        ("1", "alarm"): (2, ((4, 4),), 2),
        ("1", "telemetry"): (3, ((5, 5),), 3),
        ("2", "alarm"): (0, (), 0),
    }
    assert [position.unsettled for position in journal.cursor("second")] == [5, 7, 1]
    losses = [(loss.cursor, loss.lane.stream, loss.reason, loss.records) for loss in journal.stats().losses]
    assert losses == [("main", "telemetry", "packet_too_large", 1)]
    assert await journal.append(drafts("alarm", "a"))
    assert [record.sequence for record in await journal.read("alarm", 0, 10)] == [1, 2]
    assert journal.stats().incident is None
