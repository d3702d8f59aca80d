"""What may be written about BACnet/IP in the configuration: the line, the device's address, the point."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from typing import Annotated, ClassVar, Literal

from bacpypes3.pdu import Address
from pydantic import AfterValidator, Field, model_validator

from config.files import AddressSpec, Duration, LineSpec, PointSpec, Protocol
from drivers.bacnet import names, units
from drivers.expectation import Expectation

DEFAULT_PORT = 47808
PORT_MAX = 65535
_HOST_PORT = re.compile(r"\s*([^:\s]+)(?::(\d+))?\s*")

VALUE_BY_TYPE: Mapping[str, Literal["bool", "string"]] = {
    "binary-input": "bool",
    "binary-output": "bool",
    "binary-value": "bool",
    "characterstring-value": "string",
    "octetstring-value": "string",
    "bitstring-value": "string",
    "date-value": "string",
    "date-pattern-value": "string",
    "time-value": "string",
    "time-pattern-value": "string",
    "datetime-value": "string",
    "datetime-pattern-value": "string",
}
"""What the present value of an object type is, where it is not a number."""

BOOL_PROPERTIES = frozenset(("out-of-service", "passenger-alarm", "car-door-zone", "power-mode"))


Increment = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _split_port(text: str) -> tuple[str, int]:
    match = _HOST_PORT.fullmatch(text)
    port = int(match[2] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port <= PORT_MAX:
        raise ValueError(f"{text!r} is not ADDRESS:PORT; write for example 10.1.2.3:{DEFAULT_PORT}")
    return match[1], port


def _bind(text: str) -> str:
    host, port = _split_port(text)
    try:
        interface = IPv4Interface(host)
    except (AddressValueError, NetmaskValueError) as error:
        raise ValueError(f"{host!r} is not ADDRESS/PREFIX; write for example 10.1.2.3/24") from error
    if interface.ip.is_unspecified:
        raise ValueError("0.0.0.0 is every interface; write the address of the one that the devices are on")
    return f"{interface}:{port}"


def _peer(text: str) -> str:
    host, port = _split_port(text)
    try:
        address = IPv4Address(host)
    except AddressValueError as error:
        raise ValueError(f"{host!r} is not an IPv4 address; write for example 10.1.2.3:{DEFAULT_PORT}") from error
    return f"{address}:{port}"


def _behind(text: str) -> str:
    example = "write NETWORK:STATION, such as 2001:7"
    try:
        address = Address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no station of a network: {error}; {example}") from error
    if address.addrType != Address.remoteStationAddr:
        raise ValueError(f"{text!r} is no station of a network; {example}")
    return str(address)


def _object(text: str) -> str:
    return names.object_name(names.parse_object(text))


def _property(text: str) -> str:
    return names.property_name(names.parse_property(text))


def _spelled(correct: Callable[[str], str], text: object) -> str:
    """As the standard spells it; nothing where it is wrong, which is said where the field itself is checked."""
    try:
        return correct(str(text))
    except ValueError:
        return ""


def _unit(text: str) -> str:
    units.parse(text)
    return text


class BacnetLine(LineSpec):
    """The one UDP socket of BACnet/IP on one interface.

    `bind` is `ADDRESS[/PREFIX][:PORT]` of this machine. The prefix gives the broadcast address; without it devices
    cannot be searched for, and each needs its `at`. A request is tried again `retries` times within `timeout`.
    `concurrency` is how many devices may be asked at once; each bears as many requests at once as its `parallel` says.
    `bbmd` is `ADDRESS[:PORT]` of a BBMD in another subnet, with which the gateway registers as a foreign device for
    `bbmd_lifetime` at a time.
    """

    protocol: Literal["bacnet"]
    bind: Annotated[
        str,
        AfterValidator(_bind),
        Field(description="this machine's own ADDRESS/PREFIX on the devices' network, such as 10.1.2.3/24"),
    ]
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    bbmd: Annotated[str, AfterValidator(_peer)] | None = None
    bbmd_lifetime: Annotated[Duration, Field(ge=30, le=65535)] = 300.0

    @model_validator(mode="after")
    def _check_bbmd(self) -> BacnetLine:
        if self.bbmd is not None and self.bbmd == f"{self.interface.ip}:{self.port}":
            raise ValueError(f"{self.bbmd} is this line itself; write the address of the BBMD in the other subnet")
        return self

    @property
    def endpoint(self) -> str:
        return self.bind

    @property
    def sole(self) -> tuple[str, str]:
        return "bind", f"{self.interface.ip}:{self.port}"

    @property
    def interface(self) -> IPv4Interface:
        return IPv4Interface(self.bind.rpartition(":")[0])

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])


def _defaults(written: Mapping[str, object]) -> Mapping[str, object]:
    """What the standard says of the property of this object."""
    kind = _spelled(_object, written.get("object", "")).partition(",")[0]
    name = _spelled(_property, written.get("property", "present-value"))
    states = names.states_of(kind, name)
    if states:
        return {"value": "enum", "states": dict(states)}
    if name in BOOL_PROPERTIES:
        return {"value": "bool"}
    if kind in VALUE_BY_TYPE and name == "present-value":
        return {"value": VALUE_BY_TYPE[kind]}
    return {}


Facet = Literal["active", "acked", "state"]
"""What a point shows of the device's own alarms."""


