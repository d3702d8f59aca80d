"""The last configuration that ran: for a start that the one in the folder does not allow, and for what is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.accept import accept
from config.alone import state_folder
from config.errors import ConfigInvalid
from config.kept import KeptUnreadable, all_kept
from config.load import load
from drivers import registry

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from config.kept import Kept
    from config.model import Alarm, Config
    from drivers.contract import Driver


def last_good(folder: Path, clock: Clock, without: str = "") -> tuple[Config, list[Driver]] | None:
    """The newest that is kept and can be used, with its drivers; None where there is none.

    That of version `without` is the one that failed, and nothing older is tried: where what ran yesterday cannot start
    today either, it is not the configuration that is wrong.
    """
    for kept in reversed(_kept(folder)):
        if kept.version == without:
            return None
        try:
            return accept(folder, clock, kept.files())
        except (KeptUnreadable, ConfigInvalid):
            continue
    return None


def gone_since(config: Config) -> list[Alarm]:
    """Alarms that the last configuration that ran had, and this one has not. Nothing where that cannot be read."""
    try:
        newest = _kept(config.home.config)[-1]
        if newest.version == config.version:
            return []
        before = load(config.home.config, registry.protocols(), newest.files())
    except (IndexError, KeptUnreadable, ConfigInvalid):
        return []
    known = {alarm.id for alarm in config.alarms}
    return [alarm for alarm in before.alarms if alarm.id not in known]


def _kept(folder: Path) -> list[Kept]:
    try:
        return all_kept(state_folder(folder))
    except OSError:
        return []
