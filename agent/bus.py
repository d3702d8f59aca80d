"""How much of its time a line is asked for, where the time of each request is known beforehand: on serial lines.

What is asked for more than there is comes late for ever, and the slowest polls starve; so it is refused before anything
is opened. Beside the requests a line needs room to ask again what was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.poll import polls_of
from config.errors import ConfigProblem
from drivers.contract import Planning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.model import Config, Line
    from drivers.contract import Driver

SHARE_MAX = 1.0
SHARE_WARNED = 0.8
"""What is left above is for answers that were lost: one of them costs the line its whole timeout."""


class Busy:
    """The lines that are asked for too much, each with what to write instead; `drivers` are those of its lines."""

    def __init__(self, config: Config, drivers: Sequence[Driver]) -> None:
        self._shares = [(line, share_of(line, driver)) for line, driver in zip(config.lines, drivers, strict=True)]

    def problems(self) -> Iterator[tuple[str, ConfigProblem]]:
        """Lines that can never do it."""
        for line, share in self._shares:
            if share > SHARE_MAX:
                yield line.id, ConfigProblem(_told(line, share), _HINT)

    def warnings(self) -> Iterator[tuple[str, ConfigProblem]]:
        """Lines that can do it only while nothing is lost."""
        for line, share in self._shares:
            if SHARE_WARNED < share <= SHARE_MAX:
                yield line.id, ConfigProblem(f"{_told(line, share)}, too little is left to ask again", _HINT)


_HINT = "poll less often, raise baud, or move devices to another line; see wardgate points --plan"


def share_of(line: Line, driver: Driver) -> float:
    """The part of its time that all polls of the line need; 0 where only the devices know."""
    if not isinstance(driver, Planning):
        return 0.0
    polls = (poll for device in line.devices for poll in polls_of(device))
    return sum((request.bus_s or 0.0) / poll.interval_s for poll in polls for request in driver.requests(poll))


def _told(line: Line, share: float) -> str:
    """By the fastest poll: that is the rhythm in which a person thinks of the line."""
    cycle_s = min(poll.interval_s for device in line.devices for poll in polls_of(device))
    return f"needs {share * cycle_s:.2g} s of its {cycle_s:g} s cycle"
