"""One device with a few points and the alarms that a test wants, under rules whose clock the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_line import config_of

from agent.clock import Now
from agent.events import AlarmTransition
from agent.rules import DeviceChange, Rules, Tick, step
from config.files import AddressSpec, PointSpec
from config.model import Alarm, Device, Place, Point, Text
from drivers.contract import Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.events import DeviceCondition
    from config.judgement import Condition, Formula
    from config.model import PointType
    from drivers.contract import Value

SOURCE_LAG_S = 0.5
"""How far the device's own time is behind the reading."""

NAME = Text("室温", "Room temperature")
LOST = Quality(Grade.BAD, "comm_lost")
OVER_RANGE = Quality(Grade.UNCERTAIN, "range_suspect")
LAST_KNOWN = Quality(Grade.UNCERTAIN, "last_known")


def alarm(
    condition: Condition,
    *,
    point: str = "t",
    key: str = "key",
    on_delay_s: float = 0.0,
    when: Formula | None = None,
) -> Alarm:
    """An alarm on one point of the device; nobody has to acknowledge it."""
    part = f"/{point}" if point else ""
    return Alarm(
        f"or/or-1{part}#{key}",
        key,
        "or-1",
        "or",
        point,
        condition,
        NAME,
        NAME,
        when=when,
        on_delay_s=on_delay_s,
        ack_required=False,
    )


class Room:
    """The device `or-1` with a poll for each of its points, read when the test says so."""

    def __init__(
        self,
        *alarms: Alarm,
        points: tuple[str, ...] = ("t", "sp"),
        kind: PointType = "number",
        stored: Mapping[str, bytes] | None = None,
        wall: float = 1_000.0,
        mono: float = 50.0,
    ) -> None:
        made = tuple(Point(point, "or-1", "or", NAME, kind, "Cel", 1.0, PointSpec()) for point in points)
        self.device = Device("or-1", NAME, "or", "line", AddressSpec(), Place(), made, alarms)
        self.config = config = config_of(self.device)
        self.polls = {point.id: Poll(self.device, (point,), 1.0) for point in made}
        self.rules = Rules.build(config, stored or {})
        self.wall = wall
        self.mono = mono
        self.next_due: float | None = None
        self.transaction: Mapping[str, bytes] = {}
        self.stored = dict(stored or {})

    def read(
        self, value: Value, quality: Quality | None = None, *, point: str = "t", after_s: float = 0.0
    ) -> list[AlarmTransition]:
        """The point was read, and time passed before that."""
        seen = self.wait(after_s) if after_s else []
        flaws = {} if quality is None else {0: quality}
        times = {0: self.wall - SOURCE_LAG_S}
        return seen + self._step(Reading(self.polls[point], self.wall, self.mono, (value,), flaws, ((0, 1),), times))

    def confirm(self, *, point: str = "t", after_s: float = 0.0) -> list[AlarmTransition]:
        """The point was read, and nothing had changed."""
        seen = self.wait(after_s) if after_s else []
        return seen + self._step(Reading(self.polls[point], self.wall, self.mono, (None,), {}, ()))

    def hold(self, seconds: float, *, every_s: float = 10.0, point: str = "t") -> list[AlarmTransition]:
        """Time passes, and the value is confirmed again and again."""
        seen: list[AlarmTransition] = []
        end = self.mono + seconds
        while self.mono < end - 1e-9:
            seen += self.confirm(point=point, after_s=min(every_s, end - self.mono))
        return seen

    def wait(self, seconds: float) -> list[AlarmTransition]:
        """Time passes; the rules are asked whenever they want to be."""
        end = self.mono + seconds
        seen: list[AlarmTransition] = []
        while self.next_due is not None and self.next_due <= end:
            self._pass(max(0.0, self.next_due - self.mono))
            seen += self._step(Tick())
        self._pass(end - self.mono)
        return seen

    def device_is(self, state: DeviceCondition) -> list[AlarmTransition]:
        return self._step(DeviceChange("or-1", state))

    def restarted(self, *, after_s: float = 0.0) -> Room:
        """The same rules, on another monotonic clock, from what was stored."""
        points = tuple(self.polls)
        kind = self.device.points[0].type
        return Room(
            *self.device.alarms, points=points, kind=kind, stored=self.stored, wall=self.wall + after_s, mono=7.0
        )

    def _pass(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds

    def _step(self, item: Reading | DeviceChange | Tick) -> list[AlarmTransition]:
        outcome = step(self.rules, item, Now(self.wall, self.mono))
        self.transaction = outcome.states
        self.stored |= outcome.states | self.rules.take_delays(Now(self.wall, self.mono))
        self.next_due = outcome.next_due
        return [event.body for event in outcome.events if isinstance(event.body, AlarmTransition)]


def told(events: list[AlarmTransition]) -> list[tuple[str, str | None]]:
    return [(event.action, event.level) for event in events]
