"""What an alarm watches: the last value with its quality, and the lanes that follow it. No state of an alarm is here.

Invariant: a lane turns only by a value that may be judged; bad, silent and last-known values leave every lane alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.rules.chatter import HOLD_S, Chatter
from agent.rules.gauges import BEYOND, is_beyond, usable
from agent.rules.lanes import Lane, lanes, quiet_band
from config.judgement import Deviation, Limit
from drivers.contract import GRADE_NAMES, Grade, Quality

if TYPE_CHECKING:
    from agent.clock import Now
    from agent.events import QualityName
    from config.model import Alarm
    from drivers.contract import Value

GOOD = Quality(Grade.GOOD, "ok")
NOT_YET = Quality(Grade.BAD, "not_connected")


class Observed:
    """One alarm's view of its point.

    `known`: the present value may be judged; `settled`: and no delay runs; `at_rest`: and nothing is on.
    `has_sides`: it is about how high or low something is now, so that a sensor beyond its range says enough.
    """

    __slots__ = (
        "alarm",
        "at_rest",
        "band",
        "has_sides",
        "known",
        "lanes",
        "quality",
        "settled",
        "source_time",
        "value",
    )

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.band = quiet_band(alarm)
        limit = alarm.condition
        self.has_sides = isinstance(limit, Limit) and (limit.measure is None or isinstance(limit.measure, Deviation))
        self.lanes: list[Lane] = lanes(alarm.condition)
        for lane in self.lanes if alarm.may_be_held else ():
            lane.chatter = Chatter()
        self.value: Value = None
        self.quality = NOT_YET
        self.source_time: float | None = None
        self.known = False
        self.settled = True
        self.at_rest = False

    def observe(self, value: Value, quality: Quality, now: Now, known_until: float) -> bool:
        """A value or a quality arrived; true when a lane turned. `known_until` is when the last one was confirmed."""
        self.value, self.quality = value, quality
        judged = BEYOND[quality.reason] if self.has_sides and is_beyond(value, quality) else value
        self.known = usable(judged, quality)
        turned = False
        for lane in self.lanes:
            turned = self._observe_lane(lane, judged, now, known_until) or turned
        self._settle()
        return turned

    def _observe_lane(self, lane: Lane, value: Value, now: Now, known_until: float) -> bool:
        if not self.known:
            lane.pause(min(now.mono, known_until))
            return False
        wanted = lane.demand(value)
        if wanted is lane.on and not lane.turning:
            return False
        if lane.on and not wanted and self.quality.grade is not Grade.GOOD:
            lane.pause(min(now.mono, known_until))  # uncertain never clears
            return False
        return lane.follow(wanted, self._delay(lane), now.mono, now.wall)

    def release(self, value: Value, quality: Quality, now: Now) -> bool:
        """The condition does not count now, whatever the value is; true when a lane turned."""
        self.value, self.quality, self.known = value, quality, True
        turned = False
        for lane in self.lanes:
            turned = lane.follow(wanted=False, delay_s=self._delay(lane), mono=now.mono, wall=now.wall) or turned
        self._settle()
        return turned

    def turn(self, mono: float) -> bool:
        """Time passed while the value stood; true when a lane turned."""
        turned = False
        for lane in self.lanes:
            if lane.turning and lane.mark is not None:
                lane.count(mono)
                turned = lane.turn(self._delay(lane), mono) or turned
        self._settle()
        return turned

    def turn_due(self) -> float | None:
        """The monotonic time at which the next running delay will be served, if the value stands until then."""
        dues = [
            lane.mark + self._delay(lane) - lane.elapsed_s
            for lane in self.lanes
            if lane.turning and lane.mark is not None
        ]
        return min(dues, default=None)

    @property
    def is_turning(self) -> bool:
        """A delay runs, or is paused."""
        return any(lane.turning for lane in self.lanes)

    @property
    def chatter_count(self) -> int:
        """How often its worst level began in the present, or the last, spell of chatter; 0 where there was none."""
        return max((lane.chatter.count for lane in self.lanes if lane.chatter is not None), default=0)

    @property
    def chatters(self) -> bool:
        """A level of it came and went too often, and is held on until it has stayed away for a while."""
        return any(lane.chatter is not None and lane.chatter.holds for lane in self.lanes)

    @property
    def top(self) -> Lane | None:
        """The highest level that is on."""
        return next((lane for lane in self.lanes if lane.on), None)

    @property
    def quality_name(self) -> QualityName:
        return GRADE_NAMES[self.quality.grade]

    def _delay(self, lane: Lane) -> float:
        if not lane.on:
            return self.alarm.on_delay_s
        held_s = HOLD_S if lane.chatter is not None and lane.chatter.holds else 0.0
        return max(held_s, self.alarm.off_delay_s)

    def _settle(self) -> None:
        settled, on = self.known, False
        for lane in self.lanes:
            settled = settled and not lane.turning
            on = on or lane.on
        self.settled = settled
        self.at_rest = settled and not on
