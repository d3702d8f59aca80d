"""What may be written about BACnet, and what is said about what may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from drivers.bacnet.settings import PROTOCOL, BacnetAddress, BacnetLine, BacnetPoint

if TYPE_CHECKING:
    from pydantic import BaseModel


@pytest.mark.parametrize(
    ("written", "bind", "ip", "port"),
    [
        ("10.1.2.3", "10.1.2.3/32:47808", "10.1.2.3/32", 47808),
        ("10.1.2.3:47809", "10.1.2.3/32:47809", "10.1.2.3/32", 47809),
        ("10.1.2.3/24", "10.1.2.3/24:47808", "10.1.2.3/24", 47808),
        (" 10.1.2.3/255.255.0.0:1 ", "10.1.2.3/16:1", "10.1.2.3/16", 1),
    ],
)
def test_bind_is_an_address_with_what_belongs_to_it(written: str, bind: str, ip: str, port: int) -> None:
    """Prefix and port have their defaults; what comes out is always complete."""
    line = BacnetLine(protocol="bacnet", bind=written)
    assert (line.bind, str(line.interface), line.port) == (bind, ip, port)


def test_many_devices_are_asked_at_once_unless_somebody_says_otherwise() -> None:
    """One UDP socket serves all of them."""
    assert BacnetLine(protocol="bacnet", bind="10.1.2.3").concurrency == 8


def test_a_point_needs_its_object_only() -> None:
    """Present value, no index; the spelling is the standard's from here on."""
    point = BacnetPoint.model_validate({"object": "analog-input : 1"})
    assert (point.object_name, point.property_name, point.index) == ("analog-input,1", "present-value", None)
    vendor = BacnetPoint.model_validate({"object": "300,2", "property": "85", "index": 3})
    assert (vendor.object_name, vendor.property_name, vendor.index) == ("300,2", "present-value", 3)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ({"object": "binary-input,1"}, "bool"),
        ({"object": "binary-input,1", "property": "description"}, "number"),
        ({"object": "binary-input,1", "value": "integer"}, "integer"),
        ({"object": "multi-state-value,1", "states": {1: "off"}}, "enum"),
        ({"object": "multi-state-value,1"}, "number"),
        ({"object": "characterstring-value,1"}, "string"),
        ({"object": "analog-value,1"}, "number"),
        ({"object": "analog-value : 1", "property": "event-state"}, "enum"),
        ({"object": "analog-value,1", "property": "36"}, "enum"),
        ({"object": "analog-value,1", "property": "event-state", "value": "integer"}, "integer"),
        ({"object": "life-safety-point,1"}, "enum"),
        ({"object": "analog-value,1", "property": "mode"}, "number"),
        ({"object": "lift,1", "property": "passenger-alarm"}, "bool"),
        ({"object": "lift,1", "property": "fault-signals", "holds": "any"}, "bool"),
        ({"object": "binary-value : 1"}, "bool"),
        ({"object": "analog-input,1", "event": "active"}, "bool"),
        ({"object": "lift,1", "event": "acked"}, "bool"),
        ({"object": "lift,1", "event": "state"}, "enum"),
        ({"object": "multi-state-input,1", "text": True}, "string"),
    ],
)
def test_the_object_type_says_what_its_value_is(written: dict[str, object], value: str) -> None:
    """A binary object is a truth value and a point with states an enumeration, without saying so."""
    assert BacnetPoint.model_validate(written).value == value


@pytest.mark.parametrize(
    ("written", "number", "name"),
    [
        ({"object": "analog-input,1", "property": "event-state"}, 3, "high-limit"),
        ({"object": "analog-input,1", "property": "reliability"}, 4, "open-loop"),
        ({"object": "life-safety-zone,1"}, 2, "alarm"),
        ({"object": "life-safety-point,7", "property": "tracking-value"}, 4, "fault-pre-alarm"),
        ({"object": "life-safety-point,7", "property": "mode"}, 6, "disarmed"),
        ({"object": "life-safety-point,7", "property": "silenced"}, 3, "all-silenced"),
        ({"object": "lift,1", "property": "car-mode"}, 11, "fire-operation"),
        ({"object": "lift,1", "property": "car-moving-direction"}, 4, "down"),
        ({"object": "escalator,1", "property": "escalator-mode"}, 5, "out-of-service"),
        ({"object": "escalator,1", "property": "operation-direction"}, 1, "stopped"),
        ({"object": "lift,1", "property": "car-door-status", "index": 1}, 9, "limited-opened"),
        ({"object": "device", "property": "system-status"}, 4, "non-operational"),
        ({"object": "lift,1", "property": "car-mode", "states": {11: "fire"}}, 11, "fire"),
    ],
)
def test_what_the_standard_has_names_for_has_them(written: dict[str, object], number: int, name: str) -> None:
    """Numbers of ASHRAE 135, written out by hand; the names of the site go before them."""
    assert BacnetPoint.model_validate(written).states[number] == name


