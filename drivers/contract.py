"""The driver contract: what a driver promises, what its caller promises, and the reading between them.

One driver object per line. The caller (`agent.poll`) promises: never two calls at once for one device, no more at once
than `Line.concurrency`, a deadline on every call, and that cancellation may arrive at any await. The caller does
schedule, backoff, availability, counters, logging, and stamps readings for devices that do not answer. A driver holds
protocol knowledge only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from config.model import Device, Point

Value = float | int | bool | str | None

Reason = Literal[
    "ok",
    "local_override",
    "last_known",
    "substituted",
    "initial",
    "sensor_uncalibrated",
    "range_suspect",
    "over_range",
    "under_range",
    "subnormal",
    "insufficient_data",
    "out_of_service",
    "sensor_fault",
    "device_fault",
    "config_error",
    "not_connected",
    "comm_lost",
    "busy",
    "not_available",
    "decode_error",
    "denied",
]
"""`domain.md` 5.2. `over_range` and `under_range` are for a sensor that gives no number, and says only on which side of
its range the value is.
"""


class Grade(IntEnum):
    """How far a value can be trusted; the larger the worse, so the worst of several is their maximum."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


GRADE_NAMES: Mapping[Grade, Literal["good", "uncertain", "bad"]] = {
    Grade.GOOD: "good",
    Grade.UNCERTAIN: "uncertain",
    Grade.BAD: "bad",
}
"""As events and status spell them."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Why a value is not plainly good. `raw` is what the source said (`exception 2`, `0x80310000`, `0x8000`)."""

    grade: Grade
    reason: Reason
    raw: str = ""


NO_FLAWS: Mapping[int, Quality] = MappingProxyType({})
NO_TIMES: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Poll:
    """Points of one device that are asked for together. Made once and kept: stages key what they compile by it."""

    device: Device
    points: tuple[Point, ...]
    interval_s: float


Span = tuple[int, int]
"""Half-open range of indexes into `Poll.points`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one poll, or one notification, of one device gave.

    `values[i]` belongs to `poll.points[i]`, scaled, in the unit of the point; an enumeration is its state name.
    `flaws[i]` is the quality where it is not plainly good; a bad value is `None`, never a zero.
    `changed` are the spans whose value or quality may differ from the last reading of the same poll: `()` says that
    nothing changed, `((0, n),)` that all may have. It may claim too much, never too little.
    `time` is wall-clock seconds since the epoch, `mono` the monotonic seconds of the same moment, both of the gateway;
    `source_times` the device's own time (epoch seconds) where it has a clock.
    """

    poll: Poll
    time: float
    mono: float
    values: Sequence[Value]
    flaws: Mapping[int, Quality] = field(default_factory=lambda: NO_FLAWS)
    changed: Sequence[Span] = ()
    source_times: Mapping[int, float] = field(default_factory=lambda: NO_TIMES)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says that it is; empty where it does not say."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


class Clock(Protocol):
    """The two times of a moment. Drivers never read the system's clock themselves."""

    def wall(self) -> float: ...

    def mono(self) -> float: ...


class Driver(Protocol):
    """One line. Built with `(line: Line, clock: Clock)`: checks and plans, opens nothing, raises `ConfigProblem`."""

    async def connect(self) -> None:
        """Open the line. May be called again after any failure. Raises `Unreachable` or `Refused`."""

    async def read(self, poll: Poll) -> Reading:
        """One batch. A bad point has a flaw; raises `NoAnswer` for this device, `Unreachable` for the line."""

    async def identify(self, device: Device) -> Identity:
        """One cheap request. Raises as `read`."""

    async def close(self) -> None:
        """Allowed at any time, twice, after a failed connect; never raises."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a poll becomes. `what` is for a technician, `bus_s` how long it takes its line, where known.

    `wait_s` is how long the device's own limits (pause, requests a second) may hold it up.
    """

    what: str
    points: tuple[str, ...]
    bus_s: float | None = None
    wait_s: float = 0.0


@runtime_checkable
class Planning(Protocol):
    """A driver that knows beforehand what it will ask."""

    def requests(self, poll: Poll) -> Sequence[Request]:
        """The requests of one poll, in the order in which they are sent. Opens nothing."""


@runtime_checkable
class Subscribing(Protocol):
    """A driver whose devices report by themselves."""

    def changes(self, polls: Sequence[Poll]) -> AsyncGenerator[Reading, None]:
        """Readings as they come, each for one of `polls`, whose unreported points keep their last value.

        The first reading of a poll has a value or a flaw for every point. While a device is alive but quiet, a reading
        with `changed=()` arrives at least every `poll.interval_s`, or every 5 s where that is longer: it is the proof
        of life. Ends by raising `Unreachable` or `Refused`; never ends silently.
        """


@runtime_checkable
class Notifying(Protocol):
    """A driver that is asked, and whose devices also report by themselves between two polls."""

    def notices(self, polls: Sequence[Poll]) -> AsyncGenerator[Reading, None]:
        """Readings as they come, each for one of `polls` that was read before, whose other points keep their value.

        Quiet for as long as nothing is reported: that a device is silent, and that the line is lost, is what `read`
        tells. Begins when the line is connected.
        """


@runtime_checkable
class Reporting(Protocol):
    """A driver whose devices report by themselves, and which knows how soon."""

    def report_s(self, point: Point) -> float:
        """The longest that a change of the point waits before it is reported, while everything is well."""


@runtime_checkable
class Counting(Protocol):
    """A driver that counts what an operator should know of, although no single reading shows it."""

    def counts(self) -> Mapping[str, int]:
        """How often each happened since the driver was built, by a name in lower case."""


class Validity(NamedTuple):
    """From when to when a certificate holds, in seconds since the epoch."""

    begin: float
    end: float


@runtime_checkable
class Certified(Protocol):
    """A driver whose line ends when a certificate does."""

    def validities(self) -> Mapping[str, Validity]:
        """Of each certificate that the connection needs, by what a person calls it; empty until it was open once."""
