"""Every row of the shipped profiles against the simulated hospital, whose maps were written without them.

Each point is pinned to a value of its own; whatever comes back under another name, scale or type is a wrong row.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hardware_mocks.client import HospitalProcess

import config
from agent import rules as alarm_rules
from agent.cli.stage import introduce
from agent.clock import Now, SystemClock
from config.judgement import Limit, State
from config.load import load
from drivers import registry
from drivers.contract import Poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from config.model import Alarm, Config, Device, Line, Point
    from drivers.contract import Reading, Value

EXAMPLES = Path(config.__file__).parent / "examples"
ROUNDS = 5
"""Truth values are told apart by a number of so many bits, one bit in each round."""

SETTLE_S = 5.0
DEAD_BY_MAINS = {"pf", "f"}
"""What a meter without voltage cannot measure."""

OTHER_UNIT = {"bat_runtime": 60}
"""The hospital counts it in seconds, we in minutes."""

FLAGS: Mapping[str, tuple[str, str]] = {"start_fail": ("healthy", "shutdown")}
"""States of a point that is only off or on in the hospital."""

NOT_SIMULATED = {"estop", "oil_low", "cool_high", "bat_error"}


def moved(folder: Path, hospital: HospitalProcess) -> Config:
    """The example hospital on another loopback network, where OPC UA server and gateway trust each other."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    for file in folder.rglob("*.yaml"):
        file.write_text(file.read_text(encoding="utf-8").replace("127.77.0", hospital.net), encoding="utf-8")
    introduce(folder, hospital)
    return load(folder, registry.protocols())


def simulated(point: str) -> str:
    """The hospital's own name for a point."""
    return point.removeprefix("panel.").replace("zone.", "zone_").removesuffix(".alarm")


def step(device: Device, point: Point) -> float:
    """The distance between the numbers of two neighbouring points."""
    ceiling = 1e3 if point.type == "integer" else 1e5
    low, high = point.low or 0.0, point.high if point.high is not None else ceiling
    return (high - low) / (len(device.points) + 2)


def pinned(device: Device, index: int, turn: int) -> tuple[float | int | bool, Value]:
    """What the hospital is told to serve for a point, and what has to be read."""
    point = device.points[index]
    if point.type == "bool":
        bit = bool(index + 1 >> turn & 1)
        return bit, bit
    if point.id in FLAGS:
        is_on = bool(index + turn & 1)
        return is_on, FLAGS[point.id][is_on]
    if point.type == "enum":
        code = sorted(point.states)[(index + turn) % len(point.states)]
        return code, point.states[code]
    number = (point.low or 0.0) + step(device, point) * (1 + (index + turn) % len(device.points))
    if point.type == "integer":
        return round(number), round(number)
    return number * OTHER_UNIT.get(point.id, 1), number


def is_near(device: Device, index: int, read: Value, wanted: Value) -> bool:
    if isinstance(wanted, (bool, str)) or not isinstance(read, (int, float)) or isinstance(read, bool):
        return read == wanted
    assert isinstance(wanted, (int, float))
    return abs(read - wanted) <= min(0.6, step(device, device.points[index]) / 3)


async def read(device: Device, line: Line) -> Reading:
    driver = registry.build(line, SystemClock())
    await driver.connect()
    try:
        return await driver.read(Poll(device, device.points, 1.0))
    finally:
        await driver.close()


async def values(device: Device, line: Line) -> Mapping[str, Value]:
    reading = await read(device, line)
    bad = {device.points[index].id for index in reading.flaws}
    assert bad <= DEAD_BY_MAINS
    return {point.id: value for point, value in zip(device.points, reading.values, strict=True)}


