"""The files of a new configuration, commented in Chinese and English, from a few answers. Pure; nothing is judged here.

What a protocol needs to know about its lines and devices, and how an example of them looks, each driver brings: its
module `starter` has one `Starter`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from config.pointlist.written import flow_text, scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.schema import Schema


class Starter(Protocol):
    """What a driver says to a beginner. `example` is where a line may be; `devices` is a commented device file."""

    example: str
    devices: str

    def line(self, where: str) -> dict[str, Any]:
        """The settings of a line to that place."""
        ...

    def address(self, number: int) -> dict[str, Any]:
        """A device with that number on its line."""
        ...


@dataclass(frozen=True, slots=True)
class NewLine:
    """One connection, as its user wrote it: `modbus` at `192.168.1.50:502`."""

    protocol: str
    where: str


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device of a profile; `number` is where it is on its line, if that has to be said."""

    id: str
    profile: str
    protocol: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """`here`: run from its own folder, and not as the installed service."""

    site: str
    gateway: str
    time_zone: str
    brokers: Sequence[str]
    user: str
    lines: Sequence[NewLine]
    devices: Sequence[NewDevice]
    here: bool


def files(answers: Answers, starters: Mapping[str, Starter], schemas: Mapping[str, Schema]) -> dict[str, str]:
    """Name and text of each file."""
    names = _names(answers.lines)
    found = {"gateway.yaml": _gateway(answers), "lines.yaml": _lines(answers, names, starters)}
    for protocol in dict.fromkeys(line.protocol for line in answers.lines):
        line = names[next(each for each in answers.lines if each.protocol == protocol)]
        own = [device for device in answers.devices if device.protocol == protocol]
        found[f"devices/{protocol}.yaml"] = _devices(line, own, starters[protocol])
    found |= {f"{kind}.schema.json": json.dumps(schema, indent=1) + "\n" for kind, schema in schemas.items()}
    return found


def _gateway(answers: Answers) -> str:
    there = "" if answers.here else "# "
    place = _HERE if answers.here else _INSTALLED
    user = f"    user: {scalar(answers.user)}\n    password: {_PASSWORD[answers.here]}\n" if answers.user else _NO_USER
    uplinks = f"uplinks:\n  platform:\n    brokers: {flow_text(list(answers.brokers))}\n{user}"
    return _GATEWAY.format(
        site=scalar(answers.site),
        gateway=scalar(answers.gateway),
        time_zone=scalar(answers.time_zone),
        place=place,
        there=there,
        uplinks=uplinks if answers.brokers else _NO_UPLINK,
    )


def _lines(answers: Answers, names: Mapping[NewLine, str], starters: Mapping[str, Starter]) -> str:
    if not answers.lines:
        examples = [
            f"#   {name}-1: {flow_text({'protocol': name, **starter.line(starter.example)})}"
            for name, starter in starters.items()
        ]
        return _LINES + "\n".join(["lines: {}", *examples]) + "\n"
    rows = [
        f"  {names[line]}: {flow_text({'protocol': line.protocol, **starters[line.protocol].line(line.where)})}"
        for line in answers.lines
    ]
    return _LINES + "\n".join(["lines:", *rows]) + "\n"


def _devices(line: str, devices: Sequence[NewDevice], starter: Starter) -> str:
    """The devices that were named; the example beside them is a comment."""
    head = _DEVICES + starter.devices.replace("LINE", line)
    if not devices:
        return head + "devices: {}\n"
    rows = ["devices:"]
    for device in devices:
        rows += [f"  {scalar(device.id)}:", f"    line: {line}", f"    profile: {scalar(device.profile)}"]
        if device.number is not None:
            rows.append(f"    address: {flow_text(starter.address(device.number))}")
    return head + "\n".join(rows) + "\n"


def _names(lines: Sequence[NewLine]) -> dict[NewLine, str]:
    """`modbus-1`, `modbus-2`."""
    found: dict[NewLine, str] = {}
    for line in lines:
        same = sum(each.protocol == line.protocol for each in found)
        found.setdefault(line, f"{line.protocol}-{same + 1}")
    return found


_GATEWAY = """\
# yaml-language-server: $schema=./gateway.schema.json
# 网关本身：编号、日志库、上行。其余的键在文档 docs/gateway.md。每次修改后运行 wardgate check。
# The gateway itself: its ids, its journal, its way to the platform. More keys: docs/gateway.md
# After a change: wardgate check
site: {site:<20}# 医院编号：进入每个主题，不再更改 / the hospital, part of every topic: never changes
gateway: {gateway:<17}# 网关编号：院内唯一，不再更改 / this gateway, unique in the site: never changes
# name: {{zh: 一号网关, en: Gateway 1}}
time_zone: {time_zone}

{place}
journal:
  {there}path: ./journal
  size_max: 2GB             # 最多占用；先丢遥测，后丢报警 / never more; telemetry goes before any alarm does
  keep: 30d                 # 送达后保留的历史 / history that is kept after it was delivered

# 采集周期（默认值）：L 生命安全，C 关键，N 一般，S 慢，E 电能 / how often points are read: these are the defaults
# poll: {{L: 1s, C: 2s, N: 10s, S: 60s, E: 60s}}

{uplinks}"""

_HERE = """\
# 相对路径从本文件夹算起 / relative paths start at this folder
control_socket: ./control.sock
state: ./state"""

_INSTALLED = """\
# 已安装的服务使用 /run/wardgate 和 /var/lib/wardgate / the installed service uses /run/wardgate and /var/lib/wardgate
# control_socket: /run/wardgate/control.sock
# state: /var/lib/wardgate"""

_PASSWORD = {True: "{file: ./mqtt-password}", False: "{credential: mqtt-password}"}

_NO_USER = """\
    # user: gw-1
    # password: {credential: mqtt-password}   # 密码从不写在这里 / or {file: PATH}; never the password itself
"""

_NO_UPLINK = """\
# 没有上行，报警只留在本机 / without an uplink nothing leaves this gateway
# uplinks:
#   platform:
#     brokers: [mqtts://broker.example]
#     user: gw-1
#     password: {credential: mqtt-password}
"""

_LINES = """\
# yaml-language-server: $schema=./lines.schema.json
# 一条线路就是一个连接（一个 Modbus 地址或串口、一个 BACnet/IP 网口、一个 OPC UA 服务器），互不影响。
# A line is one connection: one Modbus endpoint or serial port, one BACnet/IP socket, one OPC UA server.
"""

_DEVICES = """\
# yaml-language-server: $schema=../devices.schema.json
# 设备、点位、报警。点表可用 wardgate import csv 导入；写法见文档 docs/configure.md 和 docs/alarms.md。
# Devices, their points, their alarms: docs/configure.md, docs/alarms.md. A list of points: wardgate import csv
"""
