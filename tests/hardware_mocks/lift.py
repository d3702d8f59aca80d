"""One lift with twelve landings: trips, emergency power, fire recall, a trapped passenger. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware_mocks.signals import Noise, Points

NORMAL, EMERGENCY_POWER, FIRE_OPERATION, OUT_OF_SERVICE = 1, 7, 10, 11
STOPPED, UP, DOWN = 3, 4, 5
CLOSED, OPENING, OPEN, CLOSING = 3, 4, 5, 6
"""Enumerations of the README, which are those of the BACnet Lift object."""

TOP_FLOOR = 12
RATED_MPS = 1.75
FLOOR_M = 4.0
DOOR_S = 1.4
DWELL_S = 2.5
FOLLOWING = {OPENING: (DOOR_S, OPEN), CLOSING: (DOOR_S, CLOSED)}


@dataclass
class Lift:
    """Begins on its way down from the seventh landing. Anything but normal service sends it to the first."""

    position: float = 7.0
    target: int = 2
    trip: int = 0
    door: int = CLOSED
    in_door_s: float = 0.0
    speed_mps: float = 0.0
    mode: int = NORMAL
    powered: bool = True
    trapped: bool = False
    load_pct: float = 0.0

    def step(self, dt: float, noise: Noise, powered: bool, emergency: bool, fire: bool) -> None:
        self.powered = powered
        self.mode = FIRE_OPERATION if fire else EMERGENCY_POWER if emergency else NORMAL
        self.in_door_s += dt
        if not powered or self.trapped:
            self.speed_mps = 0.0
        elif self.door == CLOSED:
            self._travel(dt)
        else:
            self._move_door(noise)

    def _travel(self, dt: float) -> None:
        if self.mode != NORMAL:
            self.target = 1
        distance = self.target - self.position
        reach = RATED_MPS / FLOOR_M * dt
        if abs(distance) <= reach:
            self.position = float(self.target)
            self.speed_mps = 0.0
            self._turn(OPENING)
            return
        direction = 1.0 if distance > 0 else -1.0
        self.position += direction * reach
        self.speed_mps = direction * min(RATED_MPS, 0.4 + abs(distance) * 1.5)

    def _move_door(self, noise: Noise) -> None:
        if self.door == OPEN:
            if self.in_door_s >= DWELL_S and self._wanted_elsewhere():
                self._depart(noise)
            return
        lasts_s, following = FOLLOWING[self.door]
        if self.in_door_s >= lasts_s:
            self._turn(following)

    def _wanted_elsewhere(self) -> bool:
        return self.mode == NORMAL or self.position != 1.0

    def _depart(self, noise: Noise) -> None:
        self.trip += 1
        drawn = noise.choice("lift.floor", self.trip, 1, TOP_FLOOR - 1)
        self.target = drawn if drawn < round(self.position) else drawn + 1
        self.load_pct = float(noise.choice("lift.load", self.trip, 0, 70))
        self._turn(CLOSING)

    def _turn(self, door: int) -> None:
        self.door = door
        self.in_door_s = 0.0

    @property
    def direction(self) -> int:
        if self.speed_mps == 0.0:
            return STOPPED
        return UP if self.speed_mps > 0 else DOWN

    def points(self) -> Points:
        return {
            "mode": self.mode,
            "dir": self.direction,
            "door_car": self.door,
            "floor_no": round(self.position),
            "speed": abs(self.speed_mps),
            "load_pct": self.load_pct,
            "alarm_bell": self.trapped,
            "entrap": self.trapped,
            "fault": self.trapped,
            "power": self.powered,
            "door_zone": abs(self.position - round(self.position)) < 0.05,
        }
