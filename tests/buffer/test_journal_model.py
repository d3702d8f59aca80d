"""Journal, cursors and retention against a model that is nothing but lists and sets.

Whatever happens in whatever order (store, settle, trim, clean and unclean reopen, time, copies), the file agrees with
the model: no record changes, disappears without leave, or is missing from the account.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from journal_desk import MEBIBYTE, Wall

from buffer import archive
from buffer.database import connect
from buffer.ledger import Lane, Ledger
from buffer.reader import START, Reader
from buffer.record import Draft
from buffer.retention import Limits, Retention
from buffer.store import Store
from buffer.tail import TAIL_MS_MAX

if TYPE_CHECKING:
    from buffer.reader import Place
    from buffer.record import Record

STREAMS = ("alarm", "telemetry")
SMALL = 10
CURSORS = ("main", "second")
LIMITS = Limits(MEBIBYTE, keep_s=1000.0, reserve=0.0)


@dataclass
class Model:
    """One lane. `chunks` are the stored groups: sequences and time; `settled` and `lost` are by cursor."""

    bodies: list[bytes] = field(default_factory=list)
    chunks: list[tuple[range, int]] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    settled: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in CURSORS})
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CURSORS, 0))
    grows: bool = False
    """Whether the last chunk still takes records."""

    def grow(self, records: int, now_ms: int, *, small: bool) -> None:
        """Small ones that are stored within a minute of the first are in one chunk."""
        first = len(self.bodies) + 1
        if small and self.grows and now_ms - self.chunks[-1][1] <= TAIL_MS_MAX:
            before, stored_ms = self.chunks.pop()
            self.chunks.append((range(before.start, first + records), stored_ms))
        else:
            self.chunks.append((range(first, first + records), now_ms))
        self.grows = small

    def free(self, chunk: range) -> bool:
        """Whether every cursor has settled all of it."""
        return all(settled.issuperset(chunk) for settled in self.settled.values())


class JournalMachine(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 1000), full=st.integers(0, 5))
    def start(self, seed: int, full: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.db"
        self.source = random.Random(seed)
        self.wall = Wall()
        self.state: dict[str, bytes] = {}
        self.model = {stream: Model() for stream in STREAMS}
        self.open()
        for _ in range(full):
            self.append(alarms=1, telemetry=3, size=60_000, key="a", keep=True)

    def open(self) -> None:
        self.store = Store(connect(self.path, 5.0), Ledger(CURSORS), self.wall, lambda: "e1")
        self.store.connection.execute("PRAGMA synchronous = OFF")  # Power cuts are not what is tried here.
        self.reader = Reader(self.path)

    def teardown(self) -> None:
        self.reader.close()
        self.store.connection.close()
        self.folder.cleanup()

    # Sizes such that a dozen large ones fill the journal, and that only small ones join the chunk before them.
    @rule(
        alarms=st.integers(0, 2),
        telemetry=st.integers(0, 4),
        size=st.sampled_from((SMALL, 60_000)),
        key=st.sampled_from("abc"),
        keep=st.booleans(),
    )
    def append(self, alarms: int, telemetry: int, size: int, key: str, keep: bool) -> None:
        drafts = []
        for stream, records in zip(STREAMS, (alarms, telemetry), strict=True):
            model = self.model[stream]
            bodies = [self.source.randbytes(size) for _ in range(records)]
            drafts += [Draft(stream, at, "t", body) for at, body in enumerate(bodies, len(model.bodies) + 1)]
            if bodies:
                model.grow(records, self.store.now_ms(), small=size == SMALL)
                model.bodies += bodies
        value = self.source.randbytes(4)
        self.store.store(drafts, {key: value if keep else None})
        self.state.pop(key, None)
        if keep:
            self.state[key] = value

    @rule(stream=st.sampled_from(STREAMS), cursor=st.sampled_from(CURSORS), data=st.data())
    def settle(self, stream: str, cursor: str, data: st.DataObject) -> None:
        model = self.model[stream]
        if model.bodies:
            first = data.draw(st.integers(1, len(model.bodies)))
            last = data.draw(st.integers(first, len(model.bodies)))
            self.store.ledger.settle(cursor, Lane("e1", stream), [(first, last)])
            model.settled[cursor] |= set(range(first, last + 1))

    @rule(seconds=st.sampled_from((1, 600, 2000)))
    def wait(self, seconds: int) -> None:
        self.wall.now += seconds

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        """Without a clean end, what was settled since the last transaction may be forgotten, and nothing else."""
        self.reader.close()
        if clean:
            self.store.finish()
        else:
            self.store.connection.close()
        self.open()
        assert self.store.state == self.state
        for stream, model in self.model.items():
            for name in CURSORS:
                position = self.store.ledger.position(name, Lane("e1", stream))
                remembered = {number for number in range(1, len(model.bodies) + 1) if position.settled(number)}
                assert remembered == model.settled[name] if clean else model.gone <= remembered <= model.settled[name]
                model.settled[name] = remembered
            model.grows = False

    @rule()
    def trim(self) -> None:
        crowded = self.used() > LIMITS.used_max_bytes
        event(f"crowded {crowded}")
        retention = Retention(self.store, LIMITS)
        while retention.step():
            pass
        before_ms = self.store.now_ms() - 1_000_000
        for stream, model in self.model.items():
            kept = {record.sequence for record in self.read(stream)}
            for chunk, stored_ms in model.chunks:
                if not model.gone.issuperset(chunk):
                    self.check_chunk(stream, chunk, kept, old=stored_ms < before_ms, crowded=crowded)
        assert self.used() <= LIMITS.used_max_bytes

    @rule(stream=st.sampled_from(STREAMS), first=st.integers(0, 40), span=st.integers(0, 40))
    def look_back(self, stream: str, first: int, span: int) -> None:
        """By time, which here is the sequence."""
        found: list[int] = []
        place: Place | None = START
        while place is not None:
            records, place = self.reader.history(stream, first, first + span, place)
            found += [record.sequence for record in records]
        model = self.model[stream]
        assert found == [
            n for n in range(1, len(model.bodies) + 1) if first <= n < first + span and n not in model.gone
        ]

    @rule(stops=st.lists(st.integers(0, 30), max_size=3))
    def back_up(self, stops: list[int]) -> None:
        """A copy holds everything, and of what is stored while it is made as much as there was at its end."""
        steps = count()
        before = {stream: len(self.read(stream)) for stream in STREAMS}

        def go_on() -> None:
            if next(steps) in stops:
                self.append(alarms=1, telemetry=1, size=SMALL, key="a", keep=True)

        to = self.path.with_name("copy.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "STEP_PAGES", 4)
            patch.setattr(archive, "sync", lambda _: None)
            archive.copy(self.store.connection, to, go_on)
        with closing(Reader(to)) as reader:
            for stream in STREAMS:
                copied = reader.read(Lane("e1", stream), 0, 2**62, 1000)
                assert len(copied) >= before[stream]
                assert copied == self.read(stream)[: len(copied)]
        assert archive.verify(to, None).faults == ()
        to.unlink()

    def check_chunk(self, stream: str, chunk: range, kept: set[int], *, old: bool, crowded: bool) -> None:
        """What may go and must go, and the account of what went although somebody waited."""
        model = self.model[stream]
        present = kept.issuperset(chunk)
        assert present or kept.isdisjoint(chunk), "a chunk goes as a whole"
        if model.free(chunk):
            assert present or old or crowded
            assert not (present and old)
        elif not present:
            assert crowded
            assert stream == "telemetry" or not any(self.read("telemetry"))
        if not present:
            model.gone |= set(chunk)
            model.grows = model.grows and chunk != model.chunks[-1][0]
            for name, settled in model.settled.items():
                model.lost[name] += len(set(chunk) - settled)
                settled |= set(chunk)

    def read(self, stream: str) -> list[Record]:
        found: list[Record] = []
        while records := self.reader.read(Lane("e1", stream), found[-1].sequence if found else 0, 2**62, 7):
            found += records
        return found

    def used(self) -> int:
        (pages,) = self.store.connection.execute("PRAGMA page_count").fetchone()
        (free,) = self.store.connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * 4096

    @invariant()
    def every_record_is_what_it_was_or_gone(self) -> None:
        for stream, model in self.model.items():
            wanted = {n: body for n, body in enumerate(model.bodies, 1) if n not in model.gone}
            found = self.read(stream)
            assert {record.sequence: record.body for record in found} == wanted
            tail = self.store.tails.get(Lane("e1", stream))
            if tail is not None:
                newest = [record for record in found if record.sequence >= tail.first]
                assert tail.records(Lane("e1", stream), tail.first - 1, 2**62, 1000) == newest

    @invariant()
    def the_account_agrees(self) -> None:
        ledger = self.store.ledger
        lost = {(loss.cursor, loss.lane.stream): loss.records for loss in ledger.losses()}
        for stream, model in self.model.items():
            kept = ledger.kept(Lane("e1", stream))
            assert (kept.next, kept.records) == (len(model.bodies) + 1, len(model.bodies) - len(model.gone))
            for name in CURSORS:
                position = ledger.position(name, Lane("e1", stream))
                assert position.unsettled == len(model.bodies) - len(model.settled[name])
                assert lost.get((name, stream), 0) == model.lost[name]


JournalMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestJournalAgainstModel = JournalMachine.TestCase


def test_a_failed_commit_leaves_no_trace(tmp_path: Path) -> None:
    """A transaction that fails in the middle is not read, not counted, and its sequences are given to the next."""
    store = Store(connect(tmp_path / "journal.db", 1.0), Ledger(CURSORS), Wall(), lambda: "e1")
    lane = Lane("e1", "alarm")
    with closing(store.connection), closing(Reader(tmp_path / "journal.db")) as reader:
        with pytest.raises(sqlite3.Error):
            store.store([Draft("alarm", 0, "t", b"lost")], {"n": b"1", "bad": [1]})  # type: ignore[dict-item] # fails
        assert reader.read(lane, 0, 10, 10) == []
        assert store.ledger.kept(lane).next == 1
        store.store([Draft("alarm", 0, "t", b"kept")], {})
        assert [(record.sequence, record.body) for record in reader.read(lane, 0, 10, 10)] == [(1, b"kept")]
        assert store.connection.execute("SELECT count(*) FROM state").fetchone() == (0,)
