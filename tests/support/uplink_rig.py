"""An uplink with a real journal, for its tests: what goes in, what is settled, start and stop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from event_gallery import ALARM, DEVICE, TIME
from event_gallery import AUDIT as AUDIT_BODY
from mqtt_peer import HOST, until
from msgspec.structs import replace as replace_fields

from agent.audit import Trail
from agent.clock import SystemClock
from agent.envelope import Origin, draft
from agent.events import (
    AUDIT,
    DEVICE_STATE,
    TELEMETRY_BATCH,
    AlarmTransition,
    Event,
    Names,
    Sample,
    TelemetryBatch,
    rfc3339,
)
from agent.uplink.uplink import Release, Uplink
from buffer.journal import Journal
from buffer.retention import Limits
from config import outward

if TYPE_CHECKING:
    from pathlib import Path

    from agent.uplink.errands import Door
    from buffer.record import Draft

ORIGIN = Origin("h01", "gw-a1")
ROOT = ORIGIN.root

SETTINGS = outward.Uplink(
    id="main",
    brokers=(),
    mqtt="5",
    client_id="gw-a1",
    user=None,
    password=None,
    keep_alive_s=10,
    window=20,
    backlog_records_per_s=1000.0,
)


def telemetry(device: str = "icu-3") -> Draft:
    """One batch with one sample."""
    sample = Sample(p="o2_p", dt=0, v=400.0, why="change")
    body = TelemetryBatch(device=device, system="medgas.area", meta_ver="1", t0=rfc3339(TIME), samples=[sample])
    return draft(Event(TELEMETRY_BATCH, "telemetry", TIME, device, body), "synced")


def audit() -> Draft:
    """The shortest event that there is."""
    return draft(Event(AUDIT, "audit", TIME, "clock", AUDIT_BODY), "synced")


def alarm(stream: str = "critical") -> Draft:
    """Something for an alarm stream; for the uplink a body is opaque."""
    return replace(audit(), stream=stream, topic="alarm/red/medgas-area/icu-3")


def transition(n: int = 1) -> AlarmTransition:
    """An alarm that was raised."""
    return replace_fields(
        ALARM,
        n=n,
        action="raise",
        prev_state="NORM",
        colour="red",
        priority=1,
        severity=900,
        response_level="I",
        level="LL",
        on_delay_ms=0,
        text=Names(zh="氧气压力低", en="Oxygen pressure low"),
        shelvable=False,
    )


def device_state(state: str = "online", reason: str = "") -> Event:
    is_online = state == "online"
    body = replace_fields(DEVICE, state="online" if is_online else "offline", prev_state="unknown", reason=reason)
    return Event(DEVICE_STATE, "state", TIME, "medgas.area/icu-3", body)


class Rig:
    """One journal and, while `running`, one uplink of it."""

    uplink: Uplink

    def __init__(self, folder: Path) -> None:
        self.settings = SETTINGS
        self.alarms: list[Event] = []
        """What stands, for the snapshot."""
        self.doors: dict[str, Door] = {}
        self._folder = folder
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        await self.journal.close()

    async def open(self, *, renew: bool = False) -> None:
        limits = Limits(64 * 1024 * 1024, 3600.0)
        self.journal = await Journal.open(self._folder, limits, wall=time.time, cursors=["main"], renew=renew)
        self.trail = Trail(self.journal, SystemClock())

    async def reopen(self, *, renew: bool = False) -> None:
        await self.journal.close()
        await self.open(renew=renew)

    def at(self, *ports: int, **changes: object) -> None:
        """Set the brokers by their ports, and anything else of the uplink's settings."""
        brokers = tuple(outward.Broker(HOST, port, tls=False) for port in ports)
        self.settings = replace(self.settings, brokers=brokers, **changes)  # type: ignore[arg-type]  # a test knows its fields

    def start(self) -> None:
        clock = SystemClock()
        origin = replace(ORIGIN, topic_root=self.settings.topic_root)
        release = Release("0.1.0", "1")
        self.uplink = Uplink(
            self.settings,
            origin,
            self.journal,
            clock,
            release,
            lambda: "synced",
            self.trail,
            lambda: self.alarms,
            self.doors,
        )
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.uplink.run(self._stop))

    async def stop(self) -> None:
        """As the daemon stops it."""
        assert self._task is not None
        self._stop.set()
        async with asyncio.timeout(60):
            await self._task
        self._task = None

    async def kill(self) -> None:
        """As a crash ends it: no farewell."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()
            self._task = None

    async def append(self, *drafts: Draft) -> None:
        await self.journal.append(drafts)

    def waiting(self, stream: str | None = None) -> int:
        """Records that are not settled, of one stream or of all."""
        positions = self.journal.cursor("main")
        return sum(position.unsettled for position in positions if stream in {None, position.lane.stream})

    async def settled(self) -> float:
        """Until nothing waits any more; gives how many seconds that took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await until(lambda: not self.waiting())
        return loop.time() - begun
