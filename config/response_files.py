"""What may be written in `gateway.yaml` about people: what a colour asks of them, what the platform may order, and when
there is maintenance. What it comes to is `config.responses`'.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from config.alarm_files import Names  # noqa: TC001 (pydantic reads these at run time)
from config.duty import Preset  # noqa: TC001 (as above)
from config.fields import Duration, Spec

PlatformVerb = Literal[
    "ack",
    "shelve",
    "unshelve",
    "reset",
    "out-of-service",
    "in-service",
    "maintenance-start",
    "maintenance-end",
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAY_S = 86_400.0


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("not a time of day; write one such as 09:30")
    return text


TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]


class ResponseSpec(Spec):
    """What one colour asks of people. What is left out stays as it is for this colour."""

    priority: Annotated[int, Field(ge=1, le=4)] | None = None
    severity: Annotated[int, Field(ge=1, le=1000)] | None = None
    level: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    ack_within: Annotated[list[Annotated[Duration, Field(gt=0)]], Field(max_length=10)] | None = None


class MaintenancePlaceSpec(Spec):
    """Places; what is left out does not matter."""

    building: Names | None = None
    floor: Names | None = None
    space: Names | None = None


class MaintenanceSpec(Spec):
    """A window that comes again and again, in the time zone of the gateway. Without days it comes every day.

    `weekdays` with `weeks: [1]` is the first of them in each month; `days` are days of the month.
    """

    device: Names | None = None
    system: Names | None = None
    place: MaintenancePlaceSpec | None = None
    preset: Preset | None = None
    start: Annotated[TimeOfDay, Field(description='a time of day such as "09:30"')]
    duration: Annotated[Duration, Field(ge=60, le=DAY_S)]
    weekdays: list[Weekday] = Field(default_factory=list)
    weeks: list[Annotated[int, Field(ge=1, le=5)]] = Field(default_factory=list)
    days: list[Annotated[int, Field(ge=1, le=31)]] = Field(default_factory=list)
    reason: Annotated[str, Field(min_length=1, description="why, as operators read it")]

    @model_validator(mode="after")
    def _something_is_meant(self) -> MaintenanceSpec:
        selected = any(each is not None for each in (self.device, self.system, self.place))
        if selected == (self.preset is not None):
            found = "both a preset and a selection" if selected else "nothing is selected"
            raise ValueError(f"{found}; write device, system or place, or preset: fire-test")
        if self.weeks and not self.weekdays:
            raise ValueError("weeks without weekdays; write weekdays: [sat] beside it, or days")
        if self.days and self.weekdays:
            raise ValueError("days and weekdays; write one of them")
        return self
