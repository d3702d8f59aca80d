"""The Modbus driver as its caller sees it: readings, failures, and what it remembers between two polls."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import socket
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from modbus_peer import Peer, Request, device, honest, line, peer, point, poll, silent

from agent.clock import ManualClock
from config.errors import ConfigProblem
from drivers.contract import NO_FLAWS, Grade, Identity, Poll, Quality
from drivers.errors import NoAnswer, Unreachable
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.line import ModbusLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from modbus_peer import Script

    from config.model import Device

FAR = 1000
"""A register far enough from the first ones to be in a block of its own."""


@asynccontextmanager
async def driving(script: Script, *devices: Device, timeout_s: float = 2.0) -> AsyncIterator[tuple[Peer, ModbusDriver]]:
    """A lying device and a connected driver."""
    async with peer(script) as served:
        driver = ModbusDriver(line(served.port, *devices, timeout_s=timeout_s), ManualClock())
        await driver.connect()
        try:
            yield served, driver
        finally:
            await driver.close()


def two_blocks(**address: Any) -> Device:
    return device(point("a", 1), point("b", FAR), point("c", 2), **address)


def answering(starts: set[int]) -> Script:
    """A device that answers only blocks that begin at these registers."""
    return lambda request, writer: writer.write(request.addresses()) if request.start in starts else None


async def test_a_reading_is_the_whole_poll_in_its_order_at_the_clock_s_time() -> None:
    """Several blocks, one reading, no flaws, everything new."""
    clock = ManualClock(wall=5_000.0, mono=7.0)
    target = poll(two_blocks())
    async with peer(honest) as served:
        driver = ModbusDriver(line(served.port, target.device), clock)
        await driver.connect()
        clock.advance(1.5)
        reading = await driver.read(target)
        await driver.close()
    assert list(reading.values) == [1, FAR, 2]
    assert (reading.poll, reading.time, reading.mono) == (target, 5_001.5, 8.5)
    assert (reading.flaws, list(reading.changed)) == (NO_FLAWS, [(0, 3)])
    assert [(r.function, r.start, r.count) for r in served.requests] == [(3, 1, 2), (3, FAR, 1)]


async def test_an_unchanged_poll_is_the_same_list_and_says_so() -> None:
    """Raw bytes as before: nothing is decoded, nothing changed."""
    target = poll(two_blocks())
    async with driving(honest, target.device) as (_, driver):
        first = await driver.read(target)
        second = await driver.read(target)
    assert second.values is first.values
    assert list(second.changed) == []


async def test_one_changed_block_changes_only_its_spans() -> None:
    """The others keep their values, and the reading before keeps its own."""
    target = poll(two_blocks())
    async with driving(honest, target.device) as (served, driver):
        first = await driver.read(target)
        served.script = lambda request, writer: writer.write(
            request.data(b"\0\x09") if request.start == FAR else request.addresses()
        )
        second = await driver.read(target)
        served.script = lambda request, writer: writer.write(
            request.data(b"\0\x07\0\x08") if request.start == 1 else request.data(b"\0\x09")
        )
        third = await driver.read(target)
    assert (list(first.values), list(second.values), list(third.values)) == ([1, FAR, 2], [1, 9, 2], [7, 9, 8])
    assert (list(second.changed), list(third.changed)) == ([(1, 2)], [(0, 1), (2, 3)])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "config_error"),
        (2, "config_error"),
        (3, "config_error"),
        (4, "device_fault"),
        (5, "busy"),
        (6, "busy"),
        (8, "device_fault"),
        (99, "device_fault"),
    ],
)
async def test_an_exception_flaws_only_the_points_of_its_block(code: int, reason: str) -> None:
    """Their values are None, their neighbours in the other block are good; repeated, it is no change."""
    target = poll(two_blocks())

    def refuse(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(request.exception(code) if request.start == FAR else request.addresses())

    async with driving(refuse, target.device) as (served, driver):
        reading = await driver.read(target)
        again = await driver.read(target)
        served.script = honest
        healed = await driver.read(target)
    assert list(reading.values) == [1, None, 2]
    assert reading.flaws == {1: Quality(Grade.BAD, reason, f"exception {code}")}  # type: ignore[arg-type] # a literal
    assert (list(again.changed), again.flaws) == ([], reading.flaws)
    assert (list(healed.values), list(healed.changed), healed.flaws) == ([1, FAR, 2], [(1, 2)], NO_FLAWS)


@pytest.mark.parametrize("code", [5, 6])
async def test_3_a_busy_device_is_in_doubt_and_bad_after_three_times_in_a_row(code: int) -> None:
    """Twice its last values stand, uncertain; one answer in between begins anew, and without one nothing stands."""
    target = poll(two_blocks())
    is_busy = True

    def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        is_refused = is_busy and request.start == FAR
        writer.write(request.exception(code) if is_refused else request.addresses())

    in_doubt, lost = (
        Quality(Grade.UNCERTAIN, "busy", f"exception {code}"),
        Quality(Grade.BAD, "busy", f"exception {code}"),
    )
    async with driving(answer, target.device) as (_, driver):
        never_read = await driver.read(target)
        is_busy = False
        await driver.read(target)
        is_busy = True
        readings = [await driver.read(target) for _ in range(2)]
        is_busy = False
        healed = await driver.read(target)
        is_busy = True
        readings += [await driver.read(target) for _ in range(4)]
    assert (never_read.values[1], never_read.flaws) == (None, {1: lost})
    assert [(reading.values[1], reading.flaws[1]) for reading in readings] == [
        *[(FAR, in_doubt)] * 4,
        *[(None, lost)] * 2,
    ]
    assert [list(reading.changed) for reading in readings] == [[(1, 2)], [], [(1, 2)], [], [(1, 2)], []]
    assert (healed.values[1], healed.flaws) == (FAR, NO_FLAWS)


async def test_a_misfitting_block_flaws_its_points_and_is_counted() -> None:
    """Zero registers with success, as jsmodbus says it: no value, and the rest of the poll is untouched."""
    target = poll(two_blocks())

    def empty(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(request.data(b"") if request.start == FAR else request.addresses())

    async with driving(empty, target.device) as (_, driver):
        reading = await driver.read(target)
        assert driver.tally.refused == 1
    assert list(reading.values) == [1, None, 2]
    assert reading.flaws == {
        1: Quality(Grade.BAD, "decode_error", "reply of 0 bytes (byte count 0) instead of 2"),
    }


async def test_a_silent_device_is_no_answer_after_one_timeout() -> None:
    """However many blocks it has; the line is fine, and another unit is read meanwhile."""
    dead, alive = poll(two_blocks(unit=1)), poll(device(point("a", 3), unit=2))

    def half(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.unit == 2:
            writer.write(request.addresses())

    async with driving(half, dead.device, alive.device, timeout_s=0.1) as (served, driver):
        waiting = asyncio.ensure_future(driver.read(dead))
        assert list((await driver.read(alive)).values) == [3]
        with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:\d+ unit 1: no answer \(timeout, timeout 0\.1 s\); check"):
            await waiting
        assert sum(request.unit == 1 for request in served.requests) == 1


@pytest.mark.parametrize("code", [0x0A, 0x0B])
async def test_a_gateway_that_does_not_reach_the_device_is_no_answer(code: int) -> None:
    """Exception 10 or 11 is the gateway's word for a dead unit; it is asked once."""
    target = poll(two_blocks())
    async with driving(lambda request, writer: writer.write(request.exception(code)), target.device) as (
        served,
        driver,
    ):
        with pytest.raises(NoAnswer, match=f"exception {code}"):
            await driver.read(target)
        assert len(served.requests) == 1


