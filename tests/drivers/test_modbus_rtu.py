"""Which reply may be taken for an answer on a line without transaction ids. The devices are raw bytes that lie."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtu_peer import RtuRequest, Wire, check_sum, converter, honest, silent

from drivers.errors import Unreachable
from drivers.modbus.connection import Tally
from drivers.modbus.frames import find, written
from drivers.modbus.line import ModbusLine
from drivers.modbus.replies import Babble, ExceptionReply, Garbled, InDoubt, NoReply, Silence, Unsure
from drivers.modbus.rtu import QUIET_TIMEOUTS, RtuTransactions
from drivers.modbus.transport import open_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

UNITS = frozenset(range(1, 7))


def read(start: int, count: int, function: int = 3) -> bytes:
    return struct.pack(">BHH", function, start, count)


def addresses(start: int, count: int) -> bytes:
    return b"".join(at.to_bytes(2, "big") for at in range(start, start + count))


@asynccontextmanager
async def linked(
    script: Callable[[RtuRequest, Wire], None], timeout_s: float = 2.0
) -> AsyncIterator[tuple[Wire, RtuTransactions, Tally]]:
    """Lying devices behind a converter, and a connection to them."""
    async with converter(script) as (port, wire):
        tally = Tally()
        spec = ModbusLine(protocol="modbus", host="127.0.0.1", port=port, framing="rtu")
        link = await open_tcp(
            spec,
            2.0,
            lambda: RtuTransactions("line", timeout_s, UNITS, tally, pause_s=0.002, counts_silence=False),
        )
        try:
            yield wire, link, tally
        finally:
            await link.close()


async def test_1_rtu_over_tcp_reads_registers_and_bits() -> None:
    """The payload and nothing else, for each of the four functions."""

    def answer(request: RtuRequest, wire: Wire) -> None:
        wire.write(request.data(b"\x05") if request.function < 3 else request.addresses())

    async with linked(answer) as (wire, link, _):
        assert await link.request(1, read(100, 4), 8) == addresses(100, 4)
        assert await link.request(2, read(7, 1, 4), 2) == addresses(7, 1)
        assert await link.request(1, read(0, 3, 1), 1) == b"\x05"
        assert next(request.raw for request in wire.requests) == b"\x01\x03\x00\x64\x00\x04\x05\xd6"
        assert wire.errors == []


async def test_2_a_late_rtu_reply_is_never_the_answer_to_another_address() -> None:
    """As many registers of the same unit, asked for after a timeout: the late ones of the first address are dropped."""
    held: list[bytes] = []

    def late(request: RtuRequest, wire: Wire) -> None:
        if len(wire.requests) == 1:
            held.append(request.addresses())
            return
        while held:
            wire.write(held.pop())
        wire.later(0.02, request.addresses())

    async with linked(late, timeout_s=0.5) as (_, link, tally):
        with pytest.raises(Silence):
            await link.request(1, read(100, 4), 8)
        assert await link.request(1, read(200, 4), 8) == addresses(200, 4)
        assert tally.late >= 1


async def test_a_device_slower_than_its_timeout_never_answers_in_lock_step() -> None:
    """Each reply comes when the next question is already asked: no value at all, rather than that of the last one."""

    def slow(request: RtuRequest, wire: Wire) -> None:
        wire.later(0.075, request.addresses())

    async with linked(slow, timeout_s=0.05) as (_, link, _):
        for turn in range(8):
            start = 100 * turn
            try:
                assert await link.request(1, read(start, 4), 8) == addresses(start, 4)
            except NoReply as reply:
                assert reply.silent  # noqa: PT017 (either way is right, a wrong value is not)


async def test_the_probe_after_a_silence_has_another_length_and_is_thrown_away() -> None:
    """One register less: its answer can only be its own; then the block itself is asked."""
    silences = [True]

    def once(request: RtuRequest, wire: Wire) -> None:
        if silences:
            silences.clear()
        else:
            wire.write(request.addresses())

    async with linked(once, timeout_s=0.25) as (wire, link, _):
        with pytest.raises(Silence):
            await link.request(1, read(100, 4), 8)
        assert await link.request(1, read(200, 4), 8) == addresses(200, 4)
        assert [(request.start, request.count) for request in wire.requests] == [(100, 4), (200, 3), (200, 4)]


async def test_a_single_register_is_not_asked_while_a_late_answer_may_come() -> None:
    """There is no shorter question: the unit is left alone, and nobody waits for it; then it is asked again."""
    async with linked(silent, timeout_s=0.25) as (wire, link, _):
        with pytest.raises(Silence):
            await link.request(1, read(5, 1), 2)
        wire.script = honest
        with pytest.raises(InDoubt):
            await link.request(1, read(6, 1), 2)
        assert await link.request(2, read(9, 1), 2) == addresses(9, 1)
        assert await again(link, read(6, 1), 2) == addresses(6, 1)
        assert wire.times[-1] - wire.times[0] >= QUIET_TIMEOUTS * 0.05 - 0.01


async def again(link: RtuTransactions, pdu: bytes, size_bytes: int) -> bytes:
    """Ask until it may be asked."""
    while True:
        with contextlib.suppress(InDoubt):
            return await link.request(1, pdu, size_bytes)
        await asyncio.sleep(0.005)


async def test_a_late_answer_ends_the_wait() -> None:
    """What was outstanding has come: the unit is in step again at once."""

    def late(request: RtuRequest, wire: Wire) -> None:
        wire.later(0.12 if request.start == 5 else 0.0, request.addresses())

    async with linked(late, timeout_s=0.1) as (wire, link, tally):
        with pytest.raises(Silence):
            await link.request(1, read(5, 1), 2)
        assert await again(link, read(6, 1), 2) == addresses(6, 1)
        assert wire.times[-1] - wire.times[0] < QUIET_TIMEOUTS * 0.1
        assert tally.late == 1


async def test_an_exception_during_a_doubt_says_nothing() -> None:
    """It may belong to the earlier question: nobody may learn from it that an address is missing."""

    def late(request: RtuRequest, wire: Wire) -> None:
        if request.start != 100:
            wire.write(request.exception(2))

    async with linked(late, timeout_s=0.25) as (_, link, _):
        with pytest.raises(Silence):
            await link.request(1, read(100, 4), 8)
        with pytest.raises(Unsure, match="exception 2, perhaps to an earlier request"):
            await link.request(1, read(200, 6), 12)


async def test_2_a_foreign_rtu_reply_is_dropped_and_the_right_one_still_counts() -> None:
    """Another unit answers, with as many registers; the answer that was asked for comes after it."""

    def both(request: RtuRequest, wire: Wire) -> None:
        wire.write(request.frame(b"\x03\x08" + bytes(8), unit=2) + request.addresses())

    async with linked(both) as (_, link, tally):
        assert await link.request(1, read(100, 4), 8) == addresses(100, 4)
        assert tally == Tally(late=1, refused=0)


@pytest.mark.parametrize(
    ("pdu", "what"),
    [
        (b"\x03\x00", "reply of 0 bytes instead of 8"),
        (b"\x03\x06" + bytes(6), "reply of 6 bytes instead of 8"),
        (b"\x04\x08" + bytes(8), "reply of function 4 to function 3"),
        (b"\x84\x02", "reply of function 132 to function 3"),
    ],
)
async def test_a_reply_that_does_not_fit_is_refused(pdu: bytes, what: str) -> None:
    """Wrong byte count or function, check sum right: never a value."""
    async with linked(lambda request, wire: wire.write(request.frame(pdu))) as (_, link, tally):
        with pytest.raises(Garbled) as refused:
            await link.request(1, read(100, 4), 8)
        assert (refused.value.quality.raw, tally.refused) == (what, 1)


async def test_noise_before_a_frame_and_an_echo_cost_nothing() -> None:
    """Converters that hear themselves, and the spark of a transceiver that is switched on."""

    def noisy(request: RtuRequest, wire: Wire) -> None:
        wire.write(request.raw)
        wire.write(b"\x00\xff\x01\x7f" + request.addresses())

    async with linked(noisy) as (_, link, _):
        assert await link.request(1, read(0x0BD3, 2), 4) == addresses(0x0BD3, 2)


async def test_a_wrong_check_sum_is_no_answer() -> None:
    """One flipped bit: silence, and the next request is asked and answered."""

    def flipped(request: RtuRequest, wire: Wire) -> None:
        raw = bytearray(request.addresses())
        raw[4] ^= 1
        wire.write(bytes(raw))

    async with linked(flipped, timeout_s=0.25) as (wire, link, _):
        with pytest.raises(Silence):
            await link.request(1, read(100, 4), 8)
        wire.script = honest
        assert await link.request(1, read(100, 4), 8) == addresses(100, 4)


async def test_a_frame_inside_a_payload_is_no_frame() -> None:
    """Registers that hold the bytes of a sound reply, arriving in two pieces: the reply is the outer one."""
    inner = b"\x01\x03\x02\xbe\xef" + check_sum(b"\x01\x03\x02\xbe\xef") + b"\x00"

    def nested(request: RtuRequest, wire: Wire) -> None:
        frame = request.frame(b"\x03\x0a" + inner + b"\x12\x34", unit=2)
        wire.write(frame[:12])
        wire.later(0.02, frame[12:] + request.addresses())

    async with linked(nested) as (_, link, _):
        assert await link.request(1, read(100, 1), 2) == addresses(100, 1)


async def test_a_reply_in_single_bytes_is_put_together() -> None:
    """Serial converters deliver as they like."""

    def dripping(request: RtuRequest, wire: Wire) -> None:
        for index, byte in enumerate(request.addresses()):
            wire.later(0.001 * index, bytes((byte,)))

    async with linked(dripping) as (_, link, _):
        assert await link.request(1, read(100, 4), 8) == addresses(100, 4)


async def test_1_devices_on_one_line_share_it_first_come_first_served() -> None:
    """The line is asked again only after an answer, with the pause of the standard in between."""

    def slow(request: RtuRequest, wire: Wire) -> None:
        wire.later(0.01, request.addresses())

    async with linked(slow) as (wire, link, _):
        asked = [(1 + turn, turn) for turn in range(6)]
        replies = await asyncio.gather(*(link.request(unit, read(at, 1), 2) for unit, at in asked))
        assert replies == [addresses(at, 1) for _, at in asked]
        assert [(request.unit, request.start) for request in wire.requests] == asked
        assert min(after - before for before, after in zip(wire.times, wire.times[1:], strict=False)) >= 0.011


async def test_a_line_that_is_never_quiet_is_no_answer() -> None:
    """Somebody babbles: nothing can be asked, and the caller hears it within the timeout."""
    async with linked(honest, timeout_s=0.25) as (wire, link, _):
        await link.request(1, read(0, 1), 2)

        async def babble() -> None:
            while True:
                wire.write(b"\x55")
                await asyncio.sleep(0.0005)

        task = asyncio.create_task(babble())
        link._pause_s = 0.03
        await asyncio.sleep(0.01)
        with pytest.raises(Babble):
            await link.request(1, read(0, 1), 2)
        task.cancel()


async def test_2_a_cut_rtu_converter_fails_what_waits_at_once() -> None:
    """Nobody waits for the timeout."""
    async with linked(silent, timeout_s=30) as (wire, link, _):
        waiting = asyncio.ensure_future(link.request(1, read(0, 2), 4))
        while not wire.requests:
            await asyncio.sleep(0)
        assert link._transport is not None
        link.connection_lost(ConnectionResetError("reset"))
        with pytest.raises(Unreachable, match="connection lost"):
            await waiting
        with pytest.raises(Unreachable, match="connection lost"):
            await link.request(1, read(0, 2), 4)


async def test_a_cancelled_request_leaves_a_doubt_and_no_wrong_value() -> None:
    """Its answer comes when the next one waits, for as many registers of the same unit."""
    asked = asyncio.Event()

    def late(request: RtuRequest, wire: Wire) -> None:
        asked.set()
        wire.later(0.03, request.addresses())

    async with linked(late) as (_, link, _):
        task = asyncio.create_task(link.request(1, read(100, 4), 8))
        await asked.wait()
        task.cancel()
        assert await link.request(1, read(200, 4), 8) == addresses(200, 4)


async def test_an_identification_ends_where_its_objects_end() -> None:
    """The only reply whose length stands nowhere."""
    objects = b"\x00\x04Acme\x01\x02M1"
    body = b"\x0e\x01\x01\x00\x00\x02" + objects
    async with linked(lambda request, wire: wire.write(request.frame(b"\x2b" + body))) as (wire, link, _):
        wire.hear = lambda data: wire.write(RtuRequest(0, 1, b"").frame(b"\x2b" + body))  # type: ignore[method-assign]
        assert await link.request(1, b"\x2b\x0e\x01\x00", None) == body


def test_frames_are_those_of_the_standard() -> None:
    """The request of the standard's serial line guide; its check sum goes low byte first."""
    assert written(2, b"\x07") == b"\x02\x07\x41\x12"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 8])
