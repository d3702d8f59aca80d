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
    """`number` is the Modbus unit or the BACnet device instance; OPC UA has none."""

    protocol: ProtocolName
    host: int
    port: int
    number: int = 0

    def address(self, net: str) -> tuple[str, int]:
        return f"{net}.{self.host}", self.port


PLACES: dict[str, Place] = {
    "lv-main": Place("modbus", 11, 1502, 1),
    "gen-1": Place("modbus", 12, 1502, 10),
    "ups-1": Place("modbus", 13, 1502, 1),
    "fire-panel": Place("modbus", 14, 1502, 1),
    "tx-1": Place("modbus", 15, 1502, 1),
    "pump-1": Place("modbus", 16, 1502, 1),
    "medgas-1": Place("modbus", 17, 1502, 1),
    "gas-1": Place("modbus", 18, 1502, 1),
    "cold-1": Place("modbus", 19, 1502, 1),
    "air-1": Place("modbus", 20, 1502, 1),
    "chiller-1": Place("bacnet", 21, 47821, 1001),
    "ahu-1": Place("bacnet", 22, 47822, 1002),
    "lift-1": Place("bacnet", 23, 47823, 1003),
    "or-1": Place("opcua", 31, 4840),
}


def devices_of(protocol: ProtocolName) -> tuple[str, ...]:
    return tuple(name for name, place in PLACES.items() if place.protocol == protocol)
