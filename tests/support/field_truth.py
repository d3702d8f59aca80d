"""The hospital's ground truth as values of points: what each device has really said, decoded once more.

Decodes Modbus by itself, on purpose: what the gateway's own decoder makes of the same bytes is what is to be judged.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from accounting import Served

from drivers.modbus.settings import ModbusPoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounting import PointKey

    from config.model import Config, Device, Point

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
FORMATS = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f", "u64": ">Q", "i64": ">q", "f64": ">d"}


def served_values(truth: Iterable[dict[str, Any]], config: Config) -> dict[PointKey, list[Served]]:
    """Everything of the right length that was served, by device and point, in order."""
    devices = {device.id: device for device in config.devices}
    served: dict[PointKey, list[Served]] = defaultdict(list)
    for line in truth:
        device = devices[line["device"]]
        values = _values(line, device)
        for point, value in (values | _computed(device, values)).items():
            served[device.id, point].append(Served(line["t"], value))
    return served


def _values(line: dict[str, Any], device: Device) -> dict[str, Any]:
    if "raw" in line:
        return _decoded(line, device)
    by_id = {point.id: point for point in device.points}
    said = line.get("values", {})
    return {name: _named(by_id[name], value) for name, value in said.items() if name in by_id}


def _computed(device: Device, values: dict[str, Any]) -> dict[str, Any]:
    """What the configuration has computed of these. Its arithmetic is Python's too, which is nobody's of ours."""
    formulas = {point.id: point.derived.formula for point in device.derived if point.derived is not None}
    return {
        name: eval(formula.text, {"__builtins__": {}}, values)
        for name, formula in formulas.items()
        if formula is not None and all(each.device == device.id and each.point in values for each in formula.inputs)
    }


def _named(point: Point, value: Any) -> Any:
    if point.type == "bool":
        return bool(value)
    return point.states.get(value, value) if point.states else value


def _decoded(line: dict[str, Any], device: Device) -> dict[str, Any]:
    """A reply is worth something only if it has the length that was asked for."""
    data, is_bits = bytes.fromhex(line["raw"]), line["fc"] in {1, 2}
    if len(data) != ((line["count"] + 7) // 8 if is_bits else 2 * line["count"]):
        return {}
    values = {}
    for point in device.points:
        spec = point.spec
        assert isinstance(spec, ModbusPoint)
        at = spec.start - line["start"]
        if FUNCTIONS[spec.table] == line["fc"] and at >= 0 and at + spec.width <= line["count"]:
            values[point.id] = _bit(data, at) if is_bits else _number(point, spec, data[2 * at :])
    return values


def _bit(data: bytes, at: int) -> bool:
    return bool(data[at // 8] >> at % 8 & 1)


def _number(point: Point, spec: ModbusPoint, data: bytes) -> Any:
    if spec.type == "bit":
        return _named(point, int.from_bytes(data[:2], "big") >> (spec.bit or 0) & (1 << spec.bits) - 1)
    assert spec.order == "ABCD", "no device of the hospital has another"
    (number,) = struct.unpack_from(FORMATS[spec.type], data)
    return _named(point, number) if point.states else number * point.scale + point.offset
