"""Is this the device that its profile describes? Asked when it was found, before its first value is believed.

That its instance is right says who was meant, not what stands there: a controller that was exchanged has the number of
the one before. What a property cannot tell now (out of service, a sensor that says it is broken) is no objection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.bacnet import names
from drivers.bacnet.asking import ask_all
from drivers.bacnet.encoding import AccessError
from drivers.bacnet.items import property_item
from drivers.contract import Grade
from drivers.expectation import contradiction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.bacnet.asking import Met
    from drivers.bacnet.codec import Key
    from drivers.bacnet.encoding import Raw
    from drivers.bacnet.items import PropertyItem
    from drivers.bacnet.settings import BacnetAddress, CheckSpec
    from drivers.bacnet.stack import Stack
    from drivers.contract import Quality

_NOT_THERE = frozenset((31, 32, 42))
"""unknown-object, unknown-property, invalid-array-index."""


async def objection(stack: Stack, met: Met, address: BacnetAddress) -> Quality | None:
    """What tells that another device stands there, or None. Raises `NoAnswer` and `Unreachable`."""
    for spec in address.expect:
        item = property_item(spec.alone, address.instance)
        found = _judged(spec, item, await ask_all(stack, met, item.keys))
        if found is not None:
            return found
    return None


def _judged(spec: CheckSpec, item: PropertyItem, raw: Mapping[Key, Raw]) -> Quality | None:
    own = raw.get(item.keys[0])
    if isinstance(own, AccessError) and own.code in _NOT_THERE:
        error = names.error_name(own.error_class, own.code)
        return None if spec.may_lack else contradiction(f"{spec.where}: {error}")
    value, flaw = item.judge(raw)
    return spec.judged(value) if flaw is None or flaw.grade is Grade.GOOD else None