def test_a_beginning_is_waited_for(size: int) -> None:
    """Nothing is thrown away that may be the beginning of an answer."""
    frame = written(1, b"\x03\x04\x00\x01\x00\x02")
    assert find(frame[:size], UNITS) == (0, None)
    assert find(frame, UNITS).frame == (1, b"\x03\x04\x00\x01\x00\x02")


@settings(deadline=None, max_examples=60)
@given(chunks=st.lists(st.binary(min_size=1, max_size=30), max_size=6), split=st.integers(1, 12))
def test_12_no_stream_of_bytes_can_invent_an_rtu_value(chunks: list[bytes], split: int) -> None:
    """Any bytes in any pieces: a value only if the whole right frame was sent, and little is ever kept."""
    good = written(1, b"\x03\x04\x12\x34\x56\x78")

    async def hear() -> None:
        link = RtuTransactions("line", 0.05, UNITS, Tally(), pause_s=0.0, counts_silence=False)
        link.connection_made(_Deaf())
        reply = asyncio.ensure_future(link.request(1, read(0, 2), 4))
        while link._pending is None:
            await asyncio.sleep(0)
        sent = b""
        for chunk in [*chunks, good[:split], good[split:]]:
            sent += chunk
            link.data_received(chunk)
            assert len(link._rest) <= 1024
        await asyncio.sleep(0)
        if reply.done() and reply.exception() is None:
            assert written(1, b"\x03\x04" + reply.result()) in sent
        link.connection_lost(None)
        with contextlib.suppress(NoReply, Unreachable):
            await reply

    asyncio.run(hear())


async def test_an_exception_says_its_code() -> None:
    """Without a doubt it is the answer."""
    async with linked(lambda request, wire: wire.write(request.exception(11))) as (_, link, _):
        with pytest.raises(ExceptionReply) as refused:
            await link.request(1, read(0, 2), 4)
        assert refused.value.silent


class _Deaf(asyncio.Transport):
    """Takes everything and delivers nothing."""

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass
