"""The hospital and the profiles that ship with the product, read with the real drivers' settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hardware_mocks.bacnet_objects import OBJECTS
from hardware_mocks.hospital import Hospital
from hardware_mocks.layout import PLACES

import config
from agent.clock import ManualClock
from config.folder import shipped_profiles
from config.judgement import Limit
from config.load import load
from config.model import COLOURS
from drivers import registry
from drivers.bacnet.settings import BacnetAddress, BacnetPoint
from drivers.modbus.line import ModbusLine
from drivers.modbus.settings import ModbusAddress
from drivers.opcua.settings import OpcuaLine, OpcuaPoint

if TYPE_CHECKING:
    from config.model import Config, Device

HOME = Path(config.__file__).parent
NET = "127.77.0"
HAN = re.compile(r"[\u4e00-\u9fff]")
LIFE_SAFETY = {
    "fire/fire-panel/panel.fire#fire",
    *(f"fire/fire-panel/zone.{n}.alarm#zone-{n}" for n in range(1, 9)),
    "hvac.ahu/ahu-1/smoke#smoke",
    "lift/lift-1/entrap#trapped",
    "or/or-1/o2_p#oxygen-low",
    "or/or-1/o2_p#oxygen-high",
    "or/or-1/air_p#air-low",
    "or/or-1/air_p#air-high",
    "or/or-1/n2o_p#nitrous-oxide-low",
    "or/or-1/co2_p#carbon-dioxide-low",
    "or/or-1/n2_p#nitrogen-low",
    "or/or-1/vac_p#vacuum-low",
    *(f"hazchem/gas-1/ch_{n}.ah#gas-very-high-{n}" for n in range(1, 5)),
    "medgas.area/medgas-1/o2_p#oxygen-pressure",
    "medgas.area/medgas-1/air_p#air-pressure",
    "medgas.area/medgas-1/n2o_p#nitrous-oxide-pressure",
    "medgas.area/medgas-1/co2_p#carbon-dioxide-pressure",
    "medgas.area/medgas-1/n2_p#nitrogen-pressure",
    "medgas.area/medgas-1/vac_p#vacuum",
}


@pytest.fixture(scope="module")
def hospital() -> Config:
    return load(HOME / "examples", registry.protocols())


def devices(hospital: Config) -> dict[str, Device]:
    return {device.id: device for device in hospital.devices}


def test_no_warning(hospital: Config) -> None:
    """What people copy is without a flaw."""
    assert hospital.warnings == ()


def test_nothing_waits_for_a_name(hospital: Config) -> None:
    """Every limit that depends on the site is signed, so that all alarms of the example run."""
    assert [alarm.id for device in hospital.devices for alarm in device.unconfirmed] == []


def test_drivers_can_plan_every_line(hospital: Config) -> None:
    """What `check` does beyond loading: no driver has anything against its line."""
    assert [registry.build(line, ManualClock()) is not None for line in hospital.lines] == [True] * 12


def test_it_is_the_simulated_hospital(hospital: Config) -> None:
    """The same devices at the same addresses as the simulated hospital's, so that the demo meets them."""
    assert set(devices(hospital)) == {name for name, place in PLACES.items() if not place.in_annex}
    for line in hospital.lines:
        for device in line.devices:
            place = PLACES[device.id]
            host, port = place.address(NET)
            assert (line.protocol, device.profile) == (place.protocol, place.profile or None)
            if isinstance(line.spec, ModbusLine) and isinstance(device.address, ModbusAddress):
                assert (line.spec.host, line.spec.port, device.address.unit) == (host, port, place.number)
            elif isinstance(device.address, BacnetAddress):
                assert (device.address.at, device.address.instance) == (f"{host}:{port}", place.number)
            else:
                assert isinstance(line.spec, OpcuaLine)
                assert line.spec.url == f"opc.tcp://{host}:{port}/or"
    assert hospital.uplinks[0].brokers[0].host == f"{NET}.2"


