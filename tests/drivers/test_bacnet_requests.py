"""What the BACnet driver asks of a device at once, and what it makes of refusals, silence and long answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    READ_PROPERTY,
    READ_PROPERTY_MULTIPLE,
    RELIABILITY,
    SEGMENTATION_NOT_SUPPORTED,
    UNKNOWN_OBJECT,
    UNRECOGNIZED_SERVICE,
    RawDevice,
    identifier,
    inputs,
    make_device,
    make_line,
    make_point,
    real,
    serving,
    text,
)
from bacnet_reading import connected, raws, reading, until, with_inputs

from drivers.contract import Poll
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bacnet_peer import Reply, Request

    from drivers.bacnet.driver import BacnetDriver


SERVICES, OPTIONAL_FUNCTIONALITY_NOT_SUPPORTED, REJECT_UNRECOGNIZED_SERVICE = 5, 45, 67


@pytest.mark.parametrize(
    "refuse",
    [
        lambda request: request.reject(UNRECOGNIZED_SERVICE),
        lambda request: request.error(SERVICES, REJECT_UNRECOGNIZED_SERVICE),
        lambda request: request.error(SERVICES, OPTIONAL_FUNCTIONALITY_NOT_SUPPORTED),
    ],
    ids=["reject", "error-of-bacnet-js", "error-not-supported"],
)
async def test_5_a_device_without_rpm_is_asked_by_read_property_and_not_twice(
    refuse: Callable[[Request], bytes],
) -> None:
    """The refusal, however it is said, is remembered: the second poll sends no ReadPropertyMultiple."""
    device = with_inputs(3)

    def answer(request: Request) -> Reply:
        return [refuse(request)] if request.service == READ_PROPERTY_MULTIPLE else None

    device.answer = answer
    async with reading(device, 4) as (driver, poll):
        first = await driver.read(poll)
        second = await driver.read(poll)
    assert list(first.values) == [1.5, 2.5, 3.5, None]
    assert raws(first) == {3: ("config_error", "object/unknown-object")}
    assert second.values is first.values
    assert device.multiples() == [4]


async def test_5_what_was_learnt_is_remembered_for_all_polls_of_the_device() -> None:
    """A second poll of the same device does not run into the refusals of the first."""
    device = with_inputs(20)
    device.answer = lambda ask: [ask.abort(SEGMENTATION_NOT_SUPPORTED)] if len(ask.wanted()) > 5 else None
    async with reading(device, 20) as (driver, poll):
        await driver.read(poll)
        seen = len(device.multiples())
        await driver.read(Poll(poll.device, poll.points, 10.0))
        assert device.multiples()[seen:] == [5, 5, 5, 5]
        device.answer = lambda ask: [ask.reject(UNRECOGNIZED_SERVICE)] if ask.service != READ_PROPERTY else None
        await driver.read(poll)
        seen = len(device.multiples())
        await driver.read(Poll(poll.device, poll.points, 60.0))
        assert device.multiples()[seen:] == []


async def test_5_an_answer_that_is_too_long_halves_the_batch_for_good() -> None:
    """Abort segmentation-not-supported is met by asking for less, in every later poll too."""
    device = with_inputs(20)

    def answer(request: Request) -> Reply:
        too_long = request.service == READ_PROPERTY_MULTIPLE and len(request.wanted()) > 6
        return [request.abort(SEGMENTATION_NOT_SUPPORTED)] if too_long else None

    device.answer = answer
    async with reading(device, 20) as (driver, poll):
        given = await driver.read(poll)
        learnt = len(device.requests)
        await driver.read(poll)
    assert list(given.values) == [number + 0.5 for number in range(1, 21)]
    assert max(device.multiples()[learnt - 1 :]) <= 6
    assert len(device.requests) - learnt == 4


async def test_one_wrong_object_that_makes_the_device_refuse_all_costs_only_itself() -> None:
    """Some devices answer a whole request with the error of one object: it is isolated, and stays so."""
    device = with_inputs(16)
    del device.objects[identifier(0, 6)]

    def answer(request: Request) -> Reply:
        if request.service != READ_PROPERTY_MULTIPLE:
            return None
        known = all(target in device.objects for target, _ in request.wanted())
        return None if known else [request.error(*UNKNOWN_OBJECT)]

    device.answer = answer
    async with reading(device, 16) as (driver, poll):
        given = await driver.read(poll)
        learnt = len(device.requests)
        await driver.read(poll)
    assert [at for at, value in enumerate(given.values) if value is None] == [5]
    assert raws(given) == {5: ("config_error", "object/unknown-object")}
    assert len(device.requests) - learnt < 8


async def silences(driver: BacnetDriver, poll: Poll, tries: int) -> list[bool]:
    """Which of so many reads had no answer."""
    silent = []
    for _ in range(tries):
        try:
            await driver.read(poll)
        except NoAnswer:
            silent.append(True)
        else:
            silent.append(False)
    return silent


async def test_a_device_that_silently_drops_large_requests_is_asked_for_less() -> None:
    """After two silences, between which it said that it is there; a poll that it bears proves nothing about others."""
    device = with_inputs(12)
    device.answer = lambda request: [] if len(request.wanted()) > 4 else None
    async with reading(device, 12, timeout_s=0.5) as (driver, poll):
        small = Poll(poll.device, poll.points[:1], 1.0)
        silent = []
        for _ in range(4):
            silent += await silences(driver, poll, 1)
            await driver.read(small)
        given = await driver.read(poll)
    assert silent == [True, True, False, False]
    assert list(given.values) == [number + 0.5 for number in range(1, 13)]


async def test_requests_that_are_lost_at_random_do_not_stay_small() -> None:
    """What was answered at that size before, and then is not, has another reason than its length."""
    device = with_inputs(8)
    async with reading(device, 8, timeout_s=0.5) as (driver, poll):
        for lost in (2, 2):
            device.answer = lambda request: [] if request.wanted() else None
            assert await silences(driver, poll, lost) == [True] * lost
            device.answer = lambda _: None
            await driver.read(poll)
        given = await driver.read(poll)
    assert list(given.values) == [number + 0.5 for number in range(1, 9)]
    assert device.multiples()[-1] == 8


async def test_a_busy_device_does_not_make_batches_smaller() -> None:
    """What passes by itself is no reason to ask for less for ever."""
    device = with_inputs(8)
    device.answer = lambda request: [request.error(0, 3)] if request.service == READ_PROPERTY_MULTIPLE else None
    async with reading(device, 8) as (driver, poll):
        busy = await driver.read(poll)
        device.answer = lambda _: None
        given = await driver.read(poll)
    assert set(raws(busy).values()) == {("busy", "device/device-busy")}
    assert list(given.values) == [number + 0.5 for number in range(1, 9)]
    assert device.multiples() == [8, 8]


async def test_a_fault_is_explained_by_the_reliability_which_is_asked_for_only_then() -> None:
    """A faulty point is asked for its reliability in the same read, and in one request from then on."""
    device = with_inputs(3)
    async with reading(device, 3) as (driver, poll):
        await driver.read(poll)
        device.put(2, real(2.5), "0100", reliability=1)
        given = await driver.read(poll)
        device.put(2, real(2.5), "0100", reliability=4)
        later = await driver.read(poll)
    assert raws(given) == {1: ("sensor_fault", "reliability no-sensor")}
    assert raws(later) == {1: ("sensor_fault", "reliability open-loop")}
    asked = [[RELIABILITY in numbers for _, numbers in one.wanted()] for one in device.requests[1:]]
    assert asked == [[False] * 3, [False] * 3, [False, True, False], [False, True, False]]


@dataclass
class _Slow:
    """Answers a little later than all requests would take to arrive, and counts how many it has to answer at once."""

    device: RawDevice
    numbers: set[int] = field(default_factory=set)
    most: int = 0

    def __call__(self, request: Request) -> Reply:
        assert request.invoke_id not in self.numbers, "a number that is in use says nothing"
        self.numbers.add(request.invoke_id)
        self.most = max(self.most, len(self.numbers))
        asyncio.get_running_loop().call_later(0.001, self._reply, request)
        return []

    def _reply(self, request: Request) -> None:
        self.numbers.discard(request.invoke_id)
        self.device.transport.sendto(request.ack(self.device.multiple(request)), request.source)


@pytest.mark.parametrize("parallel", [1, 4])
async def test_5_never_the_257_request_hang(parallel: int) -> None:
    """257 requests at once hang the library for ever: a device never has more to answer than it bears."""
    device = with_inputs(1)
    async with reading(device, 1, parallel=parallel) as (driver, poll):
        await driver.read(poll)
        slow = device.answer = _Slow(device)
        async with asyncio.timeout(20):
            given = await asyncio.gather(*(driver.identify(poll.device) for _ in range(300)))
    assert len(given) == 300
    assert slow.most == parallel


@pytest.mark.parametrize("parallel", [1, 2, 3, 4])
async def test_5_one_to_four_requests_are_outstanding_at_a_device(parallel: int) -> None:
    """As many batches as the device bears are on their way together, and each value comes to its place."""
    device = with_inputs(30)
    async with reading(device, 30, batch=3, parallel=parallel) as (driver, poll):
        await driver.read(poll)
        slow = device.answer = _Slow(device)
        device.put(4, real(44.0))
        device.put(29, real(99.0))
        given = await driver.read(poll)
    assert slow.most == parallel
    assert given.changed == ((3, 4), (28, 29))
    assert [given.values[3], given.values[28]] == [44.0, 99.0]
    assert len(given.values) == 30


async def test_a_refusal_among_parallel_requests_costs_no_other_and_is_remembered() -> None:
    """What one batch teaches, the others that wait know at once; the next poll asks for no more than fits."""
    device = with_inputs(24)
    device.answer = lambda ask: [ask.abort(SEGMENTATION_NOT_SUPPORTED)] if len(ask.wanted()) > 2 else None
    async with reading(device, 24, batch=8, parallel=2) as (driver, poll):
        given = await driver.read(poll)
        learnt = len(device.multiples())
        await driver.read(poll)
    assert list(given.values) == [number + 0.5 for number in range(1, 25)]
    assert device.multiples()[:3] == [8, 8, 4]
    assert sum(size > 2 for size in device.multiples()) < 6, "the third batch of eight was never tried"
    assert device.multiples()[learnt:] == [2] * 12


async def test_a_silence_among_parallel_requests_ends_them_all() -> None:
    """The first request without an answer is the device's silence: nothing of the poll stays behind."""
    device = with_inputs(12)
    async with reading(device, 12, batch=3, parallel=4, timeout_s=0.5) as (driver, poll):
        await driver.read(poll)
        device.answer = lambda _: []
        with pytest.raises(NoAnswer):
            await driver.read(poll)
        assert driver._stack is not None
        assert driver._stack._access.clientTransactions == []
        device.answer = lambda _: None
        given = await driver.read(poll)
    assert list(given.values) == [number + 0.5 for number in range(1, 13)]
    assert given.changed == ((0, 12),)