async def differences(device: Device, line: Line, wanted: Mapping[int, Value]) -> dict[str, tuple[Value, Value]]:
    """Read and wanted value of each point that differs once the device has had time to serve what it was told."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        read = await values(device, line)
        names = {index: device.points[index].id for index in wanted}
        wrong = {
            names[index]: (read[names[index]], value)
            for index, value in wanted.items()
            if not is_near(device, index, read[names[index]], value)
        }
        if not wrong or time.monotonic() > deadline:
            return wrong
        await asyncio.sleep(0.05)


def is_active(alarm: Alarm, value: Value) -> bool:
    if isinstance(alarm.condition, State):
        return value in alarm.condition.values
    assert isinstance(alarm.condition, Limit)
    assert isinstance(value, (int, float))
    return any(
        value >= level.limit if level.name in {"H", "HH"} else value <= level.limit for level in alarm.condition.levels
    )


@pytest.fixture(scope="module")
def hospital() -> Iterator[HospitalProcess]:
    started = HospitalProcess()
    asyncio.run(started.start())
    yield started
    asyncio.run(started.stop())


async def test_quiet_hospital_has_no_alarm(hospital: HospitalProcess, tmp_path: Path) -> None:
    """Nothing is in alarm while nothing happens, however long: whoever copies the example starts in peace."""
    config = moved(tmp_path, hospital)
    rules = alarm_rules.Rules.build(config, {})
    for line in config.lines:
        for device in line.devices:
            reading = await read(device, line)
            assert None not in reading.values
            alarm_rules.step(
                rules, replace(reading, changed=((0, len(device.points)),)), Now(reading.time, reading.mono)
            )
    last = SystemClock().now()
    alarm_rules.step(rules, alarm_rules.Tick(), Now(last.wall + 3600, last.mono + 3600))
    assert [run.alarm.id for run in rules.standing()] == []


async def test_rows_read_what_they_say(hospital: HospitalProcess, tmp_path: Path) -> None:
    """Every point comes back as the value that it was given, in its unit; in no round is one taken for another."""
    for line in moved(tmp_path, hospital).lines:
        for device in line.devices:
            for turn in range(ROUNDS):
                wanted = {}
                for index, point in enumerate(device.points):
                    if point.id not in NOT_SIMULATED:
                        told, wanted[index] = pinned(device, index, turn)
                        await hospital.set(device.id, simulated(point.id), told)
                assert await differences(device, line, wanted) == {}
            await hospital.release(device.id)


@pytest.mark.parametrize(
    ("action", "undone_by", "name"),
    [
        ("fire", "fire_reset", "fire/fire-panel/zone.3.alarm#zone-3"),
        ("oxygen_low", "oxygen_ok", "or/or-1/o2_p#oxygen-low"),
        ("earth_fault", "earth_ok", "or/or-1/iso_r#insulation"),
        ("lift_entrap", "lift_free", "lift/lift-1/entrap#trapped"),
        ("chiller_trip", "chiller_reset", "hvac.chl/chiller-1/fault#fault"),
        ("transformer_hot", "transformer_cool", "pwr.tx/tx-1/ot_alarm#over-temperature"),
        ("pump_dry", "pump_wet", "water/pump-1/fault#pump"),
        ("gas_low", "gas_ok", "medgas.area/medgas-1/o2_p#oxygen-pressure"),
        ("gas_leak", "gas_tight", "hazchem/gas-1/ch_2.al#gas-high-2"),
        ("cold_open", "cold_shut", "cold/cold-1/door#door"),
        ("air_stale", "air_fresh", "env/air-1/co2#carbon-dioxide"),
        ("mains_fail", "mains_return", "pwr.lv/lv-main/u_ab#supply-lost"),
    ],
)
async def test_what_happens_reaches_its_alarm(
    hospital: HospitalProcess, tmp_path: Path, action: str, undone_by: str, name: str
) -> None:
    """What happens in the hospital fulfils the condition of the alarm that is meant for it, and no longer after it."""
    lines = moved(tmp_path, hospital).lines
    line, device, alarm = next(
        (line, device, alarm)
        for line in lines
        for device in line.devices
        for alarm in device.alarms
        if alarm.id == name
    )
    for act, expected in ((action, True), (undone_by, False)):
        await hospital.act(act)
        assert await becomes(alarm, device, line, active=expected)


async def becomes(alarm: Alarm, device: Device, line: Line, *, active: bool) -> bool:
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        if is_active(alarm, (await values(device, line))[alarm.point]) is active:
            return True
        await asyncio.sleep(0.05)
    return False
