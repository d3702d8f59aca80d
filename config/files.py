"""The grammar: what may be written in each file of the configuration folder, as pydantic models.

Drivers subclass `LineSpec`, `AddressSpec` and `PointSpec` with their own fields and hand them over as a `Protocol`; so
a point is one flat mapping in the file, validated in one go, and one JSON Schema describes it. Unknown keys are
refused. What several files must agree on is not here but in `config.checks` and `config.alarms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 (dataclasses keep it at run time)
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from config.access_files import HttpSpec, RolesSpec
from config.alarm_files import AlarmsSpec, BasisSpec, Confirmation
from config.condition_fields import Bits, CounterSpec, Expression, Rate  # noqa: TC001 (pydantic reads these at run time)
from config.fields import (
    HOST_NAME,
    TOPIC_ROOT,
    TYPE_PREFIX,
    BrokerAddress,
    DottedId,
    Duration,
    Id,
    KeyReference,
    MqttVersion,
    Name,
    Pace,
    Password,
    PollInterval,
    Size,
    Spec,
    States,
    TextSpec,
    TimeZone,
    Unit,
)
from config.judgement import LevelName  # noqa: TC001 (pydantic reads these at run time)
from config.model import Colour, FireSignal, PointType, Stream  # noqa: TC001 (pydantic reads these at run time)
from config.notice_files import NotifySpec  # noqa: TC001 (pydantic reads these at run time)
from config.response_files import MaintenanceSpec, PlatformVerb, ResponseSpec  # noqa: TC001 (pydantic reads these at run time)

if TYPE_CHECKING:
    from config.pointlist.listing import Listing

__all__ = [
    "AddressSpec",
    "AlarmSpec",
    "DeviceSpec",
    "DevicesFile",
    "Duration",
    "GatewaySpec",
    "JournalSpec",
    "KeyReference",
    "LineSpec",
    "LinesFile",
    "Password",
    "PlaceSpec",
    "PointSpec",
    "PollSpec",
    "ProfileFile",
    "Protocol",
    "TextSpec",
    "UplinkSpec",
]


CONDITIONS = ("limit", "state", "bit", "no_update", "stuck", "counter", "offline", "expression")
MEASURES = ("mean", "rate", "deviation")
"""What a limit may be judged on, instead of the value itself."""

EXPIRY_S_MAX = 2**32 - 2
"""The greatest expiry that MQTT 5 can say and that does not mean never."""


class LineSpec(Spec):
    """One connection. A driver adds what it needs to open it."""

    protocol: Annotated[str, Field(description="modbus, bacnet or opcua")]
    name: Name | None = None
    timeout: Annotated[Duration, Field(gt=0)] = 2.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1

    @property
    def endpoint(self) -> str:
        """What the line connects to, for a person who looks for the cable. A driver says it better."""
        return self.protocol

    @property
    def sole(self) -> tuple[str, str] | None:
        """What only one line can have, such as a serial port, and before it the field that says so."""
        return None


class AddressSpec(Spec):
    """Where a device is on its line and how it likes to be asked. A profile may give defaults for every field.

    `identity` names the fields that tell two devices on one line apart; unless a driver says so, it is the first field.
    It is empty, as is an address without fields, where one server holds several devices.
    """

    identity: ClassVar[tuple[str, ...] | None] = None


class PointSpec(Spec):
    """One point. A driver adds where it is found and how it is coded.

    `source` says where a profile's row comes from, or that it is unverified.
    """

    name: Name | None = None
    value: PointType = "number"
    unit: Unit = "1"
    poll: Pace | None = None
    scale: float = 1.0
    offset: float = 0.0
    states: dict[int, str] = Field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    deadband: Annotated[float, Field(ge=0)] = 0.0
    heartbeat: Duration = 300.0
    source: str = ""

    @property
    def where(self) -> str:
        """Where the value is found in its device, for a technician. A driver says it."""
        return ""

    @property
    def in_other_orders(self) -> Mapping[str, PointSpec]:
        """The same bytes in the other orders that they could have come in, by what is written for each.

        A driver says it; where bytes have one order only, there is none.
        """
        return {}


class PollSpec(Spec):
    """The poll classes and their intervals. What is left out keeps the value of the level above."""

    L: PollInterval | None = None
    C: PollInterval | None = None
    N: PollInterval | None = None
    S: PollInterval | None = None
    E: PollInterval | None = None


class PlaceSpec(Spec):
    """Where a device stands. `risk` is the risk grade of the space."""

    building: Id = ""
    floor: Id = ""
    space: Id = ""
    risk: Colour | None = None


class EvidenceSpec(Spec):
    """How long before and after its beginning and its end the points of an alarm are recorded at full rate."""

    pre: Annotated[Duration, Field(le=600)] = 60.0
    post: Annotated[Duration, Field(le=600)] = 60.0


class AlarmSpec(Spec):
    """One alarm of the device it is written at. Exactly one condition; a limit may say what it is judged on."""

    point: Annotated[str, Field(description="the id of one of the device's points")] = ""
    limit: Annotated[dict[LevelName, float], Field(min_length=1)] | None = None
    mean: Duration | None = None
    rate: Rate | None = None
    deviation: Annotated[str | float | None, Field(description="the id of a point, or a number")] = None
    state: States | None = None
    bit: Bits | None = None
    no_update: Annotated[Duration, Field(gt=0)] | None = None
    stuck: Annotated[Duration, Field(gt=0)] | None = None
    counter: CounterSpec | None = None
    offline: Literal[True] | None = None
    expression: Expression | None = None
    when: Expression | None = None
    deadband: Annotated[float, Field(ge=0)] = 0.0
    colour: Annotated[
        Colour | dict[LevelName, Colour], Field(description="red, orange, yellow or blue, or one for each level")
    ]
    on_delay: Duration = 0.0
    off_delay: Duration = 0.0
    text: Name | None = None
    advice: Name | None = None
    life_safety: bool = False
    ack: bool = True
    latching: bool = False
    shelvable: bool | None = None
    on_bad: Annotated[
        Literal["hold", "fail_safe"], Field(description="hold the state, or raise the alarm when nobody knows")
    ] = "hold"
    stale_after: Annotated[Duration, Field(gt=0)] = 30.0
    realarm_after: Annotated[Duration, Field(ge=60)] | None = None
    signal: Annotated[FireSignal | None, Field(description="which of the signals of a fire panel this is")] = None
    evidence: EvidenceSpec = EvidenceSpec()
    unit: Unit | None = None
    optional: bool = False
    basis: BasisSpec | None = None
    depends_on: Name | None = None
    confirmed_by: Confirmation | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> AlarmSpec:
        found = [name for name in CONDITIONS if getattr(self, name) is not None]
        if len(found) != 1:
            told = f"{len(found)} conditions, {' and '.join(found)}" if found else "no condition"
            raise ValueError(f"{told}; write exactly one, such as limit: {{H: 30}} or state: true")
        measures = [name for name in MEASURES if getattr(self, name) is not None]
        if measures and self.limit is None:
            raise ValueError(f"{measures[0]}: there is no limit; write the limit for it, such as limit: {{H: 30}}")
        if len(measures) > 1:
            raise ValueError(f"{measures[1]}: there is {measures[0]} too; write one of them, and another alarm")
        if bool(self.point) == (self.offline is not None) and self.expression is None:
            what = "missing; write point: the id of one of the device's points"
            raise ValueError(f"point: {what if not self.point else 'offline is about the device; remove it'}")
        return self


class PointListSpec(Spec):
    """A CSV list with the points of a device: what its columns are, and what holds where a cell says nothing."""

    csv: Annotated[str, Field(description="points/NAME.csv")]
    columns: Annotated[dict[str, str], Field(description="{HEADING: FIELD}, or {HEADING: ignore}")] = Field(
        default_factory=dict
    )
    given: Annotated[dict[str, str | int | float], Field(alias="set", description="{FIELD: VALUE}")] = Field(
        default_factory=dict
    )


def _whole_list(value: object) -> object:
    return {"csv": value} if isinstance(value, str) else value


PointListReference = Annotated[
    PointListSpec,
    BeforeValidator(_whole_list),
    Field(description="points/NAME.csv, or {csv: points/NAME.csv, columns: {…}, set: {…}}"),
]


class DeviceSpec(Spec):
    """One device. Its address, points and alarms are judged with the protocol of its line."""

    name: Name | None = None
    system: DottedId | None = None
    line: Annotated[str, Field(description="the id of a line in lines.yaml")]
    profile: str | None = None
    address: dict[str, Any] = Field(default_factory=dict)
    place: PlaceSpec = PlaceSpec()
    poll: PollSpec = PollSpec()
    point_list: PointListReference | None = None
    points: dict[DottedId, dict[str, Any]] = Field(default_factory=dict)
    omit: list[str] = Field(default_factory=list)
    alarms: AlarmsSpec = AlarmsSpec()
    maker: str | None = None
    model: str | None = None


class TlsSpec(Spec):
    """What proves broker and gateway to each other: PEM files. Without `ca`, the authorities of the system."""

    ca: Path | None = None
    cert: Path | None = None
    key: KeyReference | None = None
    server_name: Annotated[str, Field(pattern=HOST_NAME)] | None = None

    @model_validator(mode="after")
    def _cert_with_key(self) -> TlsSpec:
        if (self.cert is None) != (self.key is None):
            missing, other = ("cert", "key") if self.cert is None else ("key", "cert")
            raise ValueError(f"{other} without {missing}; write both: cert: PATH, key: {{file: PATH}}")
        return self


class FilterSpec(Spec):
    """Which records go this way. What has no system, or no colour, is not judged by that."""

    streams: Annotated[list[Stream], Field(min_length=1)] | None = None
    systems: Annotated[list[DottedId], Field(min_length=1)] | None = None
    colours: Annotated[list[Colour], Field(min_length=1)] | None = None


class ProofSpec(Spec):
    """A test alarm that goes the whole way and must come back confirmed."""

    every: Annotated[Duration, Field(ge=120)]


class UplinkSpec(Spec):
    """One way to the platform. Several brokers are tried one after the other, the first one is preferred."""

    brokers: Annotated[list[BrokerAddress], Field(min_length=1, description="[mqtt://HOST:PORT]")]
    mqtt: MqttVersion = "5"
    client_id: Annotated[str, Field(pattern=r"^[^\s#+/]{1,64}$")] | None = None
    user: str | None = None
    password: Password | None = None
    keep_alive: Annotated[Duration, Field(ge=5, le=300)] = 15.0
    window: Annotated[int, Field(ge=1, le=1000)] = 32
    backlog_rate: Annotated[float, Field(gt=0)] = 200.0
    tls: TlsSpec | None = None
    topic_root: Annotated[str, Field(pattern=TOPIC_ROOT)] | None = None
    filter: FilterSpec = FilterSpec()
    telemetry_expiry: Annotated[Duration, Field(ge=1, le=EXPIRY_S_MAX)] | None = None
    watermark: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    confirm: Annotated[bool, Field(description="whether the platform confirms what it has stored")] = False
    confirm_overdue: Annotated[Duration, Field(ge=10)] = 300.0
    proof_test: Annotated[ProofSpec | None, Field(description="{every: 1h}")] = None


class JournalStreamSpec(Spec):
    """What holds for one stream: its age after delivery, and the most that it may have of `size_max`."""

    keep: Duration | None = None
    share_percent: Annotated[int, Field(ge=1, le=100)] | None = None


class JournalSpec(Spec):
    """The journal folder and its limits. A relative path is relative to the configuration folder."""

    path: Path = Path("/var/lib/wardgate/journal")
    size_max: Size = 2_000_000_000
    keep: Duration = 30 * 86400.0
    telemetry_window: Annotated[Duration, Field(ge=0.01, le=60)] = 1.0
    memory_max: Annotated[Size, Field(le=1_000_000_000)] = 32_000_000
    reserve_percent: Annotated[int, Field(ge=0, le=50)] = 10
    streams: dict[Stream, JournalStreamSpec] = Field(default_factory=dict)


class GatewaySpec(Spec):
    """`gateway.yaml`."""

    site: Annotated[Id, Field(description="a short id of the hospital, such as h01")]
    gateway: Annotated[Id, Field(description="a short id of this gateway, unique in the site, such as gw-1")]
    name: Name | None = None
    time_zone: TimeZone = "UTC"
    topic_root: Annotated[str, Field(pattern=TOPIC_ROOT)] = "wardgate/v1"
    type_prefix: Annotated[str, Field(pattern=TYPE_PREFIX)] = "wardgate."
    control_socket: Path = Path("/run/wardgate/control.sock")
    state: Path = Path("/var/lib/wardgate")
    journal: JournalSpec = JournalSpec()
    poll: PollSpec = PollSpec()
    uplinks: dict[Id, UplinkSpec] = Field(default_factory=dict)
    response: dict[Colour, ResponseSpec] = Field(default_factory=dict)
    platform_commands: list[PlatformVerb] = Field(default_factory=list)
    maintenance: dict[Id, MaintenanceSpec] = Field(default_factory=dict)
    notify: dict[Id, NotifySpec] = Field(default_factory=dict)
    roles: RolesSpec = RolesSpec()
    http: HttpSpec | None = None


class LinesFile(Spec):
    """`lines.yaml`. Each line is judged with the settings type of its protocol."""

    lines: Annotated[dict[Id, dict[str, Any]], Field(description="LINE: {protocol: …}")]


class DevicesFile(Spec):
    """A file in `devices/`. `common` is merged under every device of the file, so equal devices are written once."""

    common: dict[str, Any] = Field(default_factory=dict)
    devices: Annotated[dict[Id, dict[str, Any]], Field(description="DEVICE: {line: …, profile: …}")]


class ProfileFile(Spec):
    """A file in `profiles/`: what is true of every device of one model. Its name is the file's name.

    A row that lacks a required field is a template: the device has to give what is missing.
    """

    protocol: Annotated[str, Field(description="modbus, bacnet or opcua")]
    name: Name | None = None
    maker: str = ""
    model: str = ""
    system: DottedId | None = None
    source: Annotated[str, Field(description="the maker's document with its edition, or unverified")]
    address: dict[str, Any] = Field(default_factory=dict)
    points: Annotated[dict[DottedId, dict[str, Any]], Field(min_length=1, description="POINT: {…}")]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The three settings types of one protocol, handed to `config.load` by the driver registry.

    `listing` gives what the driver knows of lists of points, once one is referred to. Raises `ConfigProblem` where it
    knows nothing of them.
    """

    line: type[LineSpec]
    address: type[AddressSpec]
    point: type[PointSpec]
    listing: Callable[[], type[Listing]] | None = None
