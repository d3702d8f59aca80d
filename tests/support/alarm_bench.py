"""One point with one alarm on a clock that stands until it is moved: what the tests of the rules play on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from one_line import config_of

from agent.clock import Now
from agent.events import AlarmTransition
from agent.rules import AlarmCommand, MaintenanceCommand, NewConfiguration, Rules, Tick, step
from agent.rules.occurrence import Context
from config.duty import Scope
from config.files import AddressSpec, PointSpec
from config.judgement import Level, Limit
from config.model import Alarm, Device, Place, Point, Text
from drivers.contract import Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.rules.occurrence import Run
    from agent.rules.steps import Item
    from config.duty import MaintenanceWindow
    from config.judgement import Condition
    from drivers.contract import Value

SAID = Text("氧气压力低", "Oxygen pressure low")
OXYGEN = Limit((Level("H", 480.0, "orange"), Level("L", 360.0, "yellow"), Level("LL", 320.0, "red")), deadband=5.0)
LOST = Quality(Grade.BAD, "comm_lost")
OVER_RANGE = Quality(Grade.UNCERTAIN, "range_suspect")
LAST_KNOWN = Quality(Grade.UNCERTAIN, "last_known")


HERE = Scope(device=frozenset({"or-1"}))
ALARM = "or/or-1/o2_p#pressure"


class Bench:
    """One point with one alarm. `settings` are those of the alarm; `bodies` is everything that was ever said of it."""

    def __init__(
        self,
        condition: Condition = OXYGEN,
        *,
        ack: bool = True,
        stored: Mapping[str, bytes] | None = None,
        wall: float = 1_000.0,
        clock_known: bool = True,
        system: str = "or",
        windows: tuple[MaintenanceWindow, ...] = (),
        **settings: Any,
    ) -> None:
        self.condition, self.settings = condition, {"ack": ack, "system": system, "windows": windows, **settings}
        name = Text("氧气", "Oxygen")
        point = Point("o2_p", "or-1", system, name, "number", "kPa", 1.0, PointSpec())
        self.alarm = Alarm(
            ALARM, "pressure", "or-1", system, "o2_p", condition, SAID, SAID, ack_required=ack, **settings
        )
        device = Device("or-1", name, system, "line", AddressSpec(), Place(), (point,), (self.alarm,))
        self.config = config_of(device, maintenance=windows)
        self.poll = Poll(device, (point,), 1.0)
        self.rules = Rules.build(self.config, stored or {}, clock_known=clock_known)
        self.wall = wall
        self.mono = 50.0
        self.stored = dict(stored or {})
        self.bodies: list[AlarmTransition] = []
        self.next_due: float | None = None

    @property
    def run(self) -> Run:
        return self.rules.runs[ALARM]

    def read(self, value: Value, quality: Quality | None = None, *, after_s: float = 0.0) -> list[AlarmTransition]:
        self._pass(after_s)
        flaws = {} if quality is None else {0: quality}
        return self._step(Reading(self.poll, self.wall, self.mono, (value,), flaws, ((0, 1),)))

    def unchanged(self, *, after_s: float = 0.0) -> list[AlarmTransition]:
        self._pass(after_s)
        return self._step(Reading(self.poll, self.wall, self.mono, (None,), {}, ()))

    def wait(self, seconds: float) -> list[AlarmTransition]:
        self._pass(seconds)
        return self._step(Tick())

    def order(self, command: AlarmCommand | MaintenanceCommand) -> list[AlarmTransition]:
        return self._step(command)

    def ack(self) -> list[AlarmTransition]:
        return self.order(AlarmCommand("ack", ALARM, "duty"))

    def reset(self) -> list[AlarmTransition]:
        return self.order(AlarmCommand("reset", ALARM, "duty"))

    def shelve(self, for_s: float = 600.0, reason: str = "sensor is replaced") -> list[AlarmTransition]:
        return self.order(AlarmCommand("shelve", ALARM, "duty", reason, until=self.wall + for_s))

    def unshelve(self) -> list[AlarmTransition]:
        return self.order(AlarmCommand("unshelve", ALARM, "duty"))

    def take_out(self) -> list[AlarmTransition]:
        command = AlarmCommand("out-of-service", ALARM, "duty", "new sensor", work_order="W-17", owner="Li")
        return self.order(command)

    def put_back(self) -> list[AlarmTransition]:
        return self.order(AlarmCommand("in-service", ALARM, "duty"))

    def maintain(self, for_s: float = 600.0, scope: Scope = HERE, *, is_test: bool = False) -> list[AlarmTransition]:
        until = self.wall + for_s
        return self.order(MaintenanceCommand("maintenance-start", "li", "works", scope, until, is_test=is_test))

    def end_maintenance(self, name: str = "1") -> list[AlarmTransition]:
        return self.order(MaintenanceCommand("maintenance-end", "li", id=name))

    def save(self) -> None:
        """What the journal gets with the next telemetry."""
        self.stored |= self.rules.take_delays(Now(self.wall, self.mono))

    def restarted(self, *, after_s: float = 0.0, clock_known: bool = True, **settings: Any) -> Bench:
        """The gateway is killed and starts again, perhaps with other settings."""
        wall = self.wall + after_s
        return Bench(
            self.condition, stored=self.stored, wall=wall, clock_known=clock_known, **(self.settings | settings)
        )

    def renewed(self, *, without: bool = False, kept: bool = True, **settings: Any) -> list[AlarmTransition]:
        """Another configuration while it runs: with other settings, or `without` the alarm; the poll is `kept` or not.

        What is stored goes on to be all that the journal has.
        """
        config = replace(Bench(self.condition, **(self.settings | settings)).config, version="c-2")
        if without:
            (line,) = config.lines
            config = replace(config, lines=(replace(line, devices=(replace(line.devices[0], alarms=()),)),))
        return self._step(NewConfiguration(config, frozenset({self.poll}) if kept else frozenset(), self.stored))

    def snapshot(self) -> AlarmTransition:
        """How the alarm stands, as a platform is told after a connect."""
        body = self.run.snapshot(Context("gw", "c-1", self.run.read_at)).body
        assert isinstance(body, AlarmTransition)
        return body

    def _pass(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds

    def _step(self, item: Item) -> list[AlarmTransition]:
        outcome = step(self.rules, item, Now(self.wall, self.mono))
        self.stored |= outcome.states
        self.next_due = outcome.next_due
        assert all(event.test == getattr(event.body, "test", False) for event in outcome.events)
        bodies = [event.body for event in outcome.events if isinstance(event.body, AlarmTransition)]
        self.bodies += bodies
        return bodies