async def test_a_silent_block_costs_one_timeout_and_is_asked_last() -> None:
    """Some devices say nothing to an address they do not have: the other blocks are read all the same."""
    target = poll(device(point("a", 0), point("b", FAR), point("c", 2 * FAR)))
    async with driving(answering({0, 2 * FAR}), target.device, timeout_s=0.25) as (served, driver):
        first = await driver.read(target)
        second = await driver.read(target)
        order = [request.start for request in served.requests]
    lost = Quality(Grade.BAD, "comm_lost", "timeout")
    assert first.flaws == {1: lost, 2: Quality(Grade.BAD, "comm_lost", "not asked after a timeout")}
    assert (list(second.values), second.flaws) == ([0, None, 2 * FAR], {1: lost})
    assert order == [0, FAR, 0, 2 * FAR, FAR]


async def test_two_silent_blocks_never_hide_the_ones_that_answer() -> None:
    """Even the first ones of the plan: after the second read the living block is asked first."""
    target = poll(device(point("a", 0), point("b", FAR), point("c", 2 * FAR)))
    async with driving(answering({2 * FAR}), target.device, timeout_s=0.25) as (_, driver):
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await driver.read(target)
        for _ in range(3):
            reading = await driver.read(target)
            assert reading.values[2] == 2 * FAR
            assert set(reading.flaws) == {0, 1}


