"""Kinds of values in the configuration files: ids, durations, texts, broker addresses, references to secrets.

Each says what it accepts, what it becomes, and how an editor's schema describes it. Which file has which is in
`config.files`. A validator raises `ValueError("what is wrong; what to write instead")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal
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
from config.outward import Broker
from config.units import POLL_CLASSES, POLL_S_MIN, pace, seconds, size_bytes

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

ID = r"^[a-z0-9_-]{1,40}$"
DOTTED_ID = r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$"
TOPIC_ROOT = r"^[^#+/\s]+(/[^#+/\s]+)*$"
HOST_NAME = r"^[A-Za-z0-9_.:-]{1,253}$"
TYPE_PREFIX = r"^([a-z0-9-]+\.)+$"

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


def _own_address(text: str) -> str:
    hint = "write an address of this machine, such as 10.1.3.5 (ip address lists them)"
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"not an IP address; {hint}") from None
    if address.is_unspecified:
        raise ValueError(f"{text} is every interface; {hint}")
    return text


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

PollInterval = Annotated[float, BeforeValidator(seconds), Field(ge=POLL_S_MIN), WithJsonSchema(_DURATION_SCHEMA)]

Pace = Annotated[str | float, PlainValidator(pace), WithJsonSchema(_PACE_SCHEMA)]
"""A poll class letter, or a duration held as seconds."""

Size = Annotated[int, BeforeValidator(size_bytes), Field(ge=1_000_000), WithJsonSchema(_SIZE_SCHEMA)]
"""`500MB`, `2GB`, `1GiB`; held as bytes."""


OwnAddress = Annotated[str, AfterValidator(_own_address), Field(description="this machine's own, such as 10.1.3.5")]
"""Where connections leave from."""


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


class KeySpec(Spec):
    """Where a private key is: a PEM file without a passphrase. Exactly one of the two."""

    file: str | None = None
    credential: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> KeySpec:
        if (self.file is None) == (self.credential is None):
            raise ValueError("not one source; write exactly one of file and credential")
        return self


def _key_by_reference(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("not a reference; write {file: PATH} or {credential: NAME}")  # noqa: TRY004 (pydantic collects ValueError only)
    return value


KeyReference = Annotated[KeySpec, BeforeValidator(_key_by_reference)]

Password = Annotated[SecretSpec, BeforeValidator(_no_plain_secret)]
BrokerAddress = Annotated[Broker, PlainValidator(_broker), WithJsonSchema({"type": "string", "pattern": "^mqtts?://"})]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Unit = Annotated[str, BeforeValidator(_text_of_number), WithJsonSchema({"type": ["string", "integer"]})]
MqttVersion = Annotated[
    Literal["5", "3.1.1"], BeforeValidator(_text_of_number), WithJsonSchema({"enum": ["5", "3.1.1", 5]})
]
