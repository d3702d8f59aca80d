"""BACnet/IP devices on bacpypes3, each on an address and a port of its own, as loopback demands.

Faults of the wire are made at the datagram, below the stack: its transaction layer would answer a request that nobody
serves with an abort. Faults of content are made at the reply.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from bacpypes3.apdu import APDU, ConfirmedRequestPDU, Error, ReadPropertyACK, ReadPropertyMultipleACK
from bacpypes3.basetypes import EngineeringUnits
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObject
from bacpypes3.local.binary import BinaryInputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.multistate import MultiStateValueObject
from bacpypes3.local.object import Object
from bacpypes3.object import EscalatorObject, LifeSafetyPointObject, LifeSafetyZoneObject, LiftObject
from bacpypes3.pdu import PDU, IPv4Address
from bacpypes3.primitivedata import TagClass, TagNumber

from hardware_mocks.bacnet_objects import DOORS, OBJECTS, PRESENT_VALUE, SIGNALS, Item
from hardware_mocks.faults import SLOW_S, Fault
from hardware_mocks.layout import PLACES, devices_of

if TYPE_CHECKING:
    from hardware_mocks.signals import Points, Value
    from hardware_mocks.truth import TruthLog
    from hardware_mocks.world import World

VENDOR = 999
REFRESH_TICKS = 4
STATUS_FLAGS = "status-flags"
HEALTHY, FAULTY = [0, 0, 0, 0], [0, 1, 0, 0]


Row = tuple[Any, Any, Any]


class FaultyApplication(NormalApplication):
    """The stack of one device, with a hand on every datagram that comes in and every reply that goes out."""

    def __init__(self, device: DeviceObject, address: IPv4Address, owner: BacnetDevice) -> None:
        super().__init__(device, address)
        self._owner = owner
        self._socket = cast("Any", self.normal.server)
        self._deliver = self._socket.confirmation
        self._socket.confirmation = self._receive

    async def listening(self) -> None:
        await self._socket._local_transport_ready.wait()

    async def _receive(self, pdu: PDU) -> None:
        fault = self._owner.fault
        if fault in {"silent", "restart"}:
            return
        if fault == "garbage":
            source = cast("IPv4Address", pdu.pduSource)
            self._socket.local_transport.sendto(self._owner.noise(), source.addrTuple)
            return
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        await self._deliver(pdu)

    async def indication(self, apdu: APDU) -> None:
        """A request. A device in trouble answers each with an error."""
        if self._owner.fault == "exception" and isinstance(apdu, ConfirmedRequestPDU):
            trouble = {"errorClass": "device", "errorCode": "operational-problem"}
            await super().response(Error(service_choice=apdu.apduService, context=apdu, **trouble))
            self._owner.truth.write(self._owner.name, service=apdu.apduService, error="operational-problem")
            return
        await super().indication(apdu)

    async def response(self, apdu: APDU) -> None:
        """A reply; what leaves is what the ground truth keeps."""
        if self._owner.fault == "wrong_length":
            self._owner.distort(apdu)
        self._owner.note(apdu)
        await super().response(apdu)


class BacnetDevice:
    """One device: its objects, kept in step with the world, and its fault."""

    def __init__(self, name: str, net: str, world: World, truth: TruthLog, seed: int) -> None:
        self.name = name
        self.fault: Fault = "none"
        self.truth = truth
        self._world = world
        self._place = PLACES[name]
        self._address = self._place.address(net)
        self._random = random.Random(f"{seed}/{name}")
        self._items = OBJECTS[name]
        self._values_of = {item.identifier: item for item in self._items if item.name == PRESENT_VALUE}
        self._application: Any = None
        self._objects: dict[tuple[str, int], Any] = {}
        self._served: Points = {}

    async def listen(self) -> None:
        """Start a stack with fresh objects. Raises `OSError` where the address is taken."""
        host, port = self._address
        require_free(host, port)
        device = DeviceObject(
            objectIdentifier=("device", self._place.number),
            objectName=self.name,
            vendorIdentifier=VENDOR,
            modelName=f"simulated {self.name}",
            firmwareRevision="1.0",
            applicationSoftwareVersion="1.0",
        )
        self._application = FaultyApplication(device, IPv4Address(f"{host}/32:{port}"), self)
        self._served = {}
        self._objects = {item.identifier: make_object(item) for item in self._items}
        for made in self._objects.values():
            self._application.add_object(made)
        await self.refresh()
        await self._application.listening()

    async def vanish(self) -> None:
        """Close the socket; when this returns the operating system refuses datagrams."""
        if self._application is not None:
            self._application.close()
            self._application = None
            await asyncio.sleep(0)  # the transport closes its socket in the next round of the loop

    async def switch(self, fault: Fault) -> None:
        """Behave so from now on."""
        back_from_restart = self.fault == "restart"
        self.fault = fault
        if fault == "refuse" or back_from_restart:
            await self.vanish()
        if fault != "refuse" and self._application is None:
            await self.listen()

    async def refresh(self) -> None:
        """Let the objects show the world as it is, unless they are frozen."""
        if self.fault == "frozen" or self._application is None:
            return
        points = self._world.points(self.name)
        for item in self._items:
            value = shown(item, points[item.point])
            if item.point not in self._served or value != self._served[item.point]:
                put(self._objects[item.identifier], item, value)
                self._served[item.point] = value

    def noise(self) -> bytes:
        """Random bytes, half of them behind the first byte of a BACnet/IP frame."""
        lead = b"\x81" if self._random.random() < 0.5 else b""
        return lead + self._random.randbytes(self._random.randint(3, 60))

    def distort(self, apdu: Any) -> None:
        """One value too few or too many; a single value goes out twice."""
        if isinstance(apdu, ReadPropertyMultipleACK):
            results: Any = apdu.listOfReadAccessResults
            spoil(results, self._random)
        elif isinstance(apdu, ReadPropertyACK):
            tags = cast("Any", apdu.propertyValue).tagList.tagList
            tags[1:1] = tags[1:-1]

    def note(self, apdu: Any) -> None:
        """Keep the present values and raised status flags of a reply, decoded from its own tags."""
        rows = rows_of(apdu)
        if rows:
            self.truth.write(self.name, service=int(apdu.apduService), **self._decoded(rows))

    def _decoded(self, rows: list[Row]) -> dict[str, Points]:
        values: Points = {}
        flags: Points = {}
        for identifier, name, any_value in rows:
            item = self._values_of.get((str(identifier[0]), identifier[1]))
            if item is None or any_value is None:
                continue
            if str(name) == PRESENT_VALUE:
                values[item.point] = decoded(item, any_value)
            elif str(name) == STATUS_FLAGS and (raised := first_tag(any_value).tag_data[1]):
                flags[item.point] = raised >> 4
        return {"values": values, "flags": flags} if flags else {"values": values}


def rows_of(apdu: Any) -> list[Row]:
    """Object, property and value of everything in a reply; nothing for other replies."""
    if isinstance(apdu, ReadPropertyMultipleACK):
        results: Any = apdu.listOfReadAccessResults
        return [
            (result.objectIdentifier, element.propertyIdentifier, element.readResult.propertyValue)
            for result in results
            for element in result.listOfResults
        ]
    if isinstance(apdu, ReadPropertyACK):
        return [(apdu.objectIdentifier, apdu.propertyIdentifier, apdu.propertyValue)]
    return []


def spoil(results: list[Any], draw: random.Random) -> None:
    if len(results) > 1 and draw.random() < 0.5:
        results.pop()
    else:
        results.append(results[-1])


def require_free(host: str, port: int) -> None:
    """The stack shares a taken port, or waits for it for ever, without a word; so find out before. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError as problem:
            raise OSError(problem.errno, f"{host}:{port}/udp: {problem.strerror}") from problem


