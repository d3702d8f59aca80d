"""Chiller, air handling unit and the clean operating room. Pure: `dt`, `t` and what they depend on come in."""

from __future__ import annotations

from dataclasses import dataclass

from hardware_mocks.signals import Noise, Points, approach, day

OFF, STARTING, RUNNING, STOPPING, FAULT = 1, 2, 3, 4, 5
"""Modes of the chiller, as its multi-state value counts them."""

AUTO_RESET_S = 2.0
START_S = 4.0
FAN_RESTART_S = 3.0

OXYGEN_KPA = 415.0
OXYGEN_LOW_KPA = 285.0
OXYGEN_ALARM_KPA = 328.0


@dataclass
class Chiller:
    """Trips when its supply goes, resets by itself two seconds after the supply is back, then starts again."""

    mode: int = RUNNING
    in_mode_s: float = 0.0
    fed_s: float = 60.0
    tripped: bool = False
    load_pct: float = 64.0
    supply_c: float = 7.0
    condenser_c: float = 30.0
    head_kpa: float = 168.0

    def step(self, dt: float, fed: bool) -> None:
        self.fed_s = self.fed_s + dt if fed else 0.0
        self.in_mode_s += dt
        self._advance(fed)
        running = self.mode == RUNNING
        self.load_pct = approach(self.load_pct, 64.0 if running else 0.0, dt, 3.0)
        self.supply_c = approach(self.supply_c, 7.0 if running else 14.0, dt, 12.0 if running else 40.0)
        self.condenser_c = approach(self.condenser_c, 30.0 if running else 27.0, dt, 60.0)
        self.head_kpa = approach(self.head_kpa, 168.0 if self._pumping else 0.0, dt, 1.0)

    @property
    def _pumping(self) -> bool:
        return self.mode in {STARTING, RUNNING}

    def _advance(self, fed: bool) -> None:
        if self.mode != FAULT and (self.tripped or not fed):
            self._enter(FAULT)
        elif self.mode == FAULT and not self.tripped and self.fed_s >= AUTO_RESET_S:
            self._enter(STARTING)
        elif self.mode == STARTING and self.in_mode_s >= START_S:
            self._enter(RUNNING)

    def _enter(self, mode: int) -> None:
        self.mode = mode
        self.in_mode_s = 0.0

    @property
    def input_kw(self) -> float:
        return self.load_pct * 1.9 + (11.0 if self._pumping else 0.0)

    def points(self, noise: Noise, t: float) -> Points:
        load = max(0.0, self.load_pct * (1.0 + 0.03 * noise.at("chl.load", t, 15.0)))
        supply = self.supply_c + 0.15 * noise.at("chl.t", t, 30.0)
        return {
            "t_chws": supply,
            "t_chwr": supply + 0.08 * load,
            "t_cws": self.condenser_c + 0.2 * noise.at("chl.c", t, 45.0),
            "t_cwr": self.condenser_c + 0.07 * load,
            "dp_chw": max(0.0, self.head_kpa * (1.0 + 0.01 * noise.at("chl.dp", t, 5.0))),
            "load_pct": load,
            "p_in": self.input_kw,
            "run": self.mode == RUNNING,
            "fault": self.mode == FAULT,
            "flow_sw": self.head_kpa > 60.0,
            "mode": self.mode,
        }


