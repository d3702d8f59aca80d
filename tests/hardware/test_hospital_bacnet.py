"""The BACnet devices, asked by the library as a client and by datagrams made by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import Address, IPv4Address
from hardware_mocks.bacnet_objects import OBJECTS
from hardware_mocks.client import HospitalProcess
from hospital_clients import bacnet_exchange, becomes, eventually, read_property_request, real_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ANALOG_INPUT = 0
WITHOUT_VALUE = {"lift-3", "esc-1"}
"""Their objects have other properties in the place of a present value."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[HospitalProcess]:
    async with HospitalProcess(protocols=["bacnet"]) as running:
        yield running
        assert running.errors() == ""


@pytest_asyncio.fixture
async def hospital(process: HospitalProcess) -> AsyncIterator[HospitalProcess]:
    """Healthy again after each test."""
    yield process
    for device in ("chiller-1", "ahu-1", "lift-1"):
        await process.fault(device, "none")
        await process.release(device)


@pytest_asyncio.fixture
async def client(hospital: HospitalProcess) -> AsyncIterator[Any]:
    device = DeviceObject(objectIdentifier=("device", 4000), objectName="client", vendorIdentifier=999)
    application = NormalApplication(device, IPv4Address(f"{hospital.net}.1/32:47900"))
    yield application
    application.close()
    await asyncio.sleep(0)


def place(hospital: HospitalProcess, device: str) -> Address:
    host, port = hospital.address(device)
    return Address(f"{host}:{port}")


@pytest.mark.parametrize(("device", "instance"), [("chiller-1", 1001), ("ahu-1", 1002), ("lift-1", 1003)])
async def test_each_device_answers_who_is(hospital: HospitalProcess, client: Any, device: str, instance: int) -> None:
    """Asked by unicast for its instance it says I-Am; asked for another it is quiet."""
    found = await client.who_is(instance, instance, place(hospital, device), timeout=0.5)
    assert [answer.iAmDeviceIdentifier[1] for answer in found] == [instance]
    assert await client.who_is(9, 9, place(hospital, device), timeout=0.1) == []


@pytest.mark.parametrize("device", sorted(set(OBJECTS) - WITHOUT_VALUE))
async def test_every_object_of_the_map_can_be_read(hospital: HospitalProcess, client: Any, device: str) -> None:
    """ReadPropertyMultiple of present value and status flags gives healthy values; the truth holds the same."""
    request: list[Any] = []
    for item in OBJECTS[device]:
        request += [f"{item.kind},{item.instance}", ["present-value", "status-flags"]]
    read = await client.read_property_multiple(place(hospital, device), request)
    values = [row[3] for row in read if str(row[1]) == "present-value"]
    truth = next(line for line in reversed(await hospital.truth()) if line["device"] == device)
    assert list(truth["values"]) == [item.point for item in OBJECTS[device]]
    assert [float(value) for value in values] == [float(value) for value in truth["values"].values()]
    assert "flags" not in truth


async def test_names_units_and_state_texts_are_there(hospital: HospitalProcess, client: Any) -> None:
    """What discovery reads: object list, units, state texts, vendor and model."""
    chiller = place(hospital, "chiller-1")
    listed = await client.read_property(chiller, "device,1001", "object-list")
    assert len(listed) == len(OBJECTS["chiller-1"]) + 1
    assert str(await client.read_property(chiller, "analog-input,1", "units")) == "degrees-celsius"
    assert await client.read_property(chiller, "multi-state-value,1", "state-text") == [
        "off",
        "starting",
        "running",
        "stopping",
        "fault",
    ]
    assert str(await client.read_property(chiller, "device,1001", "model-name")) == "simulated chiller-1"


async def test_an_unknown_object_is_an_error_of_its_own(hospital: HospitalProcess, client: Any) -> None:
    """In a batch it costs only its own value."""
    read = await client.read_property_multiple(
        place(hospital, "chiller-1"),
        ["analog-input,1", ["present-value"], "analog-input,77", ["present-value"]],
    )
    assert isinstance(read[0][3], float)
    assert str(read[1][3].errorCode) == "unknown-object"


