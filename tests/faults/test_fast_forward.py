"""Three days without a broker, in seconds: only time is virtual; journal, uplink, broker and consumer are real.

What the platform then has is what the field has given, alarms first, and what happens now does not wait for the past.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from accounting import Served, account, compare, samples, seconds
from consumer_process import ConsumerProcess
from hardware_mocks.signals import Noise, day
from mqtt_peer import HOST, until
from plant import broker, folder, show
from three_accounts import GatewaysOwn, disagreements

from agent.audit import Trail
from agent.board import AlarmBoard
from agent.clock import ManualClock
from agent.envelope import Origin
from agent.epoch import begin_streams
from agent.pipeline import End, Pipeline
from agent.rules import Rules
from agent.uplink.uplink import Release, Uplink
from buffer.journal import Journal
from buffer.retention import Limits
from config import model
from config.files import AddressSpec, LineSpec, PointSpec
from config.model import Alarm, Device, Level, Limit, Line, Place, Point, Text
from drivers.contract import Poll, Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from accounting import Account, Arrival, PointKey

OUTAGE_S = 72 * 3600.0
BEFORE_S = 600.0
EVERY_S = 60.0
DEVICES = 6
POINTS = 20
HIGH = 225.0
"""Reached once a day by each meter."""

SECONDS_MAX = 20.0
NAME = Text("电表", "Meter")
UPLINK = "platform"


def meter(number: int) -> Device:
    """Twenty voltages of which one has an alarm: red at the first meter, yellow at the others."""
    name = f"m{number}"
    points = tuple(
        Point(f"u{n}", name, "pwr.lv", NAME, "number", "V", EVERY_S, PointSpec(), heartbeat_s=7 * 86_400.0)
        for n in range(POINTS)
    )
    limit = Limit((Level("H", HIGH, "red" if number == 1 else "yellow"),), deadband=3.0)
    alarm = Alarm(f"pwr.lv/{name}/u0#high", "high", name, "pwr.lv", "u0", limit, NAME, NAME)
    return Device(name, NAME, "pwr.lv", "line", AddressSpec(), Place(), points, (alarm,))


@dataclass
class Field:
    """What the meters say at a time, and all that they have said."""

    served: dict[PointKey, list[Served]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.devices = tuple(meter(number) for number in range(1, DEVICES + 1))
        self.polls = [Poll(device, device.points, EVERY_S) for device in self.devices]
        self._noise = Noise(1)

    def read(self, poll: Poll, clock: ManualClock) -> Reading:
        name, wall = poll.device.id, clock.wall()
        values = [self._value(f"{name}/{point.id}", wall) for point in poll.points]
        for point, value in zip(poll.points, values, strict=True):
            self.served.setdefault((name, point.id), []).append(Served(wall, value))
        return Reading(poll, wall, clock.mono(), values, changed=((0, len(values)),))

    def _value(self, name: str, wall: float) -> float:
        return round(220 + 6 * day(wall) + 2 * self._noise.at(name, wall, 3600.0), 1)


class Site:
    """All of a gateway but its drivers and its control socket."""

    def __init__(self, journal: Journal, clock: ManualClock, port: int) -> None:
        self.journal = journal
        self.field = Field()
        self.clock = clock
        line = Line("line", NAME, "test", LineSpec(protocol="test"), self.field.devices, 1.0, 1)
        settings = model.Uplink(
            UPLINK, (model.Broker(HOST, port, tls=False),), "5", "gw-1", None, None, 5, 32, 20_000.0, confirm=True
        )
        config = _config(line, settings)
        self.rules = Rules.build(config, {})
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
            self.clock.advance(every_s)
            for poll in self.field.polls:
                await self.pipeline.put(self.field.read(poll, self.clock))
            wanted = len(self.field.polls) * len(self.field.served["m1", "u0"])
            while self.pipeline.readings < wanted:
                await asyncio.sleep(0)

    def waiting(self) -> int:
        return sum(self.uplink.view().waiting.values())

    def confirmed(self) -> bool:
        return not self.waiting() and not self.uplink.view().handed_over

    async def end(self) -> None:
        await self.pipeline.put(End())
        await self._tasks[0]
        self._stop.set()
        await self._tasks[1]

    def own(self) -> GatewaysOwn:
        """The journal's account."""
        last = {(lane.epoch, lane.stream): kept.next - 1 for lane, kept in self.journal.stats().lanes.items()}
        unsettled = sum(position.unsettled for position in self.journal.cursor(UPLINK))
        standing = {view.alarm_id: view.occurrence_id for view in self.board.views()}
        return GatewaysOwn(last, unsettled, 0, standing)


