"""Mains, generator, transfer switch, UPS and what the main meter sees of them. Pure: `dt` and `t` come in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto

from hardware_mocks.signals import Noise, Points, approach, day

NOMINAL_PHASE_V = 224.0
ROOT_3 = math.sqrt(3.0)
ESSENTIAL_KW = 185.0
OTHER_KW = 150.0

UPS_FULL_RUNTIME_S = 2_700.0
UPS_WALK_IN_S = 1.0
MAINS_PROVEN_S = 1.0


class Source(Enum):
    """What feeds the essential busbar."""

    NONE = auto()
    MAINS = auto()
    GENERATOR = auto()


class Phase(Enum):
    """Where the generator set is in its cycle. The second number is the engine state that its controller shows."""

    STOPPED = (0, 0)
    WAITING = (1, 0)
    PRE_START = (2, 1)
    CRANKING = (3, 1)
    WARMING = (4, 2)
    ON_LOAD = (5, 3)
    COOLING = (6, 4)
    FAILED = (7, 0)

    @property
    def shown(self) -> int:
        return self.value[1]


NEXT: dict[Phase, tuple[float, Phase]] = {
    Phase.WAITING: (2.0, Phase.PRE_START),
    Phase.PRE_START: (1.0, Phase.CRANKING),
    Phase.CRANKING: (1.5, Phase.WARMING),
    Phase.WARMING: (3.5, Phase.ON_LOAD),
    Phase.COOLING: (3.0, Phase.STOPPED),
}
"""How long a phase lasts and what follows: 3 s to the first crank, 8 s to the load."""

SPEED_RPM = {Phase.CRANKING: 180.0, Phase.WARMING: 1_500.0, Phase.ON_LOAD: 1_500.0, Phase.COOLING: 1_500.0}
RUNNING = frozenset({Phase.WARMING, Phase.ON_LOAD, Phase.COOLING})


@dataclass
class Generator:
    """A diesel set in automatic mode."""

    phase: Phase = Phase.STOPPED
    in_phase_s: float = 0.0
    blocked: bool = False
    rpm: float = 0.0
    oil_kpa: float = 0.0
    coolant_c: float = 42.0
    fuel_pct: float = 83.0
    load_kw: float = 0.0
    run_s: float = 1_284_300.0
    energy_kwh: float = 41_207.3

    def step(self, dt: float, mains_proven: bool) -> None:
        self.in_phase_s += dt
        self._advance(mains_proven)
        running = self.phase in RUNNING
        self.rpm = approach(self.rpm, SPEED_RPM.get(self.phase, 0.0), dt, 0.7)
        self.oil_kpa = approach(self.oil_kpa, 410.0 if running else 0.0, dt, 0.8)
        self.coolant_c = approach(self.coolant_c, 86.0 if running else 42.0, dt, 90.0)
        loaded = self.phase is Phase.ON_LOAD
        self.load_kw = approach(self.load_kw, ESSENTIAL_KW if loaded else 0.0, dt, 1.2 if loaded else 0.2)
        if running:
            self.run_s += dt
            self.fuel_pct -= dt * 0.004
        self.energy_kwh += self.load_kw * dt / 3600.0

    def _advance(self, mains_proven: bool) -> None:
        if self.phase is Phase.STOPPED and not mains_proven:
            self._enter(Phase.WAITING)
        elif mains_proven and self.phase in {Phase.WAITING, Phase.PRE_START, Phase.CRANKING}:
            self._enter(Phase.STOPPED)
        elif mains_proven and self.phase in {Phase.WARMING, Phase.ON_LOAD}:
            self._enter(Phase.COOLING)
        elif self.phase is Phase.COOLING and not mains_proven:
            self._enter(Phase.ON_LOAD)
        elif self.phase in NEXT and self.in_phase_s >= NEXT[self.phase][0]:
            self._enter(Phase.FAILED if self.blocked and self.phase is Phase.CRANKING else NEXT[self.phase][1])

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.in_phase_s = 0.0

    def block(self) -> None:
        """From now on it cranks in vain."""
        self.blocked = True

    def reset(self) -> None:
        """A person cleared the cause of the failed start and reset the controller."""
        self.blocked = False
        if self.phase is Phase.FAILED:
            self._enter(Phase.STOPPED)

    def points(self, noise: Noise, t: float) -> Points:
        share = max(0.0, (self.rpm - 900.0) / 600.0)
        volts = 230.0 * share
        amps = self.load_kw * 1000.0 / (3.0 * volts * 0.9) if volts > 100.0 else 0.0
        wobble = noise.at("gen", t, 6.0)
        points: Points = {
            "mode": 1,
            "state": self.phase.shown,
            "oil_p": self.oil_kpa * (1.0 + 0.01 * wobble),
            "t_cool": self.coolant_c + 0.3 * noise.at("gen.cool", t, 60.0),
            "fuel_pct": self.fuel_pct,
            "batt_v": (28.1 if self.phase in RUNNING else 26.6) + 0.05 * noise.at("gen.batt", t),
            "rpm": max(0.0, self.rpm + (4.0 * wobble if self.rpm > 100.0 else 0.0)),
            "f": self.rpm / 30.0 if share > 0.0 else 0.0,
            "p": self.load_kw * (1.0 + 0.02 * wobble),
            "run_h": self.run_s / 3600.0,
            "ep": self.energy_kwh,
            "estop": False,
            "oil_low": False,
            "cool_high": False,
            "start_fail": self.phase is Phase.FAILED,
            "brk_closed": self.phase is Phase.ON_LOAD,
        }
        for n, name in enumerate("abc"):
            points[f"u_{name}n"] = volts * (1.0 + 0.004 * noise.at(f"gen.u{n}", t, 9.0))
            points[f"i_{name}"] = amps * (1.0 + 0.02 * noise.at(f"gen.i{n}", t, 7.0))
        return points


@dataclass
class Ups:
    """An online UPS behind the essential busbar; it feeds controllers, panels and the operating room's rail."""

    soc_pct: float = 100.0
    on_battery: bool = False
    fed_s: float = 60.0
    battery_v: float = 27.3
    sag: float = 1.0
    battery_c: float = 25.0

    def step(self, dt: float, fed: bool) -> None:
        self.fed_s = self.fed_s + dt if fed else 0.0
        self.on_battery = self.fed_s < UPS_WALK_IN_S
        drain = 100.0 / UPS_FULL_RUNTIME_S if self.on_battery else -100.0 / (4 * 3600.0)
        self.soc_pct = min(100.0, max(0.0, self.soc_pct - drain * dt))
        self.battery_v = approach(self.battery_v, 24.6 if self.on_battery else 27.3, dt, 2.0)
        self.sag = approach(self.sag, 0.82 if self.on_battery else 1.0, dt, 6.0)
        self.battery_c = approach(self.battery_c, 31.0 if self.on_battery else 25.0, dt, 600.0)

    @property
    def runtime_s(self) -> float:
        return UPS_FULL_RUNTIME_S * self.soc_pct / 100.0 * self.sag

    def points(self, noise: Noise, t: float, input_v: float) -> Points:
        load = 46.0 + 4.0 * day(t) + 1.5 * noise.at("ups.load", t)
        return {
            "online": not self.on_battery,
            "battery": self.on_battery,
            "bypass": False,
            "off": False,
            "fault": False,
            "input_bad": input_v < 180.0,
            "overload": False,
            "shutdown_imminent": self.runtime_s < 120.0,
            "bat_replace": False,
            "bat_error": 0,
            "bat_runtime": self.runtime_s,
            "bat_soc": self.soc_pct,
            "bat_v": self.battery_v + 0.03 * noise.at("ups.bat", t),
            "bat_t": self.battery_c + 0.1 * noise.at("ups.t", t, 90.0),
            "load_pct": load,
            "out_i": load * 0.41,
            "out_u": 230.0 + 0.4 * noise.at("ups.u", t),
            "out_f": 50.0,
            "in_u": input_v,
        }


