"""What the daemon offers to operators, whoever asks: the command line, the live view, the page.

The daemon implements `Desk`; the control server puts it on a socket. Nothing here opens anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from agent.events import Actor
    from agent.metrics.scrape import Scrape
    from agent.rules import AlarmCommand, MaintenanceCommand
    from agent.status import (
        AlarmView,
        ConfigView,
        HistoryView,
        MaintenanceView,
        OccurrenceView,
        PointView,
        ProbeView,
        ReloadView,
        Status,
        TransitionView,
    )


class Refusal(Exception):
    """What was asked may not be done now; `hint` says what would help."""

    status: ClassVar[int] = 409
    """That of HTTP."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what + (f"; {hint}" if hint else ""))
        self.what = what
        self.hint = hint


class Desk(Protocol):
    """A plain `LookupError` says that a name is unknown, with the nearest names: `no device 'x'; did you mean 'y'?`.

    `watch` and `tail` check their arguments when they are called, not at the first item, and end when they are closed.
    A reader that is too slow must not hold up the daemon: what it misses is left out, newest kept.
    """

    def status(self) -> Status:
        """The present, cheap enough to be asked ten times a second."""

    async def configuration(self) -> ConfigView:
        """What the daemon runs with."""

    def scrape(self) -> Scrape:
        """The present in numbers, for `agent.metrics`."""

    def alive(self) -> ProbeView:
        """Whether the parts live without which nothing goes on; asked from the event loop, which lives then."""

    def ready(self) -> ProbeView:
        """Whether everything has been started that this gateway needs of itself; devices and brokers have no say."""

    async def reload(self, actor: Actor, reason: str) -> ReloadView:
        """Take over what the configuration folder holds now. Raises `Refusal`, and then nothing has changed."""

    def points(self, device: str | None) -> list[PointView]:
        """All points of one device, or of all. Raises `LookupError`."""

    async def read(self, device: str, points: Sequence[str], *, orders: bool) -> list[PointView]:
        """Ask the device now, through the daemon's line; no `points` means all, `orders` each in every order of bytes.

        Raises `LookupError`, `DriverError`.
        """

    def watch(self, points: Sequence[str]) -> AsyncGenerator[list[PointView], None]:
        """First all of `points` (`device/point`, or `device` for all of its points; none means everything) as they
        stand, then batches of those that changed. Raises `LookupError`.
        """

    def tail(self, streams: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Envelopes stored from now on, one JSON line each; no `streams` means all. Raises `LookupError`."""

    async def history(self, point: str, from_s: float, to_s: float, every_s: float | None) -> HistoryView:
        """What `device/point` was between two moments (epoch seconds). Raises `LookupError`, or `Refusal` where that is
        too much.
        """

    async def alarm_history(self, alarm_id: str | None, from_s: float, to_s: float) -> list[TransitionView]:
        """What alarms did between two moments, or one of them, the oldest first. Raises as `history`."""

    async def occurrence(self, alarm_id: str, occurrence_id: str | None) -> OccurrenceView:
        """One occurrence of an alarm, the last where none is named, with its evidence. Raises as `history`."""

    async def backup(self, path: str) -> None:
        """Copy the journal to an absolute path, beside everything else. Raises `Refusal`."""

    async def order(self, command: AlarmCommand, actor: Actor) -> AlarmView:
        """Acknowledge, shelve and the like; the alarm afterwards, stored. Raises `LookupError`, or `Refusal` where that
        means nothing now, or must not be.
        """

    def let_in(self, actor: Actor, where: str) -> None:
        """Somebody proved who they are: for the records."""

    def turned_away(self, actor: Actor, asked: str, why: str) -> None:
        """Somebody asked for what they may not, or could not prove who they are: for the records."""

    async def maintain(self, command: MaintenanceCommand, actor: Actor) -> MaintenanceView:
        """Begin or end maintenance; raises `Refusal`."""
