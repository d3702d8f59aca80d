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
