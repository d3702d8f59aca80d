"""Where each simulated device stands: the table of the README, as data.

The servers bind by it and tests find their devices by it. `NET` is a loopback /24 such as `127.77.0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProtocolName = Literal["modbus", "bacnet", "opcua"]

PROTOCOLS: tuple[ProtocolName, ...] = ("modbus", "bacnet", "opcua")


@dataclass(frozen=True, slots=True)
class Place:
    """`number` is the Modbus unit or the BACnet device instance; OPC UA has none. `profile` is the one that is shipped
    for it. What is in the annex is served too, but is no part of the example configuration.
    """

    protocol: ProtocolName
    host: int
    port: int
    number: int = 0
    profile: str = ""
    in_annex: bool = False

    def address(self, net: str) -> tuple[str, int]:
        return f"{net}.{self.host}", self.port


PLACES: dict[str, Place] = {
    "lv-main": Place("modbus", 11, 1502, 1, "schneider-pm5300"),
    "gen-1": Place("modbus", 12, 1502, 10, "deepsea-gencomm"),
    "ups-1": Place("modbus", 13, 1502, 1, "apc-smart-ups"),
    "fire-panel": Place("modbus", 14, 1502, 1, "fire-panel-gateway"),
    "tx-1": Place("modbus", 15, 1502, 1, "template-transformer"),
    "pump-1": Place("modbus", 16, 1502, 1, "grundfos-cim"),
    "medgas-1": Place("modbus", 17, 1502, 1, "template-medical-gas"),
    "gas-1": Place("modbus", 18, 1502, 1, "template-gas-detector"),
    "cold-1": Place("modbus", 19, 1502, 1),
    "air-1": Place("modbus", 20, 1502, 1, "xy-md02"),
    "chiller-1": Place("bacnet", 21, 47821, 1001, "bacnet-chiller"),
    "ahu-1": Place("bacnet", 22, 47822, 1002, "bacnet-ahu"),
    "lift-1": Place("bacnet", 23, 47823, 1003, "bacnet-lift"),
    "or-1": Place("opcua", 31, 4840, profile="opcua-operating-room"),
    "lv-2": Place("modbus", 41, 1502, 1, "eastron-sdm630", in_annex=True),
    "lv-3": Place("modbus", 42, 1502, 1, "chint-dtsu666", in_annex=True),
    "lv-4": Place("modbus", 43, 1502, 1, "abb-meter", in_annex=True),
    "lv-5": Place("modbus", 44, 1502, 1, "acrel-adw300", in_annex=True),
    "gen-2": Place("modbus", 45, 1502, 1, "comap-intelilite4", in_annex=True),
    "gen-3": Place("modbus", 46, 1502, 1, "smartgen-hgm4000", in_annex=True),
    "ups-2": Place("modbus", 47, 1502, 1, "huawei-ups2000", in_annex=True),
    "contacts-1": Place("modbus", 48, 1502, 1, "moxa-iologik-e1210", in_annex=True),
    "contacts-2": Place("modbus", 49, 1502, 1, "advantech-adam-6050", in_annex=True),
    "or-2": Place("modbus", 50, 1502, 1, "template-operating-room", in_annex=True),
    "vav-1": Place("bacnet", 24, 47824, 1004, "bacnet-vav", in_annex=True),
    "fire-bas": Place("bacnet", 25, 47825, 1005, "bacnet-life-safety", in_annex=True),
    "lift-3": Place("bacnet", 26, 47826, 1006, "bacnet-lift-object", in_annex=True),
    "esc-1": Place("bacnet", 27, 47827, 1007, "bacnet-escalator", in_annex=True),
    "lift-2": Place("modbus", 51, 1502, 1, "template-elevator", in_annex=True),
}


def devices_of(protocol: ProtocolName) -> tuple[str, ...]:
    return tuple(name for name, place in PLACES.items() if place.protocol == protocol)
