"""What a step of the rules takes, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.rules.commands import AlarmCommand, MaintenanceCommand
from agent.rules.succession import NewConfiguration
from drivers.contract import Reading

if TYPE_CHECKING:
    from agent.events import DeviceCondition, Event
    from agent.rules.maintenance import Change, Entry


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """A device came, went or got worse."""

    device: str
    state: DeviceCondition


@dataclass(frozen=True, slots=True)
class Step:
    """What one step gave. `states` must be stored in the same transaction as `events`.

    `derived` are the readings of the points that are computed from the one that was taken; they are judged already.
    `maintenance` is what a command about maintenance began or ended, `by_clock` what began or ended by itself.
    """

    events: list[Event]
    states: dict[str, bytes]
    next_due: float | None
    derived: list[Reading] = field(default_factory=list)
    maintenance: Entry | None = None
    by_clock: list[Change] = field(default_factory=list)


Item = Reading | AlarmCommand | MaintenanceCommand | DeviceChange | NewConfiguration | Tick
