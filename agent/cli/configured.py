"""What `check` says of a configuration, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.events import Names
from config.model import Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.errors import ConfigInvalid, Problem
    from config.model import Alarm, Config


class ProblemView(msgspec.Struct, frozen=True):
    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str


class Unconfirmed(msgspec.Struct, frozen=True):
    """An alarm that does not run until somebody confirms what it depends on."""

    alarm_id: str
    colours: list[Colour]
    text: Names
    depends_on: Names


class Verdict(msgspec.Struct, frozen=True):
    """What `check --json` prints; the counts are 0 where the configuration cannot be used."""

    problems: list[ProblemView]
    warnings: list[ProblemView]
    version: str = ""
    lines: int = 0
    devices: int = 0
    points: int = 0
    alarms: int = 0
    unconfirmed: list[Unconfirmed] = []


def praise(config: Config) -> Verdict:
    return Verdict(
        problems=[],
        warnings=views(config.warnings),
        version=config.version,
        lines=len(config.lines),
        devices=len(config.devices),
        points=sum(len(device.all_points) for device in config.devices),
        alarms=sum(len(device.alarms) for device in config.devices),
        unconfirmed=[_waiting(alarm) for device in config.devices for alarm in device.unconfirmed],
    )


def blame(invalid: ConfigInvalid) -> Verdict:
    return Verdict(problems=views(invalid.problems), warnings=views(invalid.warnings))


def views(problems: Sequence[Problem]) -> list[ProblemView]:
    return [ProblemView(one.file, one.line, one.column, one.field, one.message, one.hint) for one in problems]


def _waiting(alarm: Alarm) -> Unconfirmed:
    depends_on = alarm.depends_on or alarm.text
    return Unconfirmed(
        alarm.id,
        list(alarm.colours),
        Names(zh=alarm.text.zh, en=alarm.text.en),
        Names(zh=depends_on.zh, en=depends_on.en),
    )
