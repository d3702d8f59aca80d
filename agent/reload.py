"""Another configuration while the gateway runs: all of it, or nothing.

It is read and judged in full, and every part has what it needs for it, before anything is touched. Then the lines that
are different are closed, the rules take over between two readings, and what is new is opened; every other line goes on
without missing a poll. Last come uplinks, notifiers and doors to the network. What is built once, at the start, is
refused with its name. Whoever wanted it is in the audit trail, whatever came of it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from agent.control.desk import Refusal
from agent.events import Actor
from agent.part import NotReady
from agent.pipeline import Renewal
from agent.renewal import renewal
from agent.rules import NewConfiguration
from agent.status import ReloadView
from config.errors import ConfigInvalid
from config.kept import keep
from config.outline import outline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.audit import Trail
    from agent.clock import Clock
    from agent.health import Health
    from agent.lines import Lines
    from agent.part import Part, Turn
    from agent.pipeline import Pipeline
    from agent.poll import LineWorker
    from agent.renewal import Renewal as Plan
    from agent.rules import Step
    from config.model import Config
    from drivers.contract import Driver

TARGET = "configuration"
VERB = "config_reload"
RESTART_HINT = "restart the service to take it over, or take it back"
FORMER_HINT = "nothing has changed, the former configuration goes on"


SIGNAL = Actor(type="system", id="SIGHUP", role="system")
ASKED_MAX = 8


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who wants it, why, and who waits for what comes of it."""

    actor: Actor
    reason: str
    done: asyncio.Future[ReloadView]


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed, for everybody who looks at the configuration. `closed` and `opened` are lines as they were, and
    as they are now; one that was opened anew is in both.
    """

    config: Config
    closed: Sequence[LineWorker]
    opened: Sequence[LineWorker]


class Reload:
    """`config` is what runs, `accept` reads what is wanted (in a thread) and raises `ConfigInvalid`.

    Everybody in `followers` hears of the new one once it counts, in order. Then it is the turn of the `parts`.
    """

    def __init__(
        self,
        accept: Callable[[], tuple[Config, Sequence[Driver]]],
        config: Config,
        lines: Lines,
        pipeline: Pipeline,
        stored: Mapping[str, bytes],
        trail: Trail,
        health: Health,
        clock: Clock,
    ) -> None:
        self.config = config
        self.followers: list[Callable[[Change], None]] = []
        self.parts: list[Part] = []
        self._accept = accept
        self._lines = lines
        self._pipeline = pipeline
        self._stored = stored
        self._trail = trail
        self._health = health
        self._clock = clock
        self._asked: asyncio.Queue[_Asked] = asyncio.Queue(ASKED_MAX)
        self._log = structlog.get_logger()

    async def __call__(self, actor: Actor, reason: str = "") -> ReloadView:
        """Take over what the folder holds now. Raises `Refusal`, and then nothing has changed."""
        done: asyncio.Future[ReloadView] = asyncio.get_running_loop().create_future()
        try:
            self._asked.put_nowait(_Asked(actor, reason, done))
        except asyncio.QueueFull:
            raise Refusal("others have asked for it already, and wait", "see wardgate status") from None
        return await done

    def hang_up(self) -> None:
        """As SIGHUP asks for; nobody waits for the answer."""
        with suppress(asyncio.QueueFull):
            self._asked.put_nowait(_Asked(SIGNAL, "", asyncio.get_running_loop().create_future()))

    async def run(self) -> None:
        """One after the other, for ever. A mistake of ours in here ends the process, so that never half of one runs."""
        while True:
            asked = await self._asked.get()
            try:
                view = await self._reload(asked.actor, asked.reason)
            except Refusal as refusal:
                if asked.actor is not SIGNAL and not asked.done.done():
                    asked.done.set_exception(refusal)
            else:
                if not asked.done.done():
                    asked.done.set_result(view)

    async def _reload(self, actor: Actor, reason: str) -> ReloadView:
        try:
            config, drivers = await asyncio.to_thread(self._accept)
            plan = await asyncio.to_thread(_plan, self.config, config)
        except ConfigInvalid as invalid:
            problems = "\n".join(str(problem) for problem in invalid.problems)
            raise self._refused(actor, reason, "malformed", problems, FORMER_HINT) from invalid
        if not plan.is_possible:
            what = f"a running gateway cannot take over: {', '.join(plan.restart)}"
            raise self._refused(actor, reason, "wrong_state", what, RESTART_HINT)
        async with AsyncExitStack() as undo:
            try:
                turns = [await part.prepare(config, undo) for part in self.parts]
            except NotReady as error:
                raise self._refused(actor, reason, "wrong_state", error.what, f"{error.hint}; {FORMER_HINT}") from error
            undo.pop_all()
        return await self._take_over(actor, reason, config, drivers, plan, turns)

    def _refused(self, actor: Actor, reason: str, code: str, what: str, hint: str) -> Refusal:
        first, *more = what.splitlines()
        told = first + (f" (and {len(more)} more)" if more else "")
        why = f"{told}; asked because: {reason}" if reason else told
        self._trail.append(actor, VERB, TARGET, before=self.config.version, reason=why, result="refused", code=code)
        self._health.hold("config_refused", TARGET, self._clock.wall(), told)
        self._log.error("configuration refused", error=told, by=actor.id)
        return Refusal(what, hint)

    async def _take_over(
        self,
        actor: Actor,
        reason: str,
        config: Config,
        drivers: Sequence[Driver],
        plan: Plan,
        turns: Sequence[Turn],
    ) -> ReloadView:
        before = self.config.version
        closed = await self._lines.close((*plan.closed, *plan.renewed))
        await self._renew_rules(config)
        self.config = config
        opened = self._lines.renew(config, drivers)
        self._note_closed(closed)
        for follow in self.followers:
            follow(Change(config, closed, opened))
        for turn in turns:
            await turn()
        view = _view(before, config, plan)
        self._trail.append(
            actor,
            VERB,
            TARGET,
            before=before,
            after=config.version,
            reason=", ".join(filter(None, (reason, _told(view)))),
        )
        self._health.release(TARGET, "config_refused", "config_fallback")
        self._log.info("configuration taken over", before=before, cfg_ver=config.version, by=actor.id, what=_told(view))
        await keep_running(config, self._clock.wall(), actor.id)
        return view

    def _note_closed(self, closed: Sequence[LineWorker]) -> None:
        """What was wrong with them is over, or is found again."""
        for worker in closed:
            self._health.release(worker.line.id, "line_down", "line_refused", "line_fault")
            for device in worker.devices:
                self._health.release(device, "device_offline", "alarms_unconfirmed")

    async def _renew_rules(self, config: Config) -> None:
        """Between two readings. What lines that are closed have read is judged before by the rules it was read for."""
        done: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        await self._pipeline.put(Renewal(NewConfiguration(config, self._lines.polls, self._stored), done))
        await done


async def keep_running(config: Config, wall: float, by: str) -> None:
    """What runs now is the last good one. A disk that cannot keep it stops nothing."""
    try:
        await asyncio.to_thread(keep, config.home.state, config.files, config.version, wall, by)
    except OSError as error:
        structlog.get_logger().warning("configuration not kept", error=str(error))


def _plan(before: Config, after: Config) -> Plan:
    return renewal(outline(before), outline(after))


def _view(before: str, config: Config, plan: Plan) -> ReloadView:
    return ReloadView(
        before=before,
        version=config.version,
        opened=list(plan.opened),
        closed=list(plan.closed),
        renewed=list(plan.renewed),
        kept=list(plan.kept),
        ended=list(plan.ended),
        warnings=[str(problem) for problem in config.warnings],
        settings=list(plan.settings),
    )


def _told(view: ReloadView) -> str:
    """In one line, what was done to lines and alarms."""
    parts = {"opened": view.opened, "closed": view.closed, "opened anew": view.renewed}
    told = [f"lines {what}: {' '.join(names)}" for what, names in parts.items() if names]
    told += [f"{len(view.ended)} alarms removed"] if view.ended else []
    told += [f"settings: {', '.join(view.settings)}"] if view.settings else []
    return ", ".join(told) or "no line touched"
