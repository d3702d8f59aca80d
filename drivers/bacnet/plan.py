"""What a poll asks of its device, in which requests, and what became of the last answers. Pure: no socket, no time.

Invariants: the batches of a plan cover its points in order and without gaps; a batch only ever becomes smaller; a
value is taken from an answer only where object, property and array index are the ones that were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.bacnet import codec, names, values
from drivers.bacnet.codec import NO_INDEX, READ_PROPERTY, READ_PROPERTY_MULTIPLE, AccessError, Key
from drivers.bacnet.settings import BacnetPoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.model import Point
    from drivers.bacnet.codec import Raw, Result
    from drivers.bacnet.values import Judged
    from drivers.contract import Poll, Quality, Span, Value

POINT_BYTES = 23
"""A real present value with its status flags in the acknowledgement; longer values are met by halving."""

ACK_BYTES = 3

Answer = tuple[bytes | AccessError, ...]
"""The parameters of the acknowledgement of each request of a batch, or the error instead of it."""


def fitting(batch: int, max_apdu: int) -> int:
    """How many points of at most `batch` one unsegmented answer holds; at least one."""
    return max(1, min(batch, (max_apdu - ACK_BYTES) // POINT_BYTES))


@dataclass(slots=True)
class _Item:
    """A point and the properties that are asked for it: its own, the status flags, once faulty the reliability."""

    point: Point
    keys: list[Key]

    def judge(self, raw: Mapping[Key, Raw]) -> Judged:
        own = self.keys[0]
        if own not in raw:
            return None, values.LOST
        flags, reliability = (raw.get(key) for key in (self._of(names.STATUS_FLAGS), self._of(names.RELIABILITY)))
        return values.judge(self.point, raw[own], flags, reliability)

    def widen(self, raw: Mapping[Key, Raw]) -> bool:
        """Ask for the reliability from now on, if the flags say that there is something to know."""
        reliability = self._of(names.RELIABILITY)
        if reliability in self.keys or not values.faulty(raw.get(self._of(names.STATUS_FLAGS))):
            return False
        self.keys.append(reliability)
        return True

    def reported(self, raw: Mapping[Key, Raw]) -> Judged | None:
        """What a notification says of the point; nothing where it is about something else."""
        return self.judge(raw) if self.keys[0] in raw else None

    def _of(self, property_number: int) -> Key:
        return self.keys[0][0], property_number, NO_INDEX


class Batch:
    """Neighbouring points that are asked for together: in one request, or one property after the other."""

    def __init__(self, start: int, items: Sequence[_Item], *, multiple: bool) -> None:
        self.start = start
        self.multiple = multiple
        self.last: Answer | None = None
        self._items = items
        self.requests = self._encode()

    def __len__(self) -> int:
        return len(self._items)

    def read(self, answer: Answer) -> list[Judged] | None:
        """Values and flaws of the points, or `None` where more must be asked first. Raises `Malformed`."""
        raw = self._results(answer)
        if sum(item.widen(raw) for item in self._items):  # a sum and not any: every one has to be widened
            self.requests = self._encode()
            return None
        return [item.judge(raw) for item in self._items]

    def flawed(self, flaw: Quality) -> list[Judged]:
        return [(None, flaw)] * len(self._items)

    def halves(self) -> list[Batch]:
        middle = len(self._items) // 2
        return [
            Batch(self.start, self._items[:middle], multiple=self.multiple),
            Batch(self.start + middle, self._items[middle:], multiple=self.multiple),
        ]

    def singles(self) -> list[Batch]:
        """One batch for each point, each property asked for by itself."""
        return [Batch(self.start + offset, [item], multiple=False) for offset, item in enumerate(self._items)]

    def _encode(self) -> list[tuple[int, bytes]]:
        if self.multiple:
            return [(READ_PROPERTY_MULTIPLE, codec.read_multiple([item.keys for item in self._items]))]
        return [(READ_PROPERTY, codec.read_property(key)) for item in self._items for key in item.keys]

    def _results(self, answer: Answer) -> dict[Key, Raw]:
        if self.multiple:
            return dict(result for part in answer if isinstance(part, bytes) for result in codec.multiple_results(part))
        asked = (key for item in self._items for key in item.keys)
        return dict(_single(key, part) for key, part in zip(asked, answer, strict=True))


def _single(key: Key, part: bytes | AccessError) -> Result:
    return (key, part) if isinstance(part, AccessError) else codec.single_result(part)


Told = tuple["Sequence[Value]", "Mapping[int, Quality]", "Sequence[Span]"]
"""Values, flaws and what changed."""


class Plan:
    """The batches of one poll, and the values and flaws that they gave last."""

    def __init__(self, poll: Poll, size: int, *, multiple: bool) -> None:
        items = [_item(point) for point in poll.points]
        self.batches = [Batch(at, items[at : at + size], multiple=True) for at in range(0, len(items), size)]
        if not multiple:
            self.batches = [single for batch in self.batches for single in batch.singles()]
        self._items = items
        self._size = len(items)
        self._values: list[Value] = [None] * self._size
        self._flaws: dict[int, Quality] = {}
        self._complete = False
        self._whole = False
        self._changed: list[Span] = [(0, self._size)]

    def begin(self) -> None:
        """A read begins, before anything of it can fail. After one that did not end, all counts as new."""
        self._whole = self._complete
        self._changed = [] if self._complete else [(0, self._size)]
        self._complete = False

    def store(self, batch: Batch, judged: Sequence[Judged]) -> None:
        """Take over what is new of a batch."""
        self._take(batch.start, judged)

    def _take(self, start: int, judged: Sequence[Judged]) -> None:
        """What was given out before is left as it is."""
        new = [at for at, now in enumerate(judged, start) if now != (self._values[at], self._flaws.get(at))]
        if not new:
            return
        self._values, self._flaws = self._values.copy(), self._flaws.copy()
        for at in new:
            self._values[at], flaw = judged[at - start]
            self._flaws.pop(at, None)
            if flaw is not None:
                self._flaws[at] = flaw
        if self._changed != [(0, self._size)]:
            self._changed.append((new[0], new[-1] + 1))

    def replace(self, batch: Batch, smaller: Sequence[Batch]) -> None:
        """Ask for less at once from now on."""
        at = self.batches.index(batch)
        self.batches[at : at + 1] = smaller

    def end(self) -> Told:
        """Values, flaws and what changed; the read was complete."""
        self._complete = self._whole = True
        return self._told(self._changed)

    def rest(self) -> None:
        """A read is over. After one that did not end, the values are old, and nothing is added to them."""
        self._whole = self._complete

    def notice(self, at: int, raw: Mapping[Key, Raw]) -> Told | None:
        """What a notification of one point makes of all; nothing while the others are not known.

        While a read is on its way, what it has brought so far counts as changed here and at its end. The next answer is
        decoded even if it is that of the last read: the value in between was another.
        """
        judged = self._items[at].reported(raw)
        if judged is None or not self._whole:
            return None
        batch = next(batch for batch in self.batches if batch.start <= at < batch.start + len(batch))
        batch.last = None
        so_far = [] if self._complete else self._changed
        self._take(at, [judged])
        return self._told([*so_far, (at, at + 1)])

    def doubt(self) -> None:
        """Something of what was told did not arrive: the next read counts as all new."""
        self._complete = self._whole = False

    def _told(self, changed: Sequence[Span]) -> Told:
        return self._values, self._flaws, tuple(sorted(set(changed)))


def key_of(point: Point) -> Key:
    """The property that a point is."""
    spec = point.spec
    assert isinstance(spec, BacnetPoint)
    index = NO_INDEX if spec.index is None else spec.index
    return names.parse_object(spec.object_name), names.parse_property(spec.property_name), index


def _item(point: Point) -> _Item:
    key = key_of(point)
    return _Item(point, [key, (key[0], names.STATUS_FLAGS, NO_INDEX)])
