"""What is learned of a device: addresses that it refuses, and how much it bears at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modbus_peer import Peer, Request, device, line, peer, point, poll

from agent.clock import ManualClock
from drivers.contract import Grade, Quality
from drivers.errors import NoAnswer
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.learning import GROW_S, REFUSED_S_MAX, Learned
from drivers.modbus.plan import Block, halves
from drivers.modbus.round import SPLITS_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from modbus_peer import Script

    from config.model import Device

REFUSED = Quality(Grade.BAD, "config_error", "exception 2")


@asynccontextmanager
async def driving(
    script: Script, of: Device, timeout_s: float = 2.0
) -> AsyncIterator[tuple[Peer, ModbusDriver, ManualClock]]:
    """A device and a connected driver, whose clock the test moves."""
    clock = ManualClock()
    async with peer(script) as served:
        driver = ModbusDriver(line(served.port, of, timeout_s=timeout_s), clock)
        await driver.connect()
        try:
            yield served, driver, clock
        finally:
            await driver.close()


def without(*missing: int, code: int = 2) -> Script:
    """A device that lacks these registers and refuses every request that touches one."""

    def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        asked = range(request.start, request.start + request.count)
        writer.write(request.exception(code) if any(at in asked for at in missing) else request.addresses())

    return answer


def spread(count: int, step: int = 1, **address: Any) -> Device:
    return device(*(point(f"p{at}", at * step) for at in range(count)), **address)


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize("missing", [0, 17, 37, 59])
async def test_3_exception_2_splits_and_one_wrong_address_never_costs_its_block(missing: int, code: int) -> None:
    """Sixty points in one block, one of them wrong: in the very first read the other fifty-nine are good."""
    asked = poll(spread(60))
    async with driving(without(missing, code=code), asked.device) as (served, driver, _):
        first = await driver.read(asked)
        searched = len(served.requests)
        second = await driver.read(asked)
    assert [value for value in first.values if value is not None] == [at for at in range(60) if at != missing]
    assert set(first.flaws) == {missing} == set(second.flaws)
    assert first.flaws[missing].reason == "config_error"
    assert searched <= 14
    assert len(served.requests) - searched <= 3


async def test_3_what_was_refused_is_remembered_and_asked_for_ever_more_rarely() -> None:
    """The others are asked together around it; at last once in ten minutes, and a repaired one is found."""
    asked = poll(spread(20))
    async with driving(without(7), asked.device) as (served, driver, clock):
        for _ in range(6):
            await driver.read(asked)
        served.requests.clear()
        await driver.read(asked)
        assert [(request.start, request.count) for request in served.requests] == [(0, 7), (8, 12)]
        served.requests.clear()
        for _ in range(2 * int(REFUSED_S_MAX)):
            clock.advance(1.0)
            await driver.read(asked)
        assert sum(request.start == 7 for request in served.requests) <= 8
        served.script = without()
        clock.advance(REFUSED_S_MAX)
        healed = await driver.read(asked)
        assert (list(healed.values), dict(healed.flaws)) == (list(range(20)), {})
        served.requests.clear()
        await driver.read(asked)
        assert [(request.start, request.count) for request in served.requests] == [(0, 20)]


async def test_a_refused_gap_is_not_read_over_again() -> None:
    """The unwanted register between two points does not exist: two requests from then on, no flaw at any time."""
    asked = poll(device(point("a", 0), point("b", 1), point("c", 5), point("d", 6), point("e", 9)))
    async with driving(without(3), asked.device) as (served, driver, _):
        first = await driver.read(asked)
        served.requests.clear()
        await driver.read(asked)
    assert (list(first.values), dict(first.flaws)) == ([0, 1, 5, 6, 9], {})
    assert [(request.start, request.count) for request in served.requests] == [(0, 2), (5, 5)]


async def test_an_empty_success_is_a_refusal_too() -> None:
    """As jsmodbus says it: no exception, no registers."""

    def empty(request: Request, writer: asyncio.StreamWriter) -> None:
        has = 4 not in range(request.start, request.start + request.count)
        writer.write(request.addresses() if has else request.data(b""))

    asked = poll(spread(10))
    async with driving(empty, asked.device) as (_, driver, _):
        reading = await driver.read(asked)
    assert set(reading.flaws) == {4}


async def test_a_device_that_refuses_everything_is_searched_a_little_at_a_time() -> None:
    """The wrong profile: each read asks a bounded number, and at least one, since a reading is a proof of life."""
    asked = poll(spread(100))
    async with driving(without(*range(100)), asked.device) as (served, driver, _):
        for _ in range(40):
            served.requests.clear()
            reading = await driver.read(asked)
            assert 1 <= len(served.requests) <= 2 * SPLITS_MAX + 101
            assert len(reading.flaws) == 100
        assert len(served.requests) == 1


async def test_a_new_connection_asks_again_for_what_was_refused() -> None:
    """The device may have been exchanged or updated."""
    asked = poll(spread(3))
    async with driving(without(1), asked.device) as (served, driver, _):
        for _ in range(5):
            await driver.read(asked)
        served.script = without()
        await driver.connect()
        assert list((await driver.read(asked)).values) == [0, 1, 2]


async def test_an_exception_that_is_no_refusal_splits_nothing() -> None:
    """A device that is busy or broken has all its addresses."""
    asked = poll(spread(10))
    async with driving(without(4, code=4), asked.device) as (served, driver, _):
        await driver.read(asked)
        await driver.read(asked)
    assert [request.count for request in served.requests] == [10, 10]


async def test_3_slow_replies_make_the_requests_smaller_and_time_makes_them_larger_again() -> None:
    """More than half of the timeout: half as many registers from then on; after ten minutes more are tried."""
    asked = poll(spread(100))
    async with driving(without(), asked.device) as (served, driver, clock):

        def slow(request: Request, writer: asyncio.StreamWriter) -> None:
            clock.advance(0.012 * request.count)
            writer.write(request.addresses())

        served.script = slow
        await driver.read(asked)
        served.requests.clear()
        reading = await driver.read(asked)
        assert [request.count for request in served.requests] == [50, 50]
        assert list(reading.values) == list(range(100))
        clock.advance(GROW_S)
        served.script = without()
        await driver.read(asked)
        served.requests.clear()
        await driver.read(asked)
        assert [request.count for request in served.requests] == [100]


async def test_a_device_that_says_nothing_to_large_requests_is_asked_for_less() -> None:
    """It never refuses, it only never answers: smaller blocks are tried until one comes, and they stay."""

    def small_only(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.count <= 30:
            writer.write(request.addresses())

    asked = poll(spread(100))
    async with driving(small_only, asked.device, timeout_s=0.25) as (served, driver, _):
        tries = 0
        while (tries := tries + 1) < 20:
            await driver.connect()
            try:
                reading = await driver.read(asked)
            except NoAnswer:
                continue
            break
        assert list(reading.values) == list(range(100))
        assert [request.count for request in served.requests][-4:] == [25, 25, 25, 25]


async def test_a_device_that_is_only_away_is_not_asked_for_less() -> None:
    """Its large blocks came before: silence is no sign of their size."""
    asked = poll(spread(100))
    async with driving(without(), asked.device, timeout_s=0.25) as (served, driver, _):
        await driver.read(asked)
        served.script = lambda *_: None
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await driver.read(asked)
        await driver.connect()
        served.script = without()
        served.requests.clear()
        await driver.read(asked)
        assert [request.count for request in served.requests] == [100]


def test_a_silent_device_that_was_never_heard_is_asked_for_all_again() -> None:
    """Halved down to the least, then from the top: it is away, and must not be asked in crumbs when it comes."""
    learned = Learned(100)
    sizes = set()
    for turn in range(40):
        learned.silent(Block(3, 0, learned.registers_max, (0,)), float(turn), others_answered=False)
        sizes.add(learned.registers_max)
    assert sizes == {100, 50, 25, 12, 8}


def test_a_block_is_split_at_the_gap_next_to_its_middle() -> None:
    """Because a gap is where an address is most likely missing; without one, at the middle."""
    points = [point("a", 0), point("b", 1), point("c", 4, type="f32"), point("d", 6), point("e", 20)]
    split = halves(Block(3, 0, 21, (0, 1, 2, 3, 4)), points)
    assert split == (Block(3, 0, 2, (0, 1)), Block(3, 4, 17, (2, 3, 4)))
    assert halves(Block(3, 4, 2, (2,)), points) is None


@settings(max_examples=60, deadline=None)
@given(
    registers=st.sets(st.integers(0, 60), min_size=1, max_size=25),
    missing=st.sets(st.integers(0, 60), max_size=6),
    gap=st.integers(0, 12),
)
def test_whatever_is_missing_the_others_are_read(registers: set[int], missing: set[int], gap: int) -> None:
    """Any points, any missing registers, any gap: after a few reads every point that exists is good, no other one."""

    async def settle() -> None:
        points = [point(f"p{at}", at) for at in sorted(registers)]
        asked = poll(device(*points, max_gap=gap))
        async with driving(without(*missing), asked.device) as (_, driver, _):
            for _ in range(4):
                reading = await driver.read(asked)
        for index, at in enumerate(sorted(registers)):
            assert reading.values[index] == (None if at in missing else at)
            assert (index in reading.flaws) == (at in missing)

    asyncio.run(settle())
