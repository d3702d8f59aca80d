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
from agent.control.entrance import Entrance
from agent.control.server import serve
from agent.control.socket_file import SocketBlocked
from agent.doors import doors
from agent.envelope import Origin
from agent.epoch import JournalWatch, first_records, limits_of, number_on
from agent.garbage import look_again, set_aside
from agent.health import Health
from agent.last_good import gone_since, last_good
from agent.lines import Lines
from agent.notice.notifier import Notifier
from agent.notice.notifiers import Notifiers
from agent.operate import OperatorDesk
from agent.operations import Operations
from agent.past import Past
from agent.pipeline import End, Pipeline
from agent.proof import ProofTest, Source
from agent.reload import TARGET, Reload, keep_running
from agent.retain import Retain
from agent.rules import Rules
from agent.service import Keeper, Manager
from agent.uplink.uplink import Release, Uplink
from agent.uplink.uplinks import Uplinks
from buffer.errors import JournalError
from buffer.journal import Journal
from config.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.events import Event
    from agent.reload import Change
    from agent.uplink.errands import Door
    from config import outward
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
        _say(str(invalid))
        return _fall_back(folder, clock, str(invalid).splitlines()[0])
    daemon = Daemon(config, drivers, clock, Manager(os.environ))
    error = _run(daemon)
    return _fall_back(folder, clock, error, config.version) if error and not daemon.has_run else _code(error)


def _run(daemon: Daemon) -> str:
    """Gives what ended it, where that was no signal."""
    said: list[str] = []
    try:
        uvloop.run(daemon.run())
    except* (JournalError, SocketBlocked) as group:
        said = [str(error) for error in _leaves(group)]
        _say("\n".join(f"wardgate: {error}" for error in said))
    return "; ".join(said)


def _fall_back(folder: Path, clock: SystemClock, why: str, without: str = "") -> int:
    """It cannot start as it is configured: go on with the last configuration that ran, and say so everywhere."""
    found = last_good(folder, clock, without)
    if found is None:
        return EXIT_NOT_WELL
    config, drivers = found
    _say(f"wardgate: starts with the last good configuration instead, {config.version}")
    return _code(_run(Daemon(config, drivers, clock, Manager(os.environ), why)))


def _code(error: str) -> int:
    return EXIT_NOT_WELL if error else 0


