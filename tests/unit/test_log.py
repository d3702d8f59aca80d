"""What the log says, and what it must not do: fill a disk, hold up the daemon, hide a mistake."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pty
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import structlog

from agent import log
from agent.log.journald import CONNECTED, Journald, entry, is_journald
from agent.log.limit import BUCKETS_MAX, BURST, EVERY_S, Limiter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any, TextIO

STARTED = 1_763_700_000.0


class Lines:
    """A limiter on a clock that the test moves; `flap` gives what of two messages about one device got through."""

    def __init__(self) -> None:
        self.mono = 1000.0
        self.limiter = Limiter(lambda: self.mono, lambda: STARTED + self.mono)

    def say(self, event: str, **fields: Any) -> dict[str, Any] | None:
        try:
            return dict(self.limiter(None, "warning", {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    def flap(self, times: int, every_s: float, device: str = "lv-main") -> list[dict[str, Any]]:
        told = []
        for _ in range(times):
            told += [self.say("device offline", device=device), self.say("device answers", device=device)]
            self.mono += every_s
        return [line for line in told if line is not None]


def test_6_a_flapping_device_does_not_flood() -> None:
    """An hour of twice a second: ten lines each way, then one a minute; another device is told at once all the same."""
    lines = Lines()
    told = lines.flap(7200, 0.5)
    assert len(told) == 2 * (BURST + 59)
    assert lines.say("device offline", device="gen-1") is not None


def test_what_is_held_back_is_told_at_last_as_it_stands() -> None:
    """The last line of each kind, when it happened, and how many more there were; then nothing is owed."""
    lines = Lines()
    for number in range(BURST + 5):
        lines.say("line lost", line="rs485-1", error=f"try {number}")
    assert lines.limiter.due() == []
    lines.mono += EVERY_S
    ((event, fields, level),) = lines.limiter.due()
    assert (event, fields["line"], fields["error"], fields["held_back"]) == ("line lost", "rs485-1", "try 14", 4)
    assert fields["happened"] == "2025-11-21T04:56:40.000+00:00"
    assert level == logging.WARNING
    assert lines.limiter.due() == []


def test_the_next_line_that_may_go_says_how_many_could_not() -> None:
    """Nobody takes the log for the whole story."""
    lines = Lines()
    for _ in range(BURST + 3):
        lines.say("uplink lost", uplink="platform")
    lines.mono += EVERY_S
    assert lines.say("uplink lost", uplink="platform") == {
        "event": "uplink lost",
        "uplink": "platform",
        "held_back": 3,
    }


def test_a_thousand_subjects_are_remembered_and_no_more() -> None:
    """The account of what was told is bounded, whatever has names."""
    lines = Lines()
    for number in range(BUCKETS_MAX + 100):
        lines.say("device offline", device=f"d{number}")
    assert len(lines.limiter._buckets) == BUCKETS_MAX


# --- where it goes ----------------------------------------------------------------------------------------------------


@contextmanager
def set_up(stream: TextIO, **environment: str) -> Iterator[None]:
    """The log of this process goes there for a while."""
    config, root, loop = structlog.get_config(), logging.getLogger(), logging.getLogger("asyncio")
    kept = root.handlers[:], root.level, loop.handlers[:], loop.level, loop.propagate
    log.setup(stream, environment=environment)
    try:
        yield
    finally:
        structlog.configure(**config)
        root.handlers, root.level, loop.handlers, loop.level, loop.propagate = kept


def test_a_file_gets_a_json_object_a_line() -> None:
    """With the level, the time and the fields; a traceback is text in it."""
    stream = io.StringIO()
    with set_up(stream):
        structlog.get_logger().warning("line lost", line="rs485-1", error="no answer")
        try:
            int("odd")
        except ValueError:
            structlog.get_logger().exception("fault inside the driver", line="rs485-1")
    lost, fault = (json.loads(line) for line in stream.getvalue().splitlines())
    assert {"event": "line lost", "level": "warning", "line": "rs485-1", "error": "no answer"}.items() <= lost.items()
    assert list(lost)[:3] == ["time", "level", "event"]
    assert 'int("odd")' in fault["exception"]


def test_a_terminal_gets_lines_for_people() -> None:
    """Not JSON: message first, then the fields."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, set_up(terminal):
        structlog.get_logger().info("line up", line="rs485-1")
        terminal.flush()
        said = os.read(leader, 4096).decode()
    os.close(leader)
    assert "line up" in said
    assert "rs485-1" in said
    assert "{" not in said


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "j"))
        listening.settimeout(5)
        yield listening


