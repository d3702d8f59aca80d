"""structlog, set up once: readable on a terminal, one JSON object per line elsewhere.

Messages are constant, the rest are fields. No log line per point, per poll or per record: edges only; counts go to
the status.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def setup(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send our own log and the libraries' warnings to `stream`."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(timestamp_key="time") if stream.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    # The protocol libraries report normal refusals and lost packets as errors; what matters of them comes back to us as
    # an exception and is logged once, at the edge.
    logging.basicConfig(stream=stream, level=logging.CRITICAL, format="%(name)s: %(message)s", force=True)
