"""Which BACnet objects the devices have: the tables of the README, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hardware_mocks.annex import ESCALATOR_SIGNALS, LIFT_SIGNALS, signal_point

PRESENT_VALUE, DOORS, SIGNALS = "present-value", "car-door-status", "fault-signals"


@dataclass(frozen=True, slots=True)
class Item:
    """One property of one object. `decimals` is the resolution of an analog value, `states` the texts of a multi-state
    value, `part` where the point is one element of an array, or one number that a list may hold.
    """

    kind: str
    instance: int
    point: str
    unit: str = ""
    decimals: int = 2
    states: tuple[str, ...] = ()
    name: str = PRESENT_VALUE
    part: int | None = None

    @property
    def where(self) -> str:
        """As the gateway's users write it down."""
        element = "[1]" if self.name == DOORS else ""
        return f"{self.kind},{self.instance}" + ("" if self.name == PRESENT_VALUE else f" {self.name}{element}")

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


def _properties(kind: str, rows: str) -> tuple[Item, ...]:
    """`point property`, separated by commas, of the one object of a kind."""
    return tuple(Item(kind, 1, *_named(row)) for row in rows.split(","))


def _named(row: str) -> tuple[str, str, int, tuple[str, ...], str]:
    point, name = row.split()
    return point, "", 0, (), name


def _signals(kind: str, names: str) -> tuple[Item, ...]:
    """Numbered from 0, each in the list or not; the first of all says whether there is one."""
    found = tuple(
        Item(kind, 1, signal_point(name), name=SIGNALS, part=number) for number, name in enumerate(names.split())
    )
    return (Item(kind, 1, "fault", name=SIGNALS), *found)


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
    "vav-1": (
        *_numbered(
            "analog-input",
            f"t {CELSIUS}, fl cubic-meters-per-hour 0, rh percent-relative-humidity 1, co2 parts-per-million 0",
        ),
        *_numbered("analog-value", f"sp_t {CELSIUS} 1, dmp {PERCENT} 1"),
        *_binary("occ fault"),
    ),
    "fire-bas": (
        *(Item("life-safety-point", n, f"pt.{n}.state") for n in range(1, 9)),
        *(Item("life-safety-zone", n, f"pt.z{n}.state") for n in range(1, 3)),
    ),
    "lift-3": (
        *_properties(
            "lift",
            "alarm_bell passenger-alarm, mode car-mode, dir car-moving-direction, drive car-drive-status,"
            f"door_car {DOORS}, floor_no car-position, load_pct car-load",
        ),
        *_signals("lift", LIFT_SIGNALS),
    ),
    "esc-1": (
        *_properties(
            "escalator",
            "alarm_bell passenger-alarm, mode escalator-mode, dir operation-direction, power power-mode",
        ),
        *_signals("escalator", ESCALATOR_SIGNALS),
    ),
}
