"""What a beginner is told about Modbus in a new configuration. See `config.starter.Starter`."""

from __future__ import annotations

from typing import Any

DEVICES = """\
#
#   dev-1:
#     name: {zh: 低压总进线, en: LV main incomer}
#     line: LINE
#     address: {unit: 1}        # 站号 / unit on its line
#     profile: schneider-pm5300 # 现成的设备模板；没有就自己写 points / a shipped profile, or points of your own:
#     system: pwr.lv
#     points:                   # 地址从 0 起：40001 就是 0 / registers count from 0: 40001 is 0
#       t_panel: {register: 4999, type: i16, scale: 0.1, unit: Cel, name: {zh: 柜内温度, en: Panel temperature}}
#     alarms:
#       panel-hot: {point: t_panel, limit: {H: 55}, deadband: 1, on_delay: 10s, colour: yellow}
"""


class ModbusStarter:
    """A host with its port, or a serial port by its path."""

    example = "192.168.1.50:502"
    devices = DEVICES

    def line(self, where: str) -> dict[str, Any]:
        if where.startswith("/"):
            return {"serial": where, "baud": 9600, "parity": "none"}
        host, colon, port = where.rpartition(":")
        if colon and port.isdecimal() and "]" not in port:
            return {"host": host.strip("[]"), "port": int(port)}
        return {"host": where.strip("[]")}

    def address(self, number: int) -> dict[str, Any]:
        return {"unit": number}


STARTER = ModbusStarter()
