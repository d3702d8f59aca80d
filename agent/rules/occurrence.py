"""One alarm's way through the state table: its occurrence, its timers, what hides it, and what survives a restart.

Invariants: an occurrence has one raise and one end; `n` grows by one with each event; the identifier derives from a
counter that is stored with the raise, so it is never used twice. What is said of an alarm at rest (it is shelved, say)
counts on in its last occurrence. While it is hidden or in a test, nobody is late to acknowledge it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from agent.rules.announce import announcement
from agent.rules.machine import ACTIVE, ANNOUNCING, SILENT, Guards, Row, transition
from agent.rules.observed import Observed
from agent.rules.survival import packed, unpack
from agent.rules.timers import Timer
from config.model import COLOURS
from drivers.contract import Grade

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.clock import Now
    from agent.events import Action, AlarmState, Event, Overlay
    from agent.rules.lanes import Lane
    from agent.rules.machine import Trigger
    from agent.rules.stored import Cause, OutOfService, Shelving
    from config.duty import Response
    from config.model import Alarm, Colour
    from drivers.contract import Quality, Value

TIMER_CHECKPOINT_S = 10.0
"""What a kill may cost of a timer that people are waited for with; a delay loses no more than a telemetry window."""


class Context(msgspec.Struct, frozen=True):
    """What is known around an event. `read_at` is the wall time of the last reading of what the alarm looks at."""

    gateway: str
    cfg_ver: str
    read_at: float


class Run(Observed):
    """One configured alarm and where it stands. Mutable: it is the state that `step` is given.

    `waited` runs while an acknowledgement, or the end of an acknowledged alarm, is waited for; `reminded` is how often
    that was said. `bad` runs while the source of a fail-safe alarm is unusable; `by_bad`: it stands because of that.
    `scheduled` is when `serve` will be called. `suppressed_by` and `tested_by` name what hides it by design, and what
    marks it as a test, each with its reason. `flood`: it was last told of while too many alarms came at once.
    """

    __slots__ = (
        "_rule_ver",
        "ack_at",
        "ack_by",
        "ack_comment",
        "ack_scope",
        "action",
        "bad",
        "began",
        "by_bad",
        "changed",
        "checkpoint",
        "flood",
        "floor",
        "level",
        "n",
        "occurrence",
        "out_of_service",
        "peak",
        "prev_state",
        "raised",
        "read_at",
        "reminded",
        "response",
        "retriggers",
        "scheduled",
        "shelving",
        "site",
        "state",
        "suppressed_by",
        "tested_by",
        "told_in_test",
        "told_overlay",
        "waited",
    )

    def __init__(self, alarm: Alarm, site: str, response: Mapping[Colour, Response], floor: int = 0) -> None:
        """Occurrences that begin from now on have a number above `floor`."""
        super().__init__(alarm)
        self.site = site
        self.response = response
        self._rule_ver = ""
        self.state: AlarmState = "NORM"
        self.occurrence = 0
        self.floor = floor
        self.n = 0
        self.retriggers = 0
        self.level: Lane | None = None
        self.peak: Colour | None = None
        self.raised = 0.0
        self.changed = 0.0
        self.action: Action = "raise"
        self.prev_state: AlarmState = "NORM"
        self.began = 0.0
        self.read_at = 0.0
        self.ack_by: str | None = None
        self.ack_at: float | None = None
        self.ack_scope: str | None = None
        self.ack_comment: str | None = None
        self.by_bad = False
        self.bad = Timer()
        self.waited = Timer()
        self.reminded = 0
        self.checkpoint = 0.0
        self.scheduled: float | None = None
        self.shelving: Shelving | None = None
        self.out_of_service: OutOfService | None = None
        self.suppressed_by: dict[str, Cause] = {}
        self.tested_by: dict[str, Cause] = {}
        self.told_overlay: list[Overlay] = []
        self.told_in_test = False
        self.flood = False

    # --- how it stands --------------------------------------------------------------------------------------------

    @property
    def rule_ver(self) -> str:
        """Short hash over all that is configured of it; made when it is first told of, most alarms never are."""
        if not self._rule_ver:
            self._rule_ver = "r-" + hashlib.sha256(repr(self.alarm).encode()).hexdigest()[:8]
        return self._rule_ver

    @property
    def colour(self) -> Colour:
        """Of the present level; without one, the highest that was reached, or can be."""
        if self.level is not None:
            return self.level.colour
        return self.peak or _worst(self.alarm.colours)

    @property
    def overlay(self) -> list[Overlay]:
        """What hides it, the one to be shown first."""
        found: list[Overlay] = ["OOSRV"] if self.out_of_service is not None else []
        found += ["DSUPR"] if self.suppressed_by else []
        found += ["SHLVD"] if self.shelving is not None else []
        return found

    @property
    def is_hidden(self) -> bool:
        return self.out_of_service is not None or self.shelving is not None or bool(self.suppressed_by)

    @property
    def is_tested(self) -> bool:
        return bool(self.tested_by)

    @property
    def stands(self) -> bool:
        """There is something about it that an operator has to know; not that it is at rest and its device is lost."""
        return self.state != "NORM" or bool(self.told_overlay)

    def is_to_review(self, wall: float) -> bool:
        """It is out of service for so long that somebody has to ask why."""
        return self.out_of_service is not None and wall >= self.out_of_service.review

    @property
    def is_pristine(self) -> bool:
        """Nothing of it has to be remembered: it never was anything but at rest."""
        out = self.shelving is not None or self.out_of_service is not None
        told = bool(self.told_overlay) or self.told_in_test
        return not (self.occurrence or out or told or self.is_turning or self.has_timers or self.stands)

    @property
    def is_groundless(self) -> bool:
        """It stands without a level: because of its source, or because the configuration has the level no more."""
        return self.level is None and self.state in ACTIVE

    @property
    def has_timers(self) -> bool:
        return self.waited.is_running or self.bad.is_running

    @property
    def guards(self) -> Guards:
        """What decides between rows of the table. Its condition is over when that is known, and nothing begins anew."""
        alarm = self.alarm
        is_over = self.known and not self.is_turning
        return Guards(alarm.latching, alarm.ack_required, alarm.fail_safe, is_over)

    def occurrence_id(self, gateway: str) -> str:
        """Stable name of the present, or else the last, occurrence."""
        return f"{gateway}/{self.alarm.id}/{self.occurrence}"

    def snapshot(self, context: Context) -> Event:
        """The last transition, with the value of now."""
        return announcement(self, context)

    # --- what happens to it ---------------------------------------------------------------------------------------

    def release(self, value: Value, quality: Quality, now: Now) -> bool:
        turned = super().release(value, quality, now)
        self.bad.stop()
        return turned or self.is_groundless

    def observe(self, value: Value, quality: Quality, now: Now, known_until: float) -> bool:
        turned = super().observe(value, quality, now, known_until)
        if self.alarm.fail_safe and self.known:
            self.bad.stop()
        elif self.alarm.fail_safe and not self.bad.is_running:
            self.bad.start(now.mono)
        return turned or (self.is_groundless and self.known)

    def _settle(self) -> None:
        super()._settle()
        self.at_rest = self.at_rest and self.state not in ACTIVE

    def announce(self, now: Now, context: Context) -> Event | None:
        """After lanes turned: move through the table, and say so. None where nothing changed for anybody."""
        was_groundless = self.is_groundless
        before, self.level = self.level, self.top
        trigger = self._grounds() if was_groundless else self._condition(before)
        return self.move(trigger, now, context) if trigger else None

    def _grounds(self) -> Trigger | None:
        if self.level is not None:
            return "usable"
        is_over = self.known and self.quality.grade is Grade.GOOD and not self.is_turning
        return "false" if is_over else None

    def _condition(self, before: Lane | None) -> Trigger | None:
        after = self.level
        if before is after:
            return None
        if before is None:
            return "true"
        if after is None:
            return "false"
        return "up" if after.rank >= before.rank else "down"

    def serve(self, now: Now, context: Context) -> list[Event]:
        """Time passed: whatever is due."""
        events = [self.announce(now, context)] if self.turn(now.mono) else []
        if _is_past(self._wait_due(), now.mono):
            events.append(self.move("overdue" if self.state == "UNACK" else "realarm", now, context))
        if _is_past(self._bad_due(), now.mono):
            events.append(self.move("bad", now, context))
        return [event for event in events if event is not None]

    def next_due(self) -> float | None:
        """The monotonic time at which `serve` will have something to do, if nothing else happens."""
        dues = (self.turn_due(), self._wait_due(), self._bad_due())
        return min((due for due in dues if due is not None), default=None)

    def _wait_due(self) -> float | None:
        targets = self._targets()
        return self.waited.due(targets[self.reminded]) if self.reminded < len(targets) else None

    def _targets(self) -> tuple[float, ...]:
        """Seconds after which it is said, again, that something should have happened."""
        if self.is_hidden or self.is_tested:
            return ()
        if self.state == "UNACK":
            return self.response[self.colour].ack_within_s
        realarm_s = self.alarm.realarm_s if self.state == "ACKED" and self.alarm.ack_required else None
        return () if realarm_s is None else (realarm_s,)

    def _bad_due(self) -> float | None:
        return self.bad.due(self.alarm.stale_after_s) if self.state == "NORM" else None

    def overlay_changed(self, now: Now, context: Context) -> Event | None:
        """After what hides it, or marks it as a test, has changed: say so. None where nobody needs to know."""
        if self.is_hidden:
            return self.move("overlay", now, context) if self.overlay != self.told_overlay else None
        if self.told_overlay or (self.told_in_test and not self.is_tested):
            return self.move("unhide", now, context)
        return None

    def remove(self, now: Now, context: Context) -> Event | None:
        """The configuration has it no more: it ends, whatever held it. None where nobody was told that it stands."""
        stood = self.stands
        self.shelving = self.out_of_service = self.level = None
        self.suppressed_by.clear()
        self.tested_by.clear()
        self.bad.stop()
        for lane in self.lanes:
            lane.rest()
            lane.on = False
        return self.move("removed", now, context) if stood else None

    def move(self, trigger: Trigger, now: Now, context: Context) -> Event | None:
        """Take the row of the table that applies. None where there is none, or where it is not announced."""
        row = transition(self.state, trigger, self.guards)
        if row is None or row.action in SILENT:
            return None
        self._begin(row, now)
        self.prev_state, self.state, self.action = self.state, row.to, row.action  # type: ignore[assignment]  # not one of SILENT
        self.n += 1
        self.changed, self.read_at = now.wall, context.read_at
        self._wait(row, now.mono)
        self.told_overlay = self.overlay
        self.told_in_test = self.is_tested or (self.told_in_test and (trigger != "unhide"))
        event = self.snapshot(context)
        if row.to == "NORM":
            self.peak = None
        return event

    def _begin(self, row: Row, now: Now) -> None:
        """Bookkeeping of a transition; `began` is the wall time at which the value first asked for it."""
        self.began = now.wall
        if row.action in ANNOUNCING:
            self.ack_by = self.ack_at = self.ack_scope = self.ack_comment = None
        if row.action == "raise":
            self.occurrence = max(self.occurrence, self.floor) + 1
            self.n = self.retriggers = 0
            self.raised = now.wall
        elif row.action == "retrigger":
            self.retriggers += 1
        if row.trigger == "bad":
            self.by_bad, self.peak = True, _worst(self.alarm.colours)
        elif row.trigger in ("false", "down") and not self.by_bad:
            self.began = max((lane.since for lane in self.lanes if not lane.on), default=0.0) or now.wall
        elif row.trigger in ("true", "up", "usable") and self.level is not None:
            self.by_bad = False
            self.began = self.level.since or now.wall
            self.peak = _worst((self.level.colour, self.peak or self.level.colour))

    def _wait(self, row: Row, mono: float) -> None:
        """Begin, go on with, or end the wait for people that follows from the new state."""
        if self.is_hidden or self.is_tested or not self._targets():
            self.waited.stop()
            self.reminded = 0
        elif row.action in ANNOUNCING or row.action == "ack":
            self.waited.start(mono)
            self.reminded = 0
        elif row.action == "ack_overdue":
            self.reminded += 1
        elif row.action == "deescalate":
            waited_s = self.waited.count(mono)
            self.reminded = sum(target <= waited_s for target in self._targets())

    # --- what survives a restart ----------------------------------------------------------------------------------

    def wants_checkpoint(self, mono: float) -> bool:
        """Whether what its delays and timers have served should be stored now, though nothing happened."""
        if any(lane.turning and lane.mark is not None for lane in self.lanes):
            return True
        return self.has_timers and mono >= self.checkpoint + TIMER_CHECKPOINT_S

    def store(self, mono: float) -> bytes:
        """Everything that a restart must find again."""
        self.checkpoint = mono
        return packed(self, mono)

    def restore(self, raw: bytes) -> None:
        """Go on where `store` left off."""
        unpack(self, raw)

    def cut_shelving(self, wall: float) -> None:
        """The clock was set, or nobody knows the time: it ends at `wall` and what it was asked for, at the latest."""
        shelving = self.shelving
        if shelving is not None:
            until = min(shelving.until, wall + max(0.0, shelving.until - shelving.since)) if wall else 0.0
            self.shelving = msgspec.structs.replace(shelving, until=until)

    def resume(self, now: Now, context: Context) -> Event | None:
        """The first moment after a restart: timers go on, and what hides it has changed if the configuration has."""
        self.waited.resume(now.mono)
        self.bad.resume(now.mono)
        return self.overlay_changed(now, context)


def _worst(colours: tuple[Colour, ...]) -> Colour:
    return min(colours, key=COLOURS.index)


def _is_past(due: float | None, mono: float) -> bool:
    return due is not None and due <= mono
