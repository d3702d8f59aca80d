"""Starts one child per protocol, hands commands on to them, and ends with them.

Acts get their time here, a little ahead of now, so that every child applies them at the same tick of its own world.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hardware_mocks.control import CommandRefused, ControlServer, Message, ask
from hardware_mocks.layout import PLACES
from hardware_mocks.serving import announce_ready, first_done, stopping

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping
    from pathlib import Path

    from hardware_mocks.layout import ProtocolName
    from hardware_mocks.settings import Settings

LEAD_S = 0.1
STOP_S = 2.0


class ChildFailed(Exception):
    """A protocol's process ended by itself; its reason is on standard error."""


class Switchboard:
    """Sends what concerns the hospital to all children, and what concerns a device to its own."""

    def __init__(self, sockets: Mapping[ProtocolName, Path], origin: float) -> None:
        self._sockets = sockets
        self._origin = origin

    async def handle(self, message: Message) -> Message:
        device = message.get("device")
        if device is not None:
            return await ask(self._socket_of(str(device)), message)
        if message.get("do") in {"act", "play"}:
            message = {**message, "at": time.monotonic() - self._origin + LEAD_S}
        await asyncio.gather(*(ask(path, message) for path in self._sockets.values()))
        return {}

    def _socket_of(self, device: str) -> Path:
        place = PLACES.get(device)
        if place is None or place.protocol not in self._sockets:
            raise CommandRefused(f"no device {device!r} here; there are {', '.join(PLACES)}")
        return self._sockets[place.protocol]


async def supervise(settings: Settings) -> None:
    """Run the children until told to stop. Raises `ChildFailed` if one ends by itself."""
    sockets = {name: settings.control.with_name(f"{settings.control.name}.{name}") for name in settings.protocols}
    control = ControlServer(settings.control, Switchboard(sockets, settings.origin).handle)
    stop = stopping(settings.lifeline)
    children: dict[str, Process] = {}
    try:
        for name, path in sockets.items():
            children[name] = await start(name, replace(settings, control=path, lifeline=True))
        await first_done(all_ready(children, control), stop.wait())
        await first_done(stop.wait(), *(ended(name, child) for name, child in children.items()))
    finally:
        await control.close()
        await asyncio.gather(*(end(child) for child in children.values()))


async def start(protocol: str, settings: Settings) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hardware_mocks",
        *settings.arguments(protocol),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def all_ready(children: Mapping[str, Process], control: ControlServer) -> None:
    """Wait until every child listens; then open the control socket and say so."""
    for name, child in children.items():
        assert child.stdout is not None
        if not await child.stdout.readline():
            raise ChildFailed(f"{name} did not start")
    await control.start()
    announce_ready()


async def ended(name: str, child: Process) -> None:
    code = await child.wait()
    raise ChildFailed(f"{name} ended with {code}")


async def end(child: Process) -> None:
    """Ask once, then insist."""
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_S)
    except TimeoutError:
        child.kill()
        await child.wait()