async def test_after_a_failed_read_everything_counts_as_changed() -> None:
    """The caller has stamped bad values meanwhile; the same bytes are news to it."""
    target = poll(two_blocks())
    async with driving(honest, target.device, timeout_s=0.25) as (served, driver):
        await driver.read(target)
        served.script = silent
        with pytest.raises(NoAnswer):
            await driver.read(target)
        served.script = honest
        reading = await driver.read(target)
    assert (list(reading.values), list(reading.changed)) == ([1, FAR, 2], [(0, 3)])


async def test_a_change_that_a_cancelled_read_saw_is_not_lost() -> None:
    """The first block came with new bytes, then the read was cancelled: the next one reports them."""
    target = poll(two_blocks())
    stuck = asyncio.Event()

    def half(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.start == 1:
            writer.write(request.data(b"\0\x2a\0\x2b"))
        else:
            stuck.set()

    async with driving(honest, target.device) as (served, driver):
        await driver.read(target)
        served.script = half
        task = asyncio.create_task(driver.read(target))
        await stuck.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        served.script = lambda request, writer: writer.write(
            request.data(b"\0\x2a\0\x2b") if request.start == 1 else request.addresses()
        )
        reading = await driver.read(target)
    assert (list(reading.values), list(reading.changed)) == ([42, FAR, 43], [(0, 3)])


async def test_cancel_in_the_middle_of_a_read_then_close() -> None:
    """Nothing hangs, nothing is left open."""
    stuck = asyncio.Event()
    target = poll(two_blocks())
    async with driving(lambda *_: stuck.set(), target.device, timeout_s=30) as (_, driver):
        task = asyncio.create_task(driver.read(target))
        await stuck.wait()
        task.cancel()
        await driver.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Unreachable, match="not connected"):
            await driver.read(target)


async def test_closing_fails_a_read_that_waits_and_may_be_repeated() -> None:
    """At any time, twice."""
    stuck = asyncio.Event()
    target = poll(two_blocks())
    async with driving(lambda *_: stuck.set(), target.device, timeout_s=30) as (_, driver):
        task = asyncio.create_task(driver.read(target))
        await stuck.wait()
        await driver.close()
        await driver.close()
        with pytest.raises(Unreachable, match="closed"):
            await task


async def test_a_restarted_device_is_read_again_on_a_fresh_connection() -> None:
    """The loss is `Unreachable` at once; connect finds the device on its old port."""
    target = poll(two_blocks())
    async with peer(honest) as served:
        driver = ModbusDriver(line(served.port, target.device), ManualClock())
        await driver.connect()
        await driver.read(target)
    with pytest.raises(Unreachable):
        await driver.read(target)
    with pytest.raises(Unreachable, match=r"connection refused; check the port"):
        await driver.connect()
    await driver.close()
    async with peer(honest, served.port):
        await driver.connect()
        reading = await driver.read(target)
        assert (list(reading.values), list(reading.changed)) == ([1, FAR, 2], [(0, 3)])
        await driver.close()


async def test_connecting_again_ends_the_connection_before() -> None:
    """A gateway with few sockets never holds two of ours."""
    ended = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(watch, "127.0.0.1", 0)
    driver = ModbusDriver(line(server.sockets[0].getsockname()[1]), ManualClock())
    await driver.connect()
    await driver.connect()
    await asyncio.wait_for(ended.wait(), 2)
    await driver.close()
    server.close()
    await server.wait_closed()


