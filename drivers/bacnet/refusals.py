"""What a device says instead of an acknowledgement, by what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacpypes3.apdu import AbortPDU, AbortReason, ErrorPDU, RejectPDU, RejectReason
from bacpypes3.basetypes import ErrorClass, ErrorCode

from drivers.bacnet import codec
from drivers.bacnet.encoding import Malformed

if TYPE_CHECKING:
    from bacpypes3.apdu import APDU

    from drivers.bacnet.encoding import AccessError

_ERRORS_OF_PARTS = frozenset((int(ErrorClass.object), int(ErrorClass.property)))
_UNKNOWN_SERVICE = frozenset(
    (int(ErrorCode.rejectUnrecognizedService), int(ErrorCode.optionalFunctionalityNotSupported))
)
"""Some stacks say by an error what the standard has a reject for."""

_ABORTS_TOO_LONG = frozenset(
    (
        AbortReason.bufferOverflow,
        AbortReason.segmentationNotSupported,
        AbortReason.outOfResources,
        AbortReason.apduTooLong,
    )
)
_REJECTS_TOO_LONG = frozenset((RejectReason.bufferOverflow, RejectReason.tooManyArguments))


class Refusal(Exception):
    """The device answered, but not with an acknowledgement.

    `divide` says that a smaller request may be granted: a part of this one is wrong, or the answer would be `too_long`.
    """

    def __init__(
        self, text: str, error: AccessError | None = None, *, divide: bool = False, too_long: bool = False
    ) -> None:
        super().__init__(text)
        self.error = error
        self.divide = divide or too_long
        self.too_long = too_long


class UnknownService(Refusal):
    """The device does not know this kind of request."""


def of(apdu: APDU) -> Refusal | Malformed | None:
    """What an answer means that is no acknowledgement; nothing where the library gave up waiting for one."""
    if isinstance(apdu, ErrorPDU):
        error = codec.access_error(bytes(apdu.pduData))
        is_service = error.error_class == int(ErrorClass.services) and error.code in _UNKNOWN_SERVICE
        kind = UnknownService if is_service else Refusal
        return kind(f"error {error.error_class}/{error.code}", error, divide=error.error_class in _ERRORS_OF_PARTS)
    if isinstance(apdu, RejectPDU):
        reason = apdu.apduAbortRejectReason
        kind = UnknownService if reason == RejectReason.unrecognizedService else Refusal
        return kind(f"reject {RejectReason(reason)}", divide=True, too_long=reason in _REJECTS_TOO_LONG)
    if isinstance(apdu, AbortPDU):
        reason = apdu.apduAbortRejectReason
        if reason == AbortReason.noResponse:
            return None
        return Refusal(f"abort {AbortReason(reason)}", too_long=reason in _ABORTS_TOO_LONG)
    return Malformed(f"answered with an APDU of type {apdu.apduType}")
