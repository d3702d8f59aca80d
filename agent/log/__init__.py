"""structlog, set up once: fields in systemd's journal, readable on a terminal, one JSON object a line elsewhere.

Messages are constant, the rest are fields. No log line per point, per poll or per record: edges only; counts go to
the status. What comes again and again is held back (`agent.log.limit`).
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO

import structlog

from agent.log.journald import Journald, entry, is_journald
from agent.log.limit import Limiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, WrappedLogger

_limiter = Limiter()


def setup(
    stream: TextIO = sys.stderr, level: int = logging.INFO, *, environment: Mapping[str, str] = os.environ
) -> None:
    """Send our own log and the libraries' worst to `stream`, or past it to journald, where it is connected to that."""
    shared: list[structlog.typing.Processor] = [
        _limiter,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
    ]
    time = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
    factory: Journald | structlog.WriteLoggerFactory = structlog.WriteLoggerFactory(file=stream)
    if is_journald(stream, environment):
        processors, factory = [*shared, entry], Journald()
    elif stream.isatty():
        processors = [*shared, time, structlog.dev.ConsoleRenderer(timestamp_key="time")]
    else:
        processors = [*shared, time, _heading, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    # The protocol libraries report normal refusals and lost packets as errors; what matters of them comes back to us as
    # an exception and is logged once, at the edge.
    logging.basicConfig(stream=stream, level=logging.CRITICAL, format="%(name)s: %(message)s", force=True)
    _hear(logging.getLogger("asyncio"))


def tell_held_back() -> None:
    """Say what was held back and may be said now. To be called every few seconds."""
    for event, fields, level in _limiter.due():
        structlog.get_logger().log(level, event, **fields)


def _heading(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """What a person looks for first comes first."""
    first = {name: event_dict.pop(name) for name in ("time", "level", "event")}
    return {**first, **event_dict}


class _Told(logging.Handler):
    """What the event loop reports of a task that nobody asked how it ended: always a mistake of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().error("event loop", error=record.getMessage(), exc_info=record.exc_info)


def _hear(logger: logging.Logger) -> None:
    logger.handlers = [_Told(logging.ERROR)]
    logger.setLevel(logging.ERROR)
    logger.propagate = False
