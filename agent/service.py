"""What the service manager is told (sd_notify of systemd): ready, how things are, still alive, stopping.

Without a manager nothing is told and nothing changes. Neither devices nor brokers have a say in whether the service is
ready or alive: a power cut in the plant must never look like a gateway that hangs.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from config.model import COLOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from agent.clock import Clock
    from agent.status import Status

SOCKET = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
WATCHDOG_OF = "WATCHDOG_PID"

PATIENCE_S = 5.0
"""How often a start that takes long asks for more time; each time for six times as much."""

STATUS_S = 5.0
BEATS = 6
"""Signs of life within the watchdog's time: a few may come late on a busy machine."""

_T = TypeVar("_T")


class Manager:
    """Sends datagrams to the manager's socket. `watchdog_s` is how soon it misses a sign of life, None for never."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get(SOCKET, "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s = _watchdog_s(environment) if path else None

    @property
    def listens(self) -> bool:
        return bool(self._address)

    def tell(self, *lines: str) -> None:
        """One message. A manager that cannot be reached is no reason to fail: it will see that it hears nothing."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
            channel.sendto("\n".join(lines).encode(), self._address)

    async def patiently(self, start: Coroutine[object, object, _T], every_s: float = PATIENCE_S) -> _T:
        """Wait for a part of the start that may take long (a large journal to salvage), and have the manager wait."""
        task = asyncio.ensure_future(start)
        try:
            while not (await asyncio.wait({task}, timeout=every_s))[0]:
                self.tell(f"EXTEND_TIMEOUT_USEC={round(every_s * BEATS * 1e6)}")
            return task.result()
        finally:
            task.cancel()


class Writer(Protocol):
    """The journal's: what a sign of life vouches for beside the event loop that it is sent from."""

    def stuck_s(self) -> float:
        """How long the journal's writer has done nothing although its disk let it."""


class Keeper:
    """A task of the sinks' group: it tells that the service is ready, then how it is, and that it lives while it does.

    A sign of life is sent from the event loop, so a loop that is blocked sends none; none is sent either while the
    journal's writer is stuck.
    """

    def __init__(self, manager: Manager, writer: Writer, status: Callable[[], Status], clock: Clock) -> None:
        self._manager = manager
        self._writer = writer
        self._status = status
        self._clock = clock
        self._status_due = 0.0
        self._told = ""

    async def run(self) -> None:
        """For ever. Every stage has been started when this runs for the first time."""
        if not self._manager.listens:
            return
        self._manager.tell("READY=1")
        watchdog_s = self._manager.watchdog_s
        while True:
            if watchdog_s is not None and self._writer.stuck_s() < watchdog_s / 2:
                self._manager.tell("WATCHDOG=1")
            self._tell_status()
            await self._clock.sleep_until(self._clock.mono() + min(STATUS_S, (watchdog_s or STATUS_S * BEATS) / BEATS))

    def _tell_status(self) -> None:
        """At most every few seconds, and only what is new."""
        if self._clock.mono() < self._status_due:
            return
        self._status_due = self._clock.mono() + STATUS_S
        told = summary(self._status())
        if told != self._told:
            self._told = told
            self._manager.tell(f"STATUS={told}")


def summary(status: Status) -> str:
    """What `systemctl status` shows: lines, devices, alarms, what waits for each platform."""
    up = sum(line.state == "up" for line in status.lines)
    online = sum(device.state == "online" for device in status.devices)
    colours = Counter(alarm.colour for alarm in status.alarms if not alarm.hidden)
    told = ", ".join(f"{colours[colour]} {colour}" for colour in COLOURS if colours[colour])
    parts = [
        f"lines {up} of {len(status.lines)} up",
        f"devices {online} of {len(status.devices)} online",
        f"alarms {colours.total()}" + (f" ({told})" if told else ""),
        *(f"{uplink.id} {uplink.state}, {sum(uplink.waiting.values())} records wait" for uplink in status.uplinks),
    ]
    return "; ".join(parts)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """None as well where the watchdog is meant for another process."""
    if environment.get(WATCHDOG_OF, str(os.getpid())) != str(os.getpid()):
        return None
    with suppress(ValueError):
        return int(environment[WATCHDOG]) / 1e6 if WATCHDOG in environment else None
    return None
