"""Commands that are carried out elsewhere in the gateway, and take a moment. Knows what none of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent.events import Command
from agent.uplink.commands import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Door = Callable[[Command], Awaitable["Done"]]
"""Where a command is carried out. Raises `agent.uplink.commands.Refused`."""

NO_DOORS: Mapping[str, Door] = MappingProxyType({})

ERRANDS_MAX = 256
"""Commands that are under way at once: as many alarms as somebody may acknowledge together."""


@dataclass(frozen=True, slots=True)
class Done:
    """What is answered: a sentence, and what was done or found. `is_audited`: it is in the audit trail by now."""

    message: str
    args: dict[str, Any]
    is_audited: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
    """One command on its way."""

    verb: str
    command: Command
    task: asyncio.Future[Done]


class Errands:
    """Of one session: whoever asked is not there any more after it."""

    def __init__(self, doors: Mapping[str, Door], wake: Callable[[], None]) -> None:
        self._doors = doors
        self._wake = wake
        self._under_way: list[Errand] = []

    def send(self, verb: str, command: Command) -> None:
        """Begin it. Raises `Refused`."""
        door = self._doors.get(verb)
        if door is None:
            raise Refused("not_allowed", f"{verb} is not open to platforms here")
        if len(self._under_way) == ERRANDS_MAX:
            raise Refused("busy", f"{ERRANDS_MAX} commands are under way already; ask once they are answered")
        task = asyncio.ensure_future(door(command))
        task.add_done_callback(self._note)
        self._under_way.append(Errand(verb, command, task))

    def _note(self, task: asyncio.Future[Done]) -> None:
        if not task.cancelled():
            task.exception()  # Nobody asks for it where the session is over by now.
        self._wake()

    def ended(self) -> Iterator[Errand]:
        """Those that are to be answered now."""
        for errand in [errand for errand in self._under_way if errand.task.done()]:
            self._under_way.remove(errand)
            yield errand

    def lose(self) -> None:
        """What was found out is for nobody; what was to be done is done."""
        self._under_way.clear()
