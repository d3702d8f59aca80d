"""One protocol's process: its servers, the ticking world, the control socket and the ground truth, until it is told
to stop or its standard input ends (`--lifeline`), so that it never outlives who started it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Protocol

from hardware_mocks.control import CommandRefused, ControlServer, Message
from hardware_mocks.faults import Device, FaultBoard
from hardware_mocks.hospital import TICK_S, Act, Hospital
from hardware_mocks.truth import TruthLog
from hardware_mocks.world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from hardware_mocks.layout import ProtocolName
    from hardware_mocks.settings import Settings


class Servers(Protocol):
    """All devices of one protocol."""

    @property
    def devices(self) -> Mapping[str, Device]: ...

    async def start(self) -> None:
        """Listen on every address. Raises `OSError` where one is taken."""

    async def refresh(self) -> None:
        """Take over what the world has become; called every tick."""

    async def close(self) -> None: ...


def build(protocol: ProtocolName, settings: Settings, world: World, truth: TruthLog) -> Servers:
    """Only the library of this protocol is imported."""
    if protocol == "modbus":
        from hardware_mocks.modbus import ModbusServers  # noqa: PLC0415 - each process loads its own protocol only

        return ModbusServers(settings.net, world, truth, settings.seed)
    if protocol == "bacnet":
        from hardware_mocks.bacnet import BacnetServers  # noqa: PLC0415 - as above

        return BacnetServers(settings.net, world, truth, settings.seed)
    from hardware_mocks.opcua import OpcUaServers  # noqa: PLC0415 - as above

    return OpcUaServers(settings.net, world, truth, settings.seed, settings.pki)


class Desk:
    """What the control socket of one protocol's process can do."""

    def __init__(self, world: World, board: FaultBoard, devices: Mapping[str, Device], truth: TruthLog) -> None:
        self._world = world
        self._board = board
        self._devices = devices
        self._truth = truth

    async def handle(self, message: Message) -> Message:
        match message:
            case {"do": "ping"}:
                return {"t": self._world.now(), "pid": os.getpid()}
            case {"do": "act", "action": str(name), "at": at}:
                self._world.act(Act(float(at), name, int(message.get("zone", 3))))
            case {"do": "play", "story": str(story), "at": at}:
                self._world.hospital.play(story, float(at))
            case {"do": "flush"}:
                self._truth.flush()
            case {"device": str(device)}:
                return await self._of_device(self._known(device), message)
            case _:
                raise CommandRefused(f"no such command: {message}")
        return {}

    def _known(self, device: str) -> str:
        if device not in self._devices:
            raise CommandRefused(f"no device {device!r} here; there are {', '.join(self._devices)}")
        return device

    async def _of_device(self, device: str, message: Message) -> Message:
        match message:
            case {"do": "fault", "fault": str(fault)}:
                await self._board.set(device, fault, message.get("seconds"))
            case {"do": "set", "point": str(point), "value": (None | int() | float()) as value}:
                self._world.pin(device, point, value)
                await self._devices[device].refresh()
            case {"do": "release"}:
                self._world.release(device, message.get("point"))
                await self._devices[device].refresh()
            case {"do": "values"}:
                return {"values": self._world.points(device), "t": self._world.hospital.t}
            case _:
                raise CommandRefused(f"no such command for a device: {message}")
        return {}


async def tick(world: World, servers: Servers) -> None:
    """Keep the world and what is served in step with the clock, for ever."""
    while True:
        if world.advance():
            await servers.refresh()
        await asyncio.sleep(TICK_S)


async def serve(protocol: ProtocolName, settings: Settings) -> None:
    """Run one protocol until stopped. Raises `OSError` where an address is taken."""
    truth = TruthLog(settings.log)
    world = World(Hospital(settings.seed, settings.story), settings.origin)
    servers = build(protocol, settings, world, truth)
    board = FaultBoard(servers.devices)
    control = ControlServer(settings.control, Desk(world, board, servers.devices, truth).handle)
    stop = stopping(settings.lifeline)
    try:
        await servers.start()
        await control.start()
        announce_ready()
        await first_done(stop.wait(), tick(world, servers), truth.run())
    finally:
        await board.close()
        await control.close()
        await servers.close()
        truth.close()


async def first_done(*work: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several endless jobs to end, cancel the others, and raise what ended it."""
    tasks = [asyncio.create_task(job) for job in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def stopping(lifeline: bool) -> asyncio.Event:
    """An event that SIGTERM sets, and SIGINT; with a lifeline the end of standard input in place of SIGINT, because
    Ctrl-C then reaches the one that holds the other end too, and it decides.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if lifeline:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_reader(sys.stdin.fileno(), _watch, loop, stop)
    else:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    return stop


def _watch(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()


def announce_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
