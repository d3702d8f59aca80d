"""Which alarms stand, whatever order their events come in: newest snapshot first, then what is newer than it. Pure.

Always true: an alarm never goes back to an older event of its story, and nothing that a snapshot already contains
changes what the snapshot said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consumer.events import AsOf, Event, Unreadable, as_of, mapping, mappings, number, text

if TYPE_CHECKING:
    from collections.abc import Callable

ALARMS_MAX = 100_000
"""Of one gateway. Beyond it, ended ones are forgotten, oldest first."""

PARTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class AlarmState:
    """One alarm by the newest event of it. `as_of` is that event's place, or that of the snapshot that said it.

    `n` is 0 where the snapshot of a later epoch ended it: that epoch may count its occurrences anew.
    """

    gateway: str
    alarm_id: str
    occurrence_id: str
    n: int
    state: str
    ended: bool
    colour: str
    test: bool
    since: str
    zh: str
    en: str
    as_of: AsOf

    @property
    def age(self) -> tuple[int, int]:
        """Grows from event to event of one alarm within an epoch: which occurrence, which event of it."""
        raised = self.occurrence_id.rpartition("/")[2] if self.n else ""
        return (int(raised) if raised.isascii() and raised.isdigit() else 0, self.n)


class Alarms:
    """Those of one gateway. `transition` and `snapshot` return what they changed.

    `descends` says whether its first epoch is known to follow, perhaps not directly, upon its second.
    """

    def __init__(self, descends: Callable[[str, str], bool]) -> None:
        self.known: dict[str, AlarmState] = {}
        self.snapshot_as_of: AsOf | None = None
        self._descends = descends
        self._parts: dict[int, list[AlarmState]] = {}
        self._parts_as_of: AsOf | None = None

    @property
    def standing(self) -> int:
        return sum(not alarm.ended for alarm in self.known.values())

    def transition(self, event: Event) -> list[AlarmState]:
        """Raises `Unreadable`."""
        assert event.lane is not None, "a transition is a record"
        place = AsOf(event.lane.epoch, {event.lane.stream: event.sequence})
        alarm = _alarm(event.gateway, event.data, place, test=event.test)
        if self.snapshot_as_of is not None and self._covers(self.snapshot_as_of, place):
            return []
        return self._apply(alarm)

    def snapshot(self, event: Event) -> list[AlarmState]:
        """One part of a snapshot; it counts when all parts are there. Raises `Unreadable`."""
        place = as_of(event.data)
        part, parts = number(event.data, "part"), number(event.data, "of")
        if not 1 <= part <= parts <= PARTS_MAX:
            raise Unreadable(f"part {part} of {parts} of a snapshot")
        if place != self._parts_as_of:
            self._parts, self._parts_as_of = {}, place
        self._parts[part] = [
            _alarm(event.gateway, body, place, test=body.get("test") is True) for body in mappings(event.data, "alarms")
        ]
        if len(self._parts) < parts:
            return []
        alarms = [alarm for each in self._parts.values() for alarm in each]
        self._parts, self._parts_as_of = {}, None
        return self._replace(alarms, place)

    def restore(self, alarm: AlarmState) -> None:
        self.known[alarm.alarm_id] = alarm

    def _replace(self, alarms: list[AlarmState], place: AsOf) -> list[AlarmState]:
        if self.snapshot_as_of is not None and not self._covers(place, self.snapshot_as_of):
            return []
        self.snapshot_as_of = place
        standing = {alarm.alarm_id for alarm in alarms}
        gone = [
            replace(alarm, state="NORM", ended=True, as_of=place, n=alarm.n if place.epoch == alarm.as_of.epoch else 0)
            for alarm in self.known.values()
            if not alarm.ended and alarm.alarm_id not in standing and self._covers(place, alarm.as_of)
        ]
        for alarm in gone:
            self.known[alarm.alarm_id] = alarm
        return gone + [changed for alarm in alarms for changed in self._apply(alarm)]

    def _apply(self, alarm: AlarmState) -> list[AlarmState]:
        known = self.known.get(alarm.alarm_id)
        if known is not None and not self._newer(alarm, known):
            return []
        self.known.pop(alarm.alarm_id, None)
        self.known[alarm.alarm_id] = alarm
        self._forget()
        return [alarm]

    def _newer(self, alarm: AlarmState, known: AlarmState) -> bool:
        ours, theirs = alarm.as_of.epoch, known.as_of.epoch
        if ours != theirs and self._descends(ours, theirs):
            return True
        if ours != theirs and self._descends(theirs, ours):
            return False
        return alarm.age > known.age

    def _covers(self, place: AsOf, other: AsOf) -> bool:
        """Whether a snapshot of `place` contains all that was known at `other`."""
        if place.epoch != other.epoch:
            return self._descends(place.epoch, other.epoch)
        return all(sequence <= place.sequences.get(stream, 0) for stream, sequence in other.sequences.items())

    def _forget(self) -> None:
        if len(self.known) > ALARMS_MAX:
            ended = next((alarm_id for alarm_id, alarm in self.known.items() if alarm.ended), None)
            if ended is not None:
                del self.known[ended]


def _alarm(gateway: str, body: dict[str, Any], place: AsOf, *, test: bool) -> AlarmState:
    words = mapping(body, "text")
    return AlarmState(
        gateway=gateway,
        alarm_id=text(body, "alarm_id"),
        occurrence_id=text(body, "occurrence_id"),
        n=number(body, "n"),
        state=text(body, "state"),
        ended=body.get("ended") is True,
        colour=text(body, "colour"),
        test=test,
        since=text(body, "ts_gateway"),
        zh=str(words.get("zh", "")),
        en=str(words.get("en", "")),
        as_of=place,
    )
