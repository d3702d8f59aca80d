"""Which reply may be taken for an answer. The device is a raw socket that lies."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modbus_peer import Peer, Request, honest, peer, silent
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU

import drivers.modbus
from drivers.errors import Unreachable
from drivers.modbus.connection import READ_FUNCTIONS, Tally
from drivers.modbus.line import ModbusLine
from drivers.modbus.replies import ExceptionReply, Garbled, NoReply, Silence
from drivers.modbus.transaction import Transactions
from drivers.modbus.transport import UNACKNOWLEDGED_MS_MAX, open_tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from modbus_peer import Script

READ_FOUR = b"\x03\x00\x64\x00\x04"
FOUR = bytes.fromhex("0064006500660067")


@asynccontextmanager
async def linked(script: Script, timeout_s: float = 2.0) -> AsyncIterator[tuple[Peer, Transactions, Tally]]:
    """A lying device, a connection to it, and the count of what was not believed."""
    async with peer(script) as device:
        tally = Tally()
        link = await connection(device.port, timeout_s, tally)
        try:
            yield device, link, tally
        finally:
            await link.close()


def endpoint(port: int) -> ModbusLine:
    return ModbusLine(protocol="modbus", host="127.0.0.1", port=port)


async def connection(port: int, timeout_s: float, tally: Tally) -> Transactions:
    make = lambda: Transactions("peer", timeout_s, frozenset((1,)), tally)  # noqa: E731 - read where it is used
    return await open_tcp(endpoint(port), timeout_s, make)


def saying(*frames: Callable[[Request], bytes]) -> Script:
    """A device that answers each request with these frames in one piece."""
    return lambda request, writer: writer.write(b"".join(frame(request) for frame in frames))


async def test_the_right_reply_gives_its_payload() -> None:
    """Nothing but the registers: no header, no byte count."""
    async with linked(honest) as (device, link, _):
        assert await link.request(1, READ_FOUR, 8) == FOUR
        assert device.requests[0].pdu == READ_FOUR


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (lambda request: request.data(b""), "reply of 0 bytes (byte count 0) instead of 8"),
        (lambda request: request.data(FOUR[:6]), "reply of 6 bytes (byte count 6) instead of 8"),
        (lambda request: request.data(FOUR + b"\0\0"), "reply of 10 bytes (byte count 10) instead of 8"),
        (lambda request: request.frame(b"\x03\x08" + FOUR[:6]), "reply of 6 bytes (byte count 8) instead of 8"),
        (lambda request: request.frame(b"\x03\x06" + FOUR), "reply of 8 bytes (byte count 6) instead of 8"),
        (lambda request: request.frame(b"\x04\x08" + FOUR), "reply of function 4 to function 3"),
        (lambda request: request.frame(b"\x03\x08" + FOUR, unit=2), "reply from unit 2 instead of 1"),
        (lambda request: request.frame(b"\x83\x02", unit=2), "reply from unit 2 instead of 1"),
        (lambda request: request.frame(b"\x84\x02"), "reply of function 132 to function 3"),
        (lambda request: request.frame(b"\x83\x02\x02"), "reply of function 131 to function 3"),
    ],
)
async def test_a_reply_that_does_not_fit_is_never_an_answer(frame: Callable[[Request], bytes], what: str) -> None:
    """Wrong count, length, function or unit ends the request without a value, is counted, and costs only itself."""
    async with linked(saying(frame)) as (device, link, tally):
        with pytest.raises(Garbled) as refused:
            await link.request(1, READ_FOUR, 8)
        assert refused.value.quality.raw == what
        assert tally == Tally(late=0, refused=1)
        device.script = honest
        assert await link.request(1, READ_FOUR, 8) == FOUR


async def test_pymodbus_itself_would_take_the_wrong_byte_count() -> None:
    """Why the transaction layer is ours: the library decodes such a reply as a success without registers."""
    framer = FramerSocket(DecodePDU(is_server=False))
    _, pdu = framer.handleFrame(bytes.fromhex("000100000003010300"), 1, 1)
    assert pdu is not None
    assert (pdu.isError(), pdu.registers) == (False, [])


async def test_2_a_foreign_reply_is_dropped_and_the_right_one_still_counts() -> None:
    """A transaction that nobody waits for is dropped, whatever it holds."""
    foreign = saying(lambda request: request.frame(b"\x03\x08" + bytes(8), transaction=9999), Request.addresses)
    async with linked(foreign) as (_, link, tally):
        assert await link.request(1, READ_FOUR, 8) == FOUR
        assert tally == Tally(late=1, refused=0)


async def test_doubled_replies_answer_once() -> None:
    """The second and third are late."""
    async with linked(saying(Request.addresses, Request.addresses, Request.addresses)) as (_, link, tally):
        assert await link.request(1, READ_FOUR, 8) == FOUR
        assert await link.request(1, b"\x03\x00\x00\x00\x01", 2) == b"\0\0"
        assert tally.late >= 2


async def test_2_a_late_reply_is_never_taken_for_the_next_answer() -> None:
    """It comes after its timeout, before and after the next request; the next request gets its own."""
    held: list[bytes] = []

    def late(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.start == 100:
            held.append(request.data(b"\xee" * 8))
        else:
            writer.write(held[0] + request.addresses())

    async with linked(late, timeout_s=0.25) as (_, link, tally):
        with pytest.raises(Silence):
            await link.request(1, READ_FOUR, 8)
        assert await link.request(1, b"\x03\x00\x00\x00\x04", 8) == bytes.fromhex("0000000100020003")
        assert tally == Tally(late=1, refused=0)


async def test_several_requests_may_wait_and_answers_may_come_in_any_order() -> None:
    """Each is matched by its transaction, though all ask the same unit for as many registers."""
    requests: list[Request] = []

    def backwards(request: Request, writer: asyncio.StreamWriter) -> None:
        requests.append(request)
        if len(requests) == 8:
            writer.write(b"".join(one.addresses() for one in reversed(requests)))

    async with linked(backwards) as (_, link, _):
        waiting = [link.request(1, struct.pack(">BHH", 3, start, 1), 2) for start in range(8)]
        assert [int.from_bytes(await reply, "big") for reply in waiting] == list(range(8))


@pytest.mark.parametrize("code", [1, 2, 4, 6, 10, 11, 255])
async def test_an_exception_reply_says_its_code(code: int) -> None:
    """It ends its request and nothing else."""
    async with linked(saying(lambda request: request.exception(code))) as (_, link, tally):
        with pytest.raises(ExceptionReply) as refused:
            await link.request(1, READ_FOUR, 8)
        assert refused.value.quality.raw == f"exception {code}"
        assert tally == Tally()


async def test_silence_ends_only_its_own_request_and_on_time() -> None:
    """One unit is silent, the other answers meanwhile."""

    def half(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.unit == 2:
            writer.write(request.addresses())

    async with linked(half, timeout_s=0.1) as (_, link, _):
        began = asyncio.get_running_loop().time()
        dead = link.request(1, READ_FOUR, 8)
        assert await link.request(2, READ_FOUR, 8) == FOUR
        with pytest.raises(Silence):
            await dead
        assert 0.09 < asyncio.get_running_loop().time() - began < 1


async def test_a_reply_in_single_bytes_is_put_together() -> None:
    """TCP keeps order, not frames."""

    async def dripping(request: Request, writer: asyncio.StreamWriter) -> None:
        for byte in request.addresses():
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    async with linked(dripping) as (_, link, _):
        assert await link.request(1, READ_FOUR, 8) == FOUR


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("000100010003010300"),
        bytes.fromhex("00010000ffff0103"),
        bytes.fromhex("0001000000020103"),
        bytes.fromhex("000100000000"),
    ],
)
async def test_what_is_no_modbus_ends_the_connection(garbage: bytes) -> None:
    """A wrong protocol id or an impossible length: no later byte could be trusted, so all that waits ends at once."""
    async with linked(lambda _, writer: writer.write(garbage), timeout_s=30) as (_, link, _):
        waiting = [link.request(1, READ_FOUR, 8), link.request(1, READ_FOUR, 8)]
        for reply in waiting:
            with pytest.raises(Unreachable, match="answers are not Modbus"):
                await reply
        with pytest.raises(Unreachable, match="answers are not Modbus"):
            link.request(1, READ_FOUR, 8)


@pytest.mark.parametrize("cut", [0, 1, 5, 9, 16])
async def test_2_a_cut_connection_fails_all_that_waits_at_once(cut: int) -> None:
    """Between frames or in the middle of one: nobody waits for the timeout, and half a frame is no answer."""

    def cutting(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(request.addresses()[:cut])
        writer.close()

    async with linked(cutting, timeout_s=30) as (_, link, _):
        for reply in [link.request(1, READ_FOUR, 8), link.request(1, READ_FOUR, 8)]:
            with pytest.raises(Unreachable, match="connection"):
                await reply


async def test_a_reset_connection_fails_what_waits_at_once() -> None:
    """A device that restarts answers with a reset."""

    def resetting(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async with linked(resetting, timeout_s=30) as (_, link, _):
        with pytest.raises(Unreachable, match="connection"):
            await link.request(1, READ_FOUR, 8)


async def test_a_connection_on_which_everybody_is_silent_is_given_up() -> None:
    """An open socket is no proof of life: after three requests without a frame a fresh connection is wanted."""
    async with linked(silent, timeout_s=0.25) as (_, link, _):
        for _ in range(2):
            with pytest.raises(Silence):
                await link.request(1, READ_FOUR, 8)
        with pytest.raises(Silence):
            await link.request(1, READ_FOUR, 8)
        with pytest.raises(Unreachable, match="no reply to the last 3 requests"):
            link.request(1, READ_FOUR, 8)


async def test_one_dead_unit_never_costs_the_others_their_connection() -> None:
    """While any unit of the line has not been asked in vain, the connection stays."""
    async with peer(silent) as device:
        units = frozenset((1, 2))
        link = await open_tcp(endpoint(device.port), 1, lambda: Transactions("peer", 0.02, units, Tally()))
        for _ in range(5):
            with pytest.raises(Silence):
                await link.request(1, READ_FOUR, 8)
        device.script = honest
        assert await link.request(2, READ_FOUR, 8) == FOUR
        await link.close()


async def test_a_cancelled_request_leaves_the_connection_in_order() -> None:
    """Its reply comes, finds nobody, and the next one is answered."""
    held: list[Request] = []
    arrived = asyncio.Event()

    def hold(request: Request, _: asyncio.StreamWriter) -> None:
        held.append(request)
        arrived.set()

    async with linked(hold) as (device, link, tally):
        task = asyncio.ensure_future(link.request(1, READ_FOUR, 8))
        await arrived.wait()
        task.cancel()
        device.script = lambda request, writer: writer.write(held[0].addresses() + request.addresses())
        assert await link.request(1, b"\x03\x00\x00\x00\x01", 2) == b"\0\0"
        assert tally == Tally(late=1, refused=0)


async def test_transactions_run_round_and_skip_those_that_still_wait() -> None:
    """After 65,536 requests a number comes again, but never one that is in use."""
    seen: list[int] = []
    all_seen = asyncio.Event()

    def note(request: Request, _: asyncio.StreamWriter) -> None:
        seen.append(request.transaction)
        if len(seen) == 4:
            all_seen.set()

    async with linked(note) as (_, link, _):
        link._next = 65534
        waiting = [link.request(1, READ_FOUR, 8) for _ in range(3)]
        link._next = 65534
        waiting.append(link.request(1, READ_FOUR, 8))
        await all_seen.wait()
        assert seen == [65535, 0, 1, 2]
        await link.close()
        for reply in waiting:
            assert isinstance(reply.exception(), Unreachable)


async def test_closing_twice_and_at_once_is_allowed() -> None:
    """What waits ends, and the peer sees the end of the connection."""
    async with linked(silent) as (device, link, _):
        reply = link.request(1, READ_FOUR, 8)
        await asyncio.gather(link.close(), link.close())
        await link.close()
        with pytest.raises(Unreachable, match="closed"):
            await reply
        assert len(device.writers) <= 1


async def test_2_the_socket_finds_a_half_open_connection_by_itself() -> None:
    """Small frames leave at once, keep-alives run, and unconfirmed data ends the connection within seconds."""
    async with linked(honest) as (_, link, _):
        assert link._transport is not None
        sock = link._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_MS_MAX == 5000


@pytest.mark.parametrize("function", sorted(set(range(256)) - READ_FUNCTIONS))
async def test_no_function_but_the_reading_ones_can_be_sent(function: int) -> None:
    """Whatever the caller passes: nothing leaves the gateway that could change a device."""
    link = Transactions("peer", 1.0, frozenset((1,)), Tally())
    with pytest.raises(ValueError, match=f"function {function} does not read"):
        link.request(1, bytes((function, 0, 0, 0, 1)), 2)


def test_the_package_knows_no_writing_function_of_the_library() -> None:
    """Read-only by construction: nothing of pymodbus is imported but framers, the decoder of one, and the port."""
    imported = {
        f"{node.module}.{name.name}"
        for file in Path(drivers.modbus.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pymodbus")
        for name in node.names
    }
    assert imported == {
        "pymodbus.framer.FramerSocket",
        "pymodbus.framer.FramerRTU",
        "pymodbus.pdu.DecodePDU",
        "pymodbus.transport.serialtransport.SerialTransport",
    }
    assert frozenset((1, 2, 3, 4, 0x2B)) == READ_FUNCTIONS


ANYTHING = st.binary(min_size=1, max_size=40)
NEARLY = st.builds(
    lambda function, count, payload: bytes((function, count)) + payload,
    st.sampled_from([3, 4, 0x83]),
    st.integers(0, 12),
    st.binary(max_size=12),
)
RIGHT = st.binary(min_size=8, max_size=8).map(lambda payload: b"\x03\x08" + payload)


@settings(deadline=None)
@given(pdus=st.lists(ANYTHING | NEARLY | RIGHT, max_size=4), unit=st.integers(0, 2), tail=st.binary(max_size=20))
def test_12_no_stream_of_bytes_can_invent_a_value(pdus: list[bytes], unit: int, tail: bytes) -> None:
    """Framed and bare bytes of any kind: a value only if the one right reply came first, and little is ever kept."""

    async def hear() -> None:
        link = Transactions("peer", 5.0, frozenset((1,)), Tally())
        link.connection_made(_Deaf())
        reply = link.request(1, READ_FOUR, 8)
        for pdu in pdus:
            link.data_received(struct.pack(">HHHB", 1, 0, len(pdu) + 1, unit) + pdu)
        link.data_received(tail)
        assert len(link._rest) < 260
        if reply.done() and reply.exception() is None:
            assert (unit, pdus[0]) == (1, b"\x03\x08" + reply.result())
        else:
            assert not (unit == 1 and pdus and len(pdus[0]) == 10 and pdus[0].startswith(b"\x03\x08"))
        link.connection_lost(None)
        with contextlib.suppress(NoReply, Unreachable):
            await reply

    asyncio.run(hear())


class _Deaf(asyncio.Transport):
    """Takes everything and delivers nothing."""

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass
