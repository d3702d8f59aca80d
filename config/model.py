"""The configuration as everything else reads it: resolved, frozen, and free of files.

`config.files` says what may be written, `config.load` turns that into these types. Nothing here is optional because a
file left it out: every default is already in place, every profile is already merged. Uplinks, the page and whom to tell
are in `config.outward`, responses and maintenance in `config.duty`.

Units: every name that ends in `_s` is seconds, in `_bytes` bytes. Measurement units are UCUM codes (`Cel`, `kW.h`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from config.duty import RESPONSE
from config.judgement import Computed, Deviation, Limit, colours_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.duty import MaintenanceWindow, Response
    from config.errors import Problem
    from config.files import AddressSpec, LineSpec, PointSpec
    from config.judgement import Condition, Formula
    from config.outward import Http, Notifier, Uplink

Colour = Literal["red", "orange", "yellow", "blue"]
"""Four-colour grading, `domain.md` 4.6; red is the highest."""

COLOURS: tuple[Colour, ...] = ("red", "orange", "yellow", "blue")

PointType = Literal["number", "integer", "bool", "enum", "string"]
FireSignal = Literal["fire", "supervisory", "trouble", "disabled", "started", "feedback", "delay", "test"]
"""What a fire panel says: fire, protection off normal, fire system impaired, and what else is kept apart from these."""

Stream = Literal["critical", "alarm", "state", "audit", "telemetry"]

Role = Literal["view", "acknowledge", "configure"]
ROLES: tuple[Role, ...] = ("view", "acknowledge", "configure")
"""Each may do what those before it may."""

BasisStatus = Literal["verified", "secondary", "unverified", "experience"]

STREAMS: tuple[Stream, ...] = ("critical", "alarm", "state", "audit", "telemetry")
"""In the order in which they are sent."""


@dataclass(frozen=True, slots=True)
class Text:
    """A name or sentence in both languages; where only one was written, both are that one."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device stands. `risk` is the risk grade of the space, if it has one."""

    building: str = ""
    floor: str = ""
    space: str = ""
    risk: Colour | None = None


DerivedKind = Literal["expression", "run_hours", "starts", "energy", "gap"]


@dataclass(frozen=True, slots=True)
class Derived:
    """How a point is computed: the value of a formula; hours for which it was true; how often it became true; its
    integral over hours; or the seconds that are missing in another such point (`of`).
    """

    kind: DerivedKind
    formula: Formula | None = None
    of: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One value of one device. Compared by identity: a point is made once, at load.

    `spec` is the driver's own settings type for a point (register, object, NodeId): only the driver looks into it.
    `states` names the codes of an enumeration. `low` and `high` are the plausible range in the point's unit; a value
    outside is `uncertain/range_suspect`. `deadband` (unit of the point) and `heartbeat_s` thin telemetry, never rules.
    A point that is `derived` is computed and not read.
    """

    id: str
    device: str
    system: str
    name: Text
    type: PointType
    unit: str
    poll_s: float
    spec: PointSpec
    scale: float = 1.0
    offset: float = 0.0
    states: Mapping[int, str] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    deadband: float = 0.0
    heartbeat_s: float = 300.0
    derived: Derived | None = None

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """Device and point of everything that it is computed from."""
        derived = self.derived
        if derived is None:
            return ()
        if derived.formula is None:
            return ((self.device, derived.of),)
        return tuple((each.device, each.point) for each in derived.formula.inputs)


@dataclass(frozen=True, slots=True)
class Evidence:
    """How long before and after its beginning and its end the points of an alarm are recorded at full rate."""

    pre_s: float = 60.0
    post_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Basis:
    """Where a limit comes from. `verified`: read in the source itself; `secondary`: as others quote it; `unverified`:
    general knowledge; `experience`: an engineering default of ours.
    """

    source: str
    status: BasisStatus


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. `id` is stable: `{system}/{device}/{point}#{key}`; where it is about no point, that part is left out.

    `unit` is that of what is judged. While `when` is known to be false, the condition does not count.
    What is not `shelvable` is never hidden: maintenance marks it as a test instead. A `fail_safe` alarm is raised when
    its source was unusable for `stale_after_s`. `realarm_s` after its acknowledgement a standing alarm calls again.
    """

    id: str
    key: str
    device: str
    system: str
    point: str
    condition: Condition
    text: Text
    advice: Text
    unit: str = ""
    when: Formula | None = None
    place: Place = Place()
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    life_safety: bool = False
    ack_required: bool = True
    latching: bool = False
    shelvable: bool = True
    fail_safe: bool = False
    stale_after_s: float = 30.0
    realarm_s: float | None = None
    evidence: Evidence = Evidence()
    basis: Basis | None = None
    signal: FireSignal | None = None
    depends_on: Text | None = None
    """What of the site the limit depends on; such an alarm runs only once somebody has confirmed it."""

    @property
    def colours(self) -> tuple[Colour, ...]:
        """Every colour that this alarm can reach."""
        return colours_of(self.condition)

    @property
    def may_be_held(self) -> bool:
        """Whether its end may be held while it chatters: never that of a life-safety alarm or of a fire panel."""
        return not self.life_safety and self.system != "fire"

    @property
    def points(self) -> tuple[tuple[str, str], ...]:
        """Device and point of everything that it looks at; nothing where it is about a device."""
        found = [(self.device, self.point)] if self.point else []
        measure = self.condition.measure if isinstance(self.condition, Limit) else None
        if isinstance(measure, Deviation) and measure.point:
            found.append((measure.device, measure.point))
        formulas = (self.condition.formula if isinstance(self.condition, Computed) else None, self.when)
        found += [(each.device, each.point) for formula in formulas if formula for each in formula.inputs]
        return tuple(dict.fromkeys(found))

    @property
    def stream(self) -> Stream:
        """By configuration, never by one event, so all events of one alarm share a stream."""
        return "critical" if self.life_safety or "red" in self.colours else "alarm"


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """One device on one line. `address` is the driver's own settings type (unit, device instance, endpoint part).

    `points` are read, `derived` are computed. `unconfirmed` are alarms that do not run, because nobody has confirmed
    yet what they depend on.
    """

    id: str
    name: Text
    system: str
    line: str
    address: AddressSpec
    place: Place
    points: tuple[Point, ...]
    alarms: tuple[Alarm, ...]
    profile: str | None = None
    maker: str = ""
    model: str = ""
    unconfirmed: tuple[Alarm, ...] = ()
    derived: tuple[Point, ...] = ()

    @property
    def all_points(self) -> tuple[Point, ...]:
        return self.points + self.derived


