"""What a beginner is told about OPC UA in a new configuration. See `config.starter.Starter`."""

from __future__ import annotations

from typing import Any

DEVICES = """\
#
# 首次连接后用 wardgate opcua trust list 信任服务器证书 / trust its certificate after the first connection
#   or-1:
#     name: {zh: 1号手术室, en: Operating room 1}
#     line: LINE
#     system: or
#     points:
#       t: {node: ns=2;s=or1.t, unit: Cel, name: {zh: 温度, en: Temperature}}
#       dp: {node: ns=2;s=or1.dp, unit: Pa, poll: C, name: {zh: 压差, en: Differential pressure}}
#     alarms:
#       pressure: {point: dp, limit: {L: 5}, deadband: 1, on_delay: 30s, colour: yellow}
"""


class OpcuaStarter:
    """The URL of the server."""

    example = "opc.tcp://10.1.4.7:4840"
    devices = DEVICES

    def line(self, where: str) -> dict[str, Any]:
        return {"url": where}

    def address(self, number: int) -> dict[str, Any]:
        del number  # its points carry whole nodes
        return {}


STARTER = OpcuaStarter()
