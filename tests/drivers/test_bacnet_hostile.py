"""What a BACnet device, or anybody on its network, may send instead of an answer: no value that was not sent."""

from __future__ import annotations

import ast
import asyncio
import re
import socket
import struct
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bacnet_peer import (
    PRESENT_VALUE,
    READ_PROPERTY,
    READ_PROPERTY_MULTIPLE,
    STATUS_FLAGS,
    RawDevice,
    flags,
    frame,
    identifier,
    inputs,
    loopback,
    make_device,
    make_line,
    real,
    result,
    serving,
)

import drivers.bacnet
from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.contract import Grade, Poll, Quality
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bacnet_peer import Reply, Request

TIMEOUT_S = 0.5
GOOD = [(PRESENT_VALUE, real(21.5)), (STATUS_FLAGS, flags("0000"))]


@asynccontextmanager
async def met(device: RawDevice) -> AsyncIterator[tuple[BacnetDriver, Poll]]:
    """A driver that has read the one input of the device once."""
    device.put(1, real(21.5))
    async with serving(device):
        made = make_device(device.at, inputs(1))
        driver = BacnetDriver(make_line(made, timeout_s=TIMEOUT_S, retries=0), ManualClock())
        await driver.connect()
        try:
            poll = Poll(made, made.points, 1.0)
            assert (await driver.read(poll)).values == [21.5]
            yield driver, poll
        finally:
            await driver.close()


def instead(make: Callable[[Request], list[bytes]]) -> Callable[[Request], Reply]:
    return lambda request: make(request) if request.service == READ_PROPERTY_MULTIPLE else None


