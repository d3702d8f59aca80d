"""The stage between lines and journal, with a real journal on disk."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from alarm_stage import ALARM_ID, Stage, stage

from agent.clock import SystemClock
from agent.events import AlarmTransition
from agent.rules import Refused
from buffer.errors import JournalError
from buffer.journal import Journal
from buffer.retention import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from agent.events import ClockState
    from buffer.record import Record


async def stored(folder: Path, stream: str) -> list[Record]:
    journal = await Journal.open(folder, Limits(2**24, 3600.0), wall=SystemClock().wall, cursors=[])
    records = await journal.read(stream, 0, 1000)
    await journal.close()
    return records


async def test_an_alarm_is_on_disk_when_it_is_shown(tmp_path: Path) -> None:
    """Listeners hear of an event only after its transaction; event and state are both in the journal then."""
    async with stage(tmp_path) as made:
        await made.read(255.0)
        (event,) = await made.heard_of(1)
        assert (event.action, event.level, event.colour) == ("raise", "HH", "red")
        assert [view.alarm_id for view in made.board.views()] == [ALARM_ID]
        assert made.pipeline.alarm_times.cumulative()[-1] == 1
        records = await made.journal.read("critical", 0, 10)
        assert json.loads(records[0].body)["data"]["occurrence_id"] == event.occurrence_id


async def test_raise_and_end_refer_to_the_samples_around_them(tmp_path: Path) -> None:
    """And those are in the journal at full rate, though telemetry thinned them."""
    values = [230.0, 230.2, 230.1, 255.0, 255.1, 255.2, 230.0]
    async with stage(tmp_path, deadband=5.0) as made:
        for value in values:
            await made.read(value)
        raised, cleared = await made.heard_of(2)
        assert raised.evidence is not None
        assert (raised.evidence.pre_s, raised.evidence.post_s, raised.evidence.ref) == (60, 60, "m1/u")
        assert cleared.evidence == raised.evidence
    batches = [json.loads(record.body)["data"] for record in (await stored(tmp_path, "telemetry"))]
    found = [(batch["t0"], each["dt"], each["v"], each["why"]) for batch in batches for each in batch["samples"]]
    assert sorted(value for *_, value, _ in found) == sorted(values)
    assert sorted(value for *_, value, why in found if why == "trigger") == [230.1, 230.2, 255.1, 255.2]


async def test_a_restart_finds_the_alarm_as_it_stood(tmp_path: Path) -> None:
    """Killed without an orderly end, the next start shows the alarm and does not raise it again."""
    async with stage(tmp_path, ended=False) as made:
        await made.read(255.0)
        await made.heard_of(1)
    async with stage(tmp_path) as made:
        (view,) = made.board.views()
        assert (view.alarm_id, view.state, view.condition_known) == (ALARM_ID, "UNACK", False)
        await made.read(255.0)
        await made.read(230.0)
        (event,) = await made.heard_of(1)
        assert (event.action, event.n) == ("clear", 2)


async def test_a_snapshot_is_what_was_announced_with_the_values_of_now(tmp_path: Path) -> None:
    """The last stored transition of each alarm that stands, the same after a restart; an end takes it out."""
    async with stage(tmp_path, ended=False) as made:
        await made.read(255.0)
        await made.heard_of(1)
        await made.order()
        told = (await made.heard_of(2))[-1]
        await made.read(256.0)
        async with asyncio.timeout(60):
            while made.rules.runs[ALARM_ID].value != 256.0:
                await asyncio.sleep(0.005)
        (event,) = made.board.snapshot()
        assert event.body == msgspec.structs.replace(told, value=256.0)
        assert (event.stream, event.subject, event.test) == ("critical", ALARM_ID, False)
    async with stage(tmp_path) as made:
        (event,) = made.board.snapshot()
        unknown = {"value": None, "q": "bad", "qr": "not_connected", "condition_known": False}
        assert event.body == msgspec.structs.replace(told, **unknown)
        await made.read(230.0)
        await made.heard_of(1)
        assert made.board.snapshot() == []


async def test_telemetry_is_gathered_for_its_window_and_flushed_at_the_end(tmp_path: Path) -> None:
    """Readings within one window are one batch; the end waits for no window."""
    async with stage(tmp_path, window_s=30.0) as made:
        for value in (230.0, 231.0, 232.0):
            await made.read(value)
    (record,) = await stored(tmp_path, "telemetry")
    assert [sample["v"] for sample in json.loads(record.body)["data"]["samples"]] == [230.0, 231.0, 232.0]


class ServerFound(SystemClock):
    """A clock that nobody has set, until the test says so."""

    worth: ClockState = "unsynced"

    def state(self) -> ClockState:
        return self.worth


async def test_7_readings_from_before_the_first_synchronization_are_marked(tmp_path: Path) -> None:
    """Also those that go out when a server has set the clock meanwhile: their times are worth nothing all the same."""
    clock = ServerFound()
    async with stage(tmp_path, window_s=30.0, deadband=5.0, clock=clock) as made:
        await made.read(230.0)
        await made.read(231.0)
        clock.worth = "synced"
        await made.read(255.0)
        await made.heard_of(1)
    marked = [
        json.loads(record.body) for stream in ("critical", "telemetry") for record in await stored(tmp_path, stream)
    ]
    found = [(each["clockstate"], [sample["v"] for sample in each["data"].get("samples", [])]) for each in marked]
    assert found == [("synced", []), ("unsynced", [230.0, 255.0]), ("unsynced", [231.0])]


async def test_7_readings_after_the_first_synchronization_are_not_marked(tmp_path: Path) -> None:
    """The next window is as good as its clock."""
    clock = ServerFound()
    async with stage(tmp_path, window_s=0.0, clock=clock) as made:
        await made.read(230.0)
        seen = await made.journal.news(0)
        clock.worth = "synced"
        await made.read(231.0)
        await made.journal.news(seen)
        await made.read(232.0)
    states = [json.loads(record.body)["clockstate"] for record in await stored(tmp_path, "telemetry")]
    assert (states[0], states[-1]) == ("unsynced", "synced")


async def test_a_window_ends_without_another_reading(tmp_path: Path) -> None:
    """Telemetry does not wait for the next item to come."""
    async with stage(tmp_path, window_s=0.02) as made:
        await made.read(230.0)
        seen = await made.journal.news(0)
        assert seen == 1


async def test_a_delay_ends_without_another_reading(tmp_path: Path) -> None:
    """The on-delay of an alarm is served by the clock."""
    async with stage(tmp_path, on_delay_s=0.05) as made:
        await made.read(255.0)
        (event,) = await made.heard_of(1)
        assert event.on_delay_ms == 50


async def test_an_acknowledgement_is_answered_when_it_is_stored(tmp_path: Path) -> None:
    """Actor and comment are in the event; a second acknowledgement is refused with a reason."""
    async with stage(tmp_path) as made:
        await made.read(255.0)
        await made.heard_of(1)
        (event,) = await made.order()
        assert isinstance(event.body, AlarmTransition)
        assert (event.body.ack.by, event.body.ack.comment, event.body.state) == ("duty", "seen", "ACKED")
        assert made.board.latest(ALARM_ID).ack_by == "duty"
        with pytest.raises(Refused, match="nothing to acknowledge"):
            await made.order()


async def test_a_journal_that_cannot_be_written_ends_the_pipeline(tmp_path: Path) -> None:
    """Nothing goes on as if it had been stored; the process ends and is started again."""
    clock = SystemClock()
    journal = await Journal.open(tmp_path, Limits(2**24, 3600.0), wall=clock.wall, cursors=[])
    made = Stage(journal, clock, 0.01, 0.0, 0.0)
    running = asyncio.create_task(made.pipeline.run())
    await journal.close()
    with pytest.raises(JournalError):
        async with asyncio.timeout(60):
            while not running.done():
                await made.read(255.0)
                await asyncio.sleep(0.005)
            await running
    assert made.board.views() == []
