"""The grammar: what may be written in each file of the configuration folder, as pydantic models.

Drivers subclass `LineSpec`, `AddressSpec` and `PointSpec` with their own fields and hand them over as a `Protocol`; so
a point is one flat mapping in the file, validated in one go, and one JSON Schema describes it. Unknown keys are
refused. What several files must agree on is not here but in `config.checks` and `config.alarms`.

A validator raises `ValueError("what is wrong; what to write instead")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from config.errors import ConcealedError
from config.model import Broker, Colour, LevelName, PointType
from config.units import POLL_CLASSES, pace, seconds, size_bytes

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

ID = r"^[a-z0-9_-]{1,40}$"
DOTTED_ID = r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$"
TOPIC_ROOT = r"^[^#+/\s]+(/[^#+/\s]+)*$"
TYPE_PREFIX = r"^([a-z0-9-]+\.)+$"
SOCKET_PATH_BYTES_MAX = 107
"""What Linux allows in the address of a Unix socket."""

_DURATION_SCHEMA = {"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|min|h|d)$"}, {"type": "number"}]}
_SIZE_SCHEMA = {"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*[kMGT]i?B$"}, {"type": "integer"}]}
_PACE_SCHEMA = {"anyOf": [{"enum": list(POLL_CLASSES)}, *_DURATION_SCHEMA["anyOf"]]}
_NAME_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"zh": {"type": "string"}, "en": {"type": "string"}},
            "additionalProperties": False,
        },
    ]
}


def _both_languages(text: object) -> object:
    if isinstance(text, (dict, TextSpec)):
        return text
    if isinstance(text, str):
        return {"zh": text, "en": text}
    raise ValueError("not a text; write {zh: …, en: …}, or one text for both")


def _text_of_number(value: object) -> object:
    """The unit `1` (no unit) is a number to YAML."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone; write one such as Asia/Shanghai or UTC") from None
    return name


def _broker(url: object) -> Broker:
    hint = "write mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS"
    if not isinstance(url, str):
        raise ValueError(f"not a broker address; {hint}")  # noqa: TRY004 (pydantic collects ValueError only)
    if "@" in url:
        raise ConcealedError(f"a user or password in the address; {hint}, and user and password as keys of their own")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"not a broker address; {hint}") from None
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"not a broker address; {hint}")
    tls = parts.scheme == "mqtts"
    return Broker(parts.hostname, port or (8883 if tls else 1883), tls)


def _no_plain_secret(value: object) -> object:
    if isinstance(value, Mapping):
        return value
    raise ConcealedError("a secret in plain text; write {credential: NAME}, {file: PATH} or {env: NAME}")


_STRICT = ("int", "float", "bool")


