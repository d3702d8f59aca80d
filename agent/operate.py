"""The operator's desk: what the daemon shows and takes over the control socket.

It looks at the stages and changes nothing in them but by their own doors.
"""

from __future__ import annotations

import asyncio
import difflib
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent import __version__, log
from agent.control.desk import Refusal
from agent.envelope import splice
from agent.events import Names, rfc3339
from agent.expiry import ExpiryWatch
from agent.histogram import Histogram
from agent.load_view import load_view, note_flood
from agent.metrics.scrape import Scrape
from agent.pace import PaceWatch
from agent.presence import point_view, views_of
from agent.rules import Refused
from agent.status import ConfigView, JournalView, PointView, Status, StreamView
from agent.vitals import Vitals
from buffer.errors import JournalError, JournalUnavailable
from buffer.ledger import BEFORE
from config.model import STREAMS
from config.outline import outline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence

    from agent.board import AlarmBoard
    from agent.clock import Clock
    from agent.clock_watch import ClockWatch
    from agent.envelope import Origin
    from agent.epoch import JournalWatch
    from agent.events import Actor
    from agent.health import Code, Health
    from agent.lines import Lines
    from agent.operations import Operations
    from agent.past import Past
    from agent.pipeline import Pipeline
    from agent.rules import AlarmCommand, MaintenanceCommand, Rules
    from agent.status import (
        AlarmView,
        HistoryView,
        MaintenanceView,
        OccurrenceView,
        ProbeView,
        ReloadView,
        TransitionView,
    )
    from agent.uplink.uplink import Uplink
    from buffer.journal import Journal
    from buffer.record import Record
    from config.model import Config, Device

WATCH_S = 0.2
RATE_WINDOW_S = 10
TAIL_BATCH = 200

LAG_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""The classes into which the event loop's lag is counted."""

SESSION_CODES: frozenset[Code] = frozenset(
    {
        "uplink_substitute",
        "stream_held",
        "client_id_taken",
        "certificate_expires",
        "certificate_unusable",
        "confirm_overdue",
        "commands_refused",
    }
)
_UPLINK_CODES: dict[str, Code] = {"waiting": "uplink_down", "refused": "uplink_refused"}


class OperatorDesk:
    """Implements `agent.control.desk.Desk` for the running daemon."""

    def __init__(
        self,
        config: Config,
        lines: Lines,
        pipeline: Pipeline,
        rules: Rules,
        board: AlarmBoard,
        journal: Journal,
        past: Past,
        watch: JournalWatch,
        uplinks: Iterable[Uplink],
        health: Health,
        clock: Clock,
        origin: Origin,
        operations: Operations,
        clock_watch: ClockWatch,
        reload: Callable[[Actor, str], Awaitable[ReloadView]],
    ) -> None:
        self._config = config
        self._lines = lines
        self._pipeline = pipeline
        self._rules = rules
        self._journal = journal
        self._watch_journal = watch.look
        self._uplinks = uplinks
        self._health = health
        self._clock = clock
        self._origin = origin
        self._started = clock.wall()
        self._rates = Rates()
        self._board = board
        self._past = past
        self._operations = operations
        self._clock_watch = clock_watch
        self._reload = reload
        self._loop_lag = Histogram(LAG_BOUNDS_S)
        self._pace = PaceWatch(lines, health, clock)
        self._expiry = ExpiryWatch(lines, health, clock)
        self._vitals = Vitals(journal)
        self._noted: set[str] = set()

    # --- the present ----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        config = self._config
        return Status(
            site=config.site,
            gateway=config.gateway,
            name=Names(zh=config.name.zh, en=config.name.en),
            version=__version__,
            cfg_ver=config.version,
            started=rfc3339(self._started),
            now=rfc3339(self._clock.wall()),
            clock=self._clock.state(),
            uplinks=[uplink.view() for uplink in self._uplinks],
            lines=[worker.view() for worker in self._lines],
            devices=[presence.view() for presence in self._lines.devices],
            alarms=self._board.views(),
            journal=self._journal_view(),
            health=list(self._health.views()),
            maintenance=self._operations.maintenance(),
            load=load_view(self._rules, self._board.views(), self._clock.now()),
            rates=self._rates.per_second(),
        )

    async def look_round(self) -> None:
        """Once a second, for ever: count for the rates, and note how the uplinks are."""
        due = self._clock.mono()
        while True:
            self._loop_lag.observe(max(0.0, self._clock.mono() - due))
            self._vitals.look()
            log.tell_held_back()
            self._note_uplinks()
            note_flood(self._rules.load, self._health, self._config.gateway, self._clock.now())
            self._watch_journal()
            self._pace.look()
            self._expiry.look()
            self._operations.note_reviews(self._health, self._clock.wall())
            stats = self._journal.stats()
            self._rates.add(
                self._clock.mono(),
                readings=self._pipeline.readings,
                values=self._pipeline.values_changed,
                records=sum(kept.next - 1 for lane, kept in stats.lanes.items() if lane.epoch == stats.epoch),
                acknowledged=sum(uplink.view().acknowledged for uplink in self._uplinks),
            )
            due = self._clock.mono() + 1.0
            await self._clock.sleep_until(due)

    # --- for machines ---------------------------------------------------------------------------------------------

    def scrape(self) -> Scrape:
        return Scrape(
            status=self.status(),
            journal=self._journal.stats(),
            loop_lag=self._loop_lag,
            alarm_stored=self._pipeline.alarm_times,
            alarm_acknowledged={uplink.id: uplink.alarm_times for uplink in self._uplinks},
            polls={worker.line.id: worker.poll_times for worker in self._lines},
            readings=self._pipeline.readings,
            values=self._pipeline.values_changed,
            inbox=self._pipeline.waiting,
            clock_steps=self._clock_watch.steps,
        )

    def alive(self) -> ProbeView:
        return self._vitals.alive()

    def ready(self) -> ProbeView:
        return self._vitals.ready()

    def _note_uplinks(self) -> None:
        before, self._noted = self._noted, {uplink.id for uplink in self._uplinks}
        for gone in before - self._noted:
            self._health.release(gone, *_UPLINK_CODES.values(), *SESSION_CODES)
        for uplink in self._uplinks:
            view = uplink.view()
            code = _UPLINK_CODES.get(view.state)
            if code is None or view.error is None:
                if view.state == "connected":
                    self._health.release(view.id, *_UPLINK_CODES.values())
            else:
                self._health.release(view.id, *(other for other in _UPLINK_CODES.values() if other != code))
                self._health.hold(code, view.id, self._clock.wall(), view.error)
            found = uplink.conditions()
            self._health.release(view.id, *(SESSION_CODES - found.keys()))
            for code, detail in found.items():
                self._health.hold(code, view.id, self._clock.wall(), detail)

    def _journal_view(self) -> JournalView:
        stats = self._journal.stats()
        lost: dict[str, int] = {
            stream: sum(loss.records for loss in stats.losses if loss.lane.stream == stream and loss.reason != BEFORE)
            for stream in STREAMS
        }
        streams = {}
        for lane, kept in stats.lanes.items():
            if lane.epoch == stats.epoch:
                streams[lane.stream] = StreamView(
                    next_seq=kept.next,
                    first_kept_seq=kept.first,
                    records=kept.records,
                    size_bytes=kept.stored_bytes,
                    dropped=lost.get(lane.stream, 0),
                )
        return JournalView(
            epoch=stats.epoch,
            streams=streams,
            size_bytes=stats.report.file_bytes + stats.report.wal_bytes,
            pending_bytes=stats.pending_bytes,
            last_commit_ms=round(stats.report.commit_s * 1000, 2),
            error=stats.error or None,
        )

    async def configuration(self) -> ConfigView:
        # Beside the event loop: ten thousand points take a second.
        found = await asyncio.to_thread(outline, self._config)
        return ConfigView(version=self._config.version, outline={str(kind): parts for kind, parts in found.items()})

    async def reload(self, actor: Actor, reason: str) -> ReloadView:
        return await self._reload(actor, reason)

    def follow(self, config: Config) -> None:
        """Another configuration counts."""
        self._config = config

    # --- points ---------------------------------------------------------------------------------------------------

    def points(self, device: str | None) -> list[PointView]:
        chosen = self._config.devices if device is None else (self._device(device),)
        mono = self._clock.mono()
        return [view for each in chosen for view in self._views(each, mono)]

    def _views(self, device: Device, mono: float) -> Iterator[PointView]:
        """What is read, and what is computed from it."""
        yield from self._lines.of(device.id).devices[device.id].point_views(mono)
        computed = self._rules.derived.of(device.id)
        if computed is not None:
            yield from views_of(*computed, mono)

    async def read(self, device: str, points: Sequence[str], *, orders: bool) -> list[PointView]:
        found = self._device(device)
        for name in points:
            if name in {point.id for point in found.derived}:
                raise LookupError(f"{name} of {device} is computed, not read; see wardgate points {device}")
            _find(name, [point.id for point in found.points], f"point of {device}")
        reading = await self._lines.of(device).read_now(found, points, orders=orders)
        return [point_view(reading, index, self._clock.mono()) for index in range(len(reading.poll.points))]

    def watch(self, points: Sequence[str]) -> AsyncGenerator[list[PointView], None]:
        return self._watch(self._wanted(points))

    async def _watch(self, wanted: set[tuple[str, str]] | None) -> AsyncGenerator[list[PointView], None]:
        """Looks at what the stages hold a few times a second, so the hot path knows nothing of watchers."""
        shown: dict[tuple[str, str], tuple[object, ...]] = {}
        while True:
            changed: list[PointView] = []
            for view in self.points(None):
                key = (view.device, view.point)
                state = (view.value, view.q, view.qr)
                if (wanted is None or key in wanted) and shown.get(key) != state:
                    shown[key] = state
                    changed.append(view)
            if changed:
                yield changed
            await self._clock.sleep_until(self._clock.mono() + WATCH_S)

    def _wanted(self, names: Sequence[str]) -> set[tuple[str, str]] | None:
        if not names:
            return None
        wanted: set[tuple[str, str]] = set()
        for name in names:
            device, _, point = name.partition("/")
            ids = [each.id for each in self._device(device).all_points]
            wanted |= {(device, _find(point, ids, f"point of {device}"))} if point else {(device, each) for each in ids}
        return wanted

    def _device(self, name: str) -> Device:
        devices = {device.id: device for device in self._config.devices}
        return devices[_find(name, list(devices), "device")]

    # --- the past -------------------------------------------------------------------------------------------------

    async def history(self, point: str, from_s: float, to_s: float, every_s: float | None) -> HistoryView:
        name, _, wanted = point.partition("/")
        known = {each.id: each for each in self._device(name).all_points}
        return await self._past.of_point(known[_find(wanted, list(known), f"point of {name}")], from_s, to_s, every_s)

    async def alarm_history(self, alarm_id: str | None, from_s: float, to_s: float) -> list[TransitionView]:
        found = await self._past.of_alarms(alarm_id, from_s, to_s)
        if alarm_id is not None and not found:  # One that is configured no longer may still have a past.
            _find(alarm_id, list(self._rules.runs), "alarm")
        return found

    async def occurrence(self, alarm_id: str, occurrence_id: str | None) -> OccurrenceView:
        found = await self._past.of_occurrence(alarm_id, occurrence_id)
        if found is None:
            _find(alarm_id, list(self._rules.runs), "alarm")
            raise Refusal(f"nothing of {occurrence_id or alarm_id} is kept", "see wardgate alarms history")
        return found

    async def backup(self, path: str) -> None:
        try:
            await self._journal.backup(Path(path))
        except JournalError as error:
            raise Refusal(error.what, error.hint) from error

    # --- records and commands -------------------------------------------------------------------------------------

    def tail(self, streams: Sequence[str]) -> AsyncGenerator[bytes, None]:
        for name in streams:
            _find(name, list(STREAMS), "stream")
        return self._tail(streams or STREAMS)

    async def _tail(self, streams: Sequence[str]) -> AsyncGenerator[bytes, None]:
        lanes = self._journal.stats().lanes
        epoch = self._journal.epoch
        after = {
            stream: next((k.next - 1 for lane, k in lanes.items() if lane == (epoch, stream)), 0) for stream in streams
        }
        seen = self._journal.commits
        while True:
            if epoch != self._journal.epoch:
                epoch, after = self._journal.epoch, dict.fromkeys(streams, 0)
            for stream in streams:
                while records := await self._read_on(stream, after[stream]):
                    after[stream] = records[-1].sequence
                    for record in records:
                        yield splice(record, self._origin)
            seen = await self._journal.news(seen)

    async def _read_on(self, stream: str, after: int) -> list[Record]:
        """Nothing while the disk does not answer: it is tried again when there is news."""
        with suppress(JournalUnavailable):
            return await self._journal.read(stream, after, TAIL_BATCH)
        return []

    async def order(self, command: AlarmCommand, actor: Actor) -> AlarmView:
        _find(command.alarm_id, list(self._rules.runs), "alarm")
        try:
            return await self._operations.alarm(command, actor)
        except Refused as refused:
            raise Refusal(str(refused), "see wardgate alarms") from refused

    async def maintain(self, command: MaintenanceCommand, actor: Actor) -> MaintenanceView:
        try:
            return await self._operations.maintain(command, actor)
        except Refused as refused:
            raise Refusal(str(refused), "see wardgate maintenance list") from refused

    def let_in(self, actor: Actor, where: str) -> None:
        self._operations.let_in(actor, where)

    def turned_away(self, actor: Actor, asked: str, why: str) -> None:
        self._operations.turned_away(actor, asked, why)


class Rates:
    """Counters to rates: the mean over the last ten seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=RATE_WINDOW_S + 1)

    def add(self, mono: float, **counters: int) -> None:
        self._samples.append((mono, counters))

    def per_second(self) -> dict[str, float]:
        if not self._samples:
            return {}
        (then, before), (now, after) = self._samples[0], self._samples[-1]
        span_s = now - then
        # What an uplink has counted goes with it.
        grown = {name: max(0, count - before[name]) for name, count in after.items()}
        return {name: round(count / span_s, 2) if span_s else 0.0 for name, count in grown.items()}


def _find(name: str, names: Sequence[str], kind: str) -> str:
    """The name itself, or a `LookupError` with the nearest ones."""
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3)
    raise LookupError(f"no {kind} {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
