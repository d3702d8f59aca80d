"""Everything that the rules know from one step to the next: every alarm, and the delays and timers that run.

Built from a configuration and what the journal keeps; what happens to it is `engine`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from agent.rules.derived import DerivedPoints
from agent.rules.judges import Judges
from agent.rules.load import STATE_KEY as LOAD_KEY
from agent.rules.load import AlarmLoad
from agent.rules.losses import STATE_KEY as LOSSES_KEY
from agent.rules.losses import Losses
from agent.rules.maintenance import STATE_KEY as MAINTENANCE_KEY
from agent.rules.maintenance import Maintenance
from agent.rules.occurrence import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.clock import Now
    from agent.events import DeviceCondition
    from agent.rules.cells import Cell
    from agent.rules.maintenance import Entry
    from config.model import Alarm, Config
    from drivers.contract import Poll, Reading

T = TypeVar("T")

NOT_HEARD = NOT_SET = float("-inf")

STATE_PREFIX = "alarm/"
"""Keys of the state that the journal keeps for alarms: this and the alarm's id."""

FLOOR_KEY = "occurrences"
"""Key of the state that says above which number occurrences begin: an epoch of the journal, a blank, the number."""


@dataclass(slots=True)
class Watch:
    """The alarms on the points of one poll, and the cells, by ascending index into it.

    `heard` is when it was last heard of, `latest` the last reading that changed anything.
    """

    indexes: list[int]
    runs: list[Run]
    cell_indexes: list[int]
    cells: list[Cell]
    heard: float = NOT_HEARD
    latest: Reading | None = None


