"""The JSON Schema of each kind of configuration file, for editors that complete and check while one writes.

It is generated from the grammar and says a little less: what files must agree on is found by `wardgate check` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from config.alarm_files import ALARM_KEY, AlarmsFile
from config.derived import DerivedSpec
from config.files import AlarmSpec, DevicesFile, DeviceSpec, GatewaySpec, LinesFile, ProfileFile
from config.folder import LIST_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from config.files import Protocol

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def schema(protocols: Mapping[str, Protocol]) -> dict[str, Schema]:
    """By kind of file: `gateway`, `lines`, `devices`, `alarms` and `profile`."""
    return {
        "gateway": _gateway(),
        "lines": _lines(protocols),
        "devices": _devices(protocols),
        "alarms": _alarms(),
        "profile": _profile(protocols),
    }


def _gateway() -> Schema:
    (whole,), definitions = _described([GatewaySpec])
    return _file("gateway.yaml", whole, definitions)


def _lines(protocols: Mapping[str, Protocol]) -> Schema:
    names = list(protocols)
    models: list[type[BaseModel]] = [LinesFile, *(protocols[name].line for name in names)]
    (whole, *lines), definitions = _described(models)
    line = {"type": "object", "required": ["protocol"], **_by_protocol(dict(zip(names, lines, strict=True)))}
    _fill(_own(whole, definitions)["properties"]["lines"], line)
    return _file("lines.yaml", whole, definitions)


def _devices(protocols: Mapping[str, Protocol]) -> Schema:
    """A device may leave to `common` and to its profile whatever it likes: nothing is required there."""
    kinds = list(protocols.values())
    models: list[type[BaseModel]] = [
        DevicesFile,
        DeviceSpec,
        AlarmSpec,
        *(kind.address for kind in kinds),
        *(kind.point for kind in kinds),
        DerivedSpec,
    ]
    (whole, device, alarm, *rest), definitions = _described(models)
    for definition in definitions.values():
        definition.pop("required", None)
    addresses, points = rest[: len(kinds)], rest[len(kinds) :]
    fields = _own(device, definitions)["properties"]
    fields["address"] = {"anyOf": addresses}
    fields["point_list"]["anyOf"].insert(0, {"type": "string", "pattern": LIST_NAME})
    _fill(fields["points"], {"anyOf": points})
    _fill_alarms(definitions, alarm)
    file = _own(whole, definitions)
    file["properties"]["common"] = device
    _fill(file["properties"]["devices"], device)
    file["required"] = ["devices"]
    return _file("devices/*.yaml", whole, definitions)


def _alarms() -> Schema:
    """What a pack has already is not required of what changes it, so nothing is required of an alarm."""
    (whole, alarm), definitions = _described([AlarmsFile, AlarmSpec])
    _own(alarm, definitions).pop("required")
    _fill_alarms(definitions, alarm)
    return _file("alarms/*.yaml", whole, definitions)


def _profile(protocols: Mapping[str, Protocol]) -> Schema:
    """A row may be a template, so a row's own fields are not required."""
    kinds = list(protocols.values())
    (whole, *rest), definitions = _described(
        [ProfileFile, *(kind.address for kind in kinds), *(kind.point for kind in kinds), DerivedSpec]
    )
    *rest, derived = rest
    for reference in rest:
        _own(reference, definitions).pop("required", None)
    pairs = zip(rest[: len(kinds)], rest[len(kinds) :], strict=True)
    parts = [
        {"properties": {"address": one, "points": {"additionalProperties": {"anyOf": [point, derived]}}}}
        for one, point in pairs
    ]
    file = _own(whole, definitions)
    by_protocol = _by_protocol(dict(zip(protocols, parts, strict=True)))
    file["properties"] |= by_protocol.pop("properties")
    return _file("profiles/*.yaml", {**whole, **by_protocol}, definitions)


def _by_protocol(parts: Mapping[str, Schema]) -> Schema:
    """What `protocol` says decides about the rest."""
    cases = [
        {"if": {"required": ["protocol"], "properties": {"protocol": {"const": name}}}, "then": part}
        for name, part in parts.items()
    ]
    return {"properties": {"protocol": {"enum": list(parts)}}, "allOf": cases}


def _fill(mapping: Schema, value: Schema) -> None:
    """Say what the values of a mapping are; its keys are told by a pattern."""
    mapping["patternProperties"] = dict.fromkeys(mapping["patternProperties"], value)
    mapping["additionalProperties"] = False


def _fill_alarms(definitions: Mapping[str, Schema], alarm: Schema) -> None:
    """Say what stands beside `pack`, `omit` and `override`, and in `override`."""
    places = definitions["AlarmsSpec"]
    places["additionalProperties"] = alarm
    places["propertyNames"] = {"pattern": ALARM_KEY}
    _fill(places["properties"]["override"], alarm)


def _described(models: Sequence[type[BaseModel]]) -> tuple[list[Schema], dict[str, Schema]]:
    """A reference to each model, and the definitions that they refer to."""
    references, described = models_json_schema([(model, "validation") for model in models])
    return [references[model, "validation"] for model in models], described["$defs"]


def _own(reference: Schema, definitions: Mapping[str, Schema]) -> Schema:
    return definitions[reference["$ref"].rpartition("/")[2]]


def _file(name: str, whole: Schema, definitions: Mapping[str, Schema]) -> Schema:
    return {"$schema": DIALECT, "title": f"wardgate {name}", **whole, "$defs": dict(definitions)}
