"""A desk made by hand, and the real control server in front of it: what the tests of API and command line talk to."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self

import msgspec

from agent.control.desk import Refusal
from agent.control.server import serve
from agent.events import Actor, Evidence, Names
from agent.histogram import Histogram
from agent.metrics.scrape import Scrape
from agent.status import (
    AlarmLoadView,
    AlarmView,
    ConfigView,
    DeviceView,
    EvidenceView,
    GapView,
    HealthView,
    HistoryRow,
    HistoryView,
    JournalView,
    LineView,
    MaintenanceView,
    OccurrenceView,
    PointView,
    ProbeView,
    ReloadView,
    SampleView,
    Status,
    StreamView,
    TransitionView,
    UplinkView,
    WorstAlarm,
)
from buffer.journal import CursorStats, Stats
from buffer.writer import Report
from drivers.errors import NoAnswer, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
    from pathlib import Path

    from agent.events import Action, AlarmState, Overlay, QualityName, Value
    from agent.rules import AlarmCommand, MaintenanceCommand
    from config.model import Role

NOW = "2026-11-21T03:15:07.412Z"


def point(
    device: str, name: str, value: Value, *, q: QualityName = "good", qr: str = "ok", unit: str = "V"
) -> PointView:
    return PointView(
        device=device,
        point=name,
        name=Names(zh="线电压", en="Line voltage"),
        value=value,
        unit=unit,
        q=q,
        qr=qr,
        qraw="" if q == "good" else "0x8000",
        time=NOW,
        age_s=0.4,
        address="holding 3019 f32",
    )


def alarm(state: AlarmState = "UNACK", ack_by: str | None = None) -> AlarmView:
    return AlarmView(
        alarm_id="fire/fire-panel/zone3#fire",
        occurrence_id="gw-a1/fire/fire-panel/zone3#fire/1",
        state=state,
        colour="red",
        level=None,
        system="fire",
        device="fire-panel",
        point="zone3",
        value=True,
        unit="1",
        limit=None,
        q="good",
        raised=NOW,
        changed=NOW,
        text=Names(zh="三区火警", en="Fire in zone 3"),
        advice=Names(zh="前往三区", en="Go to zone 3"),
        condition_known=True,
        hidden=False,
        ack_by=ack_by,
    )


def device(name: str) -> DeviceView:
    return DeviceView(
        id=name,
        name=Names(zh="总配电", en="Main meter"),
        system="pwr.lv",
        line="lv",
        protocol="modbus",
        state="online",
        since=NOW,
        reason="",
        last_ok=NOW,
        rtt_ms=1.5,
        err_rate_pct=0.0,
        polls=100,
        failures=0,
        late_polls=0,
        points_good=2,
        points_uncertain=0,
        points_bad=0,
    )


def maintenance() -> MaintenanceView:
    return MaintenanceView(
        id="1",
        device=[],
        system=["pwr.gen"],
        building=[],
        floor=["b1f"],
        space=[],
        test=False,
        by="li",
        reason="monthly test",
        since=NOW,
        until="2026-11-21T05:15:07.412Z",
    )


def load() -> AlarmLoadView:
    return AlarmLoadView(
        since="2026-11-21T03:10:00.000Z",
        flood=True,
        per_10_min=12,
        per_hour=14,
        per_day=40,
        peak_10_min=13,
        peak_hour=19,
        standing=3,
        stale=["fire/fire-panel/loop#trouble"],
        chattering=["hvac.ahu/ahu-1/dp#dirty"],
        share_pct={"red": 2.5, "orange": 7.5, "yellow": 50.0, "blue": 40.0},
        worst=[WorstAlarm(alarm_id="hvac.ahu/ahu-1/dp#dirty", count=20, share_pct=50.0)],
    )


def status() -> Status:
    stream = StreamView(next_seq=12, first_kept_seq=1, records=11, size_bytes=4096, dropped=0)
    line = LineView(
        id="lv",
        name=Names(zh="配电", en="Switchboard"),
        protocol="modbus",
        endpoint="127.77.0.11:1502",
        state="up",
        since=NOW,
        error=None,
        todo=None,
        devices=["lv-main"],
    )
    uplink = UplinkView(
        id="platform",
        state="connected",
        broker="mqtt://127.77.0.2:1883",
        since=NOW,
        error=None,
        todo=None,
        in_flight=0,
        acknowledged=17,
        rejected=0,
        waiting={"critical": 0, "telemetry": 3},
        live_from=9,
        backlog=3,
        handed_over=2,
        confirmed=15,
    )
    condition = HealthView(
        code="line_down",
        severity="warning",
        target="bms",
        since=NOW,
        title=Names(zh="线路中断", en="Line is down"),
        detail="127.77.0.21:47821: no answer",
        todo=Names(zh="检查网线", en="Check the cable"),
    )
    return Status(
        site="h01",
        gateway="gw-a1",
        name=Names(zh="一号网关", en="Gateway 1"),
        version="0.1.0",
        cfg_ver="c-3f2a9c1b",
        started="2026-11-21T03:10:00.000Z",
        now=NOW,
        clock="synced",
        uplinks=[uplink],
        lines=[line],
        devices=[device("lv-main")],
        alarms=[alarm()],
        journal=JournalView(
            epoch="7f3a9c20",
            streams={"critical": stream, "telemetry": stream},
            size_bytes=8192,
            pending_bytes=0,
            last_commit_ms=1.2,
            error=None,
        ),
        health=[condition],
        maintenance=[maintenance()],
        load=load(),
        rates={"events_per_s": 4.2},
    )


def transition(action: Action, state: AlarmState) -> TransitionView:
    one = alarm(state)
    return TransitionView(
        time=NOW,
        alarm_id=one.alarm_id,
        occurrence_id=one.occurrence_id,
        n=1,
        action=action,
        ended=False,
        state=state,
        colour=one.colour,
        level=one.level,
        value=one.value,
        unit=one.unit,
        q=one.q,
        by=None,
        comment=None,
        text=one.text,
        test=True,
        evidence=Evidence(pre_s=60, post_s=60, ref="fire-panel/zone3"),
    )


def histogram(*lengths_s: float) -> Histogram:
    found = Histogram((0.01, 1.0))
    for length_s in lengths_s:
        found.observe(length_s)
    return found


def scrape() -> Scrape:
    stats = Stats(
        epoch="7f3a9c20",
        lanes={},
        cursors=(CursorStats("platform", (), 3, 1_795_229_400_000),),
        losses=(),
        size_max_bytes=2_000_000_000,
        pending_bytes=0,
        report=Report(commits=7, commit_s=0.0012),
        error="",
        away="no space",
        memory_records=5,
    )
    return Scrape(
        status=status(),
        journal=stats,
        loop_lag=histogram(0.001, 0.01, 0.5, 3.0),
        alarm_stored=histogram(0.004),
        alarm_acknowledged={"platform": histogram(0.02)},
        polls={"lv": histogram(0.002, 0.003)},
        readings=1200,
        values=90,
        inbox=2,
        clock_steps=1,
    )


class FakeDesk:
    """Keeps the promises of `Desk`; `actors` remembers who acknowledged, `came` and `went` who was let in or turned
    away, `open_streams` how many are being read.
    """

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.backups: list[str] = []
        self.open_streams = 0
        self.acknowledged = False
        self.running = ConfigView(version="c-00000001", outline={})
        self.commands: list[AlarmCommand] = []
        self.asked: list[str] = []
        self.maintained: list[MaintenanceCommand] = []
        self.came: list[tuple[str, str]] = []
        self.went: list[tuple[str, str, str]] = []

    def status(self) -> Status:
        return status()

    async def configuration(self) -> ConfigView:
        return self.running

    async def reload(self, actor: Actor, reason: str) -> ReloadView:
        if reason == "broken":
            raise Refusal(
                "devices/x.yaml:3:5: line: missing\ndevices/x.yaml:4:5: unit: unknown key", "nothing has changed"
            )
        self.asked.append(f"reload by {actor.id}: {reason}")
        return ReloadView("c-1", "c-2", ["l3"], [], ["l2"], ["l1"], ["pwr.lv/m1/u#level"])

    def scrape(self) -> Scrape:
        return scrape()

    def alive(self) -> ProbeView:
        return ProbeView(ok=True, checks={"loop": "ok", "writer": "ok"})

    def ready(self) -> ProbeView:
        return ProbeView(ok=False, checks={"configuration": "ok", "journal": "no space"})

    def points(self, device: str | None) -> list[PointView]:
        self._known(device or "lv-main")
        return [point("lv-main", "u_ab", 398.25), point("lv-main", "i_a", None, q="bad", qr="sensor_fault", unit="A")]

    def _known(self, device: str) -> None:
        if device not in ("lv-main", "gen-1", "ups-1"):
            raise LookupError(f"no device '{device}'; did you mean 'lv-main'?")

    async def read(self, device: str, points: Sequence[str], *, orders: bool) -> list[PointView]:
        self._known(device)
        if device == "gen-1":
            raise NoAnswer("127.77.0.12:1502 unit 10", "no answer within 2 s", "check its power")
        if device == "ups-1":
            raise Refused("127.77.0.13:1502", "connection refused", "check the port")
        found = [one for one in self.points(device) if not points or one.point in points]
        return found * 4 if orders else found

    async def history(self, point: str, from_s: float, to_s: float, every_s: float | None) -> HistoryView:
        self._known(point.partition("/")[0])
        if to_s - from_s > 86_400 * 30:
            raise Refusal("that is too much history for one answer", "ask for less time")
        numbers = {"min": 397.5, "max": 399.0, "mean": 398.2} if every_s else {"min": None, "max": None, "mean": None}
        row = HistoryRow(time=NOW, last=398.25, q="good", count=60 if every_s else 1, **numbers)
        gap = GapView(begin="2026-11-21T02:00:00.000Z", end="2026-11-21T03:14:00.000Z")
        return HistoryView(point=point, unit="V", every_s=every_s, hold_s=302.0, rows=[row], gaps=[gap])

    async def alarm_history(self, alarm_id: str | None, from_s: float, to_s: float) -> list[TransitionView]:
        if alarm_id not in (None, alarm().alarm_id):
            raise LookupError(f"no alarm '{alarm_id}'; did you mean '{alarm().alarm_id}'?")
        raised, cleared = transition("raise", "UNACK"), transition("clear", "RTNUN")
        return [raised, cleared] if to_s - from_s > 3600 else []

    async def occurrence(self, alarm_id: str, occurrence_id: str | None) -> OccurrenceView:
        if alarm_id != alarm().alarm_id:
            raise LookupError(f"no alarm '{alarm_id}'; did you mean '{alarm().alarm_id}'?")
        if occurrence_id not in (None, alarm().occurrence_id):
            raise Refusal(f"nothing of {occurrence_id} is kept", "see wardgate alarms history")
        sample = SampleView(time=NOW, value=True, q="good")
        around = EvidenceView(point="fire-panel/zone3", unit="1", begin=NOW, end=NOW, complete=False, samples=[sample])
        transitions = [transition("raise", "UNACK")]
        return OccurrenceView(
            alarm_id=alarm_id, occurrence_id=alarm().occurrence_id, transitions=transitions, evidence=[around]
        )

    async def backup(self, path: str) -> None:
        if "nowhere" in path:
            raise Refusal(f"the copy {path} cannot be written", "choose another place")
        self.backups.append(path)

    def watch(self, points: Sequence[str]) -> AsyncGenerator[list[PointView], None]:
        for one in points:
            self._known(one.partition("/")[0])
        return self._watch()

    async def _watch(self) -> AsyncGenerator[list[PointView], None]:
        self.open_streams += 1
        try:
            yield self.points("lv-main")
            yield [point("lv-main", "u_ab", 401.5)]
            await asyncio.Event().wait()
        finally:
            self.open_streams -= 1

    def tail(self, streams: Sequence[str]) -> AsyncGenerator[bytes, None]:
        if "tele" in streams:
            raise LookupError("no stream 'tele'; did you mean 'telemetry'?")
        return self._tail()

    async def _tail(self) -> AsyncGenerator[bytes, None]:
        self.open_streams += 1
        try:
            yield b'{"type":"wardgate.alarm.transition.v1"}'
            yield b'{"type":"wardgate.telemetry.batch.v1"}\n'
            await asyncio.Event().wait()
        finally:
            self.open_streams -= 1

    async def order(self, command: AlarmCommand, actor: Actor) -> AlarmView:
        if command.alarm_id != alarm().alarm_id:
            raise LookupError(f"no alarm '{command.alarm_id}'; did you mean '{alarm().alarm_id}'?")
        self.commands.append(command)
        if command.verb == "reset":
            why = "it can be reset once it is latched and acknowledged"
            raise Refusal(f"{command.alarm_id} is UNACK: {why}", "see wardgate alarms")
        if command.verb == "ack" and self.acknowledged:
            raise Refusal("it is acknowledged already", "nothing to do")
        self.acknowledged = True
        self.actors.append(actor)
        if command.verb == "ack":
            return alarm("ACKED", ack_by=f"{actor.id}: {command.comment}")
        hidden: dict[str, list[Overlay]] = {"shelve": ["SHLVD"], "out-of-service": ["OOSRV", "SHLVD"]}
        overlay = hidden.get(command.verb, [])
        return msgspec.structs.replace(alarm(), overlay=overlay, hidden=bool(overlay))

    def let_in(self, actor: Actor, where: str) -> None:
        self.came.append((actor.id, where))

    def turned_away(self, actor: Actor, asked: str, why: str) -> None:
        self.went.append((actor.id, asked, why))

    async def maintain(self, command: MaintenanceCommand, actor: Actor) -> MaintenanceView:
        self.maintained.append(command)
        self.actors.append(actor)
        if command.verb == "maintenance-end" and command.id != maintenance().id:
            raise Refusal(f"there is no maintenance {command.id}; there is 1", "see wardgate maintenance list")
        return maintenance()


class Served:
    """A fake desk behind the real server, in a thread of its own."""

    def __init__(self, path: Path, roles: Mapping[Role, Iterable[str]] | None = None) -> None:
        self.path = path
        self._roles = roles
        self.desk = FakeDesk()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with serve(self.desk, self.path, self._roles):
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5)
        assert not self._thread.is_alive()
