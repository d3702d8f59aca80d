"""A gateway without drivers on virtual time: days of readings in seconds, through real pipeline, journal and uplink.

The broker and the consumer of a run are real processes, so the platform's time is the real one: a run ends about now.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accounting import Served, seconds
from hardware_mocks.signals import DAY_S, Noise, day
from mqtt_peer import HOST
from one_line import config_of
from three_accounts import GatewaysOwn

from agent.audit import Trail
from agent.board import AlarmBoard
from agent.clock import ManualClock
from agent.envelope import Origin
from agent.epoch import first_records, number_on
from agent.pipeline import End, Pipeline
from agent.rules import Rules
from agent.uplink.uplink import Release, Uplink
from buffer.journal import Journal
from buffer.retention import Limits
from config import outward
from config.files import AddressSpec, LineSpec, PointSpec
from config.judgement import Level, Limit
from config.model import Alarm, Device, Line, Place, Point, Text
from drivers.contract import Poll, Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from accounting import Arrival, PointKey

OUTAGE_S = 72 * 3600.0
BEFORE_S = 600.0
EVERY_S = 60.0
DEVICES = 6
POINTS = 20
HIGH = 225.0
"""Reached once a day by each meter."""

SIZE_MAX_BYTES = 2**30

NAME = Text("电表", "Meter")
UPLINK = "platform"


def meter(number: int) -> Device:
    """Voltages of which one has an alarm, red at the first meter and yellow at the others; and an energy that rises."""
    name = f"m{number}"
    points = tuple(
        Point(point, name, "pwr.lv", NAME, "number", "V", EVERY_S, PointSpec(), heartbeat_s=7 * 86_400.0)
        for point in (*(f"u{n}" for n in range(POINTS - 1)), "energy")
    )
    limit = Limit((Level("H", HIGH, "red" if number == 1 else "yellow"),), deadband=3.0)
    alarm = Alarm(f"pwr.lv/{name}/u0#high", "high", name, "pwr.lv", "u0", limit, NAME, NAME)
    return Device(name, NAME, "pwr.lv", "line", AddressSpec(), Place(), points, (alarm,))


@dataclass
class Field:
    """What the meters say at a time, and all that they have said; no reading is like the one before.

    Their day begins with the run, in the evening: whatever time it is, alarms come from the sixteenth hour on.
    """

    clock: ManualClock
    served: dict[PointKey, list[Served]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.devices = tuple(meter(number) for number in range(1, DEVICES + 1))
        self.polls = [Poll(device, device.points, EVERY_S) for device in self.devices]
        self._noise = Noise(1)
        self._evening = self.clock.wall() + DAY_S / 2

    @property
    def readings(self) -> int:
        return len(self.polls) * len(self.served.get(("m1", "energy"), ()))

    def read(self, poll: Poll) -> Reading:
        name, wall = poll.device.id, self.clock.wall()
        values = [self._value(f"{name}/{point.id}", wall) for point in poll.points[:-1]]
        values.append(float(self.readings))
        for point, value in zip(poll.points, values, strict=True):
            self.served.setdefault((name, point.id), []).append(Served(wall, value))
        return Reading(poll, wall, self.clock.mono(), values, changed=((0, len(values)),))

    def _value(self, name: str, wall: float) -> float:
        since_s = wall - self._evening
        return round(220 + 6 * day(since_s) + 2 * self._noise.at(name, since_s, 3600.0), 1)


class Site:
    """All of a gateway but its drivers and its control socket."""

    def __init__(self, journal: Journal, field: Field, port: int) -> None:
        self.journal = journal
        self.field = field
        clock = field.clock
        line = Line("line", NAME, "test", LineSpec(protocol="test"), field.devices, 1.0, 1)
        settings = outward.Uplink(
            UPLINK, (outward.Broker(HOST, port, tls=False),), "5", "gw-1", None, None, 5, 32, 20_000.0, confirm=True
        )
        config = config_of(lines=(line,), uplinks=(settings,), gateway="gw-1")
        number_on(journal, clock)
        self.rules = Rules.build(config, journal.state)
        self.board = AlarmBoard(self.rules)
        self.pipeline = Pipeline(self.rules, journal, clock, 1.0, config.version)
        self.pipeline.listeners.append(self.board.on_stored)
        origin = Origin(config.site, config.gateway)
        release, trail = Release("0", config.version), Trail(journal, clock)
        self.uplink = Uplink(settings, origin, journal, clock, release, clock.state, trail, self.board.snapshot)
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self.pipeline.run()), asyncio.create_task(self.uplink.run(self._stop))]

    async def live(self, span_s: float, every_s: float = EVERY_S) -> None:
        """Poll every meter at its time, each reading at the moment that it says."""
        for _ in range(int(span_s / every_s)):
            self.field.clock.advance(every_s)
            wanted = self.pipeline.readings + len(self.field.polls)
            for poll in self.field.polls:
                await self.pipeline.put(self.field.read(poll))
            while self.pipeline.readings < wanted:
                await asyncio.sleep(0)

    def waiting(self) -> int:
        return sum(self.uplink.view().waiting.values())

    def confirmed(self) -> bool:
        return not self.waiting() and not self.uplink.view().handed_over

    async def stored(self) -> None:
        """Until everything is on disk."""
        await self.journal.append(())

    async def end(self) -> None:
        """In order, as the daemon does it."""
        await self.pipeline.put(End())
        await self._tasks[0]
        self._stop.set()
        await self._tasks[1]

    async def close(self) -> None:
        """However far it came."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.journal.close()

    def own(self) -> GatewaysOwn:
        """The journal's account."""
        last = {(lane.epoch, lane.stream): kept.next - 1 for lane, kept in self.journal.stats().lanes.items()}
        unsettled = sum(position.unsettled for position in self.journal.cursor(UPLINK))
        standing = {view.alarm_id: view.occurrence_id for view in self.board.views()}
        lost: dict[tuple[str, str], int] = defaultdict(int)
        for loss in self.journal.stats().losses:
            lost[loss.lane.epoch, loss.lane.stream] += loss.records
        return GatewaysOwn(last, unsettled, 0, standing, lost)


def field_before(span_s: float) -> Field:
    """One whose time is the real one after so long: the platform's commands say until when they hold."""
    return Field(ManualClock(wall=time.time() - span_s))


@asynccontextmanager
async def site(here: Path, port: int, field: Field, *, size_max_bytes: int = SIZE_MAX_BYTES) -> AsyncIterator[Site]:
    """Started, on the journal that is in the folder."""
    folder = here / "journal"
    folder.mkdir(exist_ok=True)
    limits = Limits(size_max_bytes, 30 * 86_400.0)
    journal = await Journal.open(
        folder, limits, wall=field.clock.wall, cursors=[UPLINK], begin=first_records(field.clock)
    )
    made = Site(journal, field, port)
    try:
        yield made
    finally:
        await made.close()


def recorded(arrival: Arrival) -> float:
    return seconds(arrival.event["recordedtime"])
