"""The fire panel's Modbus gateway: what the panel shows. It latches until it is reset. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware_mocks.signals import Points

ZONES = range(1, 9)
MAINS_FAULT_S = 1.5


@dataclass
class FirePanel:
    zones: set[int] = field(default_factory=set)
    prealarm: bool = False
    fault: bool = False
    mains_fault: bool = False

    def raise_zone(self, zone: int) -> None:
        self.zones.add(zone)
        self.prealarm = True

    def reset(self) -> None:
        self.zones.clear()
        self.prealarm = False

    def step(self, dead_s: float) -> None:
        self.mains_fault = dead_s >= MAINS_FAULT_S

    def points(self) -> Points:
        points: Points = {
            "fire": bool(self.zones),
            "prealarm": self.prealarm,
            "fault": self.fault or self.mains_fault,
            "disabled": False,
            "supervisory": False,
            "mains_fault": self.mains_fault,
            "batt_fault": False,
            "test": False,
            "zones_in_alarm": len(self.zones),
        }
        points.update({f"zone_{zone}": zone in self.zones for zone in ZONES})
        return points
