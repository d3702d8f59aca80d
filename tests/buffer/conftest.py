"""The journal of one test: with its threads, and as a store without them."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest
from journal_desk import MEBIBYTE, OpenJournal, OpenStore, Wall

from buffer.database import connect
from buffer.journal import Journal
from buffer.ledger import Ledger
from buffer.retention import Limits
from buffer.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


LARGE = Limits(64 * MEBIBYTE, keep_s=3600.0)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def open_journal(tmp_path: Path, wall: Wall) -> AsyncIterator[OpenJournal]:
    """Opens the journal of this test, with one cursor `main`; closes whatever was opened."""
    opened: list[Journal] = []

    async def open_it(limits: Limits = LARGE, **settings: object) -> Journal:
        arguments: dict[str, object] = {"wall": wall, "cursors": ["main"], **settings}
        journal = await Journal.open(tmp_path, limits, **arguments)  # type: ignore[arg-type] # as the test says
        opened.append(journal)
        return journal

    yield open_it
    for journal in opened:
        await journal.close()


@pytest.fixture
def open_store(tmp_path: Path, wall: Wall) -> Iterator[OpenStore]:
    """Opens the store of this test in this thread; epochs are e1, e2 and so on."""
    numbers = count(1)
    with ExitStack() as stack:

        def open_it(*cursors: str) -> Store:
            connection = connect(tmp_path / "journal.db", 1.0)
            stack.callback(connection.close)
            return Store(connection, Ledger(cursors), wall, lambda: f"e{next(numbers)}")

        yield open_it
