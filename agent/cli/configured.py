"""What `check` says of a configuration, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from config.errors import ConfigInvalid, Problem
    from config.model import Config


class ProblemView(msgspec.Struct, frozen=True):
    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str


class Verdict(msgspec.Struct, frozen=True):
    """What `check --json` prints; the counts are 0 where the configuration cannot be used."""

    problems: list[ProblemView]
    warnings: list[ProblemView]
    version: str = ""
    lines: int = 0
    devices: int = 0
    points: int = 0
    alarms: int = 0


def praise(config: Config) -> Verdict:
    return Verdict(
        problems=[],
        warnings=_views(config.warnings),
        version=config.version,
        lines=len(config.lines),
        devices=len(config.devices),
        points=sum(len(device.points) for device in config.devices),
        alarms=sum(len(device.alarms) for device in config.devices),
    )


def blame(invalid: ConfigInvalid) -> Verdict:
    return Verdict(problems=_views(invalid.problems), warnings=_views(invalid.warnings))


def _views(problems: tuple[Problem, ...]) -> list[ProblemView]:
    return [ProblemView(one.file, one.line, one.column, one.field, one.message, one.hint) for one in problems]