async def test_a_read_without_points_asks_nothing() -> None:
    """A poll of no points, as a person may ask for, is an empty reading."""
    async with reading(with_inputs(0), 0) as (driver, poll):
        given = await driver.read(poll)
    assert list(given.values) == []


async def test_5_many_devices_in_parallel_a_dead_one_does_not_slow_its_neighbours() -> None:
    """While one device is waited for, another on the same socket is read many times."""
    dead, alive = with_inputs(1), with_inputs(1)
    dead.answer = lambda _: []
    async with serving(dead), serving(alive):
        devices = make_device(dead.at, inputs(1), instance=1), make_device(alive.at, inputs(1))
        async with connected(make_line(*devices, timeout_s=0.3)) as driver:
            polls = [Poll(device, device.points, 1.0) for device in devices]
            waiting = asyncio.create_task(driver.read(polls[0]))
            await until(dead, 1)
            reads = 0
            while not waiting.done():
                await driver.read(polls[1])
                reads += 1
            with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s"):
                await waiting
    assert reads > 10
    assert len(dead.requests) == 2, "one retry, within the timeout"


async def test_a_device_that_nothing_can_be_sent_to_is_its_own_problem() -> None:
    """An address without a route fails at once, with the system's words, and its neighbour is read."""
    alive = with_inputs(1)
    async with serving(alive):
        devices = make_device("203.0.113.9:47999", inputs(1), instance=1), make_device(alive.at, inputs(1))
        async with connected(make_line(*devices, timeout_s=30.0)) as driver:
            async with asyncio.timeout(5.0):
                with pytest.raises(NoAnswer, match=r"203\.0\.113\.9:47999: cannot send: .*; check the interface"):
                    await driver.read(Poll(devices[0], devices[0].points, 1.0))
            given = await driver.read(Poll(devices[1], devices[1].points, 1.0))
    assert list(given.values) == [1.5]


