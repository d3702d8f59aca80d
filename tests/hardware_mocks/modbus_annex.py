"""The register maps of the annex: devices that the example hospital does not have, but that a profile reads. Pure.

Written from the makers' lists and not from the gateway's profiles, as those in `modbus_maps`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hardware_mocks.modbus_registers import Bits, DeviceMap, Encode, Field, Registers, constant, contacts, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardware_mocks.signals import Points

ONES = {">H": 0xFFFF, ">I": 0xFFFF_FFFF, ">Q": (1 << 64) - 1, ">h": 0x7FFF, ">i": 0x7FFF_FFFF}
"""All ones; where the number has a sign, the largest."""


def _fields(layout: str, scale: float, missing: float, names: Mapping[int, str]) -> tuple[Field, ...]:
    return tuple(Field(address, number(layout, name, scale, missing)) for address, name in names.items())


def _bit_words(names: Mapping[tuple[int, int], str]) -> tuple[Field, ...]:
    """Single bits, by register and number."""
    return tuple(
        Field(address, _bit_word({bit: name for (at, bit), name in names.items() if at == address}))
        for address in {address for address, _ in names}
    )


def _bit_word(names: Mapping[int, str]) -> Encode:
    def encode(points: Points) -> bytes:
        return struct.pack(">H", sum(1 << bit for bit, name in names.items() if points[name]))

    return encode


def _zero(_: int) -> int:
    return 0


NAN = float("nan")

# Eastron SDM630: float32 in pairs of input registers from 0 on, power in W; not more than 80 registers a request.

SDM630 = Registers(
    spans=(range(400),),
    fields=(
        *_fields(">f", 1.0, NAN, {0: "u_an", 2: "u_bn", 4: "u_cn", 6: "i_a", 8: "i_b", 10: "i_c"}),
        *_fields(">f", 1000.0, NAN, {12: "p_a", 14: "p_b", 16: "p_c", 52: "p", 56: "s", 60: "q"}),
        *_fields(">f", 1.0, NAN, {30: "pf_a", 32: "pf_b", 34: "pf_c", 62: "pf", 70: "f", 72: "ep_imp", 74: "ep_exp"}),
        *_fields(">f", 1.0, NAN, {234: "thdu_a", 236: "thdu_b", 238: "thdu_c", 342: "ep_total"}),
    ),
    gap=_zero,
    count_max=80,
)

# Chint DTSU666: float32 that have to be divided; tenths of a volt, thousandths of an ampere, tenths of a watt.

DTSU666 = Registers(
    spans=(range(0x101E, 0x1030), range(0x2000, 0x2060)),
    fields=(
        *_fields(">f", 10.0, NAN, {0x2006: "u_an", 0x2008: "u_bn", 0x200A: "u_cn"}),
        *_fields(">f", 1000.0, NAN, {0x200C: "i_a", 0x200E: "i_b", 0x2010: "i_c", 0x202A: "pf"}),
        *_fields(">f", 10_000.0, NAN, {0x2012: "p"}),
        *_fields(">f", 100.0, NAN, {0x2044: "f"}),
        *_fields(">f", 1.0, NAN, {0x101E: "ep_imp", 0x1028: "ep_exp"}),
    ),
    gap=_zero,
)

# ABB A/B series: integers; all ones, or the largest with a sign, is "no value".

ABB = Registers(
    spans=(range(0x5000, 0x5200), range(0x5B00, 0x5C00)),
    fields=(
        *_fields(">I", 10.0, ONES[">I"], {0x5B00: "u_an", 0x5B02: "u_bn", 0x5B04: "u_cn"}),
        *_fields(">I", 100.0, ONES[">I"], {0x5B0C: "i_a", 0x5B0E: "i_b", 0x5B10: "i_c"}),
        *_fields(">i", 100_000.0, ONES[">i"], {0x5B14: "p"}),
        *_fields(">H", 100.0, ONES[">H"], {0x5B2C: "f"}),
        *_fields(">h", 1000.0, ONES[">h"], {0x5B3A: "pf"}),
        *_fields(">Q", 100.0, ONES[">Q"], {0x5000: "ep_imp"}),
    ),
    gap=lambda _: 0xFFFF,
)

# Acrel ADW300: words for voltage and current, double words for power in W and energy in 0.01 kWh.

ADW300 = Registers(
    spans=(range(100),),
    fields=(
        *_fields(">H", 10.0, 0, {20: "u_an", 21: "u_bn", 22: "u_cn"}),
        *_fields(">H", 100.0, 0, {26: "i_a", 27: "i_b", 28: "i_c"}),
        *_fields(">i", 1000.0, 0, {30: "p_a", 32: "p_b", 34: "p_c", 36: "p"}),
        *_fields(">I", 100.0, 0, {62: "ep_imp", 64: "ep_exp"}),
    ),
    gap=_zero,
)

# ComAp InteliLite4: a request that touches anything between these registers is refused; 0x8000 is "no value".

COMAP_WORDS = {
    1004: ("rpm", 1.0), 1006: ("t_cool", 1.0), 1008: ("oil_p", 0.1), 1020: ("p", 1.0), 1036: ("f", 10.0),
    1037: ("u_an", 1.0), 1038: ("u_bn", 1.0), 1039: ("u_cn", 1.0),
    1043: ("i_a", 1.0), 1044: ("i_b", 1.0), 1045: ("i_c", 1.0),
    1053: ("batt_v", 10.0), 1055: ("fuel_pct", 1.0),
}  # fmt: skip

INTELILITE = Registers(
    spans=(*(range(address, address + 1) for address in COMAP_WORDS), range(1036, 1040), range(1043, 1046),
           range(1263, 1265), range(1298, 1299)),
    fields=(
        *(Field(address, number(">h", name, scale, -0x8000)) for address, (name, scale) in COMAP_WORDS.items()),
        *_fields(">I", 1.0, 0, {1263: "ep"}),
        *_fields(">H", 1.0, 0, {1298: "state_code"}),
    ),
    gap=_zero,
)  # fmt: skip

# SmartGen HGM4000: coils for the states; in words 32766 is an open sensor, 32767 "there is none".

SENSOR_OPEN = 32_766
HGM4000_COILS = Bits(
    span=range(0x80),
    points={
        0x00: "alarm", 0x01: "warn", 0x02: "shutdown", 0x08: "estop", 0x11: "start_fail", 0x12: "cool_high",
        0x13: "oil_low", 0x16: "fuel_low", 0x29: "auto", 0x40: "mains_fault",
    },
)  # fmt: skip
HGM4000 = Registers(
    spans=(range(0x30),),
    fields=(
        *_fields(">H", 1.0, SENSOR_OPEN, {0: "mains_u_an", 1: "mains_u_bn", 2: "mains_u_cn"}),
        *_fields(">H", 1.0, SENSOR_OPEN, {7: "u_an", 8: "u_bn", 9: "u_cn", 0x0E: "i_a", 0x0F: "i_b", 0x10: "i_c"}),
        *_fields(">H", 1.0, SENSOR_OPEN, {0x13: "oil_p", 0x15: "fuel_pct", 0x17: "rpm"}),
        *_fields(">H", 10.0, SENSOR_OPEN, {6: "mains_f", 0x0D: "f", 0x18: "batt_v"}),
        *_fields(">h", 1.0, SENSOR_OPEN, {0x11: "t_cool", 0x1A: "p"}),
    ),
    gap=lambda _: 32_767,
)

# Huawei UPS2000: tenths, runtime in s; alarms are bits of a register each.

UPS2000 = Registers(
    spans=(range(11_000, 11_030), range(12_000, 12_010), range(40_150, 40_190)),
    fields=(
        *_fields(">H", 10.0, 0x7FFF, {11_000: "in_u", 11_003: "in_f", 11_008: "out_u", 11_011: "out_i"}),
        *_fields(">H", 10.0, 0x7FFF, {11_015: "out_p", 11_021: "load_pct", 11_027: "t_ups", 12_000: "bat_v"}),
        *_fields(">H", 1.0, 0xFFFF, {11_024: "mode", 12_003: "bat_soc"}),
        *_fields(">I", 1.0, ONES[">I"], {12_004: "bat_runtime"}),
        *_bit_words({
            (40_156, 3): "ot", (40_161, 1): "byp_u_fault", (40_164, 1): "bat_replace", (40_164, 3): "bat_low",
            (40_170, 4): "bat_disc", (40_173, 3): "overload_high", (40_173, 5): "overload",
            (40_182, 13): "overload_off",
        }),
    ),
    gap=_zero,
)  # fmt: skip

# Contact modules: input n is discrete input n (Moxa) or coil n (Advantech), whose counters have the low word first.


def _low_word_first(name: str) -> Encode:
    def encode(points: Points) -> bytes:
        high, low = divmod(int(points[name] or 0), 1 << 16)
        return struct.pack(">HH", low, high)

    return encode


IOLOGIK = contacts(*(f"di_{n}" for n in range(16)))
IOLOGIK_SYSTEM = Registers(spans=(range(5000, 5010),), fields=(Field(5000, text("E1210", 10)),), gap=_zero)
ADAM_COILS = contacts(*(f"di_{n}" for n in range(12)))
ADAM_COUNTERS = Registers(
    spans=(range(24), range(210, 214)),
    fields=(
        *(Field(2 * n, _low_word_first(f"count_{n}")) for n in range(12)),
        Field(210, constant(struct.pack(">H", 0x6050))),
    ),
    gap=_zero,
)

# Operating room panel and lift gateway: maps of the site, words and contacts from 0 on.

OR_PANEL = DeviceMap({
    2: contacts("in_use", "ahu_run", "ahu_fault", "gas_alarm", "iso_alarm", "ups_alarm"),
    3: Registers(
        spans=(range(16),),
        fields=(
            *_fields(">h", 10.0, ONES[">h"], {0: "t"}),
            *_fields(">H", 10.0, ONES[">H"], {1: "rh"}),
            *_fields(">h", 1.0, ONES[">h"], {2: "dp"}),
            *_fields(">H", 1.0, ONES[">H"], {3: "o2_p", 4: "n2o_p", 5: "air_p", 6: "vac_p"}),
        ),
        gap=_zero,
    ),
})  # fmt: skip
LIFT_GATEWAY = DeviceMap({
    2: contacts("alarm_bell", "entrap", "fault", "occupied", "door_zone", "power"),
    3: Registers(
        spans=(range(16),),
        fields=(
            *_fields(">H", 1.0, ONES[">H"], {0: "floor", 1: "mode"}),
            *_fields(">h", 100.0, ONES[">h"], {2: "speed"}),
            *_fields(">I", 1.0, ONES[">I"], {3: "trips"}),
        ),
        gap=_zero,
    ),
})  # fmt: skip

ANNEX_MAPS: dict[str, DeviceMap] = {
    "lv-2": DeviceMap({4: SDM630}),
    "lv-3": DeviceMap({3: DTSU666}),
    "lv-4": DeviceMap({3: ABB}),
    "lv-5": DeviceMap({3: ADW300}),
    "gen-2": DeviceMap({3: INTELILITE}),
    "gen-3": DeviceMap({1: HGM4000_COILS, 3: HGM4000}),
    "ups-2": DeviceMap({3: UPS2000}),
    "contacts-1": DeviceMap({2: IOLOGIK, 4: IOLOGIK_SYSTEM}),
    "contacts-2": DeviceMap({1: ADAM_COILS, 3: ADAM_COUNTERS}),
    "or-2": OR_PANEL,
    "lift-2": LIFT_GATEWAY,
}