class LocalLift(Object, LiftObject):
    """The library knows what a Lift object is, but has none of its own to serve."""


class LocalEscalator(Object, EscalatorObject):
    """As above."""


class LocalDetector(Object, LifeSafetyPointObject):
    """As above."""


class LocalZone(Object, LifeSafetyZoneObject):
    """As above."""


CLASSES = {
    "analog-input": AnalogInputObject,
    "analog-value": AnalogValueObject,
    "binary-input": BinaryInputObject,
    "multi-state-value": MultiStateValueObject,
    "lift": LocalLift,
    "escalator": LocalEscalator,
    "life-safety-point": LocalDetector,
    "life-safety-zone": LocalZone,
}
LIFE_SAFETY = {"presentValue": 0, "trackingValue": 0, "mode": 1, "acceptedModes": [1], "silenced": 0}
BEGINNINGS: dict[str, dict[str, Any]] = {
    "lift": {"carLoadUnits": "percent", "carDoorStatus": [0], "faultSignals": []},
    "escalator": {"faultSignals": []},
    "life-safety-point": LIFE_SAFETY,
    "life-safety-zone": LIFE_SAFETY | {"zoneMembers": []},
}
"""What objects of these kinds have before anything is known."""


def make_object(item: Item) -> Any:
    """A local object of the library, healthy and without a value yet."""
    shared = {
        "objectIdentifier": item.identifier,
        "objectName": f"{item.point}",
        "description": item.point,
        "statusFlags": HEALTHY,
        "eventState": "normal",
        "reliability": "no-fault-detected",
        "outOfService": False,
    }
    if item.kind in BEGINNINGS:
        shared |= BEGINNINGS[item.kind]
    elif item.states:
        shared |= {"presentValue": 1, "numberOfStates": len(item.states), "stateText": list(item.states)}
    elif item.kind == "binary-input":
        shared |= {"presentValue": "inactive", "polarity": "normal"}
    else:
        shared |= {"presentValue": 0.0, "units": EngineeringUnits(item.unit), "covIncrement": 10.0**-item.decimals}
    return CLASSES[item.kind](**shared)


