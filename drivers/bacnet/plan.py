"""What a poll asks of its device, in which requests, and what became of the last answers. Pure: no socket, no time.

Invariants: each point of a plan is in one of its batches; a batch only ever becomes smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.bacnet.alarms import AlarmBatch, AlarmItem, alarm_item
from drivers.bacnet.batches import Batch
from drivers.bacnet.items import MeasuredItem, property_item
from drivers.bacnet.settings import BacnetAddress, BacnetPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from config.model import Point
    from drivers.bacnet.codec import Key
    from drivers.bacnet.encoding import Raw
    from drivers.bacnet.events import EventNotification
    from drivers.bacnet.items import PropertyItem
    from drivers.bacnet.values import Judged
    from drivers.contract import Poll, Quality, Span, Value

AnyBatch = Batch | AlarmBatch

Told = tuple["Sequence[Value]", "Mapping[int, Quality]", "Sequence[Span]"]
"""Values, flaws and what changed."""


class Plan:
    """The batches of one poll, and the values and flaws that they gave last.

    `answered` says that they were once, `silences` how often in a row they were not, lately.
    """

    def __init__(self, poll: Poll, size: int) -> None:
        self._size = len(poll.points)
        assert isinstance(poll.device.address, BacnetAddress)
        instance = poll.device.address.instance
        items = [alarm_item(point) if _is_alarm(point) else property_item(point, instance) for point in poll.points]
        self._measured = [item for item in items if isinstance(item, MeasuredItem)]
        self.batches = list(_batches(items, size))
        self._values: list[Value] = [None] * self._size
        self._flaws: dict[int, Quality] = {}
        self.answered = False
        self.silences = 0
        self._complete = False
        self._whole = False
        self._changed: list[Span] = [(0, self._size)]

    @property
    def largest(self) -> int:
        """How many points its longest request asks for."""
        return max(len(batch) if isinstance(batch, Batch) and batch.multiple else 1 for batch in self.batches)

    def begin(self) -> None:
        """A read begins, before anything of it can fail. After one that did not end, all counts as new."""
        self._whole = self._complete
        self._changed = [] if self._complete else [(0, self._size)]
        self._complete = False

    def unknown_units(self) -> list[Key]:
        """Where the device says its units, of those points of which it has not said that it is ours."""
        return [item.unit_key for item in self._measured if not item.agreed]

    def learn_units(self, raw: Mapping[Key, Raw]) -> None:
        """What the device says of them; where it says nothing, the configuration decides."""
        told = [item.told(raw.get(item.unit_key)) for item in self._measured if not item.agreed]
        if any(told):
            for batch in self.batches:
                batch.last = None

    def store(self, batch: AnyBatch, judged: Sequence[Judged]) -> None:
        """Take over what is new of a batch."""
        self._take(batch.at, judged)

    def _take(self, places: Sequence[int], judged: Sequence[Judged]) -> None:
        """What was given out before is left as it is."""
        both = zip(places, judged, strict=True)
        new = [(at, now) for at, now in both if now != (self._values[at], self._flaws.get(at))]
        if not new:
            return
        self._values, self._flaws = self._values.copy(), self._flaws.copy()
        for at, (value, flaw) in new:
            self._values[at] = value
            self._flaws.pop(at, None)
            if flaw is not None:
                self._flaws[at] = flaw
        if self._changed != [(0, self._size)]:
            self._changed.append((new[0][0], new[-1][0] + 1))

    def replace(self, batch: AnyBatch, smaller: Sequence[Batch]) -> None:
        """Ask for less at once from now on."""
        at = self.batches.index(batch)
        self.batches[at : at + 1] = smaller

    def end(self) -> Told:
        """Values, flaws and what changed; the read was complete."""
        self._complete = self._whole = self.answered = True
        self.silences = 0
        return self._told(self._changed)

    def rest(self) -> None:
        """A read is over. After one that did not end, the values are old, and nothing is added to them."""
        self._whole = self._complete

    def notice(self, at: int, raw: Mapping[Key, Raw]) -> Told | None:
        """What a notification of one point makes of all; nothing while the others are not known.

        While a read is on its way, what it has brought so far counts as changed here and at its end. The next answer is
        decoded even if it is that of the last read: the value in between was another.
        """
        batch = next(batch for batch in self.batches if at in batch.at)
        judged = batch.reported(at, raw)
        return None if judged is None else self._noticed({batch: [(at, judged)]})

    def event(self, notification: EventNotification) -> Told | None:
        """What an alarm of the device makes of all; nothing where it is about none of them."""
        told = {batch: batch.event(notification) for batch in self.batches}
        return self._noticed({batch: pairs for batch, pairs in told.items() if pairs})

    def _noticed(self, told: Mapping[AnyBatch, Sequence[tuple[int, Judged]]]) -> Told | None:
        if not told or not self._whole:
            return None
        so_far = [] if self._complete else self._changed
        for batch, pairs in told.items():
            batch.last, batch.overtaken = None, True
            self._take([at for at, _ in pairs], [judged for _, judged in pairs])
        return self._told([*so_far, *((at, at + 1) for pairs in told.values() for at, _ in pairs)])

    def doubt(self) -> None:
        """Something of what was told did not arrive: the next read counts as all new."""
        self._complete = self._whole = False

    def _told(self, changed: Sequence[Span]) -> Told:
        return self._values, self._flaws, tuple(sorted(set(changed)))


def _batches(items: Sequence[AlarmItem | PropertyItem], size: int) -> Iterator[AnyBatch]:
    """Neighbours together; all that are alarms of the device in one, as one request asks for all of them."""
    alarms = {at: item for at, item in enumerate(items) if isinstance(item, AlarmItem)}
    own = [at for at in range(len(items)) if at not in alarms] if alarms else range(len(items))
    for start in range(0, len(own), size):
        places = own[start : start + size]
        yield Batch(places, [items[at] for at in places])
    if alarms:
        yield AlarmBatch(list(alarms), list(alarms.values()))


def _is_alarm(point: Point) -> bool:
    assert isinstance(point.spec, BacnetPoint)
    return point.spec.event is not None
