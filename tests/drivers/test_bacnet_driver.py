"""The BACnet driver against a device of our own on loopback: the driver contract, its socket, and who it is."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, suppress

import pytest
from bacnet_peer import (
    DEVICE,
    READ_PROPERTY,
    READ_PROPERTY_MULTIPLE,
    RawDevice,
    RoutedDevice,
    enumerated,
    free_port,
    identifier,
    inputs,
    loopback,
    make_device,
    make_line,
    make_point,
    real,
    searchable,
    serving,
    text,
)
from bacnet_reading import connected, raws, reading, until, with_inputs

from agent.clock import ManualClock
from config.errors import ConfigProblem
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Grade, Poll, Quality
from drivers.errors import NoAnswer, Refused, Unreachable

# --- the contract ------------------------------------------------------------------------------------------------


async def test_values_come_in_the_order_of_the_points_and_all_as_new() -> None:
    """The first reading has every value at its place, no flaw, and says that all may have changed."""
    async with reading(with_inputs(45), 45) as (driver, poll):
        given = await driver.read(poll)
    assert list(given.values) == [number + 0.5 for number in range(1, 46)]
    assert not given.flaws
    assert given.changed == ((0, 45),)


async def test_the_same_bytes_are_not_decoded_again() -> None:
    """An unchanged answer costs nothing further down: the same values object, and no changed span."""
    async with reading(with_inputs(30), 30) as (driver, poll):
        first = await driver.read(poll)
        second = await driver.read(poll)
    assert second.values is first.values
    assert second.changed == ()


async def test_only_what_changed_is_named_and_the_old_reading_stays_as_it_was() -> None:
    """One new value is one short span, and a reading that was given out never changes."""
    device = with_inputs(30)
    async with reading(device, 30) as (driver, poll):
        first = await driver.read(poll)
        device.put(25, real(99.0))
        second = await driver.read(poll)
    assert second.changed == ((24, 25),)
    assert (first.values[24], second.values[24]) == (25.5, 99.0)


async def test_a_flaw_that_comes_and_goes_is_a_change() -> None:
    """Quality is part of a value: out of service takes the value away and gives it back, each as a change."""
    device = with_inputs(3)
    async with reading(device, 3) as (driver, poll):
        await driver.read(poll)
        device.put(2, real(2.5), "0001")
        gone = await driver.read(poll)
        device.put(2, real(2.5))
        back = await driver.read(poll)
    assert (gone.values[1], raws(gone)[1][0], gone.changed) == (None, "out_of_service", ((1, 2),))
    assert (back.values[1], dict(back.flaws), back.changed) == (2.5, {}, ((1, 2),))


async def test_a_bad_point_is_isolated() -> None:
    """An object that does not exist is a bad point among good ones, said in the device's own words."""
    async with reading(with_inputs(2), 3) as (driver, poll):
        given = await driver.read(poll)
    assert list(given.values) == [1.5, 2.5, None]
    assert given.flaws == {2: Quality(Grade.BAD, "config_error", "object/unknown-object")}


async def test_times_come_from_the_given_clock() -> None:
    """Both times of a reading are the clock's, not the system's."""
    async with reading(with_inputs(1), 1) as (driver, poll):
        given = await driver.read(poll)
    assert (given.time, given.mono) == (ManualClock().wall(), ManualClock().mono())


async def test_the_constructor_opens_nothing() -> None:
    """Until it connects, a driver leaves its port to others."""
    line = make_line(make_device("127.0.0.9:47999", inputs(1)))
    BacnetDriver(line, ManualClock())
    host, port = line.spec.model_dump()["bind"].replace("/32", "").split(":")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind((host, int(port)))


async def test_a_closed_line_is_unreachable_and_comes_back_by_connecting() -> None:
    """After a loss the same driver connects again, and the next reading counts as all new."""
    async with reading(with_inputs(2), 2) as (driver, poll):
        await driver.read(poll)
        await driver.close()
        with pytest.raises(Unreachable):
            await driver.read(poll)
        await driver.connect()
        again = await driver.read(poll)
    assert again.changed == ((0, 2),)
    assert list(again.values) == [1.5, 2.5]


async def test_closing_is_allowed_at_any_time() -> None:
    """Before connecting, twice, and after a failed connect."""
    host = loopback()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind((host, 0))
        line = make_line(make_device("127.0.0.9:47999", inputs(1)), bind=f"{host}:{other.getsockname()[1]}")
        driver = BacnetDriver(line, ManualClock())
        await driver.close()
        with pytest.raises(Refused):
            await driver.connect()
        await driver.close()
    await driver.connect()
    await driver.close()
    await driver.close()


