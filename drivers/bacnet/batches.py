"""What one request asks of a device, and what its answer says of the points. Pure: no socket, no time.

A value is taken from an answer only where object, property and array index are the ones that were asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from drivers.bacnet import answers, codec
from drivers.bacnet.codec import READ_PROPERTY, READ_PROPERTY_MULTIPLE, Key
from drivers.bacnet.encoding import AccessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drivers.bacnet.codec import Result
    from drivers.bacnet.encoding import Raw
    from drivers.bacnet.events import EventNotification
    from drivers.bacnet.values import Judged
    from drivers.contract import Quality

POINT_BYTES = 23
"""A real present value with its status flags in the acknowledgement; longer values are met by halving."""

ACK_BYTES = 3

Answer = tuple[bytes | AccessError, ...]
"""The parameters of the acknowledgement of each request of a batch, or the error instead of it."""


def fitting(batch: int, max_apdu: int) -> int:
    """How many points of at most `batch` one unsegmented answer holds; at least one."""
    return max(1, min(batch, (max_apdu - ACK_BYTES) // POINT_BYTES))


class Item(Protocol):
    """What a batch knows of one of its points."""

    keys: list[Key]

    def judge(self, raw: Mapping[Key, Raw]) -> Judged:
        """Value and flaw, by an answer to all that was asked."""

    def widen(self, raw: Mapping[Key, Raw]) -> bool:
        """Whether more has to be asked from now on, by what was answered; it is in the keys then."""

    def reported(self, raw: Mapping[Key, Raw]) -> Judged | None:
        """What a notification says of the point; nothing where it is about something else."""

    def event(self, notification: EventNotification) -> Judged | None:
        """What an alarm of the device says of the point; nothing where it is about something else."""


class Batch:
    """Points that are asked for together: in one request, or one property after the other. `at` is where they stand."""

    whole: ClassVar[bool] = True
    """An answer is one request's, so that the same bytes say the same."""

    def __init__(self, at: Sequence[int], items: Sequence[Item], *, multiple: bool = True) -> None:
        self.at = at
        self.service = READ_PROPERTY_MULTIPLE if multiple else READ_PROPERTY
        self.last: Answer | None = None
        self._items = items
        self.overtaken = False
        self.requests = self._encode()

    @property
    def what(self) -> str:
        """The request, for a technician."""
        return f"ReadPropertyMultiple of {len(self)} objects" if self.multiple else "ReadProperty"

    @property
    def multiple(self) -> bool:
        return self.service == READ_PROPERTY_MULTIPLE

    def begin(self) -> None:
        """It is about to be asked for. A notification that comes before the answer may know better: `overtaken`."""
        self.overtaken = False

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

    def event(self, notification: EventNotification) -> list[tuple[int, Judged]]:
        """What an alarm of the device makes of which points."""
        told = ((at, item.event(notification)) for at, item in zip(self.at, self._items, strict=True))
        return [(at, judged) for at, judged in told if judged is not None]

    def reported(self, at: int, raw: Mapping[Key, Raw]) -> Judged | None:
        """What a notification makes of one point."""
        return self._items[self.at.index(at)].reported(raw)

    def halves(self) -> list[Batch]:
        middle = len(self._items) // 2
        return [
            Batch(self.at[:middle], self._items[:middle], multiple=self.multiple),
            Batch(self.at[middle:], self._items[middle:], multiple=self.multiple),
        ]

    def singles(self) -> list[Batch]:
        """One batch for each point, each property asked for by itself."""
        return [Batch([at], [item], multiple=False) for at, item in zip(self.at, self._items, strict=True)]

    def _encode(self) -> list[tuple[int, bytes]]:
        if self.multiple:
            return [(READ_PROPERTY_MULTIPLE, codec.read_multiple([item.keys for item in self._items]))]
        return [(READ_PROPERTY, codec.read_property(key)) for item in self._items for key in item.keys]

    def _results(self, answer: Answer) -> dict[Key, Raw]:
        if self.multiple:
            acknowledged = (part for part in answer if isinstance(part, bytes))
            return dict(result for part in acknowledged for result in answers.multiple_results(part))
        asked = (key for item in self._items for key in item.keys)
        return dict(_single(key, part) for key, part in zip(asked, answer, strict=True))


def _single(key: Key, part: bytes | AccessError) -> Result:
    return (key, part) if isinstance(part, AccessError) else codec.single_result(part)
