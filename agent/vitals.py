"""Whether the gateway itself lives and is ready.

Devices and brokers have no say: a power cut in the plant must never look like a gateway that is ill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.status import ProbeView

if TYPE_CHECKING:
    from buffer.journal import Stats

WELL = "ok"

STUCK_S_MAX = 30.0
"""A writer that has done nothing for so long, although its disk let it, is not alive."""


class Written(Protocol):
    """What is asked of the journal."""

    def stuck_s(self) -> float: ...

    def stats(self) -> Stats: ...


class Vitals:
    """`look` every second; `alive` and `ready` are asked from the event loop, which lives where it answers."""

    def __init__(self, journal: Written) -> None:
        self._journal = journal
        self._stuck_s = 0.0

    def look(self) -> None:
        self._stuck_s = self._journal.stuck_s()

    def alive(self) -> ProbeView:
        return _view({"loop": WELL, "writer": self._writer()})

    def ready(self) -> ProbeView:
        """The configuration is loaded, or there would be nobody to ask."""
        stats = self._journal.stats()
        journal = stats.error or stats.away or WELL
        return _view({"configuration": WELL, "journal": journal, "loop": WELL, "writer": self._writer()})

    def _writer(self) -> str:
        if self._stuck_s <= STUCK_S_MAX:
            return WELL
        return f"has done nothing for {self._stuck_s:.0f} s although its disk let it"


def _view(checks: dict[str, str]) -> ProbeView:
    return ProbeView(ok=all(check == WELL for check in checks.values()), checks=checks)