@dataclass
class Power:
    """The chain mains - transfer switch - essential busbar - UPS, and the meter on the mains incomer."""

    mains: bool = True
    mains_s: float = 60.0
    dead_s: float = 0.0
    import_kwh: float = 1_843_211.0
    generator: Generator = field(default_factory=Generator)
    ups: Ups = field(default_factory=Ups)

    @property
    def source(self) -> Source:
        if self.generator.phase is Phase.ON_LOAD:
            return Source.GENERATOR
        return Source.MAINS if self.mains else Source.NONE

    @property
    def fed(self) -> bool:
        return self.source is not Source.NONE

    def step(self, dt: float, cooling_kw: float, t: float) -> None:
        self.mains_s = self.mains_s + dt if self.mains else 0.0
        self.generator.step(dt, mains_proven=self._mains_proven())
        self.dead_s = 0.0 if self.fed else self.dead_s + dt
        self.ups.step(dt, self.fed)
        self.import_kwh += self.incomer_kw(cooling_kw, t) * dt / 3600.0

    def _mains_proven(self) -> bool:
        """A set that stands still starts at once; one that runs hands over only to mains that have stayed."""
        return self.mains and (self.generator.phase not in RUNNING or self.mains_s >= MAINS_PROVEN_S)

    def incomer_kw(self, cooling_kw: float, t: float) -> float:
        if not self.mains:
            return 0.0
        essential = ESSENTIAL_KW + cooling_kw if self.source is Source.MAINS else 0.0
        return essential + OTHER_KW * (1.0 + 0.15 * day(t))

    def busbar_v(self, noise: Noise, t: float) -> float:
        """The essential busbar, as the UPS sees it."""
        if self.source is Source.NONE:
            return 0.0
        return (230.0 if self.source is Source.GENERATOR else NOMINAL_PHASE_V) + 1.2 * noise.at("busbar", t)

    def meter(self, noise: Noise, t: float, cooling_kw: float) -> Points:
        total = self.incomer_kw(cooling_kw, t) * (1.0 + 0.015 * noise.at("lv.p", t, 8.0))
        factor = 0.94 + 0.01 * noise.at("lv.pf", t, 40.0)
        points: Points = {
            "p": total,
            "pf": factor if self.mains else None,
            "s": total / factor,
            "q": math.sqrt((total / factor) ** 2 - total**2),
            "f": 50.0 + 0.03 * noise.at("lv.f", t, 30.0) if self.mains else None,
            "ep_imp": self.import_kwh,
            "ep_exp": 0.0,
        }
        points.update(self._phases(noise, t, total, factor))
        return points

    def _phases(self, noise: Noise, t: float, total_kw: float, factor: float) -> Points:
        volts = [NOMINAL_PHASE_V + 1.5 * noise.at(f"lv.u{n}", t, 25.0) if self.mains else 0.0 for n in range(3)]
        shares = [total_kw / 3.0 * (1.0 + 0.03 * noise.at(f"lv.i{n}", t, 10.0)) for n in range(3)]
        amps = [kw * 1000.0 / (v * factor) if v else 0.0 for kw, v in zip(shares, volts, strict=True)]
        points: Points = {"i_n": (max(amps) - min(amps)) * 0.8, "i_avg": sum(amps) / 3.0}
        for name, volt, amp, kw in zip("abc", volts, amps, shares, strict=True):
            points.update({f"u_{name}n": volt, f"i_{name}": amp, f"p_{name}": kw})
        for name, n, m in (("ab", 0, 1), ("bc", 1, 2), ("ca", 2, 0)):
            points[f"u_{name}"] = (volts[n] + volts[m]) / 2.0 * ROOT_3
        return points
