"""Which BACnet objects the three devices have: the tables of the README, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One object. `decimals` is the resolution of an analog value, `states` the texts of a multi-state value."""

    kind: str
    instance: int
    point: str
    unit: str = ""
    decimals: int = 2
    states: tuple[str, ...] = ()

    @property
    def identifier(self) -> tuple[str, int]:
        return self.kind, self.instance


def _numbered(kind: str, items: str) -> tuple[Item, ...]:
    """`point unit [decimals]`, separated by commas, numbered from 1."""
    rows = [row.split() for row in items.split(",")]
    return tuple(Item(kind, n, row[0], row[1], int(row[2]) if row[2:] else 2) for n, row in enumerate(rows, start=1))


def _binary(names: str) -> tuple[Item, ...]:
    return tuple(Item("binary-input", n, name) for n, name in enumerate(names.split(), start=1))


def _states(instance: int, point: str, states: str) -> Item:
    return Item("multi-state-value", instance, point, states=tuple(states.split()))


CELSIUS, PERCENT, PASCALS = "degrees-celsius", "percent", "pascals"

OBJECTS: dict[str, tuple[Item, ...]] = {
    "chiller-1": (
        *_numbered(
            "analog-input",
            f"t_chws {CELSIUS}, t_chwr {CELSIUS}, t_cws {CELSIUS}, t_cwr {CELSIUS},"
            f"dp_chw kilopascals 1, load_pct {PERCENT} 1, p_in kilowatts 1",
        ),
        *_binary("run fault flow_sw"),
        _states(1, "mode", "off starting running stopping fault"),
    ),
    "ahu-1": (
        *_numbered(
            "analog-input",
            f"t_sa {CELSIUS}, t_ra {CELSIUS}, t_oa {CELSIUS},"
            "rh_sa percent-relative-humidity 1, rh_ra percent-relative-humidity 1, co2_ra parts-per-million 0,"
            f"dp_f1 {PASCALS} 1, dp_hepa {PASCALS} 1, p_duct {PASCALS} 1, vfd_hz hertz 1",
        ),
        *_numbered("analog-value", f"vlv_cw {PERCENT} 1, vlv_hw {PERCENT} 1"),
        *_binary("run fault freeze smoke"),
    ),
    "lift-1": (
        _states(
            1,
            "mode",
            "normal vip homing parking attendant fire_service emergency_power inspection earthquake fire_operation"
            " out_of_service evacuation",
        ),
        _states(2, "dir", "unknown none stopped up down up_and_down"),
        _states(3, "door_car", "unknown none closed opening open closing limited"),
        *_numbered("analog-value", f"floor_no no-units 0, speed meters-per-second, load_pct {PERCENT} 0"),
        *_binary("alarm_bell entrap fault power door_zone"),
    ),
}
