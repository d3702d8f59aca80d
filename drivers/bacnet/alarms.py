"""Source alarms: what a device says of its own alarms, as the points that follow them show it. Pure.

A point follows one object, or with the device object all of them together, and shows one facet: whether something is
active, whether all is acknowledged, or the state. Event information says what stands, and an object that it does not
mention is normal; a notification changes one object between two such answers, or while one is on its way.

Always true: nothing is shown before the device has said once what stands. An object in fault cannot tell whether its
alarm is active, so that nothing is said then: the state says `fault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.bacnet import events, names, values
from drivers.bacnet.batches import Batch
from drivers.bacnet.codec import NO_INDEX
from drivers.bacnet.encoding import AccessError, Bits, Malformed
from drivers.bacnet.events import GET_EVENT_INFORMATION, TRANSITIONS
from drivers.bacnet.settings import BacnetPoint
from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.model import Point
    from drivers.bacnet.batches import Answer
    from drivers.bacnet.codec import Key
    from drivers.bacnet.encoding import Raw
    from drivers.bacnet.events import EventNotification
    from drivers.bacnet.settings import Facet
    from drivers.bacnet.values import Judged

OBJECTS_MAX = 10_000
"""Of one device, that are not normal at once; what says more has no end."""

NORMAL, FAULT = 0, 1
ALL_ACKED = Bits("1" * TRANSITIONS)
IN_FAULT = Quality(Grade.BAD, "device_fault", "event-state fault")
NO_SUMMARY = Quality(Grade.BAD, "config_error", "the device has no GetEventInformation: follow its objects one by one")

Said = tuple["Raw", "Raw"]
"""Event state and acknowledged transitions of one object."""

QUIET: Said = (NORMAL, ALL_ACKED)


@dataclass(slots=True)
class AlarmItem:
    """A point that follows the alarms of one object, or of all where `target` is nothing."""

    point: Point
    target: int | None
    facet: Facet
    keys: list[Key]

    def judge(self, raw: Mapping[Key, Raw]) -> Judged:
        """By the properties of the object, for devices that cannot say at once what stands."""
        if self.target is None:
            return None, NO_SUMMARY
        state, acked = (raw.get(key) for key in self.keys)
        return self.show([(state, acked)])

    def widen(self, _: Mapping[Key, Raw]) -> bool:
        return False

    def reported(self, _: Mapping[Key, Raw]) -> Judged | None:
        return None

    def event(self, notification: EventNotification) -> Judged | None:
        if notification.target != self.target or self.facet == "acked" or notification.kind == "acknowledgement":
            return None
        return self.show([(notification.state, ALL_ACKED)])

    def show(self, said: Sequence[Said]) -> Judged:
        """The facet of these objects together."""
        wanted = [acked if self.facet == "acked" else state for state, acked in said]
        for one in wanted:
            if isinstance(one, AccessError):
                return None, values.error_flaw(one)
        if self.facet == "acked":
            return _all_acked(wanted)
        if self.facet == "state":
            return values.judge(self.point, wanted[0])
        return _any_active(wanted)


def _all_acked(wanted: Sequence[Raw]) -> Judged:
    if not all(isinstance(one, Bits) and len(one.text) == TRANSITIONS for one in wanted):
        return None, values.LOST
    return all(one == ALL_ACKED for one in wanted), None


def _any_active(wanted: Sequence[Raw]) -> Judged:
    if not all(type(one) is int for one in wanted):
        return None, values.LOST
    if any(one not in {NORMAL, FAULT} for one in wanted):
        return True, None
    return (None, IN_FAULT) if FAULT in wanted else (False, None)


def alarm_item(point: Point) -> AlarmItem:
    """A point that follows alarms."""
    spec = point.spec
    assert isinstance(spec, BacnetPoint)
    assert spec.event is not None
    target = names.parse_object(spec.object_name)
    keys = [(target, names.EVENT_STATE, NO_INDEX), (target, names.ACKED_TRANSITIONS, NO_INDEX)]
    return AlarmItem(point, None if names.is_device(target) else target, spec.event, keys)


class AlarmBatch:
    """All points of a poll that follow alarms of the device: one request, or several where the answer has pages."""

    what = "GetEventInformation"
    service = GET_EVENT_INFORMATION
    multiple = True

    def __init__(self, at: Sequence[int], items: Sequence[AlarmItem]) -> None:
        self.at = at
        self.last: Answer | None = None
        self._items = items
        self._standing: dict[int, Said] = {}
        self.begin()

    def __len__(self) -> int:
        return len(self._items)

    def begin(self) -> None:
        """As `Batch.begin`; the first page comes next."""
        self.overtaken = False
        self._after: int | None = None
        self._pages: dict[int, Said] = {}
        self._meanwhile: dict[int, Said] = {}

    @property
    def requests(self) -> list[tuple[int, bytes]]:
        return [(GET_EVENT_INFORMATION, events.event_information(self._after))]

    @property
    def whole(self) -> bool:
        """Whether one page was all: the last of several may be the only one the next time, and say something else."""
        return self._after is None

    def read(self, answer: Answer) -> list[Judged] | None:
        """Values and flaws of the points, or `None` where there are more pages. Raises `Malformed`."""
        (page,) = answer
        assert isinstance(page, bytes)
        found, more = events.event_summaries(page)
        known = len(self._pages)
        self._pages.update({one.target: (one.state, one.acked) for one in found})
        if more:
            if len(self._pages) == known or known > OBJECTS_MAX:
                raise Malformed("event information without end")
            self._after = found[-1].target
            return None
        self._standing = self._pages | self._meanwhile
        return [self._show(item) for item in self._items]

    def flawed(self, flaw: Quality) -> list[Judged]:
        return [(None, flaw)] * len(self._items)

    def reported(self, _: int, __: Mapping[Key, Raw]) -> Judged | None:
        return None

    def event(self, notification: EventNotification) -> list[tuple[int, Judged]]:
        """What a notification makes of which points; who has acknowledged is asked for by the next poll."""
        target = notification.target
        if notification.kind == "acknowledgement" or len(self._standing) > OBJECTS_MAX:
            return []
        _, acked = self._standing.get(target, QUIET)
        text = acked.text if isinstance(acked, Bits) else ALL_ACKED.text
        said = notification.state, Bits(_unseen(text, notification.state) if notification.ack_required else text)
        self._standing[target] = self._meanwhile[target] = said
        self.last, self.overtaken = None, True
        concerned = ((at, item) for at, item in zip(self.at, self._items, strict=True))
        return [(at, self._show(item)) for at, item in concerned if item.target in {None, target}]

    def _show(self, item: AlarmItem) -> Judged:
        if item.target is None:
            return item.show(list(self._standing.values()))
        return item.show([self._standing.get(item.target, QUIET)])

    def singles(self) -> list[Batch]:
        """What to ask a device that cannot say at once what stands: state and acknowledgements of each object."""
        return [Batch(self.at, self._items)]


def _unseen(acked: str, state: int) -> str:
    """The acknowledged transitions after a new one into `state`: to off-normal, to fault, to normal."""
    place = {NORMAL: 2, FAULT: 1}.get(state, 0)
    return acked[:place] + "0" + acked[place + 1 :]
