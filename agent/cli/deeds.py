"""What the demo's duty engineer does while its story plays: acknowledges, shelves, shows again.

As an operator would, over the control socket of the gateway.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.control.client import ControlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.control.client import Client
    from agent.rules.commands import AlarmVerb

PATIENCE_S = 8.0
"""So long is an alarm waited for that a busy machine raises later."""

TRY_AGAIN_S = 0.3


@dataclass(frozen=True, slots=True)
class Deed:
    """At `at` seconds of the story; `note` is what the live view says."""

    at: float
    verb: AlarmVerb
    alarm: str
    comment: str
    note: str


STORY = (
    Deed(
        8.0,
        "ack",
        "pwr.lv/lv-main/u_ab#supply-lost",
        "on the way to the switch room",
        "the duty engineer acknowledges: on the way to the switch room",
    ),
    Deed(
        13.5,
        "shelve",
        "pwr.gen/gen-1/state#running",
        "it runs because the mains is away",
        "the duty engineer shelves that the generator runs: it has to",
    ),
    Deed(
        20.5,
        "ack",
        "fire/fire-panel/zone.3.alarm#zone-3",
        "the guard is on the spot",
        "the duty engineer acknowledges the fire: the guard is on the spot",
    ),
    Deed(
        28.0,
        "unshelve",
        "pwr.gen/gen-1/state#running",
        "the mains is back",
        "the duty engineer shows the generator's alarm again",
    ),
)


async def do(desk: Client, started: float, say: Callable[[str], None]) -> None:
    """The whole story, counted from the monotonic time `started`. What cannot be done in time is left out."""
    for deed in STORY:
        await asyncio.sleep(max(0.0, started + deed.at - time.monotonic()))
        if await _done(desk, deed):
            say(deed.note)


async def _done(desk: Client, deed: Deed) -> bool:
    """The alarm may not be there yet, or a person at the keys was quicker."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(ControlError):
            if await asyncio.to_thread(_try, desk, deed):
                return True
        await asyncio.sleep(TRY_AGAIN_S)
    return False


def _try(desk: Client, deed: Deed) -> bool:
    """Not before the alarm stands: one that does not could be shelved as well, and nobody would see why."""
    if all(alarm.alarm_id != deed.alarm for alarm in desk.status().alarms):
        return False
    desk.order(deed.verb, deed.alarm, deed.comment)
    return True
