"""A service manager's ear: the socket that NOTIFY_SOCKET names, and what was said to it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class Ear:
    """Everything that was told, line by line, in order. Never blocks."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self._socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self._socket.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def environment(self, watchdog_s: float | None = None, pid: int | None = None) -> dict[str, str]:
        """As systemd sets it; `pid` is whom the watchdog is meant for."""
        variables = {"NOTIFY_SOCKET": self.address}
        if watchdog_s is not None:
            variables["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
        if pid is not None:
            variables["WATCHDOG_PID"] = str(pid)
        return variables

    def heard(self, line: str) -> int:
        """How often this was said so far."""
        while True:
            try:
                self.lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.lines.count(line)

    def status(self) -> str:
        """The latest status text; empty where there was none."""
        self.heard("")
        return next((line for line in reversed(self.lines) if line.startswith("STATUS=")), "")
