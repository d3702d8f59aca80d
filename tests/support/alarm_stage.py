"""One alarm through the real pipeline into a real journal: what tests of orders and their storing play on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from one_line import config_of

from agent.board import AlarmBoard
from agent.clock import SystemClock
from agent.events import AlarmTransition
from agent.pipeline import End, Order, Pipeline
from agent.rules import AlarmCommand, Rules
from buffer.journal import Journal
from buffer.retention import Limits
from config.files import AddressSpec, PointSpec
from config.judgement import Level, Limit
from config.model import Alarm, Device, Place, Point, Text
from drivers.contract import Poll, Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agent.events import Event
    from agent.rules import Step

NAME = Text("进线", "Incomer")
ALARM_ID = "pwr.lv/m1/u#level"


class Stage:
    """One device with one point and one alarm, through the real pipeline into a real journal."""

    def __init__(
        self, journal: Journal, clock: SystemClock, window_s: float, on_delay_s: float, deadband: float
    ) -> None:
        self.journal = journal
        self.clock = clock
        limit = Limit((Level("H", 240.0, "yellow"), Level("HH", 250.0, "red")))
        point = Point("u", "m1", "pwr.lv", NAME, "number", "V", 1.0, PointSpec(), deadband=deadband)
        alarm = Alarm(ALARM_ID, "level", "m1", "pwr.lv", "u", limit, NAME, NAME, on_delay_s=on_delay_s)
        device = Device("m1", NAME, "pwr.lv", "line", AddressSpec(), Place(), (point,), (alarm,))
        self.poll = Poll(device, (point,), 1.0)
        config = config_of(device, window_s=window_s)
        self.rules = Rules.build(config, journal.state)
        self.pipeline = Pipeline(self.rules, journal, clock, window_s, config.version)
        self.board = AlarmBoard(self.rules)
        self.heard: list[Event] = []
        self.pipeline.listeners += [self.board.on_stored, self.heard.extend]

    async def read(self, value: float) -> None:
        reading = Reading(self.poll, self.clock.wall(), self.clock.mono(), (value,), {}, ((0, 1),))
        await self.pipeline.put(reading)

    async def order(self, verb: str = "ack") -> list[Event]:
        done: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        command = (
            AlarmCommand("ack", ALARM_ID, "duty", "seen") if verb == "ack" else AlarmCommand("reset", ALARM_ID, "d")
        )
        await self.pipeline.put(Order(command, done))
        return (await done).events

    async def heard_of(self, count: int) -> list[AlarmTransition]:
        async with asyncio.timeout(60):
            while len(self.heard) < count:
                await asyncio.sleep(0.005)
        return [event.body for event in self.heard if isinstance(event.body, AlarmTransition)]


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    window_s: float = 0.05,
    on_delay_s: float = 0.0,
    deadband: float = 0.0,
    ended: bool = True,
    clock: SystemClock | None = None,
) -> AsyncIterator[Stage]:
    clock = clock or SystemClock()
    journal = await Journal.open(folder, Limits(2**24, 3600.0), wall=clock.wall, cursors=[])
    made = Stage(journal, clock, window_s, on_delay_s, deadband)
    running = asyncio.create_task(made.pipeline.run())
    try:
        yield made
    finally:
        if ended:
            await made.pipeline.put(End())
            await running
        else:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await journal.close()