async def test_a_failed_sensor_raises_the_fault_flag(hospital: HospitalProcess, client: Any) -> None:
    """Status flags and reliability say so, and the truth names the flag."""
    await hospital.set("ahu-1", "t_sa", None)
    ahu = place(hospital, "ahu-1")

    async def failed() -> bool:
        return str(await client.read_property(ahu, "analog-input,1", "reliability")) == "no-sensor"

    await becomes(failed)
    read = await client.read_property_multiple(ahu, ["analog-input,1", ["present-value", "status-flags"]])
    assert list(read[1][3]) == [0, 1, 0, 0]
    assert (await hospital.truth())[-1]["flags"] == {"t_sa": 4}


async def test_exception_fault_is_a_bacnet_error(hospital: HospitalProcess, client: Any) -> None:
    """Device, operational problem."""
    await hospital.fault("chiller-1", "exception")
    try:
        answer = await client.read_property(place(hospital, "chiller-1"), "analog-input,1", "present-value")
    except ErrorRejectAbortNack as raised:  # the library returns an error or raises it, as it pleases
        answer = raised
    assert "operational-problem" in str(answer.errorCode)


async def test_wrong_length_fault_changes_the_number_of_results(hospital: HospitalProcess, client: Any) -> None:
    """One object too few or too many, both occur."""
    await hospital.fault("chiller-1", "wrong_length")
    request = ["analog-input,1", ["present-value"], "analog-input,2", ["present-value"]]
    counts = {len(await client.read_property_multiple(place(hospital, "chiller-1"), request)) for _ in range(20)}
    assert counts == {1, 3}


def ask(hospital: HospitalProcess, device: str, within_s: float = 1.0) -> bytes:
    """The present value of analog input 1, by hand."""
    request = read_property_request(ANALOG_INPUT, 1)
    return bacnet_exchange((f"{hospital.net}.1", 47_901), hospital.address(device), request, within_s)


@pytest.fixture
def answers(hospital: HospitalProcess) -> Callable[[str], bool]:
    """Whether a device answers at all just now."""

    def answering(device: str) -> bool:
        try:
            return len(ask(hospital, device, within_s=0.2)) > 0
        except OSError:
            return False

    return answering


async def test_silent_fault_sends_nothing_not_even_an_abort(hospital: HospitalProcess) -> None:
    """The request is lost below the stack; neighbours answer."""
    await hospital.fault("chiller-1", "silent")
    with pytest.raises(TimeoutError):
        ask(hospital, "chiller-1", within_s=0.3)
    assert real_of(ask(hospital, "ahu-1")) > 5


async def test_refuse_fault_makes_the_port_unreachable(
    hospital: HospitalProcess, answers: Callable[[str], bool]
) -> None:
    """The operating system refuses the datagram; afterwards the device is back with all its objects."""
    await hospital.fault("chiller-1", "refuse", seconds=0.3)
    with pytest.raises(ConnectionRefusedError):
        ask(hospital, "chiller-1")
    eventually(lambda: answers("chiller-1"))
    assert real_of(ask(hospital, "chiller-1")) == pytest.approx(7.0, abs=1.0)


async def test_restart_fault_ends_by_itself(hospital: HospitalProcess, answers: Callable[[str], bool]) -> None:
    """Silent for the given time, then back."""
    await hospital.fault("chiller-1", "restart", seconds=0.4)
    assert not answers("chiller-1")
    eventually(lambda: answers("chiller-1"))


async def test_garbage_fault_is_no_bacnet(hospital: HospitalProcess) -> None:
    """What comes back is not an acknowledgement of the request."""
    await hospital.fault("chiller-1", "garbage")
    for _ in range(10):
        answer = ask(hospital, "chiller-1")
        assert answer[:7] != bytes.fromhex("810a00140100") + b"\x30"


async def test_frozen_fault_lets_values_stand_still(hospital: HospitalProcess) -> None:
    """Pinning another value changes nothing until the fault ends."""
    await hospital.fault("chiller-1", "frozen")
    before = real_of(ask(hospital, "chiller-1"))
    await hospital.set("chiller-1", "t_chws", 33.0)
    await hospital.set("ahu-1", "t_sa", 33.0)
    eventually(lambda: real_of(ask(hospital, "ahu-1")) == 33.0)
    assert real_of(ask(hospital, "chiller-1")) == before
    await hospital.fault("chiller-1", "none")
    eventually(lambda: real_of(ask(hospital, "chiller-1")) == 33.0)
