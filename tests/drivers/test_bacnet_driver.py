"""The BACnet driver against a device of our own on loopback: the driver contract, and every way to refuse."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    DEVICE,
    READ_PROPERTY,
    READ_PROPERTY_MULTIPLE,
    RELIABILITY,
    SEGMENTATION_NOT_SUPPORTED,
    UNKNOWN_OBJECT,
    UNRECOGNIZED_SERVICE,
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

from agent.clock import ManualClock
from config.errors import ConfigProblem
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Grade, Poll, Quality
from drivers.errors import NoAnswer, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bacnet_peer import Reply, Request

    from config.model import Line
    from drivers.contract import Reading


SERVICES, OPTIONAL_FUNCTIONALITY_NOT_SUPPORTED, REJECT_UNRECOGNIZED_SERVICE = 5, 45, 67


@asynccontextmanager
async def connected(line: Line) -> AsyncIterator[BacnetDriver]:
    driver = BacnetDriver(line, ManualClock())
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def reading(
    device: RawDevice, count: int, *, timeout_s: float = 1.0, **address: int
) -> AsyncIterator[tuple[BacnetDriver, Poll]]:
    """A driver on a line with one device, whose first analog inputs are read."""
    async with serving(device):
        made = make_device(device.at, inputs(count), **address)
        async with connected(make_line(made, timeout_s=timeout_s)) as driver:
            yield driver, Poll(made, made.points, 1.0)


def with_inputs(count: int) -> RawDevice:
    device = RawDevice()
    for number in range(1, count + 1):
        device.put(number, real(number + 0.5))
    return device


def raws(given: Reading) -> dict[int, tuple[str, str]]:
    return {at: (flaw.reason, flaw.raw) for at, flaw in given.flaws.items()}


async def until(device: RawDevice, requests: int) -> None:
    """Wait until the device has seen so many requests."""
    while len(device.requests) < requests:
        device.arrived.clear()
        await device.arrived.wait()


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
async def test_an_address_in_use_is_refused_at_once(*, shared: bool) -> None:
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


async def test_an_address_that_this_machine_does_not_have_is_tried_later() -> None:
    """The interface may not be up yet at boot."""
    driver = BacnetDriver(make_line(make_device("127.0.0.9:47999", inputs(1)), bind="203.0.113.7:47900"), ManualClock())
    with pytest.raises(Unreachable, match="does not have this address"):
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


async def test_batches_fit_the_answers_that_the_device_can_give() -> None:
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


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refuse",
    [
        lambda request: request.reject(UNRECOGNIZED_SERVICE),
        lambda request: request.error(SERVICES, REJECT_UNRECOGNIZED_SERVICE),
        lambda request: request.error(SERVICES, OPTIONAL_FUNCTIONALITY_NOT_SUPPORTED),
    ],
    ids=["reject", "error-of-bacnet-js", "error-not-supported"],
)
async def test_a_device_without_multiple_reads_is_asked_one_by_one_and_not_twice(
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


async def test_what_was_learnt_of_a_device_serves_all_its_polls() -> None:
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


async def test_an_answer_that_is_too_long_halves_the_batch_for_good() -> None:
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
async def test_more_requests_than_there_are_numbers_for_them_wait_their_turn(parallel: int) -> None:
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
async def test_one_to_four_requests_of_one_poll_are_outstanding_at_a_device(parallel: int) -> None:
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


async def test_a_dead_device_does_not_slow_its_neighbours() -> None:
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


async def test_a_segmented_answer_is_put_together() -> None:
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
