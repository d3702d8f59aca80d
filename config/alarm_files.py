"""The grammar of the places where alarms may be written: a device, a file in `alarms/`, a shipped pack.

All three hold the same alarms (`config.files.AlarmSpec`). Which devices a selector means is `config.selectors`, how the
places come together `config.alarm_places`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from config.fields import DottedId, Id, Spec, TextSpec
from config.model import COLOURS, BasisStatus, Colour

ALARM_KEY = r"^[a-z0-9_{}-]{1,40}$"
"""An id, in which `{n}` may stand for the number of a point that there are several of."""

AlarmKey = Annotated[str, Field(pattern=ALARM_KEY)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _day(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("not a day; write year-month-day, such as 2026-11-22") from None


def _schema_of_several(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


Names = Annotated[
    list[str], BeforeValidator(_listed), Field(min_length=1), WithJsonSchema(_schema_of_several({"type": "string"}))
]
"""One name, or a list of them."""

Colours = Annotated[
    list[Colour],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(_schema_of_several({"enum": list(COLOURS)})),
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class BasisSpec(Spec):
    """Where a limit comes from, and how far we have seen it with our own eyes."""

    source: Annotated[str, Field(min_length=1)]
    status: BasisStatus


class ConfirmationSpec(Spec):
    """Who has confirmed a limit for this site, and when."""

    name: Annotated[str, Field(min_length=1)]
    date: Day


def _signed(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("no day; write {name: WHO, date: 2026-11-22}")  # noqa: TRY004 (pydantic collects ValueError only)
    return value


Confirmation = Annotated[ConfirmationSpec, BeforeValidator(_signed)]


class AlarmsSpec(Spec):
    """Alarms at one place, by key: its own ones, and those of packs, of which some are changed or left out."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[AlarmKey, dict[str, Any]] = Field(init=False)

    pack: Names = Field(default_factory=list)
    omit: list[str] = Field(default_factory=list)
    override: dict[AlarmKey, dict[str, Any]] = Field(default_factory=dict)

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """What is written out here, as it is written."""
        return self.__pydantic_extra__ or {}


class PlaceSelectSpec(Spec):
    """Places; what is left out does not matter."""

    building: Names | None = None
    floor: Names | None = None
    space: Names | None = None
    risk: Colours | None = None


class SelectSpec(Spec):
    """Which devices are meant: all that have one of the named values in each of the named fields."""

    device: Names | None = None
    system: Names | None = None
    profile: Names | None = None
    place: PlaceSelectSpec | None = None

    @model_validator(mode="after")
    def _some_condition(self) -> SelectSpec:
        if not any(value is not None for _, value in self):
            raise ValueError("no condition; write at least one of device, system, profile and place")
        return self


class RuleSpec(Spec):
    """The same alarms for every device that is selected."""

    select: Annotated[SelectSpec, Field(description="{system: or}, or device, profile, place")]
    alarms: Annotated[AlarmsSpec, Field(description="ALARM: {point: …}, or pack: …")]


class AlarmsFile(Spec):
    """A file in `alarms/`."""

    rules: Annotated[dict[Id, RuleSpec], Field(min_length=1, description="RULE: {select: …, alarms: …}")]


class PackFile(Spec):
    """A shipped pack: the alarms of one system, with limits to begin with. Its name is the file's name."""

    system: DottedId
    name: TextSpec
    alarms: Annotated[dict[AlarmKey, dict[str, Any]], Field(min_length=1, description="ALARM: {point: …}")]
