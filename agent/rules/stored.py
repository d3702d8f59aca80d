"""What of an alarm survives a restart. New fields get a default, so that older state still reads."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from agent.events import Action, AlarmState, Overlay
from config.model import Colour


class StoredLane(msgspec.Struct, frozen=True, array_like=True):
    """What of a lane survives a restart: a running delay goes on with what remains of it."""

    name: str | None
    on: bool
    turning: bool
    elapsed_s: float
    since: float
    chatter: int = 0
    held: bool = False


class Cause(NamedTuple):
    """Why an alarm is hidden by design, or marked as a test, and the wall times between which that is so.

    `until` is None where it ends by itself: a device that is lost comes back.
    """

    reason: str
    since: float
    until: float | None


class Shelving(msgspec.Struct, frozen=True, kw_only=True):
    """Hidden by an operator. `since` and `until` are wall times: it ends by the clock on the wall."""

    by: str
    reason: str
    since: float
    until: float


class OutOfService(msgspec.Struct, frozen=True, kw_only=True):
    """Taken out for work on it, until it is put back. `review` is the wall time at which somebody has to ask why."""

    by: str
    reason: str
    work_order: str
    owner: str
    since: float
    review: float


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm. `waited_s` and `bad_s` are what its timers had served, None where they did not run.

    `overlay` is what was last announced of it.
    """

    state: AlarmState
    occurrence: int
    n: int
    peak: Colour | None
    level: str | None
    raised: float
    changed: float
    retriggers: int
    ack_by: str | None
    ack_at: float | None
    ack_comment: str | None
    lanes: list[StoredLane]
    action: Action = "raise"
    prev_state: AlarmState = "NORM"
    began: float = 0.0
    read_at: float = 0.0
    ack_scope: str | None = None
    by_bad: bool = False
    waited_s: float | None = None
    reminded: int = 0
    bad_s: float | None = None
    overlay: list[Overlay] = []
    told_in_test: bool = False
    shelving: Shelving | None = None
    out_of_service: OutOfService | None = None
    flood: bool = False
