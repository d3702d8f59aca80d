"""Foreign device registration: a line whose devices are in the subnet of a BBMD, which is a socket of the test here."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from bacnet_peer import RawDevice, i_am, loopback, make_device, make_line, make_point, real, serving

from agent.clock import ManualClock
from drivers.bacnet.driver import BacnetDriver
from drivers.bacnet.foreign import AGAIN_S
from drivers.contract import Poll
from drivers.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

RESULT, FORWARDED, REGISTER, DISTRIBUTE = 0x00, 0x04, 0x05, 0x09
GRANTED, REFUSED = 0x0000, 0x0030
LIFETIME_S = 300


@dataclass
class Bbmd(asyncio.DatagramProtocol):
    """It notes what it is asked, and answers with `result`, or nothing; a search it passes on is answered at once."""

    device: RawDevice
    result: int | None = GRANTED
    asked: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    @property
    def at(self) -> str:
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    def functions(self) -> list[int]:
        return [frame[1] for frame in self.asked]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        self.client = addr
        if data[1] == REGISTER and self.result is not None:
            self.transport.sendto(b"\x81\x00\x00\x06" + struct.pack(">H", self.result), addr)
        if data[1] == DISTRIBUTE:
            self.transport.sendto(forwarded_i_am(self.device, self.device.at), addr)
        self.arrived.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10.0):
            while not holds():
                self.arrived.clear()
                await self.arrived.wait()


def forwarded_i_am(device: RawDevice, at: str) -> bytes:
    """The device announces itself at an address, as a BBMD passes it on."""
    host, port = at.split(":")
    npdu = i_am(device.instance, device.max_apdu)[4:]
    body = socket.inet_aton(host) + int(port).to_bytes(2, "big") + npdu
    return bytes([0x81, FORWARDED]) + (len(body) + 4).to_bytes(2, "big") + body


@dataclass
class Rig:
    bbmd: Bbmd
    driver: BacnetDriver
    poll: Poll
    clock: ManualClock


@asynccontextmanager
async def abroad(result: int | None = GRANTED) -> AsyncIterator[Rig]:
    """A line of one device that can only be found through the BBMD."""
    device = RawDevice()
    device.put(1, real(1.5))
    loop = asyncio.get_running_loop()
    async with serving(device):
        transport, bbmd = await loop.create_datagram_endpoint(lambda: Bbmd(device, result), local_addr=(loopback(), 0))
        made = make_device(None, [make_point("analog-input,1")])
        clock = ManualClock()
        driver = BacnetDriver(make_line(made, bbmd=bbmd.at), clock)
        await driver.connect()
        try:
            yield Rig(bbmd, driver, Poll(made, made.points, 1.0), clock)
        finally:
            await driver.close()
            transport.close()
            await asyncio.sleep(0)


async def test_a_foreign_device_registers_before_it_searches() -> None:
    """The BBMD knows the gateway and for how long, passes its search on, and the device is read directly."""
    async with abroad() as rig:
        given = await rig.driver.read(rig.poll)
    assert list(given.values) == [1.5]
    assert rig.bbmd.functions() == [REGISTER, DISTRIBUTE]
    assert rig.bbmd.asked[0] == b"\x81\x05\x00\x06" + LIFETIME_S.to_bytes(2, "big")


async def test_6_foreign_device_registration_is_renewed_at_half_of_its_lifetime() -> None:
    """Not sooner, and beside the read: nobody waits for it."""
    async with abroad() as rig:
        await rig.driver.read(rig.poll)
        rig.clock.advance(LIFETIME_S / 2 - 1)
        await rig.driver.read(rig.poll)
        before = rig.bbmd.functions()
        rig.clock.advance(2)
        await rig.driver.read(rig.poll)
        await rig.bbmd.until(lambda: len(rig.bbmd.asked) > 2)
    assert before == [REGISTER, DISTRIBUTE]
    assert rig.bbmd.functions() == [REGISTER, DISTRIBUTE, REGISTER]


@pytest.mark.parametrize(
    ("result", "said"),
    [(REFUSED, "the BBMD does not register this gateway"), (None, "the BBMD did not answer within 1 s")],
)
async def test_a_bbmd_that_refuses_or_is_away_is_named_and_asked_again(result: int | None, said: str) -> None:
    """The device is not found, for a reason that a person can act on; with the BBMD it comes back by itself."""
    async with abroad(result) as rig:
        with pytest.raises(NoAnswer, match=said) as caught:
            await rig.driver.read(rig.poll)
        rig.bbmd.result = GRANTED
        given = await rig.driver.read(rig.poll)
        assert caught.value.endpoint == rig.bbmd.at
    assert list(given.values) == [1.5]


async def test_a_renewal_that_fails_costs_no_read_and_is_tried_again() -> None:
    """While the BBMD is away its devices are read on; when it is back it is asked again, not sooner than it bears."""
    async with abroad() as rig:
        await rig.driver.read(rig.poll)
        rig.bbmd.result = REFUSED
        rig.clock.advance(LIFETIME_S)
        given = await rig.driver.read(rig.poll)
        await rig.bbmd.until(lambda: len(rig.bbmd.asked) == 3)
        async with asyncio.timeout(10.0):
            while not rig.driver.counts().get("registrations failed"):
                await asyncio.sleep(0)
        await rig.driver.read(rig.poll)
        rig.clock.advance(AGAIN_S)
        await rig.driver.read(rig.poll)
        await rig.bbmd.until(lambda: len(rig.bbmd.asked) == 4)
    assert list(given.values) == [1.5]


async def test_what_a_stranger_forwards_counts_for_nothing() -> None:
    """Only the BBMD that is configured may say where a device is: its own word moves it, a stranger's does not."""
    async with abroad() as rig:
        await rig.driver.read(rig.poll)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((loopback(), 0))
            stranger.sendto(forwarded_i_am(rig.bbmd.device, "127.9.9.9:47900"), rig.bbmd.client)
            async with asyncio.timeout(10.0):
                while not rig.driver.counts().get("forwarded by a stranger"):
                    await asyncio.sleep(0)
        await rig.driver.read(rig.poll)
        unmoved = rig.bbmd.functions().count(DISTRIBUTE)
        rig.bbmd.transport.sendto(forwarded_i_am(rig.bbmd.device, "127.9.9.9:47900"), rig.bbmd.client)
        async with asyncio.timeout(10.0):
            while rig.bbmd.functions().count(DISTRIBUTE) == unmoved:
                await rig.driver.read(rig.poll)
    assert unmoved == 1