@dataclass
class AirHandler:
    """The unit that serves fire zone 3: smoke stops its fan, as a lost supply does."""

    able_s: float = 60.0
    hz: float = 42.0
    smoke: bool = False
    fault: bool = False
    frozen: bool = False

    def step(self, dt: float, fed: bool, smoke: bool) -> None:
        self.smoke = smoke
        able = fed and not (smoke or self.fault or self.frozen)
        self.able_s = self.able_s + dt if able else 0.0
        self.hz = approach(self.hz, 42.0 if self.running else 0.0, dt, 1.5)

    @property
    def running(self) -> bool:
        return self.able_s >= FAN_RESTART_S

    def points(self, noise: Noise, t: float, water_c: float) -> Points:
        flow = (self.hz / 42.0) ** 2
        outside = 21.0 + 6.0 * day(t) + 0.5 * noise.at("ahu.oa", t, 300.0)
        demand = 38.0 + 10.0 * day(t) + 4.0 * noise.at("ahu.vlv", t, 50.0)
        return {
            "t_sa": 14.5 + 0.35 * (water_c - 7.0) + 0.2 * noise.at("ahu.sa", t, 35.0),
            "t_ra": 23.6 + 0.2 * noise.at("ahu.ra", t, 60.0),
            "t_oa": outside,
            "rh_sa": 82.0 + 1.5 * noise.at("ahu.rhsa", t, 50.0),
            "rh_ra": 51.0 + 1.5 * noise.at("ahu.rhra", t, 70.0),
            "co2_ra": 690.0 + 60.0 * day(t) + 25.0 * noise.at("ahu.co2", t, 90.0),
            "dp_f1": 95.0 * flow * (1.0 + 0.02 * noise.at("ahu.f1", t, 6.0)),
            "dp_hepa": 215.0 * flow * (1.0 + 0.02 * noise.at("ahu.hepa", t, 6.0)),
            "p_duct": 380.0 * flow * (1.0 + 0.02 * noise.at("ahu.duct", t, 5.0)),
            "vfd_hz": self.hz,
            "vlv_cw": demand if self.running else 0.0,
            "vlv_hw": 0.0,
            "run": self.running,
            "fault": self.fault,
            "freeze": self.frozen,
            "smoke": self.smoke,
        }


@dataclass
class OperatingRoom:
    """A clean operating room in use, with its medical gases and its panel."""

    oxygen_short: bool = False
    leaking: bool = False
    earth_fault: bool = False
    o2_kpa: float = OXYGEN_KPA
    dp_pa: float = 11.0
    air: float = 1.0
    iso_kohm: float = 870.0

    def step(self, dt: float, fed: bool) -> None:
        self.o2_kpa = approach(self.o2_kpa, OXYGEN_LOW_KPA if self.oxygen_short else OXYGEN_KPA, dt, 1.5)
        self.air = approach(self.air, 1.0 if fed else 0.0, dt, 2.5)
        self.dp_pa = approach(self.dp_pa, 2.5 if self.leaking else 11.0 * self.air, dt, 3.0)
        self.iso_kohm = approach(self.iso_kohm, 31.0 if self.earth_fault else 870.0, dt, 0.8)

    def points(self, noise: Noise, t: float, ups_on_battery: bool) -> Points:
        return {
            "t": 22.4 + 0.25 * noise.at("or.t", t, 80.0) + 0.8 * (1.0 - self.air),
            "rh": 48.0 + 1.2 * noise.at("or.rh", t, 70.0),
            "dp": max(0.0, self.dp_pa + 0.6 * noise.at("or.dp", t, 6.0)),
            "co2": 640.0 + 30.0 * noise.at("or.co2", t, 60.0),
            "pm25": 6.0 + 1.5 * noise.at("or.pm", t, 40.0) + 6.0 * (1.0 - self.air),
            "hcho": 0.024 + 0.004 * noise.at("or.hcho", t, 90.0),
            "hepa_dp": 148.0 * self.air**2 * (1.0 + 0.015 * noise.at("or.hepa", t, 7.0)),
            "o2_p": self.o2_kpa + 2.0 * noise.at("or.o2", t, 9.0),
            "air_p": 418.0 + 2.5 * noise.at("or.air", t, 11.0),
            "vac_p": 61.0 + 1.0 * noise.at("or.vac", t, 13.0),
            "n2o_p": 402.0 + 2.0 * noise.at("or.n2o", t, 12.0),
            "n2_p": 955.0 + 4.0 * noise.at("or.n2", t, 14.0),
            "co2_p": 398.0 + 2.0 * noise.at("or.co2p", t, 15.0),
            "tvoc": 0.11 + 0.02 * noise.at("or.tvoc", t, 75.0),
            "pc_05": 260_000.0 + 20_000.0 * noise.at("or.pc05", t, 50.0) + 900_000.0 * (1.0 - self.air),
            "pc_5": 1_900.0 + 200.0 * noise.at("or.pc5", t, 55.0) + 9_000.0 * (1.0 - self.air),
            "in_use": True,
            "ahu_run": self.air > 0.5,
            "ahu_fault": False,
            "gas_alarm": self.o2_kpa < OXYGEN_ALARM_KPA,
            "iso_alarm": self.iso_kohm < 50.0,
            "ups_alarm": ups_on_battery,
            "iso_r": self.iso_kohm * (1.0 + 0.02 * noise.at("or.iso", t, 20.0)),
            "duty": 2,
        }