async def test_a_peer_that_takes_no_connection_is_unreachable_in_time() -> None:
    """A full backlog drops the greeting, as a firewall does."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        driver = ModbusDriver(line(full.getsockname()[1], timeout_s=0.1), ManualClock())
        with pytest.raises(Unreachable, match=r"no connection within 0\.1 s; check the address"):
            await driver.connect()
        await driver.close()


async def test_a_name_that_nobody_knows_is_unreachable_with_the_next_step() -> None:
    """It may be known later; until then the message says what to do."""
    named = line(502)
    object.__setattr__(named, "spec", ModbusLine(protocol="modbus", host="fe80::1%nowhere"))
    with pytest.raises(Unreachable, match="the host name is not known; write the IP address"):
        await ModbusDriver(named, ManualClock()).connect()


async def test_an_address_without_a_way_to_it_is_unreachable_in_the_system_s_words() -> None:
    """A broadcast address takes no connection: refused before anything is sent."""
    astray = line(502)
    object.__setattr__(astray, "spec", ModbusLine(protocol="modbus", host="255.255.255.255"))
    with pytest.raises(Unreachable, match=r"255\.255\.255\.255:502: [a-z ]+; check the network in between"):
        await ModbusDriver(astray, ManualClock()).connect()


async def test_the_constructor_opens_nothing() -> None:
    """Nobody listens on the port, and nobody notices before connect."""
    async with peer(honest) as served:
        driver = ModbusDriver(line(served.port, two_blocks()), ManualClock())
        await asyncio.sleep(0)
        assert served.writers == []
        with pytest.raises(Unreachable, match="not connected"):
            await driver.identify(two_blocks())
        await driver.close()


def test_an_impossible_point_is_found_before_anything_is_opened() -> None:
    """By the constructor, for every device of the line."""
    wrong = device(point("key", 4104), forbidden=[[4104, 4105]])
    with pytest.raises(ConfigProblem, match="forbidden"):
        ModbusDriver(line(502, two_blocks(), wrong), ManualClock())


async def test_a_poll_that_is_gone_is_forgotten() -> None:
    """What is remembered of it must not outlive it: the command line makes polls of its own."""
    target = poll(two_blocks())
    async with driving(honest, target.device) as (_, driver):
        await driver.read(target)
        gone = weakref.ref(target)
        del target
        gc.collect()
        assert gone() is None


IDENTIFIED = bytes.fromhex("2b0e0101000003") + b"\x00\x04ACME" + b"\x01\x03PM5" + b"\x02\x04V1.2"


async def test_a_device_says_who_it_is() -> None:
    """Function 43/14, one request."""
    meter = device(point("a", 0), unit=7)
    async with driving(lambda request, writer: writer.write(request.frame(IDENTIFIED)), meter) as (served, driver):
        assert await driver.identify(meter) == Identity(vendor="ACME", model="PM5", firmware="V1.2")
    assert [(request.unit, request.pdu) for request in served.requests] == [(7, b"\x2b\x0e\x01\x00")]


@pytest.mark.parametrize("length", range(2, len(IDENTIFIED)))
async def test_a_cut_identification_says_only_what_is_whole(length: int) -> None:
    """Lengths and counts of the device are never trusted."""
    meter = device()
    async with driving(lambda request, writer: writer.write(request.frame(IDENTIFIED[:length])), meter) as (_, driver):
        got = await driver.identify(meter)
    assert got.vendor in ("", "ACME")
    assert got.model in ("", "PM5")
    assert got.firmware == ""


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_a_device_without_identification_is_nobody_in_particular(code: int) -> None:
    """Most have none; that is no failure."""
    meter = device()
    async with driving(lambda request, writer: writer.write(request.exception(code)), meter) as (_, driver):
        assert await driver.identify(meter) == Identity()


async def test_a_silent_device_does_not_identify() -> None:
    """Silence is `NoAnswer`, as in a read."""
    meter = device()
    async with driving(silent, meter, timeout_s=0.25) as (_, driver):
        with pytest.raises(NoAnswer):
            await driver.identify(meter)


def misbehave(request: Request, dice: random.Random) -> bytes:
    """One of the ways in which a device can be wrong, or right."""
    count = dice.randrange(1, 12)
    rubbish = dice.randbytes(2 * count)
    return dice.choice(
        [
            request.addresses(),
            request.addresses() * 3,
            request.frame(rubbish, transaction=dice.randrange(40_000, 65_536)) + request.addresses(),
            request.data(rubbish) if 2 * count != 2 * request.count else request.data(b""),
            request.frame(bytes((3, 2 * count)) + rubbish[1:]),
            request.frame(bytes((4, 2 * request.count)) + dice.randbytes(2 * request.count)),
            request.frame(bytes((3, 2 * request.count)) + dice.randbytes(2 * request.count), unit=9),
            request.exception(dice.randrange(1, 10)),
            request.frame(dice.randbytes(dice.randrange(2, 6))),
        ]
    )


@pytest.mark.parametrize("seed", range(4))
async def test_12_a_device_that_lies_at_random_never_yields_a_value_that_it_did_not_send(seed: int) -> None:
    """Hundreds of reads of a device that is right, wrong and absurd by turns: the true value, or none and a reason."""
    dice = random.Random(seed)
    target = poll(two_blocks())
    good = 0
    async with driving(lambda request, writer: writer.write(misbehave(request, dice)), target.device) as (_, driver):
        for _ in range(150):
            reading = await driver.read(target)
            for index, truth in enumerate((1, FAR, 2)):
                flaw = reading.flaws.get(index)
                is_bad = flaw is not None and flaw.grade is Grade.BAD
                assert reading.values[index] == (None if is_bad else truth)
                good += index not in reading.flaws
        assert driver.tally.refused > 50
        assert driver.tally.late > 50
    assert good > 100


def test_the_driver_is_the_same_under_uvloop() -> None:
    """The daemon runs on it: read, timeout, loss, close."""

    async def live() -> None:
        target = poll(two_blocks())
        async with driving(honest, target.device, timeout_s=0.25) as (served, driver):
            assert list((await driver.read(target)).values) == [1, FAR, 2]
            served.script = silent
            with pytest.raises(NoAnswer):
                await driver.read(target)
            served.script = lambda _, writer: writer.close()
            with pytest.raises(Unreachable):
                await driver.read(target)
            await driver.connect()
            served.script = honest
            assert list((await driver.read(target)).changed) == [(0, 3)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live())


async def test_an_empty_poll_is_an_empty_reading() -> None:
    """Nothing is asked for, nothing comes."""
    target = Poll(device(), (), 1.0)
    async with driving(honest, target.device) as (served, driver):
        reading = await driver.read(target)
        assert (list(reading.values), list(reading.changed), served.requests) == ([], [], [])


async def paced(of: Device, reads: int) -> list[tuple[float, float]]:
    """When each request came and when its answer went, for so many reads of a device that takes 20 ms to answer."""
    asked = poll(of)
    times: list[tuple[float, float]] = []

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        came = asyncio.get_running_loop().time()
        await asyncio.sleep(0.02)
        times.append((came, asyncio.get_running_loop().time()))
        writer.write(request.addresses())

    async with driving(slow, asked.device) as (_, driver):
        for _ in range(reads):
            await driver.read(asked)
    return times


async def test_1_limit_of_a_device_gap_between_an_answer_and_the_next_request() -> None:
    """Also between two blocks of one read."""
    times = await paced(two_blocks(gap="50ms"), 2)
    assert all(after[0] - before[1] >= 0.049 for before, after in itertools.pairwise(times))


async def test_1_limit_of_a_device_requests_in_a_second() -> None:
    """Counted from request to request, when they are sent: on a busy machine one may arrive late, and seem too near."""
    apart: list[list[float]] = []
    while not any(min(one) >= 0.049 for one in apart):
        assert len(apart) < 5, apart
        times = await paced(two_blocks(requests_per_s=20), 2)
        apart.append([after[0] - before[0] for before, after in itertools.pairwise(times)])


async def test_1_limit_of_a_device_connections_one_for_a_line() -> None:
    """Many devices bear only one: the old one is closed before the new one is opened."""
    target = poll(two_blocks())
    async with driving(honest, target.device) as (served, driver):
        for _ in range(5):
            await driver.connect()
            await driver.read(target)
            assert sum(not writer.is_closing() for writer in served.writers) == 1