class Daemon:
    """Builds the stages of one configuration and runs them; what the lines share of them is here (`poll.Watcher`)."""

    def __init__(
        self, config: Config, drivers: Sequence[Driver], clock: SystemClock, manager: Manager, fallen_back: str = ""
    ) -> None:
        """`fallen_back` is why this is not the configuration in the folder but the last good one."""
        self.config = config
        self.has_run = False
        self._fallen_back = fallen_back
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
            else:
                self.health.release(device.id, "alarms_unconfirmed")

    def _note_fallback(self, trail: Trail) -> None:
        if self._fallen_back:
            why, now = self._fallen_back, self.config.version
            self.health.hold("config_fallback", TARGET, self.clock.wall(), why)
            trail.append(GATEWAY, "config_fallback", TARGET, after=now, reason=why)
            self._log.error("started with the last good configuration", cfg_ver=now, error=why)

    async def _open_journal(self) -> Journal:
        path, limits = self.config.journal.path, limits_of(self.config.journal)
        uplinks = [uplink.id for uplink in self.config.uplinks]
        with suppress(OSError):  # the last part of the path is ours to make; what is wrong with it, the journal says
            path.mkdir(exist_ok=True)
        begin = first_records(self.clock)
        return await Journal.open(path, limits, wall=self.clock.wall, cursors=uplinks, begin=begin)

    async def _run_stages(self, journal: Journal) -> None:
        config = self.config
        clock_known = self.clock.state() != "unsynced"
        number_on(journal, self.clock)
        rules = Rules.build(config, journal.state, clock_known=clock_known, gone=gone_since(config))
        self._pipeline = Pipeline(rules, journal, self.clock, config.journal.telemetry_window_s, config.version)
        lines = Lines(config, self._drivers, self)
        origin = Origin(config.site, config.gateway, config.topic_root, config.type_prefix)
        board = AlarmBoard(rules)
        self._pipeline.listeners.append(board.on_stored)
        trail = Trail(journal, self.clock)
        past = Past(journal, self.clock, [point for device in config.devices for point in device.all_points])
        operations = Operations(self._pipeline, rules, board, trail)
        opened = dict(doors(past, operations, config.platform_commands))
        uplinks = self._build_uplinks(journal, origin, board, trail, opened)
        watch = JournalWatch(journal, self.health, self.clock, trail)
        self._clock_watch = ClockWatch(trail, self.clock, self.health)
        self._proof = self._build_proof(journal, uplinks)
        notifiers = self._build_notifiers(uplinks, rules, board)
        reload = self._build_reload(lines, journal, trail, uplinks, past)
        self._note_fallback(trail)
        desk = OperatorDesk(
            config,
            lines,
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
            reload,
        )
        page = Entrance(config.http, desk, self.health, self.clock)

        def follow(change: Change) -> None:
            desk.follow(change.config)
            opened.clear()
            opened.update(doors(past, operations, change.config.platform_commands))
            journal.renew(limits_of(change.config.journal))
            look_again()

        reload.followers.append(follow)
        keeper = Keeper(self._manager, journal, desk.status, self.clock)
        async with serve(desk, config.control_socket, config.roles) as rights:
            reload.parts += [uplinks, notifiers, rights, page]
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.hang_up)
            await self._flow(lines, uplinks, notifiers, page, desk, keeper, reload)

    def _build_uplinks(
        self, journal: Journal, origin: Origin, board: AlarmBoard, trail: Trail, opened: Mapping[str, Door]
    ) -> Uplinks:
        clock = self.clock

        def make(settings: outward.Uplink) -> Uplink:
            release = Release(__version__, self.config.version)
            here = replace(origin, topic_root=settings.topic_root)
            return Uplink(settings, here, journal, clock, release, clock.state, trail, board.snapshot, opened)

        return Uplinks(self.config, journal, make)

    def _build_reload(self, lines: Lines, journal: Journal, trail: Trail, uplinks: Uplinks, past: Past) -> Reload:
        """Whoever has to follow another configuration, in the order in which they do."""
        folder, clock = self.config.home.config, self.clock
        made = Reload(
            lambda: accept(folder, clock), self.config, lines, self._pipeline, journal.state, trail, self.health, clock
        )
        retain = Retain(lines, uplinks, self.config.version)
        self._pipeline.listeners.append(retain.on_stored)
        uplinks.welcomers.append(retain.greet)

        def follow(change: Change) -> None:
            self.config = change.config
            self._note_unconfirmed()
            past.renew(point for device in change.config.devices for point in device.all_points)
            self._proof.renew(change.config.version)

        made.followers += [follow, retain.follow]
        return made

    def _build_proof(self, journal: Journal, uplinks: Uplinks) -> ProofTest:
        source = Source(self.config.site, self.config.gateway, self.config.version)
        proof = ProofTest(source, uplinks, self._pipeline.put, journal, self.health, self.clock)
        self._pipeline.listeners.append(proof.on_stored)
        return proof

    def _build_notifiers(self, uplinks: Uplinks, rules: Rules, board: AlarmBoard) -> Notifiers:
        source, health, clock = (self.config.site, self.config.gateway), self.health, self.clock

        def make(settings: outward.Notifier) -> Notifier:
            return Notifier(settings, source, uplinks, rules, health, clock)

        notifiers = Notifiers(self.config, make, board.snapshot, health)
        self._pipeline.listeners.append(notifiers.on_stored)
        return notifiers

    async def _flow(
        self,
        lines: Lines,
        uplinks: Uplinks,
        notifiers: Notifiers,
        page: Entrance,
        desk: OperatorDesk,
        keeper: Keeper,
        reload: Reload,
    ) -> None:
        """The pipeline as it runs. The nesting is the shutdown order."""
        async with asyncio.TaskGroup() as sinks:
            uplinks.start(sinks)
            beside = [sinks.create_task(desk.look_round(), name="look-round")]
            beside.append(sinks.create_task(self._clock_watch.run(), name="clock-watch"))
            bulletin = Bulletin(desk.status, self.health, uplinks, self.clock)
            uplinks.welcomers.append(lambda _: bulletin.renew())
            beside.append(sinks.create_task(bulletin.run(), name="bulletin"))
            running = keep_running(self.config, self.clock.wall(), GATEWAY.id)
            beside.append(sinks.create_task(running, name="keep-configuration"))
            reloading = sinks.create_task(reload.run(), name="reload")
            page.start(sinks)
            notifiers.start(sinks)
            beside.append(sinks.create_task(keeper.run(), name="keeper"))
            beside.append(sinks.create_task(set_aside(self.clock), name="set-aside"))
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._pipeline.run(), name="pipeline")
                async with asyncio.TaskGroup() as sources:
                    lines.start(sources)
                    proving = sources.create_task(self._proof.run(), name="proof-test")
                    self.has_run = True
                    self._log.info("running", gateway=self.config.gateway, cfg_ver=self.config.version)
                    await self._stop.wait()
                    self._log.info("stopping")
                    self._manager.tell("STOPPING=1", "STATUS=stopping")
                    reloading.cancel()
                    lines.stop()
                    proving.cancel()
                await self._pipeline.put(End())  # lines are closed: nothing more will come
            uplinks.stop()  # what cannot be sent in time stays in the journal
            notifiers.stop()
            page.stop()
            for task in beside:
                task.cancel()

    def _heed_signals(self) -> None:
        """The first SIGTERM or SIGINT asks for an orderly stop, a second one ends the process; SIGHUP for a reload."""
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            self._stop.set()
            loop.remove_signal_handler(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the configuration has just been read


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
