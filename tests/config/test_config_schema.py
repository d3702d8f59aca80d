"""The JSON Schemas that editors use: a valid schema each, content with the examples, and not with mistakes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import config
from config import yaml12
from config.schema import schema
from drivers.registry import protocols

HOME = Path(config.__file__).parent
KINDS = {
    "gateway": [HOME / "examples" / "gateway.yaml"],
    "lines": [HOME / "examples" / "lines.yaml"],
    "devices": sorted((HOME / "examples" / "devices").glob("*.yaml")),
    "profile": sorted((HOME / "profiles").glob("*.yaml")),
}
SCHEMAS = schema(protocols())
FILES = [(kind, file) for kind, files in KINDS.items() for file in files]


def complaints(kind: str, text: str) -> list[str]:
    data, _ = yaml12.load(text)
    return [error.message for error in Draft202012Validator(SCHEMAS[kind]).iter_errors(data)]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_is_a_schema(kind: str) -> None:
    """By the meta schema of its dialect."""
    Draft202012Validator.check_schema(SCHEMAS[kind])


@pytest.mark.parametrize(("kind", "file"), FILES, ids=lambda part: getattr(part, "name", part))
def test_examples_are_content(kind: str, file: Path) -> None:
    """The examples and profiles are what the schema says, and name the schema for the editor."""
    text = file.read_text(encoding="utf-8")
    assert complaints(kind, text) == []
    name = text.splitlines()[0].rpartition("/")[2]
    assert text.startswith("# yaml-language-server: $schema=")
    assert name == f"{kind}.schema.json"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("gateway", "site: h01\n"),
        ("gateway", "site: h01\ngateway: gw-1\ntimezone: UTC\n"),
        ("gateway", "site: h01\ngateway: gw-1\nuplinks: {main: {brokers: []}}\n"),
        ("gateway", "site: h01\ngateway: gw-1\npoll: {L: fast}\n"),
        ("lines", "lines: {a: {host: h}}\n"),
        ("lines", "lines: {a: {protocol: modbuss, host: h}}\n"),
        ("lines", "lines: {a: {protocol: modbus}}\n"),
        ("lines", "lines: {a: {protocol: modbus, host: h, bbmd: 127.0.0.1}}\n"),
        ("lines", "lines: {A: {protocol: modbus, host: h}}\n"),
        ("devices", "devices: {a: {points: {u: {registr: 1}}}}\n"),
        ("devices", "devices: {a: {points: {u: {register: 1, type: f33}}}}\n"),
        ("devices", "devices: {a: {address: {unti: 1}}}\n"),
        ("devices", "devices: {a: {alarms: {x: {point: u, limit: {HHH: 1}}}}}\n"),
        ("devices", "devices: {a: {alarms: {pack: 1}}}\n"),
        ("devices", "devices: {a: {alarms: {pack: pwr.lv, override: {x: {limt: {H: 1}}}}}}\n"),
        ("alarms", "rules: {a: {alarms: {pack: pwr.lv}}}\n"),
        ("alarms", "rules: {a: {select: {sytem: or}, alarms: {pack: or}}}\n"),
        ("alarms", "rules: {a: {select: {system: or}, alarms: {x: {pont: t}}}}\n"),
        ("devices", "common: {lin: a}\ndevices: {}\n"),
        ("profile", "protocol: modbus\npoints: {u: {register: 1}}\n"),
        ("profile", "protocol: modbus\nsource: s\npoints: {u: {object: 'analog-input,1'}}\n"),
        ("profile", "protocol: bacnet\nsource: s\npoints: {u: {register: 1}}\n"),
    ],
)
def test_mistakes_are_underlined(kind: str, text: str) -> None:
    """What `check` would refuse and an editor can see."""
    assert complaints(kind, text)


def test_rules_that_the_documents_show_are_content() -> None:
    """Files in `alarms/`, of which the example hospital has none."""
    text = (HOME.parent / "docs" / "configure.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml file=alarms/\S+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert complaints("alarms", shown) == []


def test_templates_are_content() -> None:
    """A profile's row may leave the place to the device."""
    assert complaints("profile", "protocol: modbus\nsource: s\npoints: {u: {unit: V}}\n") == []


def test_settings_of_a_new_protocol_are_in_it() -> None:
    """The schema is made from what the drivers say, not from a list of ours."""
    described: dict[str, Any] = schema({"modbus": protocols()["modbus"]})
    assert "BacnetLine" not in described["lines"]["$defs"]
    assert "ModbusLine" in described["lines"]["$defs"]
