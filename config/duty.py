"""What alarms ask of people, and when they are not to call anybody: responses by colour, and maintenance.

Resolved and frozen, as `config.model`, of which these are parts. Names that end in `_s` are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.model import Alarm, Colour

Preset = Literal["fire-test"]


@dataclass(frozen=True, slots=True)
class Response:
    """What a colour asks of people: OPC UA severity (1 to 1000), who responds, and when an acknowledgement is overdue.

    `ack_within_s` are seconds since the alarm called, rising: each of them is said once.
    """

    priority: int
    severity: int
    level: str
    ack_within_s: tuple[float, ...] = ()


RESPONSE: Mapping[Colour, Response] = {
    "red": Response(1, 900, "I", (60.0, 180.0, 300.0)),
    "orange": Response(2, 700, "II", (300.0,)),
    "yellow": Response(3, 500, "III", (1800.0,)),
    "blue": Response(4, 250, "work_list"),
}
"""Unless `gateway.yaml` says otherwise: I hospital command, II duty leaders, III duty engineer, else the work list."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which alarms are meant: those that have one of the values of each trait that is named; at least one is."""

    device: frozenset[str] = frozenset()
    system: frozenset[str] = frozenset()
    building: frozenset[str] = frozenset()
    floor: frozenset[str] = frozenset()
    space: frozenset[str] = frozenset()

    def named(self) -> list[tuple[str, frozenset[str]]]:
        """The traits that matter, with their values."""
        traits = ("device", "system", "building", "floor", "space")
        return [(trait, getattr(self, trait)) for trait in traits if getattr(self, trait)]

    def means(self, alarm: Alarm) -> bool:
        return all(self.trait(alarm, trait) in wanted for trait, wanted in self.named())

    @staticmethod
    def trait(alarm: Alarm, trait: str) -> str:
        """The alarm's own value of it."""
        value: str = getattr(alarm if trait in ("device", "system") else alarm.place, trait)
        return value


PRESETS: Mapping[Preset, Scope] = {"fire-test": Scope(system=frozenset({"fire"}))}
"""Maintenance with a name. In a fire test the alarms of the fire system are told as a test; nothing is hidden."""


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """Maintenance that comes again and again, at `start_minute` of the local day, for `duration_s`.

    It comes on `weekdays` (0 is Monday) in the `weeks` of a month, or on `days` of the month; empty is every one. What
    is meant is hidden by design, or with `is_test` marked as a test only, as what must never be hidden always is.
    """

    id: str
    scope: Scope
    start_minute: int
    duration_s: float
    reason: str
    weekdays: frozenset[int] = frozenset()
    weeks: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    is_test: bool = False
