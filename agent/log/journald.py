"""systemd's journal in its own protocol: a datagram for each entry, with a field for each thing that is known.

Not by way of the text on standard error: the level and the fields would be lost, and a journald that is stuck would
hold up the event loop, and with it an alarm. What nobody takes is left out; the next entry says how many were.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, WrappedLogger

SOCKET = "/run/systemd/journal/socket"
CONNECTED = "JOURNAL_STREAM"
"""Set by systemd where standard output or error leads to the journal: device and inode."""

IDENTIFIER = "wardgate"
MESSAGE_BYTES_MAX = 32 * 1024
PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def is_journald(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written to `stream` ends in the journal."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get(CONNECTED) == f"{found.st_dev}:{found.st_ino}"


def entry(_: WrappedLogger, __: str, event_dict: EventDict) -> tuple[tuple[dict[str, str]], dict[str, Any]]:
    """The last processor: the fields of one entry. `MESSAGE` has all of it, for people."""
    event, level = str(event_dict.pop("event")), event_dict.pop("level", "error")
    traceback = event_dict.pop("exception", "")
    said = " ".join([event, *(f"{name}={_shown(value)}" for name, value in event_dict.items())])
    fields = {
        "MESSAGE": f"{said}\n{traceback}".rstrip(),
        "PRIORITY": str(PRIORITIES.get(level, PRIORITIES["error"])),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "WARDGATE_EVENT": event,
        **{f"WARDGATE_{name.upper()}": str(value) for name, value in event_dict.items()},
    }
    return (fields,), {}


def _shown(value: object) -> str:
    text = str(value)
    return f'"{text}"' if text.split() != [text] else text


class Journald:
    """A logger of structlog, and its own factory."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._left_out = 0

    def __call__(self, *_: object) -> Journald:
        return self

    def msg(self, fields: Mapping[str, str]) -> None:
        if self._left_out:
            fields = {**fields, "WARDGATE_LEFT_OUT": str(self._left_out)}
        try:
            self._channel.sendto(b"".join(_field(name, value) for name, value in fields.items()), self._path)
        except OSError:
            self._left_out += 1
        else:
            self._left_out = 0

    def close(self) -> None:
        self._channel.close()

    log = debug = info = warn = warning = error = err = critical = fatal = failure = exception = msg


def _field(name: str, value: str) -> bytes:
    """Text with a line end needs its length; every text may have it."""
    data = value.encode(errors="replace")[:MESSAGE_BYTES_MAX]
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