def _config(line: Line, uplink: model.Uplink) -> model.Config:
    return model.Config(
        site="h01",
        gateway="gw-1",
        name=NAME,
        time_zone="UTC",
        topic_root="wardgate/v1",
        type_prefix="wardgate.",
        version="c-1",
        control_socket=Path("unused"),
        journal=model.Journal(Path("unused"), 0, 0.0, 1.0),
        uplinks=(uplink,),
        lines=(line,),
    )


@asynccontextmanager
async def site(here: Path, port: int) -> AsyncIterator[Site]:
    # It ends about now: the platform's commands say until when they hold.
    clock = ManualClock(wall=time.time() - BEFORE_S - OUTAGE_S)
    (here / "journal").mkdir()
    limits = Limits(2**30, 30 * 86_400.0)
    journal = await Journal.open(here / "journal", limits, wall=clock.wall, cursors=[UPLINK])
    try:
        await begin_streams(journal, clock)
        yield Site(journal, clock, port)
    finally:
        await journal.close()


@pytest.mark.timeout(90)
async def test_three_days_without_a_broker_lose_nothing_and_keep_nobody_waiting() -> None:
    """All values arrive, critical before alarm before telemetry, live ones beside the backlog."""
    began = time.monotonic()
    with folder() as here:
        async with broker(here) as server, site(here, server.port) as made:
            with ConsumerProcess(here, server.port, "--confirm", "--resend") as consumer:
                consumer.start()
                await until(consumer.connections)
                await made.live(BEFORE_S)
                await until(made.confirmed)
                server.leave()
                left = made.clock.wall()
                await made.live(OUTAGE_S)
                await made.journal.append(())
                returned, backlog = made.clock.wall(), made.waiting()
                await server.start()
                live_from = await drain(made)
                await until(made.confirmed, 30)
                await made.end()
                own = made.own()
                await until(lambda: consumer.stored() >= sum(own.last.values()))
                await consumer.stop()
            found = account(consumer.arrivals(), {stream: last for (_, stream), last in own.last.items()})
            assert disagreements(consumer.report, own, found, consumer.standing()) == []
            assert found.faults == []
            assert compare(samples(found), made.field.served).faults == []
            assert_alarms_first(found, left, returned)
            assert_live_beside_backlog(found, live_from, returned)
            tell(made, backlog, began)
    assert time.monotonic() - began < SECONDS_MAX


async def drain(made: Site) -> int:
    """Until the backlog is gone, while the meters go on; gives `live_from`."""
    await until(lambda: made.uplink.view().live_from)
    live_from = made.uplink.view().live_from
    assert live_from
    async with asyncio.timeout(30):
        while made.uplink.view().backlog:
            await made.live(1, every_s=1)
            await asyncio.sleep(0.05)
    return live_from


def assert_alarms_first(found: Account, left: float, returned: float) -> None:
    """Of what was recorded in the outage; each alarm came up every day and went away again."""
    critical, alarm, telemetry = (
        [one.order for one in found.records(stream) if left < recorded(one) <= returned]
        for stream in ("critical", "alarm", "telemetry")
    )
    assert len(critical) >= 6
    assert len(alarm) >= 6 * (DEVICES - 1)
    assert max(critical) < min(alarm)
    assert max(alarm) < min(telemetry)
    assert all(earlier < later for earlier, later in pairwise(telemetry)), "the backlog is in its order"


def assert_live_beside_backlog(found: Account, live_from: int, returned: float) -> None:
    telemetry = {arrival.sequence: arrival for arrival in found.records("telemetry")}
    assert recorded(telemetry[live_from]) > returned
    assert recorded(telemetry[live_from - 1]) <= returned
    assert telemetry[live_from].order < telemetry[live_from - 1].order


def recorded(arrival: Arrival) -> float:
    return seconds(arrival.event["recordedtime"])


def tell(made: Site, backlog: int, began: float) -> None:
    values = sum(map(len, made.field.served.values()))
    size = made.journal.stats().report.file_bytes
    show(f"{backlog:,} records waited, {values:,} values in all, {size / values:.1f} bytes of disk a value")
    show(f"{time.monotonic() - began:.1f} s")