def shown(item: Item, value: Value | None) -> Value | None:
    """The value as the object can hold it."""
    if value is None:
        return None
    if item.part is not None:
        return bool(value)
    if item.states or item.kind in BEGINNINGS:
        return int(value)
    return bool(value) if item.kind == "binary-input" else round(float(value), item.decimals)


def put(target: Any, item: Item, value: Value | None) -> None:
    """A failed sensor keeps its last value and says so in its flags."""
    if item.name != PRESENT_VALUE:
        put_property(target, item, value)
        return
    target.statusFlags = FAULTY if value is None else HEALTHY
    target.reliability = "no-sensor" if value is None else "no-fault-detected"
    if value is not None:
        target.presentValue = value


def put_property(target: Any, item: Item, value: Value | None) -> None:
    """Where one object has many points, each is a property, an element, or a number in a list."""
    if item.name == SIGNALS:
        others = [signal for signal in target.faultSignals if int(signal) != item.part]
        if item.part is not None:
            target.faultSignals = sorted([*others, item.part] if value else others)
    elif item.name == DOORS:
        target.carDoorStatus = [int(value or 0)]
    else:
        head, *rest = item.name.split("-")
        setattr(target, head + "".join(map(str.capitalize, rest)), value)


def first_tag(any_value: Any) -> Any:
    return next(tag for tag in any_value.tagList if tag.tag_class == TagClass.application)


def decoded(item: Item, any_value: Any) -> Value:
    """A present value from its tag: REAL, enumerated (binary) or unsigned."""
    tag = first_tag(any_value)
    data = bytes(tag.tag_data)
    if tag.tag_number == TagNumber.real:
        return cast("float", struct.unpack(">f", data)[0])
    number = int.from_bytes(data, "big")
    return bool(number) if item.kind == "binary-input" else number


class BacnetServers:
    """The BACnet devices of one hospital, in one process: their ports differ, so no stack takes another for
    itself.
    """

    def __init__(self, net: str, world: World, truth: TruthLog, seed: int) -> None:
        self.devices = {name: BacnetDevice(name, net, world, truth, seed) for name in devices_of("bacnet")}
        self._ticks = 0

    async def start(self) -> None:
        for device in self.devices.values():
            await device.listen()

    async def refresh(self) -> None:
        """Five times a second: setting a property costs the library 40 us."""
        self._ticks += 1
        if self._ticks % REFRESH_TICKS == 0:
            for device in self.devices.values():
                await device.refresh()

    async def close(self) -> None:
        for device in self.devices.values():
            await device.vanish()
