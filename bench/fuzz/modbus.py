"""Coverage-guided fuzzing of what a Modbus device's answers pass through. `make fuzz` runs it for half a minute.

The first byte chooses the frames: those of TCP or those of a serial line. A finding is any exception, a value that the
right frame did not carry, more than two seconds for one stream, or memory that grows with what is sent.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["drivers.modbus"]):
    from config.model import Point, Text
    from drivers.errors import Unreachable
    from drivers.modbus.connection import Tally
    from drivers.modbus.decode import BlockDecoder
    from drivers.modbus.frames import written
    from drivers.modbus.identity import identity
    from drivers.modbus.plan import plan
    from drivers.modbus.replies import NoReply
    from drivers.modbus.rtu import RtuTransactions
    from drivers.modbus.settings import ModbusAddress, ModbusPoint
    from drivers.modbus.transaction import Transactions

READ = b"\x03\x00\x00\x00\x08"
IDENTIFY = b"\x2b\x0e\x01\x00"
SIZE_BYTES = 16
KEPT_BYTES_MAX = 1024
TURNS = 5
"""Of the event loop, until the request has been sent."""

NAME = Text("", "")
LOOP = asyncio.new_event_loop()
ROWS: tuple[dict[str, object], ...] = (
    {"register": 0, "type": "bcd32", "low": 0, "high": 9},
    {"register": 2, "type": "time_3"},
    {"register": 2, "type": "f32", "order": "CDAB", "scale": 0.1},
    {"register": 4, "type": "string", "length": 2},
    {"register": 4, "type": "time_cp56"},
    {"register": 6, "type": "time_unix"},
    {
        "register": 7,
        "type": "bit",
        "bit": 4,
        "bits": 4,
        "value": "enum",
        "states": {1: "on"},
        "sentinels": {15: "busy"},
    },
)


def _points() -> tuple[Point, ...]:
    specs = [ModbusPoint.model_validate(row) for row in ROWS]
    return tuple(
        Point(str(at), "d", "s", NAME, spec.value, "1", 1.0, spec, spec.scale, 0.0, spec.states, spec.low, spec.high)
        for at, spec in enumerate(specs)
    )


POINTS = _points()
(BLOCK,) = plan(POINTS, ModbusAddress())
DECODER = BlockDecoder(BLOCK, POINTS)


class _Deaf(asyncio.Transport):
    """Takes everything and delivers nothing."""

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass


def one(data: bytes) -> None:
    """One stream of bytes, in pieces of the length that its second byte says."""
    if len(data) > 2:
        LOOP.run_until_complete(_hear(data[0] & 1 == 0, data[1] % 17 + 1, data[2:]))


async def _hear(is_tcp: bool, piece: int, stream: bytes) -> None:
    size_bytes, pdu = (SIZE_BYTES, READ) if stream[0] & 1 else (None, IDENTIFY)
    link: Transactions | RtuTransactions
    if is_tcp:
        link = Transactions("fuzz", 5.0, frozenset((1, 2)), Tally())
    else:
        link = RtuTransactions("fuzz", 5.0, frozenset((1, 2)), Tally(), pause_s=0.0, counts_silence=False)
    link.connection_made(_Deaf())
    reply = asyncio.ensure_future(link.request(1, pdu, size_bytes))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for at in range(0, len(stream), piece):
        link.data_received(stream[at : at + piece])
        assert len(link._rest) <= KEPT_BYTES_MAX  # noqa: SLF001 - what it keeps is what is looked at
    link.connection_lost(None)
    try:
        payload = await reply
    except (NoReply, Unreachable):
        return
    if size_bytes is None:
        identity(payload)
        return
    assert len(payload) == size_bytes
    assert payload in stream
    assert is_tcp or written(1, bytes((3, size_bytes)) + payload) in stream
    values, flaws = DECODER.decode(payload)
    assert all(value is not None or at in flaws for at, value in enumerate(values))


def _corpus(folder: Path) -> None:
    right = bytes((3, SIZE_BYTES)) + bytes.fromhex("00012345 1a0b 150a 1e3b 4142 0000 6920 ba60")
    who = b"\x2b\x0e\x01\x01\x00\x00\x01\x00\x04Acme"
    for name, pdu in (("data", right), ("exception", b"\x83\x02"), ("who", who)):
        (folder / f"{name}-tcp").write_bytes(b"\x00\x10" + b"\x00\x01\x00\x00" + bytes((0, len(pdu) + 1, 1)) + pdu)
        (folder / f"{name}-rtu").write_bytes(b"\x01\x10" + written(1, pdu))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        _corpus(Path(corpus))
        atheris.Setup([sys.argv[0], corpus, "-timeout=2", "-rss_limit_mb=2048", *sys.argv[1:]], one)
        atheris.Fuzz()
