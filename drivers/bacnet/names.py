"""Names and numbers of object types and properties, both ways. Vendor numbers, which no table has, stay numbers."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from bacpypes3.basetypes import (
    DeviceStatus,
    ErrorClass,
    ErrorCode,
    EscalatorFault,
    EscalatorMode,
    EscalatorOperationDirection,
    EventState,
    LifeSafetyMode,
    LifeSafetyState,
    LiftCarDirection,
    LiftCarDriveStatus,
    LiftCarMode,
    LiftFault,
    Reliability,
    SilencedState,
)
from bacpypes3.primitivedata import Enumerated, ObjectType, PropertyIdentifier

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTANCE_BITS = 22
"""Of the 32 that stand for an object; its type is above them."""

INSTANCE_MAX = 4_194_302
"""The highest instance of an object; 4194303 is the wildcard."""

OBJECT_TYPE_MAX = 1023
FAULT_MAX = 65535
PROPERTY_MAX = 4_194_303
WILDCARD_INSTANCE = 4_194_303

DEVICE: int = int(ObjectType.device)
PRESENT_VALUE: int = int(PropertyIdentifier.presentValue)
STATUS_FLAGS: int = int(PropertyIdentifier.statusFlags)
RELIABILITY: int = int(PropertyIdentifier.reliability)
OBJECT_IDENTIFIER: int = int(PropertyIdentifier.objectIdentifier)
EVENT_STATE: int = int(PropertyIdentifier.eventState)
ACKED_TRANSITIONS: int = int(PropertyIdentifier.ackedTransitions)
UNITS: int = int(PropertyIdentifier.units)
CAR_LOAD: int = int(PropertyIdentifier.carLoad)
CAR_LOAD_UNITS: int = int(PropertyIdentifier.carLoadUnits)
STATE_TEXT: int = int(PropertyIdentifier.stateText)
ACTIVE_TEXT: int = int(PropertyIdentifier.activeText)
INACTIVE_TEXT: int = int(PropertyIdentifier.inactiveText)
TEXTS = frozenset((STATE_TEXT, ACTIVE_TEXT, INACTIVE_TEXT))
NO_TEXT = int(ErrorClass.property), int(ErrorCode.unknownProperty)
MAX_APDU: int = int(PropertyIdentifier.maxApduLengthAccepted)

_OBJECT_NAMES: Mapping[int, str] = ObjectType._asn1_map  # noqa: SLF001 - the only table of all of them
_PROPERTY_NAMES: Mapping[int, str] = PropertyIdentifier._asn1_map  # noqa: SLF001 - see above
_OBJECT_TYPES = {name: number for number, name in _OBJECT_NAMES.items()}
_PROPERTIES = {name: number for number, name in _PROPERTY_NAMES.items()}
_ENUMERATIONS: Mapping[str, type[Enumerated]] = {
    "event-state": EventState,
    "reliability": Reliability,
    "silenced": SilencedState,
    "system-status": DeviceStatus,
    "car-mode": LiftCarMode,
    "car-moving-direction": LiftCarDirection,
    "car-assigned-direction": LiftCarDirection,
    "car-drive-status": LiftCarDriveStatus,
    "escalator-mode": EscalatorMode,
    "operation-direction": EscalatorOperationDirection,
}
"""Properties that are the same enumeration in every object that has them."""

_DOOR_STATUS = {
    0: "closed",
    1: "opened",
    2: "unknown",
    3: "door-fault",
    4: "unused",
    5: "none",
    6: "closing",
    7: "opening",
    8: "safety-locked",
    9: "limited-opened",
}
"""BACnetDoorStatus of ASHRAE 135-2016; the library has the first three only."""

_MULTI_STATE_TYPES = frozenset((13, 14, 19))
"""Input, output and value."""

_FAULTS: Mapping[str, type[Enumerated]] = {"lift": LiftFault, "escalator": EscalatorFault}

_LIFE_SAFETY_TYPES = frozenset(("life-safety-point", "life-safety-zone"))
_LIFE_SAFETY_ENUMERATIONS: Mapping[str, type[Enumerated]] = {
    "present-value": LifeSafetyState,
    "tracking-value": LifeSafetyState,
    "mode": LifeSafetyMode,
}

_OWN_DEVICE = "device"
_OBJECT = re.compile(r"\s*([A-Za-z0-9-]+)\s*[,: ]\s*(\d+)\s*")


def object_id(type_number: int, instance: int) -> int:
    """The 32 bits that stand for an object on the wire."""
    return type_number << INSTANCE_BITS | instance


def is_device(identifier: int) -> bool:
    """Whether these 32 bits are a device object."""
    return identifier >> INSTANCE_BITS == DEVICE


def is_multi_state(identifier: int) -> bool:
    """Whether these 32 bits are an object whose states have numbers and texts."""
    return identifier >> INSTANCE_BITS in _MULTI_STATE_TYPES


def parse_object(text: str) -> int:
    """`analog-input,1`, or with a number for a vendor's own type `300,1`, as 32 bits. Raises `ValueError`.

    `device` alone is the device's own object, whatever its instance: a wildcard until `own_object` fills it in.
    """
    if text.strip() == _OWN_DEVICE:
        return object_id(DEVICE, WILDCARD_INSTANCE)
    match = _OBJECT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an object; write its type and instance, such as analog-input,1")
    type_number = _number(match[1], _OBJECT_TYPES, OBJECT_TYPE_MAX, "object type")
    instance = int(match[2])
    if instance > INSTANCE_MAX:
        raise ValueError(f"instance {instance} is above {INSTANCE_MAX}")
    return object_id(type_number, instance)


def object_name(identifier: int) -> str:
    """`analog-input,1`; the type as a number where the standard has no name for it."""
    type_number, instance = identifier >> INSTANCE_BITS, identifier & WILDCARD_INSTANCE
    if (type_number, instance) == (DEVICE, WILDCARD_INSTANCE):
        return _OWN_DEVICE
    return f"{_OBJECT_NAMES.get(type_number, type_number)},{instance}"


def own_object(identifier: int, instance: int) -> int:
    """The object as it is called in the device with this instance."""
    wildcard = object_id(DEVICE, WILDCARD_INSTANCE)
    return object_id(DEVICE, instance) if identifier == wildcard else identifier


def parse_property(text: str) -> int:
    """`present-value`, or the number of a vendor's own property. Raises `ValueError`."""
    return _number(text.strip(), _PROPERTIES, PROPERTY_MAX, "property")


