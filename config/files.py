"""The grammar: what may be written in each file of the configuration folder, as pydantic models.

Drivers subclass `LineSpec`, `AddressSpec` and `PointSpec` with their own fields and hand them over as a `Protocol`; so a
point is one flat mapping in the file, validated in one go, and one JSON Schema describes it. Unknown keys are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from config.model import PointType
from config.units import seconds

Duration = Annotated[float, BeforeValidator(seconds), Field(ge=0, json_schema_extra={"type": "string"})]
"""`500ms`, `10s`, `5min`, `1h`, `7d`, or a plain number of seconds; held as seconds."""


class Spec(BaseModel):
    """Base of everything that is written in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class TextSpec(Spec):
    """Chinese and English side by side; one may be missing."""

    zh: str | None = None
    en: str | None = None


class LineSpec(Spec):
    """One connection. A driver adds what it needs to open it."""

    protocol: str
    name: TextSpec | str | None = None
    timeout: Duration = 2.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1


class AddressSpec(Spec):
    """Where a device is on its line and how it likes to be asked. A profile may give defaults for every field."""


class PointSpec(Spec):
    """One point. A driver adds where it is found and how it is coded."""

    name: TextSpec | str | None = None
    value: PointType = "number"
    unit: str = "1"
    poll: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    states: dict[int, str] = Field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    deadband: Annotated[float, Field(ge=0)] = 0.0
    heartbeat: Duration = 300.0


@dataclass(frozen=True, slots=True)
class Protocol:
    """The three settings types of one protocol, handed to `config.load` by the driver registry."""

    line: type[LineSpec]
    address: type[AddressSpec]
    point: type[PointSpec]
