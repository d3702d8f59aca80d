"""A writer that hangs is told from a disk that does not answer: only the first is helped by a new start."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from mqtt_peer import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from journal_desk import OpenJournal

LONG_S = 0.4
SLACK_S = 20.0


class Spinning:
    """Calculates until it is told to end."""

    def __init__(self) -> None:
        self.ends = False

    def __call__(self) -> None:
        while not self.ends:
            pass

    def end(self) -> None:
        self.ends = True


class Locked:
    """Waits for another thread until it is told to end."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.end = self._event.set

    def __call__(self) -> None:
        self._event.wait()


class Reading:
    """Waits for a device until it is told to end: in a pipe nobody writes, as on a disk that does not answer."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def __call__(self) -> None:
        os.read(self._read, 1)

    def end(self) -> None:
        os.write(self._write, b".")


@pytest.mark.parametrize("hang", [Spinning, Locked])
async def test_a_writer_that_hangs_in_here_is_stuck_until_it_goes_on(
    open_journal: OpenJournal, hang: Callable[[], Spinning | Locked]
) -> None:
    """An endless loop and a lock that nobody gives back are bugs, which a new start helps."""
    journal = await open_journal()
    work = hang()
    journal._writer.put_job(lambda *_: work())
    try:
        await until(lambda: journal.stuck_s() > LONG_S, SLACK_S)
    finally:
        work.end()
    await until(lambda: journal.stuck_s() < LONG_S, SLACK_S)


async def test_a_writer_whose_disk_does_not_answer_is_not_stuck(open_journal: OpenJournal) -> None:
    """A new start would cost what only memory holds, and would meet the same disk."""
    journal = await open_journal()
    await until(lambda: journal.stats().report.beat_mono > 0, SLACK_S)
    work = Reading()
    journal._writer.put_job(lambda *_: work())

    def is_held() -> bool:
        return time.monotonic() - journal.stats().report.beat_mono > 3 * LONG_S

    try:
        await until(lambda: journal.stuck_s() < LONG_S and is_held(), SLACK_S)
    finally:
        work.end()


async def test_an_idle_writer_is_not_stuck(open_journal: OpenJournal) -> None:
    """Nothing to write for a while: it goes round all the same."""
    journal = await open_journal()
    beat = journal.stats().report.beat_mono
    await until(lambda: journal.stats().report.beat_mono > beat, SLACK_S)
    assert journal.stuck_s() < SLACK_S