LIES: dict[str, tuple[Callable[[Request], list[bytes]], str]] = {
    "another object": (lambda ask: [ask.ack(result(identifier(0, 2), GOOD))], "not in the answer"),
    "another property": (lambda ask: [ask.ack(result(identifier(0, 1), [(28, real(9.0))]))], "not in the answer"),
    "an element nobody asked for": (
        lambda ask: [ask.ack(b"\x0c" + identifier(0, 1) + b"\x1e\x29\x55\x39\x01\x4e" + real(9.0) + b"\x4f\x1f")],
        "not in the answer",
    ),
    "nothing": (lambda ask: [ask.ack(b"")], "not in the answer"),
    "half an answer": (lambda ask: [ask.ack(result(identifier(0, 1), GOOD)[:-8])], "cut off"),
    "a real of two bytes": (
        lambda ask: [ask.ack(b"\x0c" + identifier(0, 1) + b"\x1e\x29\x55\x4e\x42\x00\x00\x4f\x1f")],
        "a real of 2 bytes",
    ),
    "a length beyond the end": (
        lambda ask: [ask.ack(b"\x0c" + identifier(0, 1) + b"\x1e\x29\x55\x4e\x75\xff\xff\xff\xff\xff\x4f\x1f")],
        "cut off",
    ),
    "another service": (
        lambda ask: [ask.ack(result(identifier(0, 1), GOOD), service=READ_PROPERTY)],
        "an acknowledgement of service 12",
    ),
    "a simple acknowledgement": (
        lambda ask: [frame(bytes([0x20, ask.invoke_id, ask.service]))],
        "answered with an APDU of type 2",
    ),
    "an error without class and code": (lambda ask: [frame(bytes([0x50, ask.invoke_id, ask.service]))], "cut off"),
    "text for a number": (
        lambda ask: [ask.ack(result(identifier(0, 1), [(PRESENT_VALUE, b"\x73\x00\x32\x31")]))],
        "number expected, text sent",
    ),
    "a list for a number": (
        lambda ask: [ask.ack(result(identifier(0, 1), [(PRESENT_VALUE, real(1.0) + real(2.0))]))],
        "number expected, list of 2 sent",
    ),
    "a structure for a number": (
        lambda ask: [ask.ack(result(identifier(0, 1), [(PRESENT_VALUE, b"\x0e" + real(1.0) + b"\x0f")]))],
        "number expected, structure sent",
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_does_not_fit_the_question_is_no_value(lie: str) -> None:
    """The device is alive and talks nonsense: bad, with what was wrong; the next honest answer counts again."""
    make, said = LIES[lie]
    device = RawDevice()
    async with met(device) as (driver, poll):
        device.answer = instead(make)
        given = await driver.read(poll)
        device.answer = lambda _: None
        again = await driver.read(poll)
    assert list(given.values) == [None]
    assert given.flaws == {0: Quality(Grade.BAD, "decode_error", said)}
    assert (list(again.values), again.changed) == ([21.5], ((0, 1),))


async def test_one_senseless_value_spoils_no_other() -> None:
    """A text in a character set that nobody can read, as small controllers send it, is its own point's flaw."""
    device = RawDevice()
    device.put(2, b"\x74\x00\xb5\xe7\xcc")
    device.put(1, real(21.5))
    async with serving(device):
        made = make_device(device.at, inputs(2))
        driver = BacnetDriver(make_line(made), ManualClock())
        await driver.connect()
        given = await driver.read(Poll(made, made.points, 1.0))
        await driver.close()
    assert list(given.values) == [21.5, None]
    assert given.flaws[1].raw == "a character string in character set 0 that cannot be read"


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800000, 0xFF800000])
async def test_not_a_number_and_infinity_are_no_values(bits: int) -> None:
    """They become nothing with a reason."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        device.put(1, b"\x44" + struct.pack(">I", bits))
        given = await driver.read(poll)
    assert list(given.values) == [None]
    assert given.flaws[0].reason == "not_available"


GARBAGE = [
    b"",
    b"\x00",
    b"\x81",
    b"\x81\x0a\x00\x04",
    b"\x81\x0a\xff\xff\x01\x00\x30",
    b"\x01\x00\x30\x01\x0e",
    b"\x81\x0a\x00\x08\x01\x00\x30\x01",
    b"\x81\x0a\x00\x07\x01\x00\xf0",
    b"\x81\x0a\x00\x09\x01\x80\x7f\x00\x00",
    b"\x81\x0a\x00\x08\x01\x00\x10\x00",
    b"\x81\x0a\x00\x0a\x01\x00\x10\x00\xc4\x02",
    bytes(range(256)) * 4,
]


async def test_garbage_before_the_answer_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """The answer still counts, and nobody can fill the log with what comes in between."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        device.put(1, real(22.0))
        device.answer = instead(lambda ask: [*GARBAGE, ask.ack(device.multiple(ask))])
        given = await driver.read(poll)
    assert list(given.values) == [22.0]
    assert caplog.records == []


async def test_an_answer_with_another_number_is_not_taken() -> None:
    """The acknowledgement of an earlier or later request of the same device is none of this one."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        wrong = result(identifier(0, 1), [(PRESENT_VALUE, real(66.6)), GOOD[1]])
        device.answer = instead(lambda ask: [ask.ack(wrong, invoke_id=ask.invoke_id ^ 1)])
        with pytest.raises(NoAnswer, match="no answer within"):
            await driver.read(poll)


async def test_an_answer_from_another_address_is_not_taken() -> None:
    """Even with the right number: only the device that was asked may answer."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.bind((loopback(), 0))

            def answer(ask: Request) -> list[bytes]:
                wrong = result(identifier(0, 1), [(PRESENT_VALUE, real(66.6)), GOOD[1]])
                stranger.sendto(ask.ack(wrong), ask.source)
                return []

            device.answer = instead(answer)
            with pytest.raises(NoAnswer):
                await driver.read(poll)


