"""An evil BACnet device: whatever it answers and reports, no crash, no hang, and no value that it has not sent."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from bacnet_peer import (
    RawDevice,
    enumerated,
    flags,
    frame,
    i_am,
    identifier,
    make_device,
    make_line,
    make_point,
    real,
    serving,
    text,
    unsigned,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Poll, Reading
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bacnet_peer import Request

PRESENT_VALUE, STATUS_FLAGS, UNITS = 85, 111, 117
ACTIVE_TEXT, EVENT_STATE, ACKED_TRANSITIONS = 4, 36, 0
FAULT_SIGNALS = 463
READS = 4
PATIENCE_S = 0.15
"""Some lies leave a request open. What is waited for is silence; an honest answer may be asked for again."""

END_S = 30.0
EXACT_MAX = 2.0**53
"""An integer beyond this is rounded, so that its bytes are not those that were sent."""

CHARSETS = ("utf-8", "utf-16-be", "utf-32-be", "latin-1")
HONEST = [21.5, True, "two", "manual", False, "pressure", True]

POINTS = (
    make_point("analog-input,1", unit="kPa", cov=True),
    make_point("binary-input,1", "bool"),
    make_point("multi-state-input,1", "enum", states={1: "one", 2: "two"}),
    make_point("binary-input,2", "string", text=True),
    make_point("analog-input,1", "bool", event="active"),
    make_point("analog-input,1", "string", property="description"),
    make_point("lift,1", "bool", property="fault-signals", holds="any"),
)


def honest() -> RawDevice:
    device = RawDevice()
    device.put(1, real(21.5))
    good = flags("0000")
    device.objects[identifier(0, 1)].update({UNITS: enumerated(54), 28: text("pressure")})
    device.objects[identifier(0, 1)].update({EVENT_STATE: enumerated(0), ACKED_TRANSITIONS: b"\x82\x05\xe0"})
    device.objects[identifier(3, 1)] = {PRESENT_VALUE: enumerated(1), STATUS_FLAGS: good}
    device.objects[identifier(13, 1)] = {PRESENT_VALUE: unsigned(2), STATUS_FLAGS: good}
    device.objects[identifier(3, 2)] = {PRESENT_VALUE: enumerated(1), STATUS_FLAGS: good, ACTIVE_TEXT: text("manual")}
    device.objects[identifier(59, 1)] = {FAULT_SIGNALS: enumerated(3), STATUS_FLAGS: good}
    return device


class Evil:
    """Answers each request as drawn, and then ends it with a reject, so that nobody has to wait."""

    def __init__(self, device: RawDevice, chance: Random) -> None:
        self.device = device
        self.chance = chance
        self.sent = bytearray()

    def answer(self, request: Request) -> list[bytes]:
        frames = [self._one(request) for _ in range(self.chance.randint(1, 3))]
        for each in frames:
            self.sent += each
        return [*frames, request.reject(self.chance.randint(0, 12))]

    def honestly(self, request: Request) -> list[bytes]:
        frames = self.device._honest(request)
        for each in frames:
            self.sent += each
        return frames

    def _one(self, request: Request) -> bytes:
        kind = self.chance.choice(KINDS)
        body = self.chance.randbytes(self.chance.randint(0, 80))
        if kind == "honest":
            return self.device._honest(request)[0]
        if kind == "damaged":
            damaged = bytearray(self.device._honest(request)[0])
            damaged[self.chance.randint(0, len(damaged) - 1)] = self.chance.randint(0, 255)
            return bytes(damaged)
        if kind == "cut off":
            whole = self.device._honest(request)[0]
            return whole[: self.chance.randint(0, len(whole))]
        return {
            "acknowledgement": lambda: request.ack(body),
            "longer": lambda: self.device._honest(request)[0] + body,
            "segment": lambda: request.segment(body, self.chance.randint(0, 255), more=True),
            "another number": lambda: request.ack(body, invoke_id=(request.invoke_id + 1) % 256),
            "another service": lambda: request.ack(body, service=self.chance.randint(0, 255)),
            "error": lambda: request.error(self.chance.randint(0, 9), self.chance.randint(0, 200)),
            "abort": lambda: request.abort(self.chance.randint(0, 255)),
            "report": lambda: frame(bytes([0x10, self.chance.choice((0, 2, 3))]) + body),
            "confirmed report": lambda: frame(bytes([0x00, 0x05, 1, self.chance.choice((1, 2))]) + body),
            "somebody else": lambda: i_am(self.chance.randint(0, 5000), 480),
            "noise": lambda: body,
        }[kind]()


KINDS = (
    "honest",
    "damaged",
    "cut off",
    "acknowledgement",
    "longer",
    "segment",
    "another number",
    "another service",
    "error",
    "abort",
    "report",
    "confirmed report",
    "somebody else",
    "noise",
)


def check(given_: Reading, sent: bytes | bytearray) -> None:
    """What a reading says stands in the bytes that were sent."""
    number, truth, state, own_text, *_ = given_.values
    assert number is None or abs(float(number)) > EXACT_MAX or any(one in sent for one in spelled(float(number)))
    assert truth in (None, True, False)
    assert state in (None, "one", "two")
    assert own_text is None or any(str(own_text).encode(charset, "ignore") in sent for charset in CHARSETS)
    assert all(value is not None or at in given_.flaws for at, value in enumerate(given_.values))


def spelled(number: float) -> Iterator[bytes]:
    """Every way in which a device may write it: a damaged tag makes another type of the same bytes."""
    yield struct.pack(">d", number)
    with suppress(OverflowError):
        yield struct.pack(">f", number)
    if number.is_integer():
        whole = int(number)
        bits = whole.bit_length() if whole >= 0 else (whole + 1).bit_length() + 1
        yield from (whole.to_bytes(size, "big", signed=whole < 0) for size in range(max(1, (bits + 7) // 8), 9))
    if number in (0.0, 1.0):
        yield bytes([0x10 | int(number)])


async def lies(chance: Random) -> list[dict[str, Any]]:
    """Reads of an evil device, then of the same device turned honest; gives what the loop complained about."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    device = honest()
    evil = Evil(device, chance)
    async with serving(device):
        made = make_device(device.at, POINTS)
        driver = BacnetDriver(make_line(made, timeout_s=PATIENCE_S, retries=0), ManualClock())
        await driver.connect()
        poll = Poll(made, POINTS, 1.0)
        notices: AsyncGenerator[Reading, None] = driver.notices([poll])
        taking = asyncio.create_task(take(notices, evil))
        try:
            device.answer = evil.answer
            for _ in range(READS):
                try:
                    check(await driver.read(poll), evil.sent)
                except NoAnswer:
                    continue
            device.answer = evil.honestly
            while not await believed(driver, poll):
                pass
            assert not taking.done(), taking.exception()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            await driver.close()
    return complaints


async def believed(driver: BacnetDriver, poll: Poll) -> bool:
    """Whether the device, which is honest now, is read as it is; a busy machine may need another try."""
    try:
        return list((await driver.read(poll)).values) == HONEST
    except NoAnswer:
        return False


async def take(notices: AsyncGenerator[Reading, None], evil: Evil) -> None:
    async for reading in notices:
        check(reading, evil.sent)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_12_an_evil_device_never_makes_a_value_and_never_stops_the_driver(seed: int) -> None:
    """Lengths, numbers, counts, types, floods and half frames: the next honest answers count again."""

    async def one() -> list[dict[str, Any]]:
        async with asyncio.timeout(END_S):
            return await lies(Random(seed))

    assert asyncio.run(one()) == []
