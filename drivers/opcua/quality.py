"""OPC UA status codes to qualities (`domain.md` 5.2). Pure.

The upper 16 bits of a code say what it is (OPC 10000-4, 7.39), the lower ones carry flags; of these only the overflow
bit matters here: values of this item were lost between the server and us.
"""

from __future__ import annotations

from functools import lru_cache

from drivers.contract import Grade, Quality, Reason

OVERFLOW = 0x0480
"""InfoType DataValue together with the overflow bit."""

CODE = 0xFFFF_0000
"""Without the flags."""

_GOOD: dict[int, Reason] = {0x0096_0000: "local_override"}

_UNCERTAIN: dict[int, Reason] = {
    0x408F_0000: "last_known",  # UncertainNoCommunicationLastUsableValue
    0x4090_0000: "last_known",  # UncertainLastUsableValue
    0x4091_0000: "substituted",  # UncertainSubstituteValue
    0x4092_0000: "initial",  # UncertainInitialValue
    0x4093_0000: "sensor_uncalibrated",  # UncertainSensorNotAccurate
    0x4094_0000: "range_suspect",  # UncertainEngineeringUnitsExceeded
    0x4095_0000: "subnormal",  # UncertainSubNormal
    0x40A4_0000: "insufficient_data",  # UncertainDataSubNormal
}

_BAD: dict[int, Reason] = {
    0x8004_0000: "busy",  # BadResourceUnavailable
    0x8005_0000: "comm_lost",  # BadCommunicationError
    0x8006_0000: "decode_error",  # BadEncodingError
    0x8007_0000: "decode_error",  # BadDecodingError
    0x800A_0000: "comm_lost",  # BadTimeout
    0x800D_0000: "comm_lost",  # BadServerNotConnected
    0x8010_0000: "busy",  # BadTooManyOperations
    0x801F_0000: "denied",  # BadUserAccessDenied
    0x8031_0000: "comm_lost",  # BadNoCommunication
    0x8032_0000: "not_connected",  # BadWaitingForInitialData
    0x8033_0000: "config_error",  # BadNodeIdInvalid
    0x8034_0000: "config_error",  # BadNodeIdUnknown
    0x8035_0000: "config_error",  # BadAttributeIdInvalid
    0x8036_0000: "config_error",  # BadIndexRangeInvalid
    0x8038_0000: "decode_error",  # BadDataEncodingInvalid
    0x8039_0000: "decode_error",  # BadDataEncodingUnsupported
    0x803A_0000: "denied",  # BadNotReadable
    0x8074_0000: "decode_error",  # BadTypeMismatch
    0x8085_0000: "comm_lost",  # BadRequestTimeout
    0x8089_0000: "config_error",  # BadConfigurationError
    0x808A_0000: "not_connected",  # BadNotConnected
    0x808B_0000: "device_fault",  # BadDeviceFailure
    0x808C_0000: "sensor_fault",  # BadSensorFailure
    0x808D_0000: "out_of_service",  # BadOutOfService
    0x80AE_0000: "comm_lost",  # BadConnectionClosed
    0x80E6_0000: "denied",  # BadSecurityModeInsufficient
}


def is_overflow(status: int) -> bool:
    """Whether the server dropped older values of this item (OPC 10000-4, 7.39: data value, overflow)."""
    return status & OVERFLOW == OVERFLOW


@lru_cache(maxsize=1024)
def of_status(status: int) -> Quality | None:
    """What a status code says of its value; `None` where it says nothing against it."""
    code, raw = status & CODE, f"0x{status:08X}"
    if status & 0x8000_0000:
        return Quality(Grade.BAD, _BAD.get(code, "not_available"), raw)
    if status & 0x4000_0000:
        return Quality(Grade.UNCERTAIN, _UNCERTAIN.get(code, "subnormal"), raw)
    if is_overflow(status):
        return Quality(Grade.UNCERTAIN, "insufficient_data", raw)
    reason = _GOOD.get(code)
    return Quality(Grade.GOOD, reason, raw) if reason else None
