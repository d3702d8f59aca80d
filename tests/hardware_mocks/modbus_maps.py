"""The register maps of the example hospital, as the makers document them or as its site has them. Pure.

Written from the makers' lists and not from the gateway's profiles, so that one can find the other's mistakes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hardware_mocks.modbus_annex import ANNEX_MAPS
from hardware_mocks.modbus_registers import (
    Bits,
    DeviceMap,
    Encode,
    Field,
    Registers,
    below_zero,
    constant,
    contacts,
    number,
    text,
    words,
)

if TYPE_CHECKING:
    from hardware_mocks.signals import Points

# Schneider PM5300: float32, energy as int64 in Wh; not available is NaN, 0x8000… or 0x8000 in a word.

NAN_WORD = 0x7FC0


def _pm_float(name: str) -> Encode:
    return number(">f", name, 1.0, float("nan"))


def _pm_energy(name: str) -> Encode:
    return number(">q", name, 1000.0, -(1 << 63))


PM_FLOATS = {
    2999: "i_a", 3001: "i_b", 3003: "i_c", 3005: "i_n", 3009: "i_avg",
    3019: "u_ab", 3021: "u_bc", 3023: "u_ca",
    3027: "u_an", 3029: "u_bn", 3031: "u_cn",
    3053: "p_a", 3055: "p_b", 3057: "p_c", 3059: "p",
    3067: "q", 3075: "s", 3083: "pf", 3109: "f",
}  # fmt: skip

PM5300 = Registers(
    spans=(range(29, 140), range(2699, 3400)),
    fields=(
        Field(29, text("LV main incomer", 20)),
        Field(49, text("PM5320", 20)),
        Field(69, text("Schneider Electric", 20)),
        Field(89, constant(struct.pack(">H", 15_272))),
        Field(129, constant(struct.pack(">I", 20_231_107))),
        *(Field(address, _pm_float(name)) for address, name in PM_FLOATS.items()),
        Field(3203, _pm_energy("ep_imp")),
        Field(3207, _pm_energy("ep_exp")),
    ),
    gap=lambda address: 0x8000 if address < 2699 else (NAN_WORD if address % 2 else 0),
)


# Deep Sea GenComm: page * 256 + offset; -1 is not implemented, -4 a failed transducer.


def _gencomm(layout: str, name: str, scale: float = 1.0) -> Encode:
    return number(layout, name, scale, below_zero(layout, 4))


GENCOMM_ALARMS = {"estop": (0, 12), "oil_low": (0, 8), "cool_high": (0, 4), "start_fail": (3, 8)}
"""Register after 39425, and shift of the nibble, of each alarm that shuts the set down."""


def _alarms(points: Points) -> bytes:
    """Four nibbles a register: 1 healthy, 2 warning, 3 shutdown, 4 trip."""
    words = [0x1111] * 8
    for name, (register, shift) in GENCOMM_ALARMS.items():
        if points[name]:
            words[register] |= 3 << shift
    return struct.pack(">8H", *words)


GENCOMM = Registers(
    spans=(range(768, 2048), range(39_424, 39_680)),
    fields=(
        Field(768, constant(struct.pack(">2H", 1, 32_800))),
        Field(772, _gencomm(">H", "mode")),
        Field(1024, _gencomm(">H", "oil_p")),
        Field(1025, _gencomm(">h", "t_cool")),
        Field(1027, _gencomm(">H", "fuel_pct")),
        Field(1029, _gencomm(">H", "batt_v", 10.0)),
        Field(1030, _gencomm(">H", "rpm")),
        Field(1031, _gencomm(">H", "f", 10.0)),
        *(Field(1032 + 2 * n, _gencomm(">I", f"u_{phase}n", 10.0)) for n, phase in enumerate("abc")),
        *(Field(1044 + 2 * n, _gencomm(">I", f"i_{phase}", 10.0)) for n, phase in enumerate("abc")),
        Field(1408, _gencomm(">H", "state")),
        Field(1536, _gencomm(">i", "p", 1000.0)),
        Field(1798, _gencomm(">I", "run_h", 3600.0)),
        Field(1800, _gencomm(">I", "ep", 10.0)),
        Field(39_424, constant(struct.pack(">H", 32))),
        Field(39_425, _alarms),
    ),
    gap=lambda _: 0xFFFF,
)


# APC Smart-UPS: binary scales, 2^-n.

APC_STATUS_BITS = {"online": 1, "battery": 2, "bypass": 3, "off": 4, "fault": 5, "input_bad": 6, "overload": 21}


def _apc_status(points: Points) -> bytes:
    return struct.pack(">I", sum(1 << bit for name, bit in APC_STATUS_BITS.items() if points[name]))


def _apc_bit(name: str, bit: int) -> Encode:
    return lambda points: struct.pack(">H", (1 << bit) if points[name] else 0)


def _apc(layout: str, name: str, bits: int) -> Encode:
    return number(
        layout, name, float(1 << bits), -1 if layout[-1].islower() else (1 << 8 * struct.calcsize(layout)) - 1
    )


SMART_UPS = Registers(
    spans=(range(180),),
    fields=(
        Field(0, _apc_status),
        Field(18, _apc_bit("shutdown_imminent", 1)),
        Field(22, _apc(">H", "bat_error", 0)),
        Field(128, _apc(">I", "bat_runtime", 0)),
        Field(130, _apc(">H", "bat_soc", 9)),
        Field(131, _apc(">h", "bat_v", 5)),
        Field(135, _apc(">h", "bat_t", 7)),
        Field(136, _apc(">H", "load_pct", 8)),
        Field(140, _apc(">H", "out_i", 5)),
        Field(142, _apc(">H", "out_u", 6)),
        Field(144, _apc(">H", "out_f", 7)),
        Field(151, _apc(">H", "in_u", 6)),
    ),
    gap=lambda _: 0xFFFF,
)


FIRE_BITS = Bits(
    span=range(64),
    points=dict(
        enumerate(["fire", "prealarm", "fault", "disabled", "supervisory", "mains_fault", "batt_fault", "test"])
    )
    | {15 + zone: f"zone_{zone}" for zone in range(1, 9)},
)
FIRE_WORDS = Registers(
    spans=(range(8),),
    fields=(Field(0, number(">H", "zones_in_alarm", 1.0, 0xFFFF)),),
    gap=lambda _: 0,
)

# Transformer controller, gas box, gas detector, refrigerator: maps of the site, words and contacts from 0 on.

GAS_CHANNELS = range(1, 5)


TRANSFORMER = DeviceMap({
    2: contacts("fan_run", "fan_fault", "sensor_fault", "ot_alarm", "ot_trip", "door_open"),
    3: words(">h", 10.0, "t_wa", "t_wb", "t_wc", "t_core"),
})  # fmt: skip
GAS_BOX = DeviceMap({
    2: contacts("alarm", "sensor_fault"),
    3: words(">H", 1.0, "o2_p", "air_p", "n2o_p", "co2_p", "n2_p", "vac_p"),
})  # fmt: skip
GAS_DETECTOR = DeviceMap({
    2: contacts(*(f"ch_{n}.{kind}" for n in GAS_CHANNELS for kind in ("al", "ah", "fault"))),
    3: words(">H", 10.0, *(f"ch_{n}.gas" for n in GAS_CHANNELS)),
})  # fmt: skip
REFRIGERATOR = DeviceMap({2: contacts("door", "power", "alarm"), 3: words(">h", 100.0, "t_1", "t_2")})

# Grundfos CIM: input registers, all ones is "not available".


def _cim(layout: str, name: str, scale: float = 1.0) -> Encode:
    return number(layout, name, scale, (1 << 8 * struct.calcsize(layout)) - 1)


def _cim_status(points: Points) -> bytes:
    return struct.pack(">H", sum(1 << bit for bit, name in ((9, "on"), (10, "fault"), (11, "warn")) if points[name]))


CIM = Registers(
    spans=(range(20, 32), range(200, 360)),
    fields=(
        Field(23, constant(struct.pack(">H", 1))),
        Field(200, _cim_status),
        Field(205, _cim(">H", "alarm_code")),
        Field(300, _cim(">H", "head", 10.0)),
        Field(301, _cim(">H", "fl", 10.0)),
        Field(303, _cim(">H", "rpm")),
        Field(304, _cim(">H", "hz", 10.0)),
        Field(308, _cim(">H", "i", 10.0)),
        Field(311, _cim(">I", "p", 1000.0)),
        Field(326, _cim(">I", "run_h")),
        Field(331, _cim(">I", "ep")),
        Field(333, _cim(">I", "starts")),
    ),
    gap=lambda _: 0xFFFF,
)

# The air monitor: an XY-MD02 for temperature and humidity, and beside it the gases, in the same row of input registers.

AIR = Registers(
    spans=(range(1, 6),),
    fields=(
        Field(1, number(">h", "t", 10.0, 0x7FFF)),
        Field(2, number(">H", "rh", 10.0, 0xFFFF)),
        Field(3, number(">H", "co2", 1.0, 0xFFFF)),
        Field(4, number(">H", "pm25", 1.0, 0xFFFF)),
        Field(5, number(">H", "hcho", 1000.0, 0xFFFF)),
    ),
    gap=lambda _: 0,
)

MAPS: dict[str, DeviceMap] = ANNEX_MAPS | {
    "lv-main": DeviceMap({3: PM5300}, identification=("Schneider Electric", "METSEPM5320", "02.01.01")),
    "gen-1": DeviceMap({3: GENCOMM}),
    "ups-1": DeviceMap({3: SMART_UPS}),
    "fire-panel": DeviceMap({2: FIRE_BITS, 4: FIRE_WORDS}),
    "tx-1": TRANSFORMER,
    "pump-1": DeviceMap({4: CIM}),
    "medgas-1": GAS_BOX,
    "gas-1": GAS_DETECTOR,
    "cold-1": REFRIGERATOR,
    "air-1": DeviceMap({4: AIR}),
}
