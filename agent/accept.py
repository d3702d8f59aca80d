"""The configuration as the daemon takes it: the files say nothing wrong, and every driver can plan its line.

Opens nothing. Shared by the daemon and by `check`, so that what passes the check starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.errors import ConfigInvalid, ConfigProblem
from config.load import load, locate
from drivers import registry

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from config.model import Config
    from drivers.contract import Driver


def accept(folder: Path, clock: Clock) -> tuple[Config, list[Driver]]:
    """The configuration, and a driver for each of its lines. Raises `ConfigInvalid` with everything found."""
    config = load(folder, registry.protocols())
    drivers, problems = [], []
    for line in config.lines:
        try:
            drivers.append(registry.build(line, clock))
        except ConfigProblem as problem:
            problems.append(locate(folder, line.id, problem))
    if problems:
        raise ConfigInvalid(problems, config.warnings)
    return config, drivers
