"""The alarms that nobody has to write: a device that does not answer, one with a fault, a line that is down.

A device that does not answer is one alarm, in the worst colour of those it carries; a line on which nobody answers is
one alarm, and not one for each device. A device that answers, but not with all its points, has a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.judgement import Faulty, LineDown, Offline
from config.model import COLOURS, Alarm, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from config.model import Colour, Device, Line

LINE_S = 5.0
"""On a line with several devices, how long one of them waits for the others to be lost too: then it is the line."""

FAULT_S = 10.0
"""How long points of a device may be bad, or good again, before it is said."""

WITHOUT_ALARMS: Colour = "yellow"
"""Of a device on which nothing else can become an alarm."""

GATEWAY = "gw"
"""The system that lines belong to."""

_OFFLINE = Text(
    "检查设备供电、接线和网络；期间其报警未知",
    "See to its supply, its wiring and the network; its alarms are not known meanwhile",
)
_FAULT = Text(
    "用 wardgate points 查看哪些点无效及原因", "wardgate points shows which ones and why; see to sensors and wiring"
)
_LINE = Text(
    "检查线路、转换器和网络；期间其上设备的报警未知",
    "See to the line, its converter and the network; the alarms of its devices are not known meanwhile",
)


def loss_alarms(lines: Iterable[Line]) -> Iterator[Alarm]:
    """Those that nobody has to write. An `offline` alarm that is written for a device takes the place of ours."""
    for line in lines:
        several = len(line.devices) > 1
        for device in line.devices:
            if not any(isinstance(alarm.condition, Offline) for alarm in device.alarms):
                yield _offline(device, LINE_S if several else 0.0)
            yield _fault(device)
        if several:
            yield _line(line)


def _offline(device: Device, on_delay_s: float) -> Alarm:
    text = Text(f"{device.name.zh} 离线", f"{device.name.en} does not answer")
    return _of_device(device, "offline", Offline(_worst([device])), text, _OFFLINE, on_delay_s=on_delay_s)


def _fault(device: Device) -> Alarm:
    text = Text(f"{device.name.zh} 部分点无效", f"{device.name.en}: points without a value")
    colour: Colour = "orange" if _worst([device]) == "red" else "yellow"
    return _of_device(device, "fault", Faulty(colour), text, _FAULT, on_delay_s=FAULT_S, off_delay_s=FAULT_S)


def _of_device(
    device: Device,
    key: str,
    condition: Offline | Faulty,
    text: Text,
    advice: Text,
    *,
    on_delay_s: float,
    off_delay_s: float = 0.0,
) -> Alarm:
    return Alarm(
        id=f"{device.system}/{device.id}#{key}",
        key=key,
        device=device.id,
        system=device.system,
        point="",
        condition=condition,
        text=text,
        advice=advice,
        place=device.place,
        on_delay_s=on_delay_s,
        off_delay_s=off_delay_s,
        shelvable=device.system != "fire",
    )


def _line(line: Line) -> Alarm:
    return Alarm(
        id=f"{GATEWAY}/{line.id}#line",
        key="line",
        device=line.id,
        system=GATEWAY,
        point="",
        condition=LineDown(line.id, _worst(line.devices)),
        text=Text(f"{line.name.zh} 线路中断", f"{line.name.en}: nobody answers on this line"),
        advice=_LINE,
        shelvable=all(device.system != "fire" for device in line.devices),
    )


def _worst(devices: Iterable[Device]) -> Colour:
    found = [colour for device in devices for alarm in device.alarms for colour in alarm.colours]
    return min(found, key=COLOURS.index, default=WITHOUT_ALARMS)
