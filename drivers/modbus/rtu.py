"""Requests and replies on a line with RTU frames, serial or over TCP: which reply may be taken for an answer.

RTU has no transaction id: a reply that comes too late looks like the answer to the next question. Always true here:

- One request at a time is on the line, after a pause of three and a half characters, and its turn is first come, first
  served. What came before it was sent is no answer to it.
- A reply counts only with unit, function, byte count and check sum of the request. Another unit's is dropped.
- A request without an answer leaves its unit **in doubt**: an answer of that shape (function and length) may still
  come. No second request of that shape goes to that unit while it may. The doubt ends when the late answer comes, when
  the unit answers something of another shape (devices answer in order), or after a long quiet. Where a block of
  registers is asked for again, a question that cannot be confused goes before it: one register less, thrown away.
- An exception reply has no shape, so while there is a doubt it may belong to either question, and proves nothing.
- Only the doubtful unit is left alone; its neighbours never wait for it longer than for one answer.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from drivers.modbus.connection import EXCEPTION_BIT, Connection, Tally
from drivers.modbus.frames import Frame, find, written
from drivers.modbus.replies import Babble, ExceptionReply, Garbled, InDoubt, Silence, Unsure

QUIET_TIMEOUTS = 3
"""So many timeouts after it was sent, a request is not answered any more."""

_KEPT_BYTES_MAX = 1024
_TURNS_TO_READ = 2
"""Turns of the event loop until what has already come was handed over."""

_REGISTER_FUNCTIONS = (3, 4)
_REGISTER_BYTES = 2


class Shape(NamedTuple):
    """All that an answer shows of its question. `size_bytes` is None where the reply says it itself."""

    function: int
    size_bytes: int | None


class _Pending(NamedTuple):
    """The request that waits."""

    reply: asyncio.Future[bytes]
    unit: int
    shape: Shape
    frame: bytes


class RtuTransactions(Connection):
    """The transaction layer of one line with RTU frames. `pause_s` is the silence that separates two frames."""

    def __init__(
        self,
        endpoint: str,
        timeout_s: float,
        units: frozenset[int],
        tally: Tally,
        *,
        pause_s: float,
        counts_silence: bool,
    ) -> None:
        super().__init__(endpoint, timeout_s, units, tally, counts_silence=counts_silence)
        self._pause_s = pause_s
        self._turn = asyncio.Lock()
        self._pending: _Pending | None = None
        self._rest = b""
        self._last_byte = 0.0
        self._doubts: dict[int, dict[Shape, float]] = {}

    async def request(self, unit: int, pdu: bytes, size_bytes: int | None) -> bytes:
        """As `Link.request`, in its turn; never sent while a late answer could be taken for its own."""
        self._check_open(pdu)
        shape = Shape(pdu[0], size_bytes)
        if self._may_come(unit, shape):
            await self._exchange(unit, *self._probe(unit, pdu))
        return await self._exchange(unit, pdu, shape)

    def _may_come(self, unit: int, shape: Shape) -> bool:
        """Whether an answer of this shape may still be on its way; forgets those that are too old."""
        doubts = self._doubts.get(unit, {})
        oldest = self._loop.time() - QUIET_TIMEOUTS * self._timeout_s
        for old in [old for old, sent in doubts.items() if sent < oldest]:
            del doubts[old]
        return shape in doubts

    def _probe(self, unit: int, pdu: bytes) -> tuple[bytes, Shape]:
        """The same block with fewer registers, so that its answer is of no shape that is in doubt.

        Raises `InDoubt` where there is none: the line is not kept waiting for one unit.
        """
        count_max = int.from_bytes(pdu[3:5], "big") if pdu[0] in _REGISTER_FUNCTIONS else 0
        for count in range(count_max - 1, 0, -1):
            shape = Shape(pdu[0], _REGISTER_BYTES * count)
            if shape not in self._doubts[unit]:
                return pdu[:3] + count.to_bytes(2, "big"), shape
        raise InDoubt

    async def _exchange(self, unit: int, pdu: bytes, shape: Shape) -> bytes:
        """One request and its reply, in turn. Whatever does not end in an answer leaves a doubt."""
        async with self._turn:
            await self._wait_for_pause()
            transport = self._check_open(pdu)
            self._rest = b""
            reply: asyncio.Future[bytes] = self._loop.create_future()
            self._pending = _Pending(reply, unit, shape, written(unit, pdu))
            self._doubts.setdefault(unit, {})[shape] = self._last_byte = self._loop.time()
            transport.write(self._pending.frame)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await reply
            except TimeoutError:
                self._count_silence(unit)
                raise Silence from None
            finally:
                self._pending = None

    async def _wait_for_pause(self) -> None:
        """Until the line has been quiet for long enough. Raises `Babble` where somebody never stops."""
        # What came while the loop was busy is still in the kernel: it is no answer to what is sent now.
        for _ in range(_TURNS_TO_READ):
            await asyncio.sleep(0)
        gives_up = self._loop.time() + self._timeout_s
        while (left_s := self._last_byte + self._pause_s - self._loop.time()) > 0:
            if self._loop.time() > gives_up:
                raise Babble
            await asyncio.sleep(left_s)

    def data_received(self, data: bytes) -> None:
        self._last_byte = self._loop.time()
        rest = self._without_echo(self._rest + data)
        while rest:
            used, frame = find(rest, self._units)
            rest = rest[used:]
            if frame is None:
                break
            self._heard()
            self._take(frame)
        self._rest = rest[-_KEPT_BYTES_MAX:]

    def _without_echo(self, data: bytes) -> bytes:
        """Some converters hear what they send."""
        return data.removeprefix(self._pending.frame) if self._pending is not None else data

    def _take(self, frame: Frame) -> None:
        pending = self._pending
        if pending is None or pending.reply.done() or frame.unit != pending.unit:
            self._tally.late += 1
            self._settle_doubt(frame)
        elif frame.pdu[0] & EXCEPTION_BIT:
            self._take_exception(pending, frame.pdu)
        elif self._fits(frame.pdu, pending.shape):
            self._doubts.pop(frame.unit, None)
            pending.reply.set_result(frame.pdu[1:] if pending.shape.size_bytes is None else frame.pdu[2:])
        elif self._settle_doubt(frame):
            self._tally.late += 1
        else:
            self._tally.refused += 1
            size_bytes = pending.shape.size_bytes
            short = frame.pdu[0] == pending.shape.function and size_bytes is not None and frame.pdu[1] < size_bytes
            pending.reply.set_exception(Garbled(_misfit(pending.shape, frame.pdu), short=short))

    def _take_exception(self, pending: _Pending, pdu: bytes) -> None:
        """A refusal, of this request only if nothing else is open."""
        if len(self._doubts[pending.unit]) > 1:
            self._tally.late += 1
            pending.reply.set_exception(Unsure(pdu[1]))
        elif pdu[0] & ~EXCEPTION_BIT != pending.shape.function:
            self._tally.refused += 1
            pending.reply.set_exception(Garbled(f"reply of function {pdu[0]} to function {pending.shape.function}"))
        else:
            self._doubts.pop(pending.unit)
            pending.reply.set_exception(ExceptionReply(pdu[1]))

    def _settle_doubt(self, frame: Frame) -> bool:
        """Whether this is an answer that was still expected. The waiting request's own shape is not settled by it."""
        doubts = self._doubts.get(frame.unit, {})
        own = self._pending.shape if self._pending is not None and self._pending.unit == frame.unit else None
        for shape in doubts:
            if shape != own and self._fits(frame.pdu, shape):
                del doubts[shape]
                return True
        return False

    @staticmethod
    def _fits(pdu: bytes, shape: Shape) -> bool:
        if pdu[0] != shape.function:
            return False
        return shape.size_bytes is None or pdu[1] == shape.size_bytes

    def _abandon(self) -> None:
        if self._pending is not None and not self._pending.reply.done():
            self._pending.reply.set_exception(self._unreachable())


def _misfit(shape: Shape, pdu: bytes) -> str:
    if pdu[0] != shape.function:
        return f"reply of function {pdu[0]} to function {shape.function}"
    return f"reply of {len(pdu) - 2} bytes instead of {shape.size_bytes}"
