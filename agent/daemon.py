"""The daemon on one screen: what is built from what, and in which order it starts and stops.

    device ─▶ driver ─▶ Reading ─▶ rules ─▶ Event ─▶ Record ─▶ journal ─▶ uplink ─▶ broker
              LineWorker           Pipeline                    Journal    Uplink

Sinks start first and stop last; leaving the blocks is the shutdown order: lines closed, pipeline flushed, uplinks
drained, journal closed. If a stage dies the process ends and the service manager starts it again; the journal is whole.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import structlog
import uvloop

from agent import __version__, log
from agent.accept import accept
from agent.audit import GATEWAY, Trail
from agent.board import AlarmBoard
from agent.bulletin import Bulletin
from agent.clock import SystemClock
from agent.clock_watch import ClockWatch
from agent.control.listener import Listener
from agent.control.server import serve
from agent.control.socket_file import SocketBlocked
from agent.doors import doors
from agent.envelope import Origin
from agent.epoch import JournalWatch, first_records
from agent.events import DeviceState
from agent.garbage import set_aside
from agent.health import Health
from agent.notice.notifier import Notifier
from agent.operate import OperatorDesk
from agent.operations import Operations
from agent.past import Past
from agent.pipeline import End, Pipeline
from agent.poll import LineWorker
from agent.proof import ProofTest, Source
from agent.rules import Rules
from agent.service import Keeper, Manager
from agent.uplink.uplink import Release, Uplink
from buffer.errors import JournalError
from buffer.journal import Journal
from buffer.retention import Limits
from config.errors import ConfigInvalid
from config.kept import keep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.events import Event
    from agent.uplink.errands import Door
    from config.model import Config
    from drivers.contract import Driver, Reading

EXIT_NOT_WELL = 1


def main(folder: Path) -> int:
    """Run until a signal. Exit code 0 after an orderly stop, 1 when it cannot start or go on; says why in one line."""
    log.setup()
    faulthandler.enable()  # a watchdog's SIGABRT then leaves in the log where every thread stood
    clock = SystemClock()
    try:
        config, drivers = accept(folder, clock)
    except ConfigInvalid as invalid:
        return _say(str(invalid))
    code = 0
    try:
        uvloop.run(Daemon(config, drivers, clock, Manager(os.environ)).run())
    except* (JournalError, SocketBlocked) as group:
        code = max(_say(f"wardgate: {error}") for error in _leaves(group))
    return code


class Daemon:
    """Builds the stages of one configuration and runs them; what the lines share of them is here (`poll.Watcher`)."""

    def __init__(self, config: Config, drivers: Sequence[Driver], clock: SystemClock, manager: Manager) -> None:
        self.config = config
        self.site = config.site
        self.clock = clock
        self.health = Health()
        self.random = Random()  # noqa: S311  # spreads polls in time, keeps no secret
        self._drivers = drivers
        self._manager = manager
        self._log = structlog.get_logger()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """From the sink to the source, and back at SIGTERM. Raises what a stage raised that died."""
        self._heed_signals()
        self._note_unconfirmed()
        self._manager.tell("STATUS=opening the journal")
        journal = await self._manager.patiently(self._open_journal())
        try:
            await self._run_stages(journal)
        finally:
            await journal.close()
        self._log.info("stopped")

    async def emit(self, item: Reading | Event) -> None:
        """The lines' way into the pipeline."""
        await self._pipeline.put(item)

    def _note_unconfirmed(self) -> None:
        """What does not run must not be forgotten."""
        for device in self.config.devices:
            if device.unconfirmed:
                keys = ", ".join(alarm.key for alarm in device.unconfirmed)
                self.health.hold("alarms_unconfirmed", device.id, self.clock.wall(), keys)

    async def _open_journal(self) -> Journal:
        settings = self.config.journal
        limits = Limits(
            settings.size_max_bytes,
            settings.keep_s,
            memory_max_bytes=settings.memory_max_bytes,
            reserve=settings.reserve,
            shares=settings.shares,
            ages_s=settings.ages_s,
        )
        uplinks = [uplink.id for uplink in self.config.uplinks]
        with suppress(OSError):  # the last part of the path is ours to make; what is wrong with it, the journal says
            settings.path.mkdir(exist_ok=True)
        begin = first_records(self.clock)
        return await Journal.open(settings.path, limits, wall=self.clock.wall, cursors=uplinks, begin=begin)

    async def _run_stages(self, journal: Journal) -> None:
        config = self.config
        rules = Rules.build(config, journal.state, clock_known=self.clock.state() != "unsynced")
        self._pipeline = Pipeline(rules, journal, self.clock, config.journal.telemetry_window_s, config.version)
        workers = [LineWorker(*pair, self) for pair in zip(config.lines, self._drivers, strict=True)]
        origin = Origin(config.site, config.gateway, config.topic_root, config.type_prefix)
        board = AlarmBoard(rules)
        self._pipeline.listeners.append(board.on_stored)
        trail = Trail(journal, self.clock)
        past = Past(journal, self.clock, [point for device in config.devices for point in device.all_points])
        operations = Operations(self._pipeline, rules, board, trail)
        uplinks = self._build_uplinks(journal, origin, board, trail, doors(past, operations, config.platform_commands))
        watch = JournalWatch(journal, self.health, self.clock, trail)
        self._clock_watch = ClockWatch(trail, self.clock, self.health)
        self._retain_devices(workers, uplinks)
        self._proof = self._build_proof(journal, uplinks)
        self._notifiers = self._build_notifiers(uplinks, rules, board)
        desk = OperatorDesk(
            config,
            workers,
            self._pipeline,
            rules,
            board,
            journal,
            past,
            watch,
            uplinks,
            self.health,
            self.clock,
            origin,
            operations,
            self._clock_watch,
        )
        keeper = Keeper(self._manager, journal, desk.status, self.clock)
        async with serve(desk, config.control_socket, config.roles):
            await self._flow(workers, uplinks, desk, keeper)

    def _build_uplinks(
        self, journal: Journal, origin: Origin, board: AlarmBoard, trail: Trail, opened: Mapping[str, Door]
    ) -> list[Uplink]:
        clock, release = self.clock, Release(__version__, self.config.version)
        return [
            Uplink(
                settings,
                replace(origin, topic_root=settings.topic_root),
                journal,
                clock,
                release,
                clock.state,
                trail,
                board.snapshot,
                opened,
            )
            for settings in self.config.uplinks
        ]

    def _build_proof(self, journal: Journal, uplinks: Iterable[Uplink]) -> ProofTest | None:
        """One for all uplinks that want it, as often as the one that wants it most often."""
        config = self.config
        paces = {each.id: each.proof_every_s for each in config.uplinks if each.proof_every_s is not None}
        if not paces:
            return None
        source = Source(config.site, config.gateway, config.version)
        proving = [uplink for uplink in uplinks if uplink.id in paces]
        put = self._pipeline.put
        proof = ProofTest(source, proving, min(paces.values()), put, journal, self.health, self.clock)
        self._pipeline.listeners.append(proof.on_stored)
        return proof

    def _build_notifiers(self, uplinks: Sequence[Uplink], rules: Rules, board: AlarmBoard) -> list[Notifier]:
        """What stands since before the start is told too, where it has not reached a platform."""
        source = self.config.site, self.config.gateway
        built = [
            Notifier(settings, source, uplinks, rules.runs, self.health, self.clock)
            for settings in self.config.notifiers
        ]
        for notifier in built:
            notifier.on_stored(board.snapshot())
            self._pipeline.listeners.append(notifier.on_stored)
        return built

    async def _flow(
        self, workers: Sequence[LineWorker], uplinks: Sequence[Uplink], desk: OperatorDesk, keeper: Keeper
    ) -> None:
        """The pipeline as it runs. The nesting is the shutdown order."""
        all_stored = asyncio.Event()
        async with asyncio.TaskGroup() as sinks:
            for uplink in uplinks:
                sinks.create_task(uplink.run(all_stored), name=f"uplink[{uplink.view().id}]")
            beside = [sinks.create_task(desk.look_round(), name="look-round")]
            beside.append(sinks.create_task(self._clock_watch.run(), name="clock-watch"))
            bulletin = Bulletin(desk.status, self.health, uplinks, self.clock)
            beside.append(sinks.create_task(bulletin.run(), name="bulletin"))
            beside.append(sinks.create_task(self._keep_configuration(), name="keep-configuration"))
            if self.config.http is not None:
                page = Listener(self.config.http, desk, self.health, self.clock)
                beside.append(sinks.create_task(page.run(), name="page"))
            beside += [sinks.create_task(notifier.run(), name="notifier") for notifier in self._notifiers]
            beside.append(sinks.create_task(keeper.run(), name="keeper"))
            beside.append(sinks.create_task(set_aside(self.clock), name="set-aside"))
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._pipeline.run(), name="pipeline")
                async with asyncio.TaskGroup() as sources:
                    polling = [sources.create_task(worker.run(), name=f"line[{worker.line.id}]") for worker in workers]
                    if self._proof is not None:
                        polling.append(sources.create_task(self._proof.run(), name="proof-test"))
                    self._log.info("running", gateway=self.config.gateway, cfg_ver=self.config.version)
                    await self._stop.wait()
                    self._log.info("stopping")
                    self._manager.tell("STOPPING=1", "STATUS=stopping")
                    for task in polling:
                        task.cancel()
                await self._pipeline.put(End())  # lines are closed: nothing more will come
            all_stored.set()  # what cannot be sent in time stays in the journal
            for task in beside:
                task.cancel()

    async def _keep_configuration(self) -> None:
        """What runs now is the last good one. A disk that cannot keep it stops nothing."""
        config = self.config
        try:
            await asyncio.to_thread(
                keep, config.home.state, config.files, config.version, self.clock.wall(), GATEWAY.id
            )
        except OSError as error:
            self._log.warning("configuration not kept", error=str(error))

    def _retain_devices(self, workers: Sequence[LineWorker], uplinks: Sequence[Uplink]) -> None:
        """Have every broker keep what each device is, and how it is now."""

        def on_stored(events: Iterable[Event]) -> None:
            for event in events:
                if isinstance(event.body, DeviceState):
                    retain(event)

        def retain(event: Event) -> None:
            for uplink in uplinks:
                uplink.retain(event)

        for presence in (presence for worker in workers for presence in worker.devices.values()):
            retain(presence.meta(self.config.version))
            retain(presence.event())
        self._pipeline.listeners.append(on_stored)

    def _heed_signals(self) -> None:
        """The first SIGTERM or SIGINT asks for an orderly stop, a second one ends the process."""
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            self._stop.set()
            loop.remove_signal_handler(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)


def _say(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return EXIT_NOT_WELL


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