class BacnetPoint(PointSpec):
    """One property of one object; `index` picks an element of an array (0 is its length).

    `cov` has the device report changes by itself, besides being polled: `true` by the increment that it has for the
    object, a number by that increment, in the unit of the device.
    `holds` makes a truth value of a list of numbers, such as the fault signals of a lift: whether this one is in it (by
    number, or by the name that the standard has for the fault), or with `any` whether there is one.
    `event` follows the alarms that the device itself makes of the object, or with the device object of all its objects:
    whether one is active, whether all are acknowledged, or of one object the state.
    `text` gives the device's own text for the state of a binary or multi-state object instead of its number.
    `device_unit` is what the device calls the unit of the value where that is known to be wrong.
    """

    object_name: Annotated[
        str, AfterValidator(_object), Field(alias="object", description="type and instance, such as analog-input,1")
    ]
    property_name: Annotated[str, AfterValidator(_property), Field(alias="property")] = "present-value"
    index: Annotated[int | None, Field(ge=0, le=4_294_967_295)] = None
    cov: Annotated[bool | Increment, Field(description="true, or by how much it must change to be reported")] = False
    holds: Annotated[
        Annotated[int, Field(ge=0, le=names.FAULT_MAX)] | str | None,
        Field(description="true while the list has this number or fault, or any"),
    ] = None
    event: Annotated[
        Facet | None, Field(description="follow the device's own alarms of the object instead of a property")
    ] = None

    text: Annotated[bool, Field(description="the device's own text for its state instead of the number")] = False
    device_unit: Annotated[
        str,
        AfterValidator(_unit),
        Field(description="the unit that the device says, where it is known to be wrong, such as degrees-fahrenheit"),
    ] = ""

    @property
    def where(self) -> str:
        """The object, the property where it is not the present value, and the element."""
        if self.event is not None:
            return f"{self.object_name} event {self.event}"
        name = "" if self.property_name == "present-value" else f" {self.property_name}"
        return f"{self.object_name}{name}" + ("" if self.index is None else f"[{self.index}]")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, written: object) -> object:
        """What object, property and the presence of `states` or `holds` say need not be said again by `value`."""
        if not isinstance(written, Mapping) or "value" in written:
            return written
        if written.get("text"):
            return {**written, "value": "string"}
        if written.get("event") == "state":
            return {"states": dict(names.states_of("", "event-state")), **written, "value": "enum"}
        if written.get("holds") is not None or written.get("event") is not None:
            return {**written, "value": "bool"}
        if written.get("states"):
            return {**written, "value": "enum"}
        return {**written, **_defaults(written)}

    @model_validator(mode="after")
    def _check_holds(self) -> BacnetPoint:
        if self.holds is not None and self.value != "bool":
            raise ValueError(f"what a list holds is a truth value; leave value: {self.value} out")
        if isinstance(self.holds, str) and self.holds != "any":
            names.fault_number(self._kind, self.holds)
        return self

    @property
    def held(self) -> Literal["any"] | int | None:
        """What `holds` means, as the device sends it."""
        if self.holds is None or isinstance(self.holds, int):
            return self.holds
        return "any" if self.holds == "any" else names.fault_number(self._kind, self.holds)

    @property
    def _kind(self) -> str:
        return self.object_name.partition(",")[0]

    @model_validator(mode="after")
    def _check_event(self) -> BacnetPoint:
        if self.event is None:
            return self
        fitting = "enum" if self.event == "state" else "bool"
        if self.value != fitting:
            raise ValueError(f"event: {self.event} is not of this type; leave value: {self.value} out")
        if (self.property_name, self.index, self.holds, self.cov) != ("present-value", None, None, False):
            raise ValueError("an alarm of the device is no property; leave property, index, holds and cov out")
        if self.event == "state" and names.is_device(names.parse_object(self.object_name)):
            raise ValueError("all objects together have no state; write event: active, or name one object")
        return self

    @model_validator(mode="after")
    def _check_text(self) -> BacnetPoint:
        if not self.text:
            return self
        if not self._kind.startswith(("binary-", "multi-state-")) or self.property_name != "present-value":
            raise ValueError("only the present-value of binary and multi-state objects has texts; leave text: out")
        if self.value != "string" or self.states:
            raise ValueError("the device has the texts; leave value and states out")
        if self.cov is not False:
            raise ValueError("what a device reports by itself has no texts; leave cov: out")
        return self

    @model_validator(mode="after")
    def _check_cov(self) -> BacnetPoint:
        if self.cov is not False and (self.property_name != "present-value" or self.index is not None):
            raise ValueError("only a present-value reports its changes; leave cov: out here")
        return self