async def test_an_answer_that_a_stranger_passes_on_is_not_taken() -> None:
    """As a BBMD passes broadcasts on, with the address of the device inside: an answer is no broadcast."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.bind((loopback(), 0))
            host, port = device.at.split(":")
            origin = socket.inet_aton(host) + int(port).to_bytes(2, "big")

            def answer(ask: Request) -> list[bytes]:
                wrong = ask.ack(result(identifier(0, 1), [(PRESENT_VALUE, real(66.6)), GOOD[1]]))
                body = origin + wrong[4:]
                stranger.sendto(b"\x81\x04" + (len(body) + 4).to_bytes(2, "big") + body, ask.source)
                return []

            device.answer = instead(answer)
            with pytest.raises(NoAnswer):
                await driver.read(poll)


async def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    """The answer of a request that was given up arrives while the next one waits."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        late: list[bytes] = []
        device.put(1, real(66.6))

        def too_late(ask: Request) -> list[bytes]:
            late.append(ask.ack(device.multiple(ask)))
            return []

        device.answer = instead(too_late)
        with pytest.raises(NoAnswer):
            await driver.read(poll)
        device.put(1, real(21.0))
        device.answer = instead(lambda ask: [*late, ask.ack(device.multiple(ask))])
        given = await driver.read(poll)
    assert list(given.values) == [21.0]


async def test_12_an_answer_without_end_ends() -> None:
    """Segments for ever cost neither memory nor time without bound."""
    device = RawDevice()
    async with met(device) as (driver, poll):

        def answer(ask: Request) -> list[bytes]:
            return [ask.segment(bytes(1400), number, more=True, window=127) for number in range(60)]

        device.answer = instead(answer)
        given = await driver.read(poll)
    assert given.flaws[0].raw == "an answer without end"


async def test_doubled_answers_do_no_harm() -> None:
    """A network that doubles datagrams gives every value once."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        for number in range(20):
            device.put(1, real(float(number)))
            device.answer = instead(lambda ask: [ask.ack(device.multiple(ask))] * 3)
            assert list((await driver.read(poll)).values) == [float(number)]


async def test_nothing_is_served_and_nothing_is_said_of_us() -> None:
    """A foreign request is rejected as unknown, a Who-Is is left unanswered: we are no device."""
    device = RawDevice()
    async with met(device) as (driver, _):
        host, port = driver._spec.interface.ip, driver._spec.port
        write_property = (
            bytes([0x00, 0x05, 0x2A, 15]) + b"\x0c" + identifier(8, 1) + b"\x19\x55\x3e" + real(1.0) + b"\x3f"
        )
        device.transport.sendto(frame(b"\x10\x08"), (str(host), port))
        device.arrived.clear()
        device.transport.sendto(frame(write_property), (str(host), port))
        async with asyncio.timeout(1.0):
            await device.arrived.wait()
    assert device.others == [bytes([0x60, 0x2A, 9])]


async def test_only_reading_services_are_sent() -> None:
    """Whatever the device refuses, nothing but ReadProperty and ReadPropertyMultiple goes out."""
    device = RawDevice()
    async with met(device) as (driver, poll):
        for reason in range(10):
            device.answer = instead(lambda ask, reason=reason: [ask.reject(reason)])  # type: ignore[misc] # a default binds
            await driver.read(poll)
        await driver.identify(poll.device)
    assert {one.service for one in device.requests} <= {READ_PROPERTY, READ_PROPERTY_MULTIPLE}


def test_the_package_has_no_way_to_write() -> None:
    """No name in the driver speaks of a service that changes anything in a device."""
    forbidden = re.compile(
        r"write_?property|life_?safety_?operation|acknowledge_?alarm|device_?communication_?control|reinitialize"
        r"|add_?list_?element|remove_?list_?element|create_?object|delete_?object|atomic_?write",
        re.IGNORECASE,
    )
    sources = sorted(Path(drivers.bacnet.__file__).parent.glob("*.py"))
    assert len(sources) > 5
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            for name in (getattr(node, field, None) for field in ("id", "attr", "name")):
                assert not (isinstance(name, str) and forbidden.search(name)), f"{source.name}: {name}"