@pytest.mark.parametrize("name", ["chiller-1", "ahu-1", "lift-1"])
def test_bacnet_points_are_its_objects(hospital: Config, name: str) -> None:
    """Each point reads the object that the simulated device has for it, with the same states, and none is left out."""
    written = {}
    for point in devices(hospital)[name].points:
        assert isinstance(point.spec, BacnetPoint)
        written[point.id] = (point.spec.object_name, tuple(state for _, state in sorted(point.states.items())))
    assert written == {item.point: (f"{item.kind},{item.instance}", item.states) for item in OBJECTS[name]}


def test_operating_room_nodes(hospital: Config) -> None:
    """Each point reads the node of its name, and none is left out."""
    written = {}
    for point in devices(hospital)["or-1"].points:
        assert isinstance(point.spec, OpcuaPoint)
        written[point.id] = point.spec.node
    assert written == {name: f"ns=2;s=or1.{name}" for name in Hospital(seed=1).points("or-1")}


def test_modbus_points_are_values_of_the_hospital(hospital: Config) -> None:
    """Points have the names that the simulated physics gives them (a few stand for bits it shows in another way)."""
    own = {"estop", "oil_low", "cool_high", "bat_error", "zones_in_alarm"}
    for name in ("lv-main", "gen-1", "ups-1"):
        assert {point.id for point in devices(hospital)[name].points} - own <= set(Hospital(seed=1).points(name))
    assert len(devices(hospital)["fire-panel"].points) == 17


def test_life_safety_alarms(hospital: Config) -> None:
    """Exactly these are life safety: red, critical, never shelved, on-delay of at most 5 s; fire at once."""
    alarms = {alarm.id: alarm for device in hospital.devices for alarm in device.alarms if alarm.life_safety}
    assert set(alarms) == LIFE_SAFETY
    for alarm in alarms.values():
        assert (alarm.stream, set(alarm.colours), alarm.shelvable) == ("critical", {"red"}, False)
        assert alarm.on_delay_s <= (0.0 if alarm.system == "fire" else 5.0)


def test_texts_are_in_both_languages(hospital: Config) -> None:
    """Every name, alarm text and advice is Chinese and English, and no two alarms of a device read alike."""
    for device in hospital.devices:
        texts = [device.name, *(point.name for point in device.points), *(alarm.text for alarm in device.alarms)]
        texts += [alarm.advice for alarm in device.alarms if alarm.advice.zh]
        for text in texts:
            assert HAN.search(text.zh) or text.zh == "PM2.5"
            assert text.en
            assert not HAN.search(text.en)
        assert len({alarm.text for alarm in device.alarms}) == len(device.alarms)
        assert all(alarm.advice.zh for alarm in device.alarms if "red" in alarm.colours)


def test_outer_levels_are_no_less_serious(hospital: Config) -> None:
    """HH is at least as grave as H, LL as L."""
    rank = {colour: n for n, colour in enumerate(COLOURS)}
    for alarm in (alarm for device in hospital.devices for alarm in device.alarms):
        if isinstance(alarm.condition, Limit):
            colours = {level.name: rank[level.colour] for level in alarm.condition.levels}
            assert colours.get("HH", 0) <= colours.get("H", 9)
            assert colours.get("LL", 0) <= colours.get("L", 9)


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profile(name: str, tmp_path: Path) -> None:
    """Each is right by itself, has its source, and a plausible range for every measurement."""
    (tmp_path / "profiles").mkdir()
    text = (HOME / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    (tmp_path / "profiles" / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "gateway.yaml").write_text("site: h01\ngateway: gw-1\n", encoding="utf-8")
    (tmp_path / "lines.yaml").write_text("lines: {}\n", encoding="utf-8")
    load(tmp_path, registry.protocols())
    profile = yaml.safe_load(text)
    assert len(profile["source"]) > 10
    for point in profile["points"].values():
        measured = point.get("value", "number") == "number" and point.get("unit", 1) != 1
        assert not measured or "low" in point


def test_generator_controls_are_never_read(hospital: Config) -> None:
    """The control keys of the generator's controller are out of bounds even for reading across."""
    address = devices(hospital)["gen-1"].address
    assert isinstance(address, ModbusAddress)
    assert (4104, 4105) in address.forbidden
