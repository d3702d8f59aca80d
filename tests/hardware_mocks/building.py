"""The smaller systems of the building: transformer, water pump, medical gas box, gas detector, cold store, air monitor.

Pure: `dt`, `t` and whether there is power come in.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware_mocks.signals import Noise, Points, approach, day

FAN_ON_CEL, FAN_OFF_CEL = 90.0, 80.0
HOT_CEL, TRIP_CEL = 130.0, 150.0
DRY_RUNNING = 57
"""The pump maker's alarm code."""

GAS_LOW_PCT, GAS_HIGH_PCT = 25.0, 50.0
CHANNELS = (1, 2, 3, 4)
LEAKING_CHANNEL = 2
COLD_LIMIT_CEL = 8.0


@dataclass
class Transformer:
    """Dry type with a temperature controller: fans at 90 Cel, alarm at 130."""

    overheating: bool = False
    winding_c: float = 68.0
    fan: bool = False

    def step(self, dt: float, fed: bool) -> None:
        self.winding_c = approach(self.winding_c, 145.0 if self.overheating else (68.0 if fed else 30.0), dt, 1.5)
        self.fan = self.winding_c > (FAN_OFF_CEL if self.fan else FAN_ON_CEL)

    def points(self, noise: Noise, t: float) -> Points:
        hot = {f"t_w{phase}": self.winding_c + 1.5 * noise.at(f"tx.{phase}", t, 60.0) for phase in "abc"}
        return {
            **hot,
            "t_core": self.winding_c + 4.0,
            "fan_run": self.fan,
            "fan_fault": False,
            "sensor_fault": False,
            "ot_alarm": max(hot.values()) > HOT_CEL,
            "ot_trip": max(hot.values()) > TRIP_CEL,
            "door_open": False,
        }


@dataclass
class Pump:
    """A booster set that runs while it has power and water; it starts again by itself."""

    dry: bool = False
    running: bool = True
    starts: int = 412
    run_s: float = 31_000_000.0
    energy_kwh: float = 52_000.0

    def step(self, dt: float, fed: bool) -> None:
        runs = fed and not self.dry
        self.starts += runs and not self.running
        self.running = runs
        if runs:
            self.run_s += dt
            self.energy_kwh += 6.3 * dt / 3600.0

    def points(self, noise: Noise, t: float) -> Points:
        effort = (1.0 + 0.02 * noise.at("pump", t)) if self.running else 0.0
        return {
            "on": self.running,
            "fault": self.dry,
            "warn": False,
            "alarm_code": DRY_RUNNING if self.dry else 0,
            "head": 320.0 * effort,
            "fl": 38.0 * effort,
            "rpm": 2_820.0 * effort,
            "hz": 47.0 * effort,
            "i": 12.4 * effort,
            "p": 6.3 * effort,
            "run_h": self.run_s / 3600.0,
            "ep": self.energy_kwh,
            "starts": self.starts,
        }


PRESSURES_KPA = {"o2_p": 415.0, "air_p": 410.0, "n2o_p": 405.0, "co2_p": 400.0, "n2_p": 800.0, "vac_p": 55.0}


@dataclass
class GasBox:
    """The area alarm box of a ward: pressures of its gases, vacuum positive below the air around."""

    short: bool = False
    oxygen_kpa: float = PRESSURES_KPA["o2_p"]

    def step(self, dt: float) -> None:
        self.oxygen_kpa = approach(self.oxygen_kpa, 290.0 if self.short else PRESSURES_KPA["o2_p"], dt, 0.8)

    def points(self, noise: Noise, t: float) -> Points:
        found: Points = {name: kpa + 2.0 * noise.at(f"gas.{name}", t) for name, kpa in PRESSURES_KPA.items()}
        oxygen = self.oxygen_kpa + 2.0 * noise.at("gas.o2_p", t)
        return found | {"o2_p": oxygen, "alarm": oxygen < 320.0, "sensor_fault": False}


@dataclass
class GasDetector:
    """Four channels in the store of solvents; the second one is where it leaks."""

    leaking: bool = False
    level_pct: float = 1.0

    def step(self, dt: float) -> None:
        self.level_pct = approach(self.level_pct, 34.0 if self.leaking else 1.0, dt, 2.0)

    def points(self, noise: Noise, t: float) -> Points:
        found: Points = {}
        for n in CHANNELS:
            level = max(0.0, (self.level_pct if n == LEAKING_CHANNEL else 1.0) + 0.5 * noise.at(f"ch_{n}", t))
            found |= {
                f"ch_{n}.gas": level,
                f"ch_{n}.al": level >= GAS_LOW_PCT,
                f"ch_{n}.ah": level >= GAS_HIGH_PCT,
                f"ch_{n}.fault": False,
            }
        return found


@dataclass
class ColdStore:
    """A blood refrigerator with two sensors; it warms up when its door stays open, slowly."""

    door: bool = False
    air_c: float = 4.0
    powered: bool = True

    def step(self, dt: float, fed: bool) -> None:
        self.powered = fed
        warm = self.door or not fed
        self.air_c = approach(self.air_c, 12.0 if warm else 4.0, dt, 20.0 if self.door else 600.0 if warm else 30.0)

    def points(self, noise: Noise, t: float) -> Points:
        upper = self.air_c + 0.4 + 0.15 * noise.at("cold.upper", t, 90.0)
        return {
            "t_1": upper,
            "t_2": self.air_c - 0.2 + 0.15 * noise.at("cold.lower", t, 90.0),
            "door": self.door,
            "power": self.powered,
            "alarm": upper > COLD_LIMIT_CEL,
        }


@dataclass
class AirMonitor:
    """What people breathe in the waiting hall; crowded, it grows stale."""

    crowded: bool = False
    co2_ppm: float = 640.0

    def step(self, dt: float) -> None:
        self.co2_ppm = approach(self.co2_ppm, 1_450.0 if self.crowded else 640.0, dt, 5.0)

    def points(self, noise: Noise, t: float) -> Points:
        return {
            "t": 23.5 + 0.8 * day(t) + 0.2 * noise.at("air.t", t, 120.0),
            "rh": 51.0 + 2.0 * noise.at("air.rh", t, 120.0),
            "co2": self.co2_ppm + 20.0 * noise.at("air.co2", t, 40.0),
            "pm25": 18.0 + 4.0 * noise.at("air.pm25", t, 60.0),
            "hcho": 0.03 + 0.005 * noise.at("air.hcho", t, 60.0),
        }
