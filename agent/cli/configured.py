"""The configuration as the daemon would take it: files and drivers both content.

Slow to import, so verbs do it late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.clock import SystemClock
from config.errors import ConfigInvalid, ConfigProblem
from config.load import load, locate
from drivers import registry

if TYPE_CHECKING:
    from pathlib import Path

    from config.errors import Problem
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


def accepted(folder: Path) -> Config:
    """Load it and let every driver plan its line; opens nothing. Raises `ConfigInvalid` with everything found."""
    config = load(folder, registry.protocols())
    problems = []
    for line in config.lines:
        try:
            registry.build(line, SystemClock())
        except ConfigProblem as problem:
            problems.append(locate(folder, line.id, problem))
    if problems:
        raise ConfigInvalid(problems, config.warnings)
    return config


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
