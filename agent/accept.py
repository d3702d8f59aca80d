"""The configuration as the daemon takes it: the files say nothing wrong, and every driver can plan its line.

Opens nothing. Shared by the daemon and by `check`, so that what passes the check starts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.bus import Busy
from agent.latency import Late, latencies
from config.errors import ConfigInvalid, ConfigProblem
from config.load import Places, load
from drivers import registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.clock import Clock
    from config.model import Config
    from drivers.contract import Driver


def accept(folder: Path, clock: Clock, kept: Mapping[str, bytes] | None = None) -> tuple[Config, list[Driver]]:
    """The configuration, and a driver for each of its lines. Raises `ConfigInvalid` with everything found.

    With `kept` files nothing is read: these were once read from there.
    """
    config, drivers = plan(folder, clock, kept)
    places = Places(folder, registry.protocols(), kept)
    judges = (Busy(config, drivers), Late(config, latencies(config, drivers)))
    warnings = {places.locate(line, problem) for judge in judges for line, problem in judge.warnings()}
    problems = [places.locate(line, problem) for judge in judges for line, problem in judge.problems()]
    warnings |= {*config.warnings}
    if problems:
        raise ConfigInvalid(problems, warnings)
    return replace(config, warnings=tuple(sorted(warnings))), drivers


def plan(folder: Path, clock: Clock, kept: Mapping[str, bytes] | None = None) -> tuple[Config, list[Driver]]:
    """The same before it is asked whether lines have the time for it, and whether alarms are in time."""
    config = load(folder, registry.protocols(), kept)
    places = Places(folder, registry.protocols(), kept)
    drivers, problems = [], []
    for line in config.lines:
        try:
            drivers.append(registry.build(line, clock))
        except ConfigProblem as problem:
            problems.append(places.locate(line.id, problem))
    if problems:
        raise ConfigInvalid(problems, config.warnings)
    return config, drivers