async def test_a_read_that_waits_while_the_line_is_closed_ends_at_once() -> None:
    """Closing fails what is pending instead of letting it wait for its timeout."""
    device = with_inputs(1)
    async with reading(device, 1, timeout_s=30.0) as (driver, poll):
        await driver.read(poll)
        device.answer = lambda _: []
        pending = asyncio.create_task(driver.read(poll))
        await until(device, 3)
        await driver.close()
        with pytest.raises(Unreachable):
            await pending


async def test_a_cancelled_read_leaves_nothing_behind() -> None:
    """The library would go on sending for twelve seconds: here the transaction ends with the one who waited."""
    device = with_inputs(1)
    async with reading(device, 1, timeout_s=0.5) as (driver, poll):
        await driver.read(poll)
        device.answer = lambda _: []
        for _ in range(5):
            pending = asyncio.create_task(driver.read(poll))
            await until(device, len(device.requests) + 1)
            pending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pending
        assert driver._stack is not None
        assert driver._stack._access.clientTransactions == []
        sent = len(device.requests)
        device.answer = lambda _: None
        given = await driver.read(poll)
    assert list(given.values) == [1.5]
    assert given.changed == ((0, 1),), "after a read that did not end nothing counts as known"
    assert len(device.requests) == sent + 1


async def test_a_cancelled_connect_leaves_the_port_free() -> None:
    """Wherever the caller's deadline hits, the next try finds the address as it was."""
    host = loopback()
    line = make_line(make_device("127.0.0.9:47999", inputs(1)), bind=f"{host}/8:{free_port(host)}")
    driver = BacnetDriver(line, ManualClock())
    cancelled = 0
    for turns in range(8):
        connecting = asyncio.create_task(driver.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            await connecting
        cancelled += connecting.cancelled()
        await driver.close()
        await driver.connect()
        await driver.close()
    assert 2 <= cancelled < 8, "some tries were hit in the middle, and some were not"


# --- opening the socket ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
async def test_5_an_address_in_use_is_an_error_at_once(*, shared: bool) -> None:
    """Also where the other program would share it, as the library does: answers would go to either of the two."""
    host = loopback()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((host, 0))
        line = make_line(make_device("127.0.0.9:47999", inputs(1)), bind=f"{host}:{other.getsockname()[1]}")
        driver = BacnetDriver(line, ManualClock())
        async with asyncio.timeout(1.0):
            with pytest.raises(Refused, match="another program has this address and port; stop the other"):
                await driver.connect()


async def test_5_a_broadcast_address_in_use_is_an_error_at_once() -> None:
    """The library would wait for ever for another stack that does not share it; and our own socket is free again."""
    host = loopback()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind((f"{host.rpartition('.')[0]}.255", 0))
        port = other.getsockname()[1]
        line = make_line(make_device("127.0.0.9:47999", inputs(1)), bind=f"{host}/24:{port}")
        async with asyncio.timeout(30.0):
            with pytest.raises(Refused, match=r"\.255:\d+: another program has this address and port"):
                await BacnetDriver(line, ManualClock()).connect()
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ours:
            ours.bind((host, port))


async def test_an_address_that_this_machine_does_not_have_is_tried_later() -> None:
    """The interface may not be up yet at boot."""
    driver = BacnetDriver(make_line(make_device("127.0.0.9:47999", inputs(1)), bind="203.0.113.7:47900"), ManualClock())
    with pytest.raises(Unreachable, match="does not have the address"):
        await driver.connect()


def test_a_device_at_the_port_of_the_line_is_a_mistake() -> None:
    """The stack would answer itself whatever goes to its own port at any loopback address."""
    line = make_line(make_device("127.0.0.9:47900", inputs(1)), bind="127.0.0.1:47900")
    with pytest.raises(ConfigProblem, match="has the port of the line itself") as problem:
        BacnetDriver(line, ManualClock())
    assert (problem.value.device, problem.value.field) == ("dev-1001", "at")


def test_the_object_of_another_device_is_a_mistake() -> None:
    """A device object belongs to the device of its instance; `device` is its own, whatever that is."""
    with pytest.raises(ConfigProblem, match=r"another device than this one.*write object: device"):
        BacnetDriver(make_line(make_device("10.0.0.1", [make_point("device,7")])), ManualClock())


async def test_the_device_s_own_object_is_read_by_its_instance() -> None:
    """It is asked for by its number, which every device answers with."""
    device = RawDevice()
    device.objects[identifier(DEVICE, 1001)][112] = enumerated(4)
    async with serving(device):
        point = make_point("device", "enum", property="system-status", states={4: "non-operational"})
        made = make_device(device.at, [point])
        async with connected(make_line(made)) as driver:
            given = await driver.read(Poll(made, made.points, 1.0))
    assert list(given.values) == ["non-operational"]


def test_the_same_port_on_a_real_network_is_fine() -> None:
    """There every device has 47808."""
    BacnetDriver(make_line(make_device("10.1.2.3:47808", inputs(1)), bind="10.1.2.4/24:47808"), ManualClock())


def test_a_line_without_prefix_cannot_search() -> None:
    """Without a broadcast address each device needs its own."""
    with pytest.raises(ConfigProblem, match=r"has no at:.*give its address"):
        BacnetDriver(make_line(make_device(None, inputs(1)), bind="127.0.0.1:47900"), ManualClock())


# --- finding the device ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RawDevice, RoutedDevice])
async def test_a_device_without_address_is_found_by_broadcast(kind: type[RawDevice]) -> None:
    """Who-Is names the one instance; whoever says I-Am is asked, behind a router too, and not searched for again."""
    device = kind(max_apdu=480)
    for number in (1, 2):
        device.put(number, real(number + 0.5))
    port = free_port("127.255.255.255")
    made = make_device(None, inputs(2))
    line = make_line(made, bind=f"{loopback()}/8:{port}")
    async with serving(device), searchable(device, port) as heard, connected(line) as driver:
        poll = Poll(made, made.points, 1.0)
        given = await driver.read(poll)
        await driver.read(poll)
    assert list(given.values) == [1.5, 2.5]
    assert len(heard) == 1
    assert heard[0].endswith(b"\x10\x08\x0a\x03\xe9\x1a\x03\xe9")


async def test_a_device_that_nobody_finds_is_no_answer() -> None:
    """The search ends with the timeout of the line and says what to check."""
    host = loopback()
    made = make_device(None, inputs(1))
    line = make_line(made, bind=f"{host}/8:{free_port('127.255.255.255')}", timeout_s=0.1)
    async with connected(line) as driver:
        with pytest.raises(NoAnswer, match=r"device 1001: did not answer Who-Is within 0\.1 s; check its"):
            await driver.read(Poll(made, made.points, 1.0))


async def test_another_device_at_the_address_is_no_data() -> None:
    """A swapped device answers, but its values are nobody's: bad, with the instance that was found."""
    device = with_inputs(2)
    async with serving(device):
        made = make_device(device.at, inputs(2), instance=7)
        async with connected(make_line(made)) as driver:
            given = await driver.read(Poll(made, made.points, 1.0))
            with pytest.raises(NoAnswer, match="device,1001 answers"):
                await driver.identify(made)
    assert list(given.values) == [None, None]
    assert raws(given) == dict.fromkeys((0, 1), ("config_error", f"device,1001 answers at {device.at}"))


async def test_identity_is_checked_again_after_a_silence() -> None:
    """While a device was away, another may have taken its address."""
    device = with_inputs(1)
    async with reading(device, 1, timeout_s=0.1) as (driver, poll):
        await driver.read(poll)
        device.answer = lambda _: []
        with pytest.raises(NoAnswer):
            await driver.read(poll)
        device.answer = lambda _: None
        del device.objects[identifier(8, 1001)]
        given = await driver.read(poll)
    assert raws(given)[0][0] == "config_error"


async def test_numbers_of_requests_go_on_after_a_silence() -> None:
    """A device that answers at last, while it is visited anew, says nothing that could be taken for the new answer."""
    device = with_inputs(1)
    async with reading(device, 1, timeout_s=0.3) as (driver, poll):
        for _ in range(3):
            device.answer = lambda _: None
            await driver.read(poll)
            device.answer = lambda _: []
            with pytest.raises(NoAnswer):
                await driver.read(poll)
    numbers = [one.invoke_id for one in device.requests]
    assert numbers == sorted(numbers), "only what is sent again has its number again"
    assert len(set(numbers)) == 9, "a visit, an answer and a silence, three times"


async def test_identity_is_checked_again_after_connecting() -> None:
    """What happened while the line was down is not known."""
    device = with_inputs(1)
    async with reading(device, 1) as (driver, poll):
        await driver.read(poll)
        await driver.connect()
        del device.objects[identifier(8, 1001)]
        given = await driver.read(poll)
    assert raws(given)[0][0] == "config_error"


async def test_5_batches_fit_the_max_apdu_of_the_device() -> None:
    """A device that takes 206 bytes is asked for eight points at a time, before it has to refuse."""
    device = with_inputs(20)
    device.objects[identifier(8, 1001)][62] = b"\x21\xce"
    async with reading(device, 20) as (driver, poll):
        await driver.read(poll)
    assert device.multiples() == [8, 8, 4]


async def test_identify_says_what_the_device_says() -> None:
    """Vendor, model and firmware in one request; what it does not say is empty."""
    device = with_inputs(0)
    device.objects[identifier(8, 1001)] |= {121: text("ACME"), 70: text("CH-9"), 44: text("1.2")}
    async with reading(device, 0) as (driver, poll):
        identity = await driver.identify(poll.device)
    assert (identity.vendor, identity.model, identity.firmware, identity.serial) == ("ACME", "CH-9", "1.2", "")
    assert [one.service for one in device.requests] == [READ_PROPERTY, READ_PROPERTY_MULTIPLE]