class CheckSpec(BacnetPoint, Expectation):
    """A property by which a device is recognized."""

    @model_validator(mode="after")
    def _check_is_property(self) -> CheckSpec:
        if self.event is not None:
            raise ValueError("event: alarms come and go and tell no device; name a property")
        return self


class BacnetAddress(AddressSpec):
    """A device by its instance number.

    `at` is `ADDRESS[:PORT]` of a device that cannot or should not be searched for by broadcast, or with `behind` of the
    BACnet router before it: `behind` is `NETWORK:STATION`. `batch` is how many
    objects one request asks for at most; fewer where the device's answers must be smaller. `parallel` is how many
    requests it may have to answer at once. Until it has shown what `expect` says, all of its points are `config_error`.
    """

    identity: ClassVar[tuple[str, ...]] = ("instance",)

    instance: Annotated[
        int, Field(ge=0, le=names.INSTANCE_MAX, description="the device's own number, unique on the whole network")
    ]
    at: Annotated[str, AfterValidator(_peer)] | None = None
    behind: Annotated[str, AfterValidator(_behind)] | None = None
    batch: Annotated[int, Field(ge=1, le=100)] = 20
    parallel: Annotated[int, Field(ge=1, le=4)] = 1
    expect: tuple[CheckSpec, ...] = ()

    @model_validator(mode="after")
    def _check_behind(self) -> BacnetAddress:
        if self.behind is not None and self.at is None:
            raise ValueError("behind: without at:; write the address of the BACnet router as at:, or leave behind: out")
        return self


PROTOCOL = Protocol(BacnetLine, BacnetAddress, BacnetPoint)
