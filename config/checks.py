"""What no single field can know: whether the parts of a configuration agree with each other."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from config.systems import SYSTEMS
from config.wording import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from config.files import AddressSpec, LineSpec, PointSpec
    from config.layers import Source
    from config.outward import Uplink
    from config.validate import Report


def check_point(spec: PointSpec, source: Source, report: Report) -> None:
    """Whether the generic fields of a point make sense together."""
    if spec.value == "enum" and not spec.states:
        report.refuse(source, ("states",), "missing, but value is enum", "write states: {0: off, 1: on}")
    if spec.states and spec.value == "number":
        report.refuse(source, ("states",), "a number has no states", "write value: enum, or remove states")
    if spec.low is not None and spec.high is not None and spec.low >= spec.high:
        report.refuse(source, ("low",), f"{spec.low:g} is not below high {spec.high:g}", "write low < high")
    if spec.scale == 0:
        report.refuse(source, ("scale",), "0 makes every value 0", "write another factor")


def check_system(system: str, source: Source, report: Report) -> None:
    """A slip in the name of a known system; other names are allowed."""
    match = near_system(system)
    if match:
        report.warn(source, ("system",), f"found {shown(system)}, which no alarm pack knows", f"did you mean {match}?")


def near_system(system: str) -> str:
    """The known system that was probably meant, or nothing where it is one, or where none is near."""
    match = difflib.get_close_matches(system, SYSTEMS, n=1, cutoff=0.75)
    return match[0] if match and system not in SYSTEMS else ""


def check_addresses(devices: Iterable[tuple[str, str, AddressSpec, Source]], report: Report) -> None:
    """Two devices with one address on a line. Each item is device, line, address and where the device is written."""
    taken: dict[tuple[object, ...], str] = {}
    for device, line, address, source in devices:
        names = tuple(type(address).model_fields)[:1] if address.identity is None else address.identity
        values = tuple(getattr(address, name) for name in names)
        first = taken.setdefault((line, *values), device) if names else device
        if first != device:
            message = f"line {line} has device {first} at this address already"
            report.refuse(source, ("address", names[0]), message, "write the address of this device")


def check_soles(lines: Iterable[tuple[str, LineSpec, Source]], report: Report) -> None:
    """Two lines that want what only one can have: the second would be refused by the machine for ever."""
    taken: dict[tuple[str, str], str] = {}
    for name, spec, source in lines:
        if spec.sole is None:
            continue
        field, what = spec.sole
        first = taken.setdefault((spec.protocol, what), name)
        if first != name:
            report.refuse(source, (field,), f"line {first} has {what} already", "put the devices of both on one line")


def check_clients(uplinks: Mapping[str, Uplink], source: Source, report: Report) -> None:
    """Two uplinks with one client id throw each other off the broker."""
    taken: dict[str, str] = {}
    for name, uplink in uplinks.items():
        first = taken.setdefault(uplink.client_id, name)
        if first != name:
            message = f"{shown(uplink.client_id)} is the client id of uplink {first} already"
            report.refuse(source, ("uplinks", name, "client_id"), message, "write another one, or leave it out")


def check_roots(uplinks: Mapping[str, Uplink], source: Source, report: Report) -> None:
    """Two uplinks under one root at one broker: each would speak for the other, and the will of one for both."""
    taken: dict[tuple[str, str, int], str] = {}
    for name, uplink in uplinks.items():
        for broker in uplink.brokers:
            first = taken.setdefault((uplink.topic_root, broker.host, broker.port), name)
            if first != name:
                message = f"uplink {first} has {shown(uplink.topic_root)} at {broker.host}:{broker.port} already"
                report.refuse(source, ("uplinks", name, "topic_root"), message, "write another topic_root")
                break