@pytest.mark.parametrize(
    ("kind", "written", "said"),
    [
        (BacnetLine, {"bind": "0.0.0.0/0"}, "write the address of the one that the devices are on"),
        (BacnetLine, {"bind": "eth0"}, "'eth0' is not ADDRESS/PREFIX; write for example 10.1.2.3/24"),
        (BacnetLine, {"bind": "10.1.2.3/40"}, "'10.1.2.3/40' is not ADDRESS/PREFIX"),
        (BacnetLine, {"bind": "10.1.2.3:70000"}, "'10.1.2.3:70000' is not ADDRESS:PORT"),
        (BacnetLine, {"bind": "10.1.2.3", "retries": 9}, "less than or equal to 5"),
        (BacnetLine, {"bind": "10.1.2.3/24", "bbmd": "bbmd.local"}, "'bbmd.local' is not an IPv4 address"),
        (BacnetLine, {"bind": "10.1.2.3/24", "bbmd": "10.1.2.3"}, "write the address of the BBMD in the other subnet"),
        (BacnetAddress, {"instance": 4194303}, "less than or equal to 4194302"),
        (BacnetAddress, {"instance": 1, "at": "chiller.local"}, "'chiller.local' is not an IPv4 address"),
        (BacnetAddress, {"instance": 1, "at": "10.1.2.3/24"}, "is not an IPv4 address"),
        (BacnetAddress, {"instance": 1, "at": "10.1.2.3:0"}, "is not ADDRESS:PORT"),
        (BacnetAddress, {"instance": 1, "behind": "2001:7"}, "write the address of the BACnet router as at:"),
        (BacnetAddress, {"instance": 1, "at": "10.1.2.3", "behind": "7"}, "write NETWORK:STATION, such as 2001:7"),
        (BacnetAddress, {"instance": 1, "at": "10.1.2.3", "behind": "2001:x"}, "write NETWORK:STATION, such as 2001:7"),
        (BacnetAddress, {"instance": 1, "batch": 0}, "greater than or equal to 1"),
        (BacnetAddress, {"instance": 1, "parallel": 5}, "less than or equal to 4"),
        (BacnetPoint, {"object": "analog-imput,1"}, "unknown object type 'analog-imput'; did you mean 'analog-input'?"),
        (BacnetPoint, {"object": "AnalogInput,1"}, "unknown object type 'AnalogInput'; did you mean 'analog-input'?"),
        (BacnetPoint, {"object": "zzz,1"}, "unknown object type 'zzz'"),
        (BacnetPoint, {"object": "analog-input"}, "write its type and instance, such as analog-input,1"),
        (BacnetPoint, {"object": "analog-input,4194303"}, "instance 4194303 is above 4194302"),
        (BacnetPoint, {"object": "1024,1"}, "object type 1024 is above 1023"),
        (BacnetPoint, {"object": "analog-input,1", "property": "present-valu"}, "did you mean 'present-value'?"),
        (BacnetPoint, {"object": "analog-input,1", "text": True}, "only the present-value of binary and multi-state"),
        (
            BacnetPoint,
            {"object": "multi-state-input,1", "text": True, "states": {1: "on"}},
            "leave value and states out",
        ),
        (BacnetPoint, {"object": "binary-input,1", "text": True, "cov": True}, "leave cov: out"),
        (BacnetPoint, {"object": "analog-input,1", "device_unit": "kilopascal"}, "did you mean 'kilopascals'?"),
        (BacnetPoint, {"object": "lift,1", "event": "active", "value": "number"}, "leave value: number out"),
        (BacnetPoint, {"object": "lift,1", "event": "active", "property": "car-mode"}, "leave property, index, holds"),
        (BacnetPoint, {"object": "device", "event": "state"}, "write event: active, or name one object"),
        (BacnetPoint, {"object": "analog-input,1", "index": -1}, "greater than or equal to 0"),
        (BacnetPoint, {"object": "analog-input,1", "property": "units", "cov": True}, "only a present-value reports"),
        (BacnetPoint, {"object": "analog-input,1", "index": 1, "cov": 0.5}, "only a present-value reports its changes"),
        (BacnetPoint, {"object": "lift,1", "holds": "door-closing"}, "did you mean 'door-closing-fault'?"),
        (BacnetPoint, {"object": "analog-input,1", "holds": "position-lost"}, "write the number instead of"),
        (BacnetPoint, {"object": "lift,1", "holds": 3, "value": "number"}, "leave value: number out"),
        (BacnetPoint, {"object": "analog-input,1", "register": 5}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_say_what_to_write_instead(kind: type[BaseModel], written: dict[str, object], said: str) -> None:
    """Each in one sentence."""
    if kind is BacnetLine:
        written = {"protocol": "bacnet", **written}
    with pytest.raises(ValidationError) as error:
        kind.model_validate(written)
    assert error.value.error_count() == 1
    assert said in str(error.value)


def test_places_read_as_a_technician_would_say_them() -> None:
    """The line by its own address, the point by object and property, and devices apart by their instance."""
    assert BacnetLine(protocol="bacnet", bind="10.1.2.3/24").endpoint == "10.1.2.3/24:47808"
    element = BacnetPoint.model_validate({"object": "lift,1", "property": "landing-door-status", "index": 2})
    assert element.where == "lift,1 landing-door-status[2]"
    assert BacnetPoint.model_validate({"object": "analog-input,1"}).where == "analog-input,1"
    assert BacnetAddress.identity == ("instance",)


def test_the_schema_names_the_keys_as_they_are_written() -> None:
    """Editors complete what the file wants, not what the code calls it."""
    assert {"object", "property", "index"} <= set(PROTOCOL.point.model_json_schema()["properties"])
    assert {"instance", "at", "batch"} <= set(PROTOCOL.address.model_json_schema()["properties"])
    assert {"bind", "retries"} <= set(PROTOCOL.line.model_json_schema()["properties"])
