"""The driver's README: its example is a configuration that the driver takes, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import drivers.modbus
from agent.clock import ManualClock
from config.load import load
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine
from drivers.modbus.plan import plan
from drivers.modbus.settings import Coding, ModbusAddress, ModbusPoint, Order, Table
from drivers.registry import build, protocols

README = (Path(drivers.modbus.__path__[0]) / "README.md").read_text(encoding="utf-8")
GATEWAY = "site: h01\ngateway: gw-a1\nuplinks: {main: {brokers: ['mqtt://127.0.0.1:1883']}}\n"


def test_the_example_is_a_configuration_that_the_driver_takes(tmp_path: Path) -> None:
    """Loaded as an engineer would, and planned as the text says."""
    lines, devices, _ = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "devices").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (tmp_path / "lines.yaml").write_text(lines, encoding="utf-8")
    (tmp_path / "devices" / "lv-room.yaml").write_text(devices, encoding="utf-8")
    (line,) = load(tmp_path, protocols()).lines
    (meter,) = line.devices
    assert isinstance(build(line, ManualClock()), ModbusDriver)
    assert isinstance(meter.address, ModbusAddress)
    blocks = [(b.function, b.start, b.count) for b in plan(meter.points, meter.address)]
    assert blocks == [(2, 0, 1), (3, 100, 2), (3, 129, 4), (3, 3027, 2), (3, 3203, 4), (4, 40, 1)]


def test_the_example_lines_are_lines_that_the_driver_takes(tmp_path: Path) -> None:
    """A serial port, a converter, TLS."""
    *_, lines = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "devices").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY, encoding="utf-8")
    (tmp_path / "lines.yaml").write_text(lines, encoding="utf-8")
    found = load(tmp_path, protocols()).lines
    assert [line.spec.endpoint for line in found] == [
        "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0",
        "192.168.1.60:4001",
        "192.168.1.61:802",
    ]
    assert all(isinstance(build(line, ManualClock()), ModbusDriver) for line in found)


def test_every_key_and_choice_is_in_the_readme() -> None:
    """What can be written is what is described."""
    keys = {
        field.alias or name for name, field in ModbusPoint.model_fields.items() if name in ModbusPoint.__annotations__
    }
    keys |= {*ModbusAddress.__annotations__, *ModbusLine.__annotations__} - {"protocol"}
    for word in [*keys, *get_args(Table), *get_args(Coding), *get_args(Order)]:
        assert f"`{word}`" in README, word