def _make_scalars_strict(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") in _STRICT:
            schema["strict"] = True
        for part in schema.values():
            _make_scalars_strict(part)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _make_scalars_strict(part)


Id = Annotated[str, Field(pattern=ID)]
DottedId = Annotated[str, Field(pattern=DOTTED_ID, max_length=40)]

Duration = Annotated[float, BeforeValidator(seconds), Field(ge=0), WithJsonSchema(_DURATION_SCHEMA)]
"""`500ms`, `10s`, `5min`, `1h`, `7d`, or a plain number of seconds; held as seconds."""

PollInterval = Annotated[float, BeforeValidator(seconds), Field(ge=0.05), WithJsonSchema(_DURATION_SCHEMA)]

Pace = Annotated[str | float, PlainValidator(pace), WithJsonSchema(_PACE_SCHEMA)]
"""A poll class letter, or a duration held as seconds."""

Size = Annotated[int, BeforeValidator(size_bytes), Field(ge=1_000_000), WithJsonSchema(_SIZE_SCHEMA)]
"""`500MB`, `2GB`, `1GiB`; held as bytes."""


class Spec(BaseModel):
    """Base of everything that is written in a file.

    Scalars mean what YAML says they are: `"1"` is no number, `on` is not true, true is not 1. Everything else is as
    lax as pydantic is, so that a list may be a tuple and a text a path; its strict mode would refuse both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_scalars_strict(schema)
        return schema


class TextSpec(Spec):
    """Chinese and English side by side; one may be missing."""

    zh: str | None = None
    en: str | None = None


Name = Annotated[TextSpec, BeforeValidator(_both_languages), WithJsonSchema(_NAME_SCHEMA)]
"""`{zh: …, en: …}`, or one text for both."""


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


class AddressSpec(Spec):
    """Where a device is on its line and how it likes to be asked. A profile may give defaults for every field.

    `identity` names the fields that tell two devices on one line apart; a driver that leaves it out means all of them.
    An address without fields tells nothing apart, as where one server holds several devices.
    """

    identity: ClassVar[tuple[str, ...]] = ()


class PointSpec(Spec):
    """One point. A driver adds where it is found and how it is coded.

    `source` says where a profile's row comes from, or that it is unverified.
    """

    name: Name | None = None
    value: PointType = "number"
    unit: Annotated[str, BeforeValidator(_text_of_number), WithJsonSchema({"type": ["string", "integer"]})] = "1"
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


StateValue = bool | int | str


def _states(value: object) -> tuple[StateValue, ...]:
    values = tuple(value) if isinstance(value, list) else (value,)
    if not values or not all(isinstance(one, (bool, int, str)) for one in values):
        raise ValueError("not a state; write true, false, the name of a state, or a list of them")
    return values


_STATE_SCHEMA = {"type": ["boolean", "integer", "string"]}
States = Annotated[
    tuple[StateValue, ...],
    PlainValidator(_states),
    WithJsonSchema({"anyOf": [_STATE_SCHEMA, {"type": "array", "items": _STATE_SCHEMA, "minItems": 1}]}),
]


class AlarmSpec(Spec):
    """One alarm on one point of the device it is written at. Exactly one condition."""

    point: Annotated[str, Field(description="the id of one of the device's points")]
    limit: Annotated[dict[LevelName, float], Field(min_length=1)] | None = None
    state: States | None = None
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

    @model_validator(mode="after")
    def _one_condition(self) -> AlarmSpec:
        if (self.limit is None) == (self.state is None):
            found = "no condition" if self.limit is None else "two conditions, limit and state"
            raise ValueError(f"{found}; write exactly one, such as limit: {{H: 30}} or state: true")
        return self


class DeviceSpec(Spec):
    """One device. Its address, points and alarms are judged with the protocol of its line."""

    name: Name | None = None
    system: DottedId | None = None
    line: Annotated[str, Field(description="the id of a line in lines.yaml")]
    profile: str | None = None
    address: dict[str, Any] = Field(default_factory=dict)
    place: PlaceSpec = PlaceSpec()
    poll: PollSpec = PollSpec()
    points: dict[DottedId, dict[str, Any]] = Field(default_factory=dict)
    omit: list[str] = Field(default_factory=list)
    alarms: dict[Id, dict[str, Any]] = Field(default_factory=dict)
    maker: str | None = None
    model: str | None = None


class SecretSpec(Spec):
    """Where a secret is. Exactly one of the three."""

    credential: str | None = None
    file: str | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SecretSpec:
        if sum(source is not None for source in (self.credential, self.file, self.env)) != 1:
            raise ConcealedError("not one source; write exactly one of credential, file and env")
        return self


class UplinkSpec(Spec):
    """One way to the platform. Several brokers are tried one after the other."""

    brokers: Annotated[
        list[Annotated[Broker, PlainValidator(_broker), WithJsonSchema({"type": "string", "pattern": "^mqtts?://"})]],
        Field(min_length=1, description="[mqtt://HOST:PORT]"),
    ]
    mqtt: Annotated[
        Literal["5", "3.1.1"], BeforeValidator(_text_of_number), WithJsonSchema({"enum": ["5", "3.1.1", 5]})
    ] = "5"
    client_id: Annotated[str, Field(pattern=r"^[^\s#+/]{1,64}$")] | None = None
    user: str | None = None
    password: Annotated[SecretSpec, BeforeValidator(_no_plain_secret)] | None = None
    keep_alive: Annotated[Duration, Field(ge=5, le=300)] = 15.0
    window: Annotated[int, Field(ge=1, le=1000)] = 32
    backlog_rate: Annotated[float, Field(gt=0)] = 200.0


class JournalSpec(Spec):
    """The journal folder and its limits. A relative path is relative to the configuration folder."""

    path: Path = Path("/var/lib/wardgate/journal")
    size_max: Size = 2_000_000_000
    keep: Duration = 30 * 86400.0
    telemetry_window: Annotated[Duration, Field(ge=0.01, le=60)] = 1.0


class GatewaySpec(Spec):
    """`gateway.yaml`."""

    site: Annotated[Id, Field(description="a short id of the hospital, such as h01")]
    gateway: Annotated[Id, Field(description="a short id of this gateway, unique in the site, such as gw-1")]
    name: Name | None = None
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    topic_root: Annotated[str, Field(pattern=TOPIC_ROOT)] = "wardgate/v1"
    type_prefix: Annotated[str, Field(pattern=TYPE_PREFIX)] = "wardgate."
    control_socket: Path = Path("/run/wardgate/control.sock")
    journal: JournalSpec = JournalSpec()
    poll: PollSpec = PollSpec()
    uplinks: dict[Id, UplinkSpec] = Field(default_factory=dict)


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
    """The three settings types of one protocol, handed to `config.load` by the driver registry."""

    line: type[LineSpec]
    address: type[AddressSpec]
    point: type[PointSpec]