@dataclass(frozen=True, slots=True)
class Home:
    """What a driver may know of the gateway it runs in.

    `name` tells gateways apart (`h01-gw-1`), paths that a line's settings name start at `config`, and `state` is the
    folder for what drivers themselves must keep, such as certificates.
    """

    name: str = "gateway"
    config: Path = Path()
    state: Path = Path("/var/lib/wardgate")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One connection: a serial port, one TCP endpoint, the one UDP socket of BACnet/IP.

    `timeout_s` bounds one request, `concurrency` is how many devices may be asked at once, `spec` is the driver's own
    settings type for a line.
    """

    id: str
    name: Text
    protocol: str
    spec: LineSpec
    devices: tuple[Device, ...]
    timeout_s: float
    concurrency: int
    home: Home = Home()


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the journal lives and its limits. `telemetry_window_s` is the most telemetry that a power cut may cost.

    `memory_max_bytes` are held while the disk is away. `reserve` is the part of the size that only alarms and audit may
    use, `shares` the most that single streams may have of it, `ages_s` how long they keep what is delivered.
    """

    path: Path
    size_max_bytes: int
    keep_s: float
    telemetry_window_s: float
    memory_max_bytes: int = 32_000_000
    reserve: float = 0.1
    shares: Mapping[str, float] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Config:
    """One whole, valid configuration. `version` is a short hash over its files; `warnings` do not forbid it.

    A topic is `{topic_root}/{site}/{gateway}/…`, an event's type `{type_prefix}alarm.transition.v1`: the prefix ends in
    its dot. `losses` are the alarms of lost devices and lines, which nobody has to write. `files` is what it was
    read from.
    """

    site: str
    gateway: str
    name: Text
    time_zone: str
    topic_root: str
    type_prefix: str
    version: str
    control_socket: Path
    journal: Journal
    uplinks: tuple[Uplink, ...]
    lines: tuple[Line, ...]
    response: Mapping[Colour, Response] = field(default_factory=lambda: RESPONSE)
    losses: tuple[Alarm, ...] = ()
    maintenance: tuple[MaintenanceWindow, ...] = ()
    platform_commands: frozenset[str] = frozenset()
    notifiers: tuple[Notifier, ...] = ()
    home: Home = Home()
    files: Mapping[str, bytes] = field(default_factory=dict)
    roles: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    http: Http | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(device for line in self.lines for device in line.devices)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All that run."""
        return (*(alarm for device in self.devices for alarm in device.alarms), *self.losses)
