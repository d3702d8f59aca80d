"""Protocol name to driver, imported only when a configuration names it.

A protocol of ours is one line in `_HOMES`. A package of somebody else's offers one by an entry point of `GROUP`: its
name is the protocol, its object the driver class in the module `driver` of a package, whose `settings` has `PROTOCOL`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, NamedTuple, cast

from config.errors import ConfigProblem

if TYPE_CHECKING:
    from config.files import Protocol
    from config.model import Line
    from config.pointlist.listing import Listing
    from config.starter import Starter
    from drivers.contract import Clock, Driver

GROUP = "wardgate.drivers"


class _Home(NamedTuple):
    """The package of a driver, its class there, and who has installed it (empty: we)."""

    package: str
    driver: str
    offered_by: str = ""


_HOMES = {
    "modbus": _Home("drivers.modbus", "ModbusDriver"),
    "bacnet": _Home("drivers.bacnet", "BacnetDriver"),
    "opcua": _Home("drivers.opcua", "OpcuaDriver"),
}


class _Protocols(Mapping[str, "Protocol"]):
    """The settings types by protocol name, each module imported when it is first asked for."""

    def __getitem__(self, name: str) -> Protocol:
        return replace(cast("Protocol", _load(name, "settings", "PROTOCOL")), listing=partial(listing, name))

    def __iter__(self) -> Iterator[str]:
        yield from _HOMES
        yield from sorted({offer.name for offer in entry_points(group=GROUP)} - set(_HOMES))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def protocols() -> Mapping[str, Protocol]:
    """What `config.load` needs to know of the drivers. Asked for one that cannot be used it raises `ConfigProblem`."""
    return _Protocols()


def listing(protocol: str) -> type[Listing]:
    """What the driver knows of lists of points. Raises `ConfigProblem` where it knows nothing of them."""
    return cast("type[Listing]", _load(protocol, "pointlist", "LISTING"))


def starter(protocol: str) -> Starter:
    """What the driver says to a beginner. Raises `ConfigProblem` where it says nothing."""
    return cast("Starter", _load(protocol, "starter", "STARTER"))


def build(line: Line, clock: Clock) -> Driver:
    """The driver of one line. Opens nothing; raises `ConfigProblem`."""
    make = cast("Callable[[Line, Clock], Driver]", _load(line.protocol, "driver", _home(line.protocol).driver))
    return make(line, clock)


def _load(name: str, module: str, what: str) -> object:
    """Raises `KeyError` where nobody offers the protocol, `ConfigProblem` where its package cannot be used."""
    home = _home(name)
    try:
        return getattr(import_module(f"{home.package}.{module}"), what)
    except (ImportError, AttributeError) as error:
        if not home.offered_by:
            raise
        raise ConfigProblem(
            f"the driver of {name!r} in the package {home.offered_by} cannot be used ({error})",
            "install a version of it that fits this wardgate, or uninstall it",
        ) from error


def _home(name: str) -> _Home:
    """Ours first: nobody can put another driver in its place."""
    if name in _HOMES:
        return _HOMES[name]
    offers = {_package_of(offer): offer for offer in entry_points(group=GROUP, name=name)}
    if not offers:
        raise KeyError(name)
    if len(offers) > 1:
        raise ConfigProblem(f"{name!r} is offered by {' and '.join(sorted(offers))}", "uninstall all but one of them")
    ((offered_by, offer),) = offers.items()
    return _Home(offer.module.rpartition(".")[0], offer.attr, offered_by)


def _package_of(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist is not None else offer.module
