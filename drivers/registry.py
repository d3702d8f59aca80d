"""Protocol name to driver, imported only when a configuration names it. A new protocol is one line in `_HOMES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from config.files import Protocol
    from config.model import Line
    from drivers.contract import Clock, Driver

_HOMES = {
    "modbus": ("drivers.modbus", "ModbusDriver"),
    "bacnet": ("drivers.bacnet", "BacnetDriver"),
    "opcua": ("drivers.opcua", "OpcuaDriver"),
}


class _Protocols(Mapping[str, "Protocol"]):
    """The settings types by protocol name, each module imported when it is first asked for."""

    def __getitem__(self, name: str) -> Protocol:
        home, _ = _HOMES[name]
        return cast("Protocol", import_module(f"{home}.settings").PROTOCOL)

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


def protocols() -> Mapping[str, Protocol]:
    """What `config.load` needs to know of the drivers."""
    return _Protocols()


def build(line: Line, clock: Clock) -> Driver:
    """The driver of one line. Opens nothing; raises `ConfigProblem`."""
    home, name = _HOMES[line.protocol]
    make = cast("Callable[[Line, Clock], Driver]", getattr(import_module(f"{home}.driver"), name))
    return make(line, clock)
