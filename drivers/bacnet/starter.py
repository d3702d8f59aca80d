"""What a beginner is told about BACnet in a new configuration. See `config.starter.Starter`."""

from __future__ import annotations

from typing import Any

DEVICES = """\
#
#   ahu-1:
#     name: {zh: 手术部空调机组, en: Theatre air handling unit}
#     line: LINE
#     address: {instance: 1002} # 设备实例号 / the device's own number
#     system: hvac.ahu
#     points:
#       smoke: {object: "binary-input,4", poll: C, name: {zh: 风管感烟, en: Duct smoke detector}}
#       t_sa: {object: "analog-input,1", unit: Cel, name: {zh: 送风温度, en: Supply air temperature}}
#     alarms:
#       smoke: {point: smoke, state: true, colour: orange}
"""


class BacnetStarter:
    """This machine's own address on the devices' network."""

    example = "10.1.3.5/24:47808"
    devices = DEVICES

    def line(self, where: str) -> dict[str, Any]:
        return {"bind": where}

    def address(self, number: int) -> dict[str, Any]:
        return {"instance": number}


STARTER = BacnetStarter()
