"""A configuration as flat texts, so that two of them can be compared, shown and sent without their types.

Everything that makes a difference at run time is in it, and nothing else: what stands at its default is left out, order
and wording of the files do not matter. Paths are told as from the folder of the configuration, so that a copy of it is
the same. Of a secret there is where it is, never what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel

from config.files import AddressSpec, LineSpec, PointSpec
from config.judgement import Formula
from config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

    from config.model import Alarm, Config, Device, Line, Point

Kind = Literal["gateway", "line", "device", "point", "alarm"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""From the whole to the part."""

Fields = Mapping[str, str]
Outline = Mapping[Kind, Mapping[str, Fields]]
"""By kind and id (a point's is `device/point`, an alarm's its own), each field by its dotted name, as a text."""

_GATEWAY_PARTS = ("journal", "http", "uplinks", "notifiers", "response", "maintenance")
_ELSEWHERE = {"version", "warnings", "files", "home", "lines", "losses", *_GATEWAY_PARTS}


def outline(config: Config) -> dict[Kind, dict[str, dict[str, str]]]:
    """All of it."""
    points = [point for device in config.devices for point in device.all_points]
    return {
        "gateway": dict(_gateway(config)),
        "line": {line.id: _line(line) for line in config.lines},
        "device": {device.id: _device(device) for device in config.devices},
        "point": {f"{point.device}/{point.id}": _point(point) for point in points},
        "alarm": dict(_alarms(config)),
    }


def _gateway(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    root = f"{config.home.config}/"
    for name, part in _gateway_parts(config):
        yield name, {field: text.replace(root, "") for field, text in part.items()}


def _gateway_parts(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    yield "gateway", _without(config, *_ELSEWHERE) | {"state": str(config.home.state)}
    yield "journal", _without(config.journal)
    if config.http is not None:
        yield "http", _without(config.http)
    for kind, parts in (("uplink", config.uplinks), ("notify", config.notifiers), ("maintenance", config.maintenance)):
        yield from ((f"{kind} {part.id}", _without(part, "id")) for part in parts)
    yield from ((f"response {colour}", _without(part)) for colour, part in config.response.items())


def _line(line: Line) -> dict[str, str]:
    return _without(line, "id", "spec", "devices", "home") | _settings(line.spec, LineSpec)


def _device(device: Device) -> dict[str, str]:
    address = {f"address.{name}": text for name, text in _settings(device.address, AddressSpec).items()}
    return _without(device, "id", "address", "points", "derived", "alarms", "unconfirmed") | address


def _point(point: Point) -> dict[str, str]:
    return _without(point, "id", "device", "system", "spec") | _settings(point.spec, PointSpec)


def _alarms(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    for device in config.devices:
        yield from ((alarm.id, _alarm(alarm)) for alarm in device.alarms)
        yield from ((alarm.id, _alarm(alarm) | {"waits_for": "confirmation"}) for alarm in device.unconfirmed)
    yield from ((alarm.id, _alarm(alarm)) for alarm in config.losses)


def _alarm(alarm: Alarm) -> dict[str, str]:
    return {"condition": alarm.condition.kind} | _without(alarm, "id", "key", "device", "system", "point")


def _settings(spec: BaseModel, common: type[BaseModel]) -> dict[str, str]:
    """What only this protocol has; what is `common` to all of them is told as what it was resolved to."""
    own = {name: field for name, field in type(spec).model_fields.items() if name not in common.model_fields}
    written = ((name, getattr(spec, name), field) for name, field in own.items())
    return dict(_flat({name: value for name, value, field in written if value != _default(field)}, ""))


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _without(part: Any, *names: str) -> dict[str, str]:
    """The fields of a dataclass, but for those that are told elsewhere."""
    return dict(_flat({name: value for name, value in _fields(part) if name not in names}, ""))


def _fields(part: Any) -> Iterator[tuple[str, Any]]:
    """Those of a dataclass that do not stand at their default."""
    for each in fields(part):
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        value = getattr(part, each.name)
        if value != default:
            yield each.name, value


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Each leaf with its dotted name."""
    parts = _parts(value)
    if parts is None:
        if value is not None:
            yield name, _text(value)
        return
    for key, part in parts:
        yield from _flat(part, f"{name}.{key}" if name else key)


def _parts(value: Any) -> Iterable[tuple[str, Any]] | None:
    """What something consists of, or `None` where it is one text."""
    if isinstance(value, Secret):
        return None
    if isinstance(value, Formula):
        inputs = ((f"input {each.written}", f"{each.device}/{each.point}") for each in value.inputs)
        return [("formula", value.text), *inputs]
    if is_dataclass(value):
        return list(_fields(value))
    if isinstance(value, (Mapping, BaseModel)):
        value = dict(value)
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, (list, tuple)) and any(_parts(part) is not None for part in value):
        return [(str(getattr(part, "name", number)), part) for number, part in enumerate(value, 1)]
    return None


def _text(value: Any) -> str:
    if isinstance(value, Secret):
        return f"{{{value.source}: {value.name}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(map(_text, value)))
    return str(value)
