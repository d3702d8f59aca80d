"""A device with two points that are read and the derived points that a test wants, under rules whose clock it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from one_line import config_of

from agent.clock import Now
from agent.events import AlarmTransition
from agent.rules import Rules, step
from config.files import AddressSpec, PointSpec
from config.judgement import Formula, Input
from config.model import Alarm, Derived, Device, Place, Point, Text
from drivers.contract import Poll, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.model import PointType
    from drivers.contract import Quality, Value

NAME = Text("泵", "Pump")


def formula(text: str, *names: str, device: str = "pump") -> Formula:
    """Over points of one device."""
    return Formula(text, text, tuple(Input(name, device, name, name) for name in names))


def point(name: str, kind: PointType = "number", derived: Derived | None = None, **more: float) -> Point:
    return Point(name, "pump", "water", NAME, kind, "1", 1.0, PointSpec(), derived=derived, **more)  # type: ignore[arg-type]  # ranges only


class Pump:
    """`p` (a number) and `run` (a bool), each with a poll of its own."""

    def __init__(
        self,
        *derived: Point,
        alarms: tuple[Alarm, ...] = (),
        stored: Mapping[str, bytes] | None = None,
        wall: float = 1_000.0,
        mono: float = 50.0,
    ) -> None:
        made = (point("p"), point("run", "bool"))
        self.device = Device("pump", NAME, "water", "line", AddressSpec(), Place(), made, alarms, derived=derived)
        self.config = config = config_of(self.device)
        self.polls = {each.id: Poll(self.device, (each,), 1.0) for each in made}
        self.rules = Rules.build(config, stored or {})
        self.wall = wall
        self.mono = mono
        self.stored = dict(stored or {})
        self.readings: list[Reading] = []
        self.events: list[AlarmTransition] = []

    def read(self, value: Value, quality: Quality | None = None, *, of: str = "p", after_s: float = 0.0) -> None:
        self._step(of, value, quality, after_s, ((0, 1),))

    def confirm(self, *, of: str = "p", after_s: float = 0.0) -> None:
        self._step(of, None, None, after_s, ())

    def value(self, name: str) -> tuple[Any, str]:
        """What the derived point is now, and the reason of its quality."""
        shown = self.rules.derived.of("pump")
        assert shown is not None
        poll, reading = shown
        index = [each.id for each in poll.points].index(name)
        assert reading is not None
        flaw = reading.flaws.get(index)
        return reading.values[index], flaw.reason if flaw else "ok"

    def restarted(self, *, after_s: float = 0.0) -> Pump:
        return Pump(
            *self.device.derived, alarms=self.device.alarms, stored=self.stored, wall=self.wall + after_s, mono=3
        )

    def _step(
        self, of: str, value: Value, quality: Quality | None, after_s: float, changed: tuple[tuple[int, int], ...]
    ) -> None:
        self.wall += after_s
        self.mono += after_s
        flaws = {} if quality is None else {0: quality}
        reading = Reading(self.polls[of], self.wall, self.mono, (value,), flaws, changed)
        outcome = step(self.rules, reading, Now(self.wall, self.mono))
        self.readings = outcome.derived
        self.events += [event.body for event in outcome.events if isinstance(event.body, AlarmTransition)]
        self.stored |= outcome.states | self.rules.take_delays(Now(self.wall, self.mono))
