"""The operating room, asked by the library as a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors._base import UaError, UaStatusCodeError
from hardware_mocks.client import HospitalProcess
from hardware_mocks.hospital import Hospital
from hospital_clients import becomes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAMESPACE = "urn:wardgate:simulated:or"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[HospitalProcess]:
    async with HospitalProcess(protocols=["opcua"]) as running:
        yield running
        assert running.errors() == ""


@pytest_asyncio.fixture
async def hospital(process: HospitalProcess) -> AsyncIterator[HospitalProcess]:
    """Healthy again after each test."""
    yield process
    await process.fault("or-1", "none")
    await process.release("or-1")


def url(hospital: HospitalProcess) -> str:
    host, port = hospital.address("or-1")
    return f"opc.tcp://{host}:{port}/or"


@pytest_asyncio.fixture
async def client(hospital: HospitalProcess) -> AsyncIterator[Client]:
    connected = Client(url(hospital), timeout=1.0)
    await connected.connect()
    yield connected
    await hospital.fault("or-1", "none")
    await connected.disconnect()


def node(client: Client, point: str) -> Any:
    return client.get_node(f"ns=2;s=or1.{point}")


async def read(client: Client, point: str) -> Any:
    """The data value, whatever its status."""
    return await node(client, point).read_data_value(raise_on_bad_status=False)


async def until(client: Client, point: str, expected: Any) -> None:
    async def shown() -> bool:
        return bool((await read(client, point)).Value.Value == expected)

    await becomes(shown)


class Collector:
    """Keeps what a subscription brings."""

    def __init__(self) -> None:
        self.values: list[tuple[float, Any]] = []
        self.changed = asyncio.Event()

    def datachange_notification(self, _: Any, value: Any, data: Any) -> None:
        stamp = data.monitored_item.Value.SourceTimestamp
        self.values.append((stamp.timestamp(), value))
        self.changed.set()

    async def count(self, number: int) -> None:
        async with asyncio.timeout(5.0):
            while len(self.values) < number:
                self.changed.clear()
                await self.changed.wait()


async def test_namespace_is_index_2(client: Client) -> None:
    """As the README promises, and found by its URI."""
    assert await client.get_namespace_index(NAMESPACE) == 2


async def test_every_point_has_its_type(client: Client) -> None:
    """Doubles, booleans, and an Int32 for the duty."""
    kinds = {point: (await read(client, point)).Value.VariantType for point in Hospital(1).points("or-1")}
    assert kinds.pop("duty") == ua.VariantType.Int32
    booleans = {"in_use", "ahu_run", "ahu_fault", "gas_alarm", "iso_alarm", "ups_alarm"}
    assert {point for point, kind in kinds.items() if kind == ua.VariantType.Boolean} == booleans
    assert {kind for point, kind in kinds.items() if point not in booleans} == {ua.VariantType.Double}


async def test_nothing_can_be_written(client: Client) -> None:
    """The panel is read-only."""
    with pytest.raises(UaStatusCodeError):
        await node(client, "t").write_value(ua.Variant(1.0, ua.VariantType.Double))


async def test_subscription_brings_what_the_truth_holds(hospital: HospitalProcess, client: Client) -> None:
    """At 100 ms several changes a second, each value and source time as it was written."""
    collector = Collector()
    subscription = await client.create_subscription(100, collector)
    await subscription.subscribe_data_change([node(client, "o2_p")])
    await collector.count(5)
    await subscription.delete()
    truth = {
        round(line["source_time"], 3): line["values"]["o2_p"]
        for line in await hospital.truth()
        if "o2_p" in line.get("values", {})
    }
    assert {round(stamp, 3): value for stamp, value in collector.values}.items() <= truth.items()


async def test_oxygen_falls_and_recovers(hospital: HospitalProcess, client: Client) -> None:
    """The act reaches the room: pressure below 320 kPa with the alarm, then back."""
    await hospital.act("oxygen_low")
    await until(client, "gas_alarm", True)

    async def low() -> bool:
        return bool((await read(client, "o2_p")).Value.Value < 320)

    await becomes(low)
    await hospital.act("oxygen_ok")
    await until(client, "gas_alarm", False)


async def test_a_failed_sensor_has_a_bad_status(hospital: HospitalProcess, client: Client) -> None:
    """BadSensorFailure and no value; the others stay good."""
    await hospital.set("or-1", "t", None)
    await until(client, "t", None)
    assert (await read(client, "t")).StatusCode.value == 0x808C_0000
    assert (await read(client, "rh")).StatusCode.is_good()


async def test_exception_fault_makes_every_status_bad(hospital: HospitalProcess, client: Client) -> None:
    """BadDeviceFailure for all, good again afterwards, also for a value that did not change."""
    await hospital.fault("or-1", "exception")
    assert {(await read(client, point)).StatusCode.value for point in ("t", "duty", "in_use")} == {0x808B_0000}
    await hospital.fault("or-1", "none")
    assert (await read(client, "duty")).Value.Value == 2


async def test_wrong_length_fault_changes_the_number_of_results(hospital: HospitalProcess, client: Client) -> None:
    """A batch read gets one value too few or too many, both occur."""
    await hospital.fault("or-1", "wrong_length")
    wanted = ua.ReadParameters(NodesToRead=[ua.ReadValueId(node(client, "t").nodeid, AttributeIds.Value)] * 3)
    assert {len(await client.uaclient.read(wanted)) for _ in range(20)} == {2, 4}


async def test_wrong_length_fault_invents_or_loses_notifications(hospital: HospitalProcess, client: Client) -> None:
    """A notification carries an item that nobody subscribed to, and another one lacks its last."""
    heard: list[list[int]] = []
    subscription = await client.create_subscription(100, Collector())
    publish = subscription.publish_callback

    async def listen(result: ua.PublishResult) -> None:
        notified: list[Any] = result.NotificationMessage.NotificationData or []
        heard.extend([item.ClientHandle for item in data.MonitoredItems] for data in notified)
        await publish(result)

    callbacks: dict[Any, Any] = client.uaclient._subscription_callbacks
    callbacks[subscription.subscription_id] = listen
    await subscription.subscribe_data_change([node(client, "o2_p"), node(client, "dp")])
    await hospital.fault("or-1", "wrong_length")

    async def both() -> bool:
        return any(0x7FFF_FFFF in handles for handles in heard) and any(len(handles) < 2 for handles in heard[1:])

    await becomes(both)
    await hospital.fault("or-1", "none")
    await subscription.delete()


async def test_frozen_fault_stops_values_and_source_times(hospital: HospitalProcess, client: Client) -> None:
    """Requests are answered, but nothing moves."""
    await hospital.fault("or-1", "frozen")
    before = await read(client, "dp")
    await hospital.set("or-1", "dp", 1.0)
    await asyncio.sleep(0.3)  # three write cycles, in which nothing must happen
    assert await read(client, "dp") == before
    await hospital.fault("or-1", "none")
    await until(client, "dp", 1.0)


async def test_silent_fault_answers_nobody(hospital: HospitalProcess, client: Client) -> None:
    """The connection stays open, answers do not come; afterwards the session goes on."""
    await hospital.fault("or-1", "silent")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await read(client, "t")
    await hospital.fault("or-1", "none")
    assert (await read(client, "t")).StatusCode.is_good()


async def test_refuse_fault_closes_the_port(hospital: HospitalProcess) -> None:
    """Nobody listens until the fault ends."""
    await hospital.fault("or-1", "refuse")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*hospital.address("or-1"))
    await hospital.fault("or-1", "none")
    _, writer = await asyncio.open_connection(*hospital.address("or-1"))
    writer.close()
    await writer.wait_closed()


async def test_garbage_fault_answers_noise(hospital: HospitalProcess) -> None:
    """A hello is answered by something that is not an acknowledgement."""
    await hospital.fault("or-1", "garbage")
    reader, writer = await asyncio.open_connection(*hospital.address("or-1"))
    writer.write(b"HELF\x20\0\0\0" + b"\0" * 24)
    async with asyncio.timeout(2.0):
        assert (await reader.read(100))[:4] != b"ACKF"
    writer.close()
    await writer.wait_closed()


async def test_restart_forgets_the_session(hospital: HospitalProcess) -> None:
    """Gone for a while, then a new server that serves the present and does not know the old client."""
    old = Client(url(hospital), timeout=1.0)
    await old.connect()
    await hospital.fault("or-1", "restart", seconds=0.2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*hospital.address("or-1"))

    async def back() -> bool:
        try:
            async with Client(url(hospital), timeout=1.0) as new:
                return bool((await read(new, "t")).StatusCode.is_good())
        except (ConnectionError, TimeoutError):
            return False

    await becomes(back, within_s=8.0)
    with pytest.raises((ConnectionError, UaError, TimeoutError)):
        await read(old, "t")
    await old.disconnect()