def fields_of(datagram: bytes) -> dict[str, str]:
    """As systemd reads an entry whose fields come with their length."""
    fields = {}
    while datagram:
        name, _, rest = datagram.partition(b"\n")
        size = int.from_bytes(rest[:8], "little")
        fields[name.decode()] = rest[8 : 8 + size].decode()
        assert rest[8 + size : 9 + size] == b"\n"
        datagram = rest[9 + size :]
    return fields


def test_6_systemd_gets_every_field_and_the_level(journald: socket.socket) -> None:
    """One entry, whatever is in its texts: the message for people, each field by its name."""
    said = {"event": "line lost", "level": "warning", "line": "rs485-1", "error": "first\nA=second"}
    ((fields,), _) = entry(None, "warning", said)
    with closing(Journald(journald.getsockname())) as logger:
        logger.warning(fields)
    assert fields_of(journald.recv(65536)) == {
        "MESSAGE": 'line lost line=rs485-1 error="first\nA=second"',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "wardgate",
        "WARDGATE_EVENT": "line lost",
        "WARDGATE_LINE": "rs485-1",
        "WARDGATE_ERROR": "first\nA=second",
    }


def test_a_journald_that_is_stuck_holds_nobody_up(journald: socket.socket) -> None:
    """What it does not take is left out, and counted in the first entry that it takes again."""
    with closing(Journald(journald.getsockname())) as logger:
        while not logger._left_out:
            logger.info({"MESSAGE": "x" * 1000})
        for _ in range(9):
            logger.info({"MESSAGE": "left out as well"})
        journald.setblocking(False)
        with pytest.raises(BlockingIOError):
            while journald.recv(65536):
                pass
        logger.info({"MESSAGE": "again"})
    assert fields_of(journald.recv(65536)) == {"MESSAGE": "again", "WARDGATE_LEFT_OUT": "10"}


def test_a_journald_that_is_not_there_is_no_reason_to_fail(tmp_path: Path) -> None:
    """It may be restarted at any time."""
    with closing(Journald(str(tmp_path / "nobody"))) as logger:
        logger.error({"MESSAGE": "lost"})
        assert logger._left_out == 1


def test_journald_is_used_where_the_stream_ends_there() -> None:
    """It says which stream that is; one that was redirected since gets text."""
    with open(os.devnull, "w", encoding="utf-8") as stream:  # noqa: PTH123  # any stream with a number
        found = os.fstat(stream.fileno())
        assert is_journald(stream, {CONNECTED: f"{found.st_dev}:{found.st_ino}"})
        assert not is_journald(stream, {CONNECTED: "8:1"})
        assert not is_journald(stream, {})
    assert not is_journald(io.StringIO(), {CONNECTED: "8:1"})


async def test_a_task_that_failed_unseen_is_in_the_log() -> None:
    """The libraries are silenced, the event loop is not."""
    stream = io.StringIO()
    with set_up(stream):
        asyncio.get_running_loop().call_exception_handler({"message": "nobody asked", "exception": ValueError("odd")})
    (told,) = (json.loads(line) for line in stream.getvalue().splitlines())
    assert told["level"] == "error"
    assert told["error"].startswith("nobody asked")
    assert "ValueError: odd" in told["exception"]
