"""Points that are properties: what is asked for each of them, and what their answers say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.bacnet import names, units, values
from drivers.bacnet.codec import NO_INDEX
from drivers.bacnet.encoding import AccessError, Unreadable
from drivers.bacnet.settings import BacnetPoint
from drivers.contract import Grade, Quality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.model import Point
    from drivers.bacnet.codec import Key
    from drivers.bacnet.encoding import Raw
    from drivers.bacnet.events import EventNotification
    from drivers.bacnet.values import Judged

_NO_TEXT = AccessError(*names.NO_TEXT)
_UNIT_PROPERTIES: Mapping[int, int] = {names.PRESENT_VALUE: names.UNITS, names.CAR_LOAD: names.CAR_LOAD_UNITS}
"""Where the device says in what unit a property is."""


@dataclass(slots=True)
class PropertyItem:
    """A point and the properties that are asked for it: its own, the status flags, once faulty the reliability."""

    point: Point
    keys: list[Key]

    def judge(self, raw: Mapping[Key, Raw]) -> Judged:
        own = self.keys[0]
        if own not in raw:
            return None, values.LOST
        flags, reliability = (raw.get(key) for key in (self._of(names.STATUS_FLAGS), self._of(names.RELIABILITY)))
        return values.judge(self.point, self._meant(raw), flags, reliability)

    def _meant(self, raw: Mapping[Key, Raw]) -> Raw:
        """What the device's own value stands for."""
        return raw[self.keys[0]]

    def widen(self, raw: Mapping[Key, Raw]) -> bool:
        """Ask for the reliability from now on, if the flags say that there is something to know."""
        reliability = self._of(names.RELIABILITY)
        if reliability in self.keys or not values.faulty(raw.get(self._of(names.STATUS_FLAGS))):
            return False
        self.keys.append(reliability)
        return True

    def reported(self, raw: Mapping[Key, Raw]) -> Judged | None:
        return self.judge(raw) if self.keys[0] in raw else None

    def event(self, _: EventNotification) -> Judged | None:
        return None

    def _of(self, property_number: int) -> Key:
        return self.keys[0][0], property_number, NO_INDEX


@dataclass(slots=True)
class MeasuredItem(PropertyItem):
    """A number whose unit the device may know, too: asked for once, and again for as long as it is another."""

    unit_key: Key
    expected: str
    agreed: bool = False
    doubt: Quality | None = None

    def judge(self, raw: Mapping[Key, Raw]) -> Judged:
        # Not the super() of no arguments: a dataclass with slots is another class than the one that is written here.
        value, flaw = PropertyItem.judge(self, raw)
        return (value, self.doubt) if self.doubt and (flaw is None or flaw.grade is Grade.GOOD) else (value, flaw)

    def told(self, unit: Raw) -> bool:
        """The device says its unit, or does not; gives whether that changes anything."""
        before = self.doubt
        self.doubt = None
        if type(unit) is int and not units.agrees(unit, self.point.unit, self.expected):
            self.doubt = Quality(Grade.UNCERTAIN, "config_error", f"the device says {units.name(unit)}")
        self.agreed = self.doubt is None
        return self.doubt != before


class TextItem(PropertyItem):
    """A state by the text that the device has for it, which is asked for beside the state, and is as new as that."""

    def widen(self, raw: Mapping[Key, Raw]) -> bool:
        key = self._text_key(raw)
        more = key is not None and key not in self.keys
        if key is not None and more:
            self.keys = [*(one for one in self.keys if one[1] not in names.TEXTS), key]
        return PropertyItem.widen(self, raw) or more

    def reported(self, _: Mapping[Key, Raw]) -> Judged | None:
        """Nothing: a notification has no text, and the next poll asks for it."""
        return None

    def _meant(self, raw: Mapping[Key, Raw]) -> Raw:
        key = self._text_key(raw)
        said = raw[self.keys[0]] if key is None else raw.get(key, _NO_TEXT)
        if said is None or isinstance(said, (AccessError, Unreadable)) or (key is not None and isinstance(said, str)):
            return said
        return Unreadable("no state with a text")

    def _text_key(self, raw: Mapping[Key, Raw]) -> Key | None:
        """Where the text of this state is; nothing where it is no state."""
        number, target = raw.get(self.keys[0]), self.keys[0][0]
        if type(number) is not int:
            return None
        if names.is_multi_state(target):
            return target, names.STATE_TEXT, number
        return target, names.ACTIVE_TEXT if number else names.INACTIVE_TEXT, NO_INDEX


def key_of(point: Point, instance: int) -> Key:
    """The property that a point is in the device with this instance."""
    spec = point.spec
    assert isinstance(spec, BacnetPoint)
    index = NO_INDEX if spec.index is None else spec.index
    return (
        names.own_object(names.parse_object(spec.object_name), instance),
        names.parse_property(spec.property_name),
        index,
    )


def property_item(point: Point, instance: int) -> PropertyItem:
    """A point that is a property."""
    key, spec = key_of(point, instance), point.spec
    assert isinstance(spec, BacnetPoint)
    keys = [key, (key[0], names.STATUS_FLAGS, NO_INDEX)]
    if spec.text:
        return TextItem(point, keys)
    unit_property = _UNIT_PROPERTIES.get(key[1])
    if unit_property is not None and units.is_known(point.unit) and (point.scale, point.offset) == (1, 0):
        return MeasuredItem(point, keys, (key[0], unit_property, NO_INDEX), spec.device_unit)
    return PropertyItem(point, keys)
