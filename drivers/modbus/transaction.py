"""Requests and replies on one connection with the frames of Modbus TCP: which reply may be taken for an answer.

Always true here:

- Only reading functions are ever sent (`READ_FUNCTIONS`); there is no code in this package that could write.
- A request ends exactly once: with the bytes asked for, a `NoReply`, `Unreachable`, or by cancellation.
- A reply counts only with the transaction, unit, function, byte count and length of its request. One that fits in the
  transaction but in nothing else ends its request as `Garbled`; one whose transaction is unknown (late, doubled,
  invented) is dropped and counted.
- What is no Modbus at all ends the connection, since nothing that follows could be trusted to begin at a frame.
- When the connection ends, everything pending ends at once.

The frames are pymodbus's (`FramerSocket`); its own transaction layer is not used, because it holds one request at a
time and takes a reply with a wrong byte count for an answer. The frame's header is looked at before the framer sees it:
the framer waits for ever behind a wrong protocol id, and it takes a byte too many of a frame without a payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU

from drivers.modbus.connection import EXCEPTION_BIT, Connection, Tally
from drivers.modbus.replies import ExceptionReply, Garbled, Silence

if TYPE_CHECKING:
    import asyncio

_HEADER_BYTES = 6
"""Transaction, protocol and length; unit and function follow and are counted by the length."""

_LENGTH_MIN, _LENGTH_MAX = 3, 254
_TRANSACTIONS = 1 << 16
_EXCEPTION_BYTES = 2


class _Pending(NamedTuple):
    """A request that waits. `size_bytes` is the payload that it must get, None where the reply says so itself."""

    reply: asyncio.Future[bytes]
    unit: int
    function: int
    size_bytes: int | None
    deadline: float


class Transactions(Connection):
    """The transaction layer of one connection with the frames of Modbus TCP."""

    def __init__(self, endpoint: str, timeout_s: float, units: frozenset[int], tally: Tally) -> None:
        super().__init__(endpoint, timeout_s, units, tally, counts_silence=True)
        self._framer = FramerSocket(DecodePDU(is_server=False))
        self._next = 0
        self._pending: dict[int, _Pending] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rest = b""

    def request(self, unit: int, pdu: bytes, size_bytes: int | None) -> asyncio.Future[bytes]:
        """As `Link.request`; the request is on its way when this returns."""
        transport = self._check_open(pdu)
        transaction = self._new_transaction()
        deadline = self._loop.time() + self._timeout_s
        reply = self._loop.create_future()
        self._pending[transaction] = _Pending(reply, unit, pdu[0], size_bytes, deadline)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)
        transport.write(self._framer.encode(pdu, unit, transaction))
        return reply

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data if self._rest else data
        while rest and not self._lost:
            if not _is_modbus(rest):
                self._lose("answers are not Modbus")
                return
            used, unit, transaction, pdu = self._framer.decode(rest)
            if not used:
                break
            self._heard()
            self._settle(transaction, unit, pdu)
            rest = rest[used:]
        self._rest = rest

    def _new_transaction(self) -> int:
        while True:
            self._next = (self._next + 1) % _TRANSACTIONS
            if self._next not in self._pending:
                return self._next

    def _settle(self, transaction: int, unit: int, pdu: bytes) -> None:
        pending = self._pending.pop(transaction, None)
        if pending is None or pending.reply.done():
            self._tally.late += 1
            return
        size_bytes = pending.size_bytes
        if unit == pending.unit and pdu[0] == pending.function:
            if size_bytes is None:
                pending.reply.set_result(pdu[1:])
                return
            if pdu[1] == size_bytes and len(pdu) == size_bytes + 2:
                pending.reply.set_result(pdu[2:])
                return
        elif unit == pending.unit and pdu[0] == pending.function | EXCEPTION_BIT and len(pdu) == _EXCEPTION_BYTES:
            pending.reply.set_exception(ExceptionReply(pdu[1]))
            return
        self._tally.refused += 1
        short = unit == pending.unit and pdu[0] == pending.function and len(pdu) == pdu[1] + 2
        short = short and pending.size_bytes is not None and pdu[1] < pending.size_bytes
        pending.reply.set_exception(Garbled(_misfit(pending, unit, pdu), short=short))

    def _expire(self) -> None:
        """End what is overdue. All requests wait equally long, so the oldest is always the first in the dictionary."""
        self._timer = None
        now = self._loop.time()
        while self._pending:
            transaction, pending = next(iter(self._pending.items()))
            if pending.deadline > now:
                self._timer = self._loop.call_at(pending.deadline, self._expire)
                return
            del self._pending[transaction]
            if not pending.reply.done():
                pending.reply.set_exception(Silence())
            self._count_silence(pending.unit)

    def _abandon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, {}
        for one in pending.values():
            if not one.reply.done():
                one.reply.set_exception(self._unreachable())


def _is_modbus(data: bytes) -> bool:
    """Whether this can be the beginning of a frame; says yes while too little has come to tell."""
    if any(data[2:4]):
        return False
    return len(data) < _HEADER_BYTES or _LENGTH_MIN <= data[4] << 8 | data[5] <= _LENGTH_MAX


def _misfit(pending: _Pending, unit: int, pdu: bytes) -> str:
    if unit != pending.unit:
        return f"reply from unit {unit} instead of {pending.unit}"
    if pdu[0] != pending.function:
        return f"reply of function {pdu[0]} to function {pending.function}"
    return f"reply of {len(pdu) - 2} bytes (byte count {pdu[1]}) instead of {pending.size_bytes}"