def property_name(number: int) -> str:
    """`present-value`; the number as text where the standard has no name for it."""
    return _PROPERTY_NAMES.get(number, str(number))


def states_of(object_type: str, property_text: str) -> Mapping[int, str]:
    """What the standard calls the values of a property (`high-limit`), by number; empty where it has no names."""
    if property_text in {"car-door-status", "door-status"}:
        return _DOOR_STATUS
    kind = _ENUMERATIONS.get(property_text)
    if object_type in _LIFE_SAFETY_TYPES:
        kind = _LIFE_SAFETY_ENUMERATIONS.get(property_text, kind)
    return {} if kind is None else kind._asn1_map  # noqa: SLF001 - the only table of them


@lru_cache
def fault_number(object_type: str, text: str) -> int:
    """The number of a fault signal of a lift or an escalator (`door-closing-fault`). Raises `ValueError`."""
    if object_type not in _FAULTS:
        raise ValueError(f"only faults of lifts and escalators have names; write the number instead of {text!r}")
    known = {name: number for number, name in _FAULTS[object_type]._asn1_map.items()}  # noqa: SLF001 - see above
    return _number(text, known, FAULT_MAX, f"fault of {object_type}")


def error_name(error_class: int, code: int) -> str:
    """`property/unknown-property`."""
    return f"{ErrorClass(error_class)}/{ErrorCode(code)}"


def reliability_name(number: int) -> str:
    """`no-sensor`."""
    return str(Reliability(number))


def _number(text: str, known: Mapping[str, int], highest: int, what: str) -> int:
    if text.isdecimal():
        if int(text) > highest:
            raise ValueError(f"{what} {text} is above {highest}")
        return int(text)
    if text not in known:
        near = get_close_matches(text.lower(), known, n=1)
        raise ValueError(f"unknown {what} {text!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return known[text]
