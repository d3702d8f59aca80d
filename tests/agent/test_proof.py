"""The test alarm that goes the whole way: through the real pipeline and journal, confirmed by an uplink of the test."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from mqtt_peer import until
from structlog.testing import capture_logs

from agent import proof as proof_module
from agent import schemas
from agent.board import AlarmBoard
from agent.clock import ManualClock
from agent.envelope import Origin, splice
from agent.events import ALARM_TRANSITION
from agent.health import Health
from agent.pipeline import End, Pipeline
from agent.proof import ProofTest, Source
from agent.rules import Rules
from agent.rules.losses import Losses
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from buffer.ledger import Lane
    from buffer.record import Record

ORIGIN = Origin("h01", "gw-a1")


@dataclass(eq=False)
class Confirming:
    """An uplink of which the test says what the platform has confirmed."""

    id: str = "main"
    confirmed: set[int] = field(default_factory=set)
    proof_every_s: float | None = 3600.0

    def has_confirmed(self, _: Lane, sequence: int) -> bool:
        return sequence in self.confirmed


class Stage:
    """A gateway without lines, whose time the test moves."""

    def __init__(self, journal: Journal, clock: ManualClock, *uplinks: Confirming) -> None:
        self.clock = clock
        self.journal = journal
        self.health = Health()
        rules = Rules("h01", "gw-a1", "c-1", {}, {}, Losses())
        self.board = AlarmBoard(rules)
        self.pipeline = Pipeline(rules, journal, clock, 1.0, "c-1")
        source = Source("h01", "gw-a1", "c-1")
        self.uplinks = list(uplinks)
        self.proof = ProofTest(source, self.uplinks, self.pipeline.put, journal, self.health, clock)
        self.pipeline.listeners += [self.board.on_stored, self.proof.on_stored]

    async def alarms(self, count: int) -> list[Record]:
        """That many records of the stream, once they are there."""
        await until(lambda: self._stored() >= count)
        return await self.journal.read("critical", 0, 100)

    def _stored(self) -> int:
        return sum(kept.next - 1 for lane, kept in self.journal.stats().lanes.items() if lane.stream == "critical")

    async def pass_time(self, seconds: float) -> None:
        """Second by second, so that whoever sleeps wakes in between."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            for _ in range(20):
                await asyncio.sleep(0.0005)

    async def pass_time_until(self, conditions: list[tuple[str, str]]) -> None:
        """Until these hold and no others."""
        async with asyncio.timeout(60):
            while self.conditions() != conditions:
                await self.pass_time(1)

    def conditions(self) -> list[tuple[str, str]]:
        return [(view.code, view.target) for view in self.health.views()]


@asynccontextmanager
async def stage(folder: Path, *uplinks: Confirming) -> AsyncIterator[Stage]:
    clock = ManualClock()
    journal = await Journal.open(folder, Limits(2**24, 3600.0), wall=clock.wall, cursors=[])
    made = Stage(journal, clock, *uplinks)
    tasks = [asyncio.create_task(made.pipeline.run()), asyncio.create_task(made.proof.run())]
    try:
        yield made
    finally:
        tasks[1].cancel()
        await made.pipeline.put(End())
        await asyncio.gather(*tasks, return_exceptions=True)
        await journal.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks a few times in the second in which the clock of the test stands still."""
    monkeypatch.setattr(proof_module, "LOOK_EVERY_S", 0.5)
    monkeypatch.setattr(proof_module, "FIRST_S", 5.0)
    monkeypatch.setattr(proof_module, "CONFIRMED_S_MAX", 10.0)


def event(record: Record) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(splice(record, ORIGIN))
    return parsed


async def test_it_is_an_alarm_like_any_other_marked_as_a_test(tmp_path: Path) -> None:
    """Raise and clear of one occurrence, in `critical`, valid by schema, and on no screen."""
    async with stage(tmp_path, Confirming(confirmed={1, 2})) as made:
        await made.pass_time(6)
        records = await made.alarms(2)
        events = [event(record) for record in records]
        for one in events:
            jsonschema.validate(one, schemas.record_schema(ALARM_TRANSITION))
            assert one["test"] is True
            assert one["data"]["alarm_id"] == one["subject"] == "gw/gw-a1/proof#test"
        assert [one["data"]["action"] for one in events] == ["raise", "clear"]
        assert [one["data"]["ended"] for one in events] == [False, True]
        assert {one["data"]["occurrence_id"] for one in events} == {"gw-a1/gw/gw-a1/proof#test/1"}
        assert {record.topic for record in records} == {"alarm/blue/gw/gw-a1"}
        assert made.board.views() == []
        assert made.board.snapshot() == []


async def test_confirmed_in_time_it_is_silent(tmp_path: Path) -> None:
    """And comes again at its interval, each time as a new occurrence."""
    uplink = Confirming()
    async with stage(tmp_path, uplink) as made:
        with capture_logs() as logs:
            await made.pass_time(6)
            await made.alarms(2)
            uplink.confirmed = {1, 2}
            await made.pass_time(20)
            assert made.conditions() == []
            made.clock.advance(3600)
            records = await made.alarms(4)
            uplink.confirmed = {1, 2, 3, 4}
            await made.pass_time(20)
        assert made.conditions() == []
        assert logs == []
        assert len({event(record)["data"]["occurrence_id"] for record in records}) == 2


@pytest.mark.parametrize("confirmed", [set(), {1}, {2}])
async def test_overdue_is_a_condition_until_one_comes_back(tmp_path: Path, confirmed: set[int]) -> None:
    """Both events must be confirmed; of two uplinks only the one that fails is named; said once in the log."""
    failing, fine = Confirming("main", confirmed), Confirming("second", {1, 2, 3, 4, 5, 6})
    async with stage(tmp_path, failing, fine) as made:
        with capture_logs() as logs:
            await made.pass_time(14)
            assert made.conditions() == []
            await made.pass_time_until([("proof_overdue", "main")])
            made.clock.advance(3600)
            await made.alarms(4)
            await made.pass_time(20)
            assert made.conditions() == [("proof_overdue", "main")]
            failing.confirmed = {5, 6}
            made.clock.advance(3600)
            await made.alarms(6)
            await made.pass_time_until([])
        assert [line["event"] for line in logs] == ["proof test overdue", "proof test passes again"]


async def test_uplinks_come_and_go(tmp_path: Path) -> None:
    """Without one that wants it nothing is raised; one that comes is proved soon; with it goes what was wrong of it."""
    async with stage(tmp_path) as made:
        await made.pass_time(8)
        made.uplinks.append(Confirming())
        await made.pass_time(2)
        await made.alarms(2)
        await made.pass_time_until([("proof_overdue", "main")])
        made.uplinks[:] = [Confirming("second", {1, 2})]
        await made.pass_time_until([])


async def test_an_occurrence_is_never_used_twice(tmp_path: Path) -> None:
    """Its number is on disk before the alarm is raised, so a restart goes on behind it."""
    for expected in (1, 2):
        async with stage(tmp_path, Confirming()) as made:
            await made.pass_time(6)
            records = await made.alarms(2 * expected)
            assert event(records[-1])["data"]["occurrence_id"].endswith(f"#test/{expected}")
