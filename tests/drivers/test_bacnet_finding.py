"""Which device stands where: moved, swapped and doubled devices give no data that is not theirs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    RawDevice,
    RoutedDevice,
    free_port,
    i_am,
    identifier,
    inputs,
    loopback,
    make_device,
    make_line,
    real,
    searchable,
    serving,
)

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Poll
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bacnet_peer import Reply, Request

    from config.model import Device
    from drivers.contract import Reading

TIMEOUT_S = 1.0


def measuring(value: float, kind: type[RawDevice] = RawDevice) -> RawDevice:
    """Device 1001 with one input."""
    device = kind()
    device.put(1, real(value))
    return device


class Network:
    """A line that searches for device 1001, and devices that come and go on its network."""

    def __init__(self) -> None:
        self.port = free_port("127.255.255.255")
        self.host = loopback()
        self.device: Device = make_device(None, inputs(1))
        self.driver = BacnetDriver(
            make_line(self.device, bind=f"{self.host}/8:{self.port}", timeout_s=TIMEOUT_S), ManualClock()
        )
        self._poll = Poll(self.device, self.device.points, 1.0)

    async def read(self) -> Reading:
        return await self.driver.read(self._poll)

    async def announce(self, device: RawDevice, instance: int = 1001) -> None:
        """The device says who it is, as at its start, and the driver has heard it."""
        device.transport.sendto(device.sent(i_am(instance, 1476)), (self.host, self.port))
        async with asyncio.timeout(TIMEOUT_S):
            while self.driver._met[self.device].certain:
                await asyncio.sleep(0)


@asynccontextmanager
async def network(*devices: RawDevice) -> AsyncIterator[tuple[Network, list[AsyncExitStack]]]:
    """The devices answer Who-Is until their stack is closed."""
    made = Network()
    async with AsyncExitStack() as all_of_them:
        there = [await all_of_them.enter_async_context(AsyncExitStack()) for _ in devices]
        for device, stack in zip(devices, there, strict=True):
            await stack.enter_async_context(serving(device))
            await stack.enter_async_context(searchable(device, made.port))
        await made.driver.connect()
        all_of_them.push_async_callback(made.driver.close)
        yield made, there


async def test_6_a_device_that_moves_to_another_address_is_followed_at_its_first_word() -> None:
    """What stands at the old address still answers, and is not asked any more."""
    old, new = measuring(1.5), measuring(2.5)
    async with network(old) as (net, (old_place,)), serving(new):
        await net.read()
        host_port = old.transport.get_extra_info("sockname")
        await old_place.aclose()
        left = measuring(66.0)
        async with serving(left, *host_port), searchable(new, net.port):
            await net.announce(new)
            given = await net.read()
            seen = len(left.requests)
    assert list(given.values) == [2.5]
    assert given.changed == ((0, 1),)
    assert seen == 0


async def test_a_device_that_falls_silent_and_moves_is_found_again() -> None:
    """Without a word of its own: the search after the silence finds it."""
    old, new = measuring(1.5), measuring(2.5)
    async with network(old) as (net, (old_place,)), serving(new):
        await net.read()
        await old_place.aclose()
        async with searchable(new, net.port):
            net.driver._lose(net.device)  # as after a request without answer
            given = await net.read()
    assert list(given.values) == [2.5]


async def test_6_instance_conflicts_are_reported_and_no_data() -> None:
    """Nobody can tell whose values they would be; when one of them is gone, the other is read."""
    one, other = measuring(1.5), measuring(2.5)
    async with network(one, other) as (net, (_, other_place)):
        places = {one.at, other.at}
        async with asyncio.timeout(5 * TIMEOUT_S):
            while not (given := await net.read()).flaws:
                await asyncio.sleep(0)
        again = await net.read()
        await other_place.aclose()
        alone = await net.read()
    assert list(given.values) == [None]
    assert given.flaws[0].reason == "config_error"
    assert given.flaws[0].raw.startswith("several devices have instance 1001: ")
    assert set(given.flaws[0].raw.partition(": ")[2].split(", ")) == places
    assert again.flaws.keys() == {0}
    assert list(alone.values) == [1.5]


async def test_a_word_in_the_name_of_a_device_that_still_stands_costs_one_search() -> None:
    """Somebody announces its number and answers no search: the device stays where it is."""
    device, stranger = measuring(1.5), measuring(66.0)
    async with network(device) as (net, _), serving(stranger):
        await net.read()
        await net.announce(stranger)
        given = await net.read()
    assert list(given.values) == [1.5]
    assert stranger.requests == []


async def test_what_was_read_while_a_device_came_into_doubt_is_read_again() -> None:
    """An answer may come from the wrong one of two: it is not given out before that is settled."""
    device, stranger = measuring(1.5), measuring(66.0)
    async with network(device) as (net, _), serving(stranger):
        await net.read()
        doubted = False

        def answer(request: Request) -> Reply:
            nonlocal doubted
            if not doubted:
                doubted = True
                stranger.transport.sendto(i_am(1001, 1476), (net.host, net.port))
                asyncio.get_running_loop().call_later(0.05, late, request)
                return []
            return None

        def late(request: Request) -> None:
            wrong = measuring(99.0)
            device.transport.sendto(request.ack(wrong.multiple(request)), request.source)

        device.answer = answer
        given = await net.read()
    assert list(given.values) == [1.5]


async def test_a_stranger_at_the_address_of_a_device_is_asked_who_he_is() -> None:
    """Another number announced from there: the address is visited again before anything counts."""
    device = measuring(1.5)
    async with serving(device):
        made = make_device(device.at, inputs(1))
        line = make_line(made, timeout_s=TIMEOUT_S)
        driver = BacnetDriver(line, ManualClock())
        await driver.connect()
        poll = Poll(made, made.points, 1.0)
        await driver.read(poll)
        del device.objects[identifier(8, 1001)]
        spec = driver._spec
        device.transport.sendto(i_am(7, 1476), (str(spec.interface.ip), spec.port))
        async with asyncio.timeout(TIMEOUT_S):
            while driver._met[made].certain:
                await asyncio.sleep(0)
        given = await driver.read(poll)
        await driver.close()
    assert given.flaws[0].reason == "config_error"


async def test_a_device_that_moves_behind_a_router_is_followed() -> None:
    """From the network of the line to station 7 of network 2001."""
    old, new = measuring(1.5), measuring(2.5, RoutedDevice)
    async with network(old) as (net, (old_place,)), serving(new):
        await net.read()
        await old_place.aclose()
        async with searchable(new, net.port):
            await net.announce(new)
            given = await net.read()
    assert list(given.values) == [2.5]


async def test_nobody_can_dispute_a_device_whose_address_is_given() -> None:
    """A flood of announcements in its name, and of strangers, costs it no request more than its poll."""
    device, stranger = measuring(1.5), measuring(66.0)
    async with serving(device), serving(stranger):
        made = make_device(device.at, inputs(1))
        line = make_line(made, timeout_s=TIMEOUT_S)
        driver = BacnetDriver(line, ManualClock())
        await driver.connect()
        poll = Poll(made, made.points, 1.0)
        await driver.read(poll)
        seen = len(device.requests)
        place = str(driver._spec.interface.ip), driver._spec.port
        for number in range(200):
            stranger.transport.sendto(i_am(1001 if number % 2 else number, 1476), place)
        given = await driver.read(poll)
        asked = len(device.requests) - seen
        await driver.close()
    assert (list(given.values), asked, stranger.requests) == ([1.5], 1, [])


@pytest.mark.parametrize(("station", "answers"), [("2001:7", True), ("2001:8", False)])
async def test_a_station_behind_a_router_is_asked_without_a_search(station: str, *, answers: bool) -> None:
    """Through the router at its address, and only that station; who it is is checked there."""
    device = RoutedDevice()
    device.put(1, real(1.5))
    async with serving(device):
        made = make_device(device.at, inputs(1), behind=station)
        driver = BacnetDriver(make_line(made, timeout_s=1.0 if answers else 0.3), ManualClock())
        await driver.connect()
        try:
            if answers:
                assert list((await driver.read(Poll(made, made.points, 1.0))).values) == [1.5]
            else:
                with pytest.raises(NoAnswer, match="2001:8"):
                    await driver.read(Poll(made, made.points, 1.0))
        finally:
            await driver.close()