async def test_a_lost_datagram_is_sent_again() -> None:
    """One lost request costs a part of the timeout, not the reading."""
    device = with_inputs(1)
    async with reading(device, 1, timeout_s=0.4) as (driver, poll):
        await driver.read(poll)
        seen = len(device.requests)
        device.answer = lambda _: [] if len(device.requests) == seen + 1 else None
        given = await driver.read(poll)
    assert list(given.values) == [1.5]
    assert device.requests[-1].invoke_id == device.requests[-2].invoke_id


async def test_5_a_segmented_answer_is_put_together() -> None:
    """A device that splits its answer is understood."""
    device = with_inputs(4)

    def answer(request: Request) -> Reply:
        if request.service != READ_PROPERTY_MULTIPLE:
            return None
        data = device.multiple(request)
        return [request.segment(data[:40], 0, more=True), request.segment(data[40:], 1, more=False)]

    device.answer = answer
    async with reading(device, 4) as (driver, poll):
        given = await driver.read(poll)
    assert list(given.values) == [1.5, 2.5, 3.5, 4.5]
    assert device.multiples() == [4]


async def test_other_properties_and_array_elements_are_read() -> None:
    """A point may be any property, and an element of an array has its index in request and answer."""
    device = with_inputs(1)
    named = make_point("analog-input,1", "string", property="description")
    element = make_point("analog-input,1", property="state-text", index=3)

    def answer(request: Request) -> Reply:
        if request.service != READ_PROPERTY_MULTIPLE:
            return None
        assert b"\x09\x6e\x19\x03" in request.data
        target = identifier(0, 1)
        parts = b"\x29\x1c\x4e" + text("supply air") + b"\x4f", b"\x29\x6e\x39\x03\x4e" + real(7.0) + b"\x4f"
        return [request.ack(b"".join(b"\x0c" + target + b"\x1e" + part + b"\x1f" for part in parts))]

    device.answer = answer
    async with serving(device):
        made = make_device(device.at, [named, element])
        async with connected(make_line(made)) as driver:
            given = await driver.read(Poll(made, made.points, 1.0))
    assert list(given.values) == ["supply air", 7.0]