@dataclass(slots=True)
class Rules:
    """The state that `step` is given: every configured alarm, and the delays and timers that run.

    `dues` are monotonic times, `wall_due` is the wall time at which the next thing ends by the clock on the wall.
    `offset` is how far that clock was ahead of the monotonic one; None before the first step. `conditions` is what was
    told of devices. The object stays the same while the gateway runs, whatever its configuration becomes.
    """

    site: str
    gateway: str
    cfg_ver: str
    runs: dict[str, Run]
    by_point: dict[tuple[str, str], list[Run]]
    losses: Losses
    judges: Judges = field(default_factory=Judges)
    derived: DerivedPoints = field(default_factory=DerivedPoints)
    watches: dict[Poll, Watch] = field(default_factory=dict)
    watch_of: dict[tuple[str, str], Watch] = field(default_factory=dict)
    dues: list[tuple[float, int, Run]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)
    dirty: dict[str, Run] = field(default_factory=dict)
    running: dict[str, Run] = field(default_factory=dict)
    shelved: dict[str, Run] = field(default_factory=dict)
    out_of_service: dict[str, Run] = field(default_factory=dict)
    maintenance: Maintenance = field(default_factory=Maintenance)
    load: AlarmLoad = field(default_factory=AlarmLoad)
    wall_due: float = NOT_SET
    offset: float | None = None
    gone: list[Run] = field(default_factory=list)
    conditions: dict[str, DeviceCondition] = field(default_factory=dict)

    @classmethod
    def build(
        cls, config: Config, stored: Mapping[str, bytes], *, clock_known: bool = True, gone: Iterable[Alarm] = ()
    ) -> Rules:
        """Every alarm of the configuration, each in the state in which the journal keeps it.

        Those that are `gone` were in the configuration before; where one stands, the first step ends it.

        Where nobody knows what time it is, what ends by the clock on the wall ends now.
        """
        runs: dict[str, Run] = {}
        floor = int(stored[FLOOR_KEY].rpartition(b" ")[2]) if FLOOR_KEY in stored else 0
        by_point: dict[tuple[str, str], list[Run]] = {}
        types = {(point.device, point.id): point.type for device in config.devices for point in device.all_points}
        judges = Judges(stored, types)
        losses = Losses(config.lines, stored.get(LOSSES_KEY))
        for alarm in config.alarms:
            run = runs[alarm.id] = Run(alarm, config.site, config.response, floor)
            if not judges.add(run):
                by_point.setdefault((alarm.device, alarm.point), []).append(run)
            raw = stored.get(STATE_PREFIX + alarm.id)
            if raw is not None:
                run.restore(raw)
            losses.add(run)
        derived = DerivedPoints(config.devices, stored)
        rules = cls(config.site, config.gateway, config.version, runs, by_point, losses, judges, derived)
        rules.gone = [Run(alarm, config.site, config.response) for alarm in gone if STATE_PREFIX + alarm.id in stored]
        for run in rules.gone:
            run.restore(stored[STATE_PREFIX + run.alarm.id])
        rules.shelved = {run.alarm.id: run for run in runs.values() if run.shelving is not None}
        rules.out_of_service = {run.alarm.id: run for run in runs.values() if run.out_of_service is not None}
        rules.load = AlarmLoad(stored.get(LOAD_KEY))
        rules.maintenance = Maintenance.build(config, stored)
        for entry in rules.maintenance.entries.values():
            for run in rules.meant(entry):
                entry.cover(run)
        if not clock_known:
            rules.heed_clock(0.0)
        return rules

    def become(self, other: Rules) -> None:
        """Everything that the other one is: whoever looks at these rules sees those of the new configuration."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def __contains__(self, alarm_id: object) -> bool:
        return alarm_id in self.runs

    def present(self, stored: Mapping[str, bytes], now: Now) -> dict[str, bytes]:
        """What `build` needs to go on at this moment: what is `stored`, and what has changed since."""
        keys = {STATE_PREFIX + name: run for name, run in self.runs.items()}
        states = {key: run.store(now.mono) for key, run in keys.items() if key in stored or not run.is_pristine}
        states |= self.judges.present(now) | self.derived.present(now)
        return {**stored, **states, LOSSES_KEY: self.losses.store(), MAINTENANCE_KEY: self.maintenance.store()}

    def meant(self, entry: Entry) -> list[Run]:
        """The alarms that are under maintenance."""
        return [run for run in self.runs.values() if entry.scope.means(run.alarm)]

    def standing(self) -> Iterable[Run]:
        """Every alarm of which an operator has to know something."""
        return (run for run in self.runs.values() if run.stands)

    def to_review(self, wall: float) -> Iterable[Run]:
        """Alarms that are out of service for too long."""
        return (run for run in self.out_of_service.values() if run.is_to_review(wall))

    @property
    def has_news(self) -> bool:
        """Whether `take_delays` has something that should be stored."""
        is_dirty = self.judges.is_dirty or self.derived.is_dirty or self.load.is_dirty
        return is_dirty or bool(self.dirty or self.running)

    def take_delays(self, now: Now, *, at_end: bool = False) -> dict[str, bytes]:
        """State of what moved without an event (delays, timers, counts); stored with the next telemetry."""
        mono = now.mono
        moved = self.dirty | {name: run for name, run in self.running.items() if run.wants_checkpoint(mono)}
        self.dirty.clear()
        states = {STATE_PREFIX + alarm_id: run.store(mono) for alarm_id, run in moved.items()}
        states |= self.judges.take_states() | self.derived.take_states()
        return states | self.load.take_state(now, at_once=at_end)

    def heed_clock(self, wall: float) -> None:
        """It was set. What ends by it ends after what it was asked for, at the latest; at 0, it all ends now."""
        for run in self.shelved.values():
            run.cut_shelving(wall)
        self.maintenance.cut(wall)

    def set_wall_due(self, wall: float) -> None:
        """Find out anew what begins or ends next by the clock on the wall."""
        shelvings = (run.shelving.until for run in self.shelved.values() if run.shelving)
        self.wall_due = min((*shelvings, self.maintenance.due(wall)))

    def watch(self, poll: Poll) -> Watch:
        """Compiled once for each poll."""
        watch = self.watches.get(poll)
        if watch is None:
            pairs = [
                (index, run)
                for index, point in enumerate(poll.points)
                for run in self.by_point.get((point.device, point.id), ())
            ]
            found = [
                (index, self.judges.cells.get((point.device, point.id))) for index, point in enumerate(poll.points)
            ]
            cells = [(index, cell) for index, cell in found if cell is not None]
            watch = self.watches[poll] = Watch(*_columns(pairs), *_columns(cells))
            for index in {*watch.indexes, *watch.cell_indexes}:
                self.watch_of[poll.points[index].device, poll.points[index].id] = watch
            for cell in watch.cells:
                cell.heard = watch
        return watch


def _columns(pairs: list[tuple[int, T]]) -> tuple[list[int], list[T]]:
    return [index for index, _ in pairs], [found for _, found in pairs]
