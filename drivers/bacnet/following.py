"""Alarms that devices report by themselves: from a notification to the readings of the polls that follow them.

A device reports to those whom its own list of recipients names, which a technician writes there: this gateway writes
nothing. What it does not report, or what is lost, the next poll finds.

Invariants: a notification counts only from the address where its device was met; the same one twice counts once, so
that a repetition which was on its way for long undoes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping

    from bacpypes3.pdu import Address

    from config.model import Device
    from drivers.bacnet.asking import Met
    from drivers.bacnet.events import EventNotification
    from drivers.bacnet.plan import Plan
    from drivers.bacnet.waiting import Waiting
    from drivers.contract import Poll

REMEMBERED = 64
"""Notifications of one line, by which a repetition is known."""


class Following:
    """What the devices of one line report of their alarms goes to `waiting`."""

    def __init__(self, polls: Iterable[Poll], waiting: Waiting, counts: Counter[str]) -> None:
        self._waiting = waiting
        self._counts = counts
        self._polls: dict[Device, list[Poll]] = {}
        for poll in polls:
            self._polls.setdefault(poll.device, []).append(poll)
        self._latest: deque[EventNotification] = deque(maxlen=REMEMBERED)

    def take(
        self,
        notification: EventNotification,
        source: Address,
        device: Device,
        met: Met,
        plans: Mapping[Poll, tuple[Met, Plan]],
    ) -> bool:
        """A device reports an alarm; gives whether it is the one that was met there."""
        if not met.certain or source != met.peer.address:
            return False
        if not notification.is_dated or notification not in self._latest:
            self._latest.append(notification)
            self._tell(notification, device, plans)
        return True

    def _tell(self, notification: EventNotification, device: Device, plans: Mapping[Poll, tuple[Met, Plan]]) -> None:
        for poll in self._polls.get(device, []):
            if poll not in plans:
                continue
            plan = plans[poll][1]
            told = plan.event(notification)
            if told is not None:
                self._counts["events"] += 1
                self._waiting.put(poll, plan, told)
