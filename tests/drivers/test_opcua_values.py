"""From what a node holds to the value of a point, and from status codes to qualities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from opcua_peer import point

from drivers.contract import Grade, Quality
from drivers.opcua.kinds import type_name
from drivers.opcua.quality import of_status
from drivers.opcua.values import converter

if TYPE_CHECKING:
    from drivers.contract import Value

BOOLEAN, INT16, INT32, UINT64, FLOAT, DOUBLE, STRING, DATE_TIME, GUID, TEXT = 1, 4, 6, 9, 10, 11, 12, 13, 14, 21
T2026 = 134_082_009_000_000_000 + 7_420_000


@pytest.mark.parametrize(
    ("settings", "kind", "raw", "value"),
    [
        ({"type": "number"}, DOUBLE, 21.5, 21.5),
        ({"type": "number"}, UINT64, 2**63, 2**63),
        ({"type": "number", "scale": 0.1}, INT16, 2301, 230.1),
        ({"type": "number", "scale": 0.001, "offset": -40.0}, INT32, 65000, 25.0),
        ({"type": "number", "scale": 2.5e-7}, INT32, 4, 1e-6),
        ({"type": "integer"}, INT32, -7, -7),
        ({"type": "integer"}, DOUBLE, 7.0, 7),
        ({"type": "integer", "scale": 0.1}, INT16, 68, 7),
        ({"type": "bool"}, BOOLEAN, True, True),
        ({"type": "bool"}, INT16, 1, True),
        ({"type": "bool"}, INT16, 0, False),
        ({"type": "enum", "states": {0: "off", 3: "on"}}, INT32, 3, "on"),
        ({"type": "enum", "states": {0: "off", 1: "on"}}, BOOLEAN, True, "on"),
        ({"type": "string"}, STRING, "温度", "温度"),
        ({"type": "string"}, TEXT, "text", "text"),
        ({"type": "string"}, STRING, "", ""),
        ({"type": "string"}, GUID, UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ],
)
def test_a_value_that_fits(settings: dict[str, Any], kind: int, raw: object, value: Value) -> None:
    """Scaled, in the type of the point, without a flaw."""
    found, flaw = converter(point("p", **settings))(kind, raw)
    assert flaw is None
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("type_", "kind", "raw", "reason", "said"),
    [
        ("number", STRING, "21.5", "decode_error", "String"),
        ("number", BOOLEAN, True, "decode_error", "Boolean"),
        ("number", DATE_TIME, T2026, "decode_error", "DateTime"),
        ("number", DOUBLE | 0x80, None, "decode_error", "Double[]"),
        ("number", 22, None, "decode_error", "ExtensionObject"),
        ("number", 0, None, "not_available", "Null"),
        ("number", DOUBLE, float("nan"), "not_available", "nan"),
        ("number", FLOAT, float("-inf"), "not_available", "-inf"),
        ("integer", DOUBLE, 7.5, "decode_error", "Double"),
        ("integer", DOUBLE, float("inf"), "not_available", "inf"),
        ("bool", INT16, 2, "decode_error", "Int16"),
        ("bool", DOUBLE, 1.0, "decode_error", "Double"),
        ("enum", INT32, 9, "decode_error", "9"),
        ("enum", STRING, "on", "decode_error", "String"),
        ("string", DOUBLE, 1.0, "decode_error", "Double"),
        ("string", STRING, None, "not_available", "Null"),
        ("string", STRING, "温度".encode("gbk"), "decode_error", "String"),
        ("string", STRING, "x" * 1025, "decode_error", "String"),
        ("string", DATE_TIME, 0, "not_available", "Null"),
        ("string", DATE_TIME, 2**63 - 1, "not_available", "Null"),
    ],
)
def test_what_does_not_fit_is_bad_and_no_value(type_: str, kind: int, raw: object, reason: str, said: str) -> None:
    """Never bent into shape, never a zero; the quality says what came."""
    states = {0: "off", 1: "on"} if type_ == "enum" else {}
    value, flaw = converter(point("p", type=type_, states=states))(kind, raw)
    assert value is None
    assert flaw == Quality(Grade.BAD, reason, said)  # type: ignore[arg-type]  # the reasons stand above as text


def test_a_moment_is_iso_8601_in_utc() -> None:
    """With milliseconds, as in every event."""
    assert converter(point("p", type="string"))(DATE_TIME, T2026) == ("2025-11-21T12:15:00.742Z", None)


def test_outside_the_plausible_range_is_kept_and_suspect() -> None:
    """The value stays; the limits are in the point's unit, and belong to the range."""
    convert = converter(point("p", scale=0.1, low=0.0, high=50.0))
    assert convert(INT16, 500) == (50.0, None)
    assert convert(INT16, 501) == (50.1, Quality(Grade.UNCERTAIN, "range_suspect"))
    assert convert(INT16, -1) == (-0.1, Quality(Grade.UNCERTAIN, "range_suspect"))


@pytest.mark.parametrize(
    ("status", "grade", "reason"),
    [
        (0x0096_0000, Grade.GOOD, "local_override"),
        (0x408F_0000, Grade.UNCERTAIN, "last_known"),
        (0x4090_0000, Grade.UNCERTAIN, "last_known"),
        (0x4091_0000, Grade.UNCERTAIN, "substituted"),
        (0x4092_0000, Grade.UNCERTAIN, "initial"),
        (0x4093_0000, Grade.UNCERTAIN, "sensor_uncalibrated"),
        (0x4094_0000, Grade.UNCERTAIN, "range_suspect"),
        (0x4095_0000, Grade.UNCERTAIN, "subnormal"),
        (0x40FF_0000, Grade.UNCERTAIN, "subnormal"),
        (0x0000_0480, Grade.UNCERTAIN, "insufficient_data"),
        (0x8031_0000, Grade.BAD, "comm_lost"),
        (0x8005_0000, Grade.BAD, "comm_lost"),
        (0x800A_0000, Grade.BAD, "comm_lost"),
        (0x808D_0000, Grade.BAD, "out_of_service"),
        (0x808C_0000, Grade.BAD, "sensor_fault"),
        (0x808B_0000, Grade.BAD, "device_fault"),
        (0x8089_0000, Grade.BAD, "config_error"),
        (0x8034_0000, Grade.BAD, "config_error"),
        (0x808A_0000, Grade.BAD, "not_connected"),
        (0x8007_0000, Grade.BAD, "decode_error"),
        (0x801F_0000, Grade.BAD, "denied"),
        (0x8000_0000, Grade.BAD, "not_available"),
        (0xFFFF_FFFF, Grade.BAD, "not_available"),
        (0x808C_0480, Grade.BAD, "sensor_fault"),
    ],
)
def test_9_a_status_code_is_a_quality(status: int, grade: Grade, reason: str) -> None:
    """Each row of the table, with the code as it came; unknown codes keep at least their grade."""
    assert of_status(status) == Quality(grade, reason, f"0x{status:08X}")  # type: ignore[arg-type]  # reasons as text


@pytest.mark.parametrize("status", [0, 0x0030_0000, 0x0000_0400, 0x0000_0080])
def test_9_a_good_status_code_says_nothing_against_its_value(status: int) -> None:
    """Clamped, or with flags that are no overflow: nothing is said against the value."""
    assert of_status(status) is None


def test_type_names() -> None:
    """Named as the standard does, also those that it does not know."""
    assert [type_name(kind) for kind in (1, 11, 0x8B, 25, 60)] == [
        "Boolean",
        "Double",
        "Double[]",
        "DiagnosticInfo",
        "type 60",
    ]
