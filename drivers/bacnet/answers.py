"""What a ReadPropertyMultiple acknowledgement says: by our decoder, and by the library's where ours does not know it.

Ours reads the form in which the standard has it written; the library also others that mean the same, such as a length
in more bytes than it needs. What neither can read is `Malformed`, and is no value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bacpypes3.basetypes import ReadAccessResult
from bacpypes3.constructeddata import SequenceOf

from drivers.bacnet import codec, library
from drivers.bacnet.codec import NO_INDEX
from drivers.bacnet.encoding import AccessError, Malformed, values_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.bacnet.codec import Result
    from drivers.bacnet.encoding import Raw

_ALL: Any = SequenceOf(ReadAccessResult)
_BEGIN, _END = 0x4E, 0x4F


def multiple_results(data: bytes) -> list[Result]:
    """Its results, in its order. Raises `Malformed`."""
    try:
        return codec.multiple_results(data)
    except Malformed as unknown:
        try:
            return list(_results(library.decoded(_ALL, data)))
        except library.OutOfBounds:
            raise unknown from None
        except Malformed as too:
            raise Malformed(f"{unknown}; the library cannot read it either") from too


def _results(found: Any) -> Iterator[Result]:
    for one in found:
        target = int.from_bytes(one.objectIdentifier.encode()[0].tag_data, "big")
        for element in one.listOfResults:
            index = element.propertyArrayIndex
            yield (target, int(element.propertyIdentifier), NO_INDEX if index is None else int(index)), _value(element)


def _value(element: Any) -> Raw:
    """The library writes the value anew, in its brackets, so that ours knows it; it was compared with what was sent.

    The library also takes one tag with the brackets' number for a value: its data are not to be read as one. Raises
    `Malformed`.
    """
    error = element.readResult.propertyAccessError
    if error is not None:
        return AccessError(int(error.errorClass), int(error.errorCode))
    written = bytes(element.readResult.propertyValue.tagList.encode().pduData)
    if written[0] != _BEGIN:
        raise Malformed("a value without brackets")
    value, _ = values_until(written, 1, _END)
    return value
