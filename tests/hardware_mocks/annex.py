"""The annex: the same plant seen through devices of other makers, so that every shipped profile has one to read.

Pure. It is no part of the example configuration; whoever tries a profile finds a device for it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware_mocks.hospital import Hospital
    from hardware_mocks.signals import Points

HUAWEI_OFF, HUAWEI_BYPASS, HUAWEI_ONLINE, HUAWEI_BATTERY = range(4)
FUEL_LOW_PCT = 20.0
CONTACTS = range(16)
PHASES = "abc"


def meter(hospital: Hospital) -> Points:
    """The mains incomer once more, with what the smaller meters show beside it."""
    points = hospital.power.meter(hospital.noise, hospital.t, hospital.chiller.input_kw)
    factors: Points = {f"pf_{phase}": points["pf"] for phase in PHASES}
    noise, t = hospital.noise, hospital.t
    distortion: Points = {f"thdu_{phase}": 1.8 + 0.2 * noise.at(f"lv.thd{phase}", t, 30.0) for phase in PHASES}
    return points | factors | distortion | {"ep_total": points["ep_imp"]}


def genset(hospital: Hospital) -> Points:
    """The generator, with the summaries and the mains measurement that other controllers have."""
    points = hospital.power.generator.points(hospital.noise, hospital.t)
    mains = meter(hospital)
    seen: Points = {f"mains_u_{phase}n": mains[f"u_{phase}n"] for phase in PHASES}
    failed = bool(points["start_fail"])
    return (
        points
        | seen
        | {
            "state_code": points["state"],
            "mains_f": mains["f"],
            "mains_fault": not hospital.power.mains,
            "auto": True,
            "alarm": failed,
            "warn": False,
            "shutdown": failed,
            "fuel_low": hospital.power.generator.fuel_pct < FUEL_LOW_PCT,
        }
    )


def ups(hospital: Hospital) -> Points:
    """The UPS, as a mode and numbers in place of status bits."""
    power = hospital.power
    points = power.ups.points(hospital.noise, hospital.t, power.busbar_v(hospital.noise, hospital.t))
    load = float(points["load_pct"] or 0.0)
    return points | {
        "mode": HUAWEI_BATTERY if points["battery"] else HUAWEI_ONLINE,
        "in_f": 50.0 if power.fed else None,
        "out_p": load * 0.02,
        "t_ups": 31.0 + 0.3 * hospital.noise.at("ups.inside", hospital.t, 120.0),
        "ot": False,
        "byp_u_fault": bool(points["input_bad"]),
        "bat_low": bool(points["shutdown_imminent"]),
        "bat_disc": False,
        "overload_high": False,
        "overload_off": False,
    }


def contacts(hospital: Hospital) -> Points:
    """Dry contacts from all over the building on one module, and how often each has closed."""
    panel = hospital.panel.points()
    transformer = hospital.transformer.points(hospital.noise, hospital.t)
    wired = (
        panel["fire"],
        panel["fault"],
        transformer["ot_alarm"],
        transformer["ot_trip"],
        hospital.pump.running,
        hospital.pump.dry,
        hospital.cold_store.door,
        hospital.power.mains,
    )
    closed = {f"di_{n}": bool(wired[n]) if n < len(wired) else False for n in CONTACTS}
    counted = {f"count_{n}": hospital.pump.starts if n == 4 else int(closed[f"di_{n}"]) for n in CONTACTS}
    return {**closed, **counted}


def room(hospital: Hospital) -> Points:
    """The operating room, behind a panel that speaks Modbus."""
    return hospital.room.points(hospital.noise, hospital.t, hospital.power.ups.on_battery)


def lift(hospital: Hospital) -> Points:
    """The lift, behind its maker's gateway."""
    points = hospital.lift.points()
    moving = {"occupied": hospital.lift.load_pct > 0.0, "trips": hospital.lift.trip}
    return points | moving | {"floor": points["floor_no"]}


def vav(hospital: Hospital) -> Points:
    """The VAV box of a consulting room, on the air handling unit."""
    noise, t = hospital.noise, hospital.t
    damper = 45.0 + 8.0 * noise.at("vav.dmp", t, 50.0)
    return {
        "t": 22.3 + 0.4 * noise.at("vav.t", t, 120.0),
        "fl": 6.5 * damper if hospital.ahu.running else 0.0,
        "rh": 49.0 + 2.0 * noise.at("vav.rh", t, 120.0),
        "co2": 620.0 + 40.0 * noise.at("vav.co2", t, 60.0),
        "sp_t": 22.0,
        "dmp": damper,
        "occ": True,
        "fault": False,
    }


QUIET, ALARM = 0, 2
"""BACnetLifeSafetyState."""


def detectors(hospital: Hospital) -> Points:
    """The fire panel once more, a detector for each of its zones, and two zones of four of them."""
    burning = hospital.panel.zones
    points: Points = {f"pt.{n}.state": ALARM if n in burning else QUIET for n in range(1, 9)}
    zones = {"pt.z1.state": range(1, 5), "pt.z2.state": range(5, 9)}
    return points | {name: ALARM if burning & set(of) else QUIET for name, of in zones.items()}


NO_SIGNAL = -1
STOPPED_OUTSIDE_LANDING = 8
STATIONARY, RATED_SPEED = 1, 5
STANDARD_MODES = {1: 1, 7: 7, 10: 11, 11: 12}
STANDARD_DOORS = {3: 0, 4: 7, 5: 1, 6: 6}
"""The numbers of the standard's Lift object for those of the lift's own gateway."""


def signal_point(name: str) -> str:
    """The point of one fault; overspeed has an alarm of its own."""
    return name if name == "overspeed" else f"fault_set.{name}"


def _signals(names: str, raised: int) -> Points:
    each: Points = {signal_point(name): number == raised for number, name in enumerate(names.split())}
    return {"fault": raised != NO_SIGNAL} | each


LIFT_SIGNALS = (
    "controller drive_and_motor governor_and_safety_gear shaft_device power_supply safety_interlock door_closing"
    " door_opening stopped_outside_landing_zone call_button_stuck start_failure controller_supply self_test_failure"
    " runtime_limit_exceeded position_lost drive_temperature load_measurement"
)
ESCALATOR_SIGNALS = (
    "controller drive_and_motor mechanical overspeed power_supply safety_device controller_supply drive_temperature"
    " comb_plate"
)
"""What the numbers of a fault list mean, from 0 on."""


def standard_lift(hospital: Hospital) -> Points:
    """The lift as the standard's Lift object says it."""
    points = hospital.lift.points()
    moving = hospital.lift.speed_mps != 0.0
    return {
        "alarm_bell": points["alarm_bell"],
        "mode": STANDARD_MODES[hospital.lift.mode],
        "dir": hospital.lift.direction - 1,
        "drive": RATED_SPEED if moving else STATIONARY,
        "door_car": STANDARD_DOORS[hospital.lift.door],
        "floor_no": points["floor_no"],
        "load_pct": points["load_pct"],
        **_signals(LIFT_SIGNALS, STOPPED_OUTSIDE_LANDING if hospital.lift.trapped else NO_SIGNAL),
    }


ESCALATOR_STOP, ESCALATOR_UP = 1, 2


def escalator(hospital: Hospital) -> Points:
    """An escalator that goes up while it has power."""
    fed = hospital.power.fed
    return {
        "alarm_bell": False,
        "mode": ESCALATOR_UP if fed else ESCALATOR_STOP,
        "dir": 2 if fed else 1,
        "power": fed,
        **_signals(ESCALATOR_SIGNALS, NO_SIGNAL),
    }
